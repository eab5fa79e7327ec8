package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
