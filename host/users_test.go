package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

func TestUsersNamesWhoKeepsAFileSystemBusy(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("users", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, 0) })
	at, ok, err := host.Mounted(dir)
	if err != nil || !ok {
		t.Fatalf("Mounted = %v, %v", ok, err)
	}
	if got := host.Users(at.Device, 10); len(got) != 0 {
		t.Errorf("users of an idle file system = %v", got)
	}
	f, err := os.Create(filepath.Join(dir, "open"))
	if err != nil {
		t.Fatal(err)
	}
	sleeper := exec.Command("sleep", "60")
	sleeper.Dir = dir
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	got := host.Users(at.Device, 10)
	for _, want := range []int{os.Getpid(), sleeper.Process.Pid} {
		if !slices.ContainsFunc(got, func(p host.Process) bool { return p.ID == want }) {
			t.Errorf("users = %v, want process %d among them", got, want)
		}
	}
	if got := host.Users(at.Device, 1); len(got) != 1 {
		t.Errorf("%d users, the limit is 1", len(got))
	}
	_ = f.Close()
	_ = sleeper.Process.Kill()
	_ = sleeper.Wait()
}

func TestMountersHaveAFileSystemOfTheirOwnAccord(t *testing.T) {
	dir, elsewhere := filepath.Join(t.TempDir(), "with a space"), t.TempDir()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("mounters", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, 0) })
	at, _, err := host.Mounted(dir)
	if err != nil {
		t.Fatal(err)
	}
	// Both have a copy of the mount; one has it bound somewhere else, too.
	start := func(script string) int {
		t.Helper()
		cmd := exec.Command("sh", "-ec", script+"\necho ready; exec sleep 60")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
		if _, err := out.Read(make([]byte, len("ready"))); err != nil {
			t.Fatal(err)
		}
		return cmd.Process.Pid
	}
	bystander, mounter := start(""), start("mount --bind '"+dir+"' "+elsewhere)
	got := host.Mounters(at.Device, "/nonexistent", 10)
	has := func(id int) bool { return slices.ContainsFunc(got, func(p host.Process) bool { return p.ID == id }) }
	if !has(mounter) || has(bystander) {
		t.Errorf("mounters are %v, want process %d, and not %d", got, mounter, bystander)
	}
	if got := host.Mounters(at.Device, filepath.Dir(elsewhere), 10); len(got) > 0 {
		t.Errorf("mounters outside of the root are %v", got)
	}
}
