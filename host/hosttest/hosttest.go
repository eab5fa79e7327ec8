// Package hosttest does to volumes what users, operators and the kernel do to them, for
// tests.
package hosttest

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// Hold runs a script whose last command is cat, and returns its process when cat runs.
// The process ends with the test.
func Hold(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := out.Read(make([]byte, 1)); err != nil || n == 0 {
		t.Fatalf("%s has ended: %v", script, err)
	}
	return cmd
}

// ShutDown has the kernel shut a file system down, as xfs_io -x -c shutdown does.
func ShutDown(t *testing.T, target string) {
	t.Helper()
	dir, err := os.Open(target)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	const fsIocShutdown = 0x8004587d // _IOR('X', 125, __u32)
	if err := unix.IoctlSetPointerInt(int(dir.Fd()), fsIocShutdown, 2); err != nil {
		t.Fatal(err)
	}
}
