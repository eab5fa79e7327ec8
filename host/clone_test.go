package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

func TestCloneIsOfTheDeviceAndEndsWithItsDescriptor(t *testing.T) {
	dev := formatted(t, "ext4")
	target := filepath.Join(t.TempDir(), "volume")
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := host.Mount(dev.Path, target, "ext4", 0); err != nil {
		t.Fatal(err)
	}
	number := deviceNumber(t, dev)
	clone, err := host.CloneMount(target, number)
	if err != nil {
		t.Fatal(err)
	}
	// The clone does not keep the host from unmounting.
	if err := host.Unmount(target); err != nil {
		t.Errorf("unmount beside a clone: %v", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(clone.Fd()), &st); err != nil || st.Dev != number {
		t.Errorf("the clone is of device %d, %v, want %d", st.Dev, err, number)
	}
	if f, err := host.CloneMount(target, number); err == nil || !strings.Contains(err.Error(), "is mounted there, not") {
		t.Errorf("an unmounted volume was cloned: %v, %v", f, err)
	}
	// With the descriptor the last mount goes, so the device is free: an
	// exclusive open of it fails as long as the file system is mounted.
	if err := clone.Close(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(dev.Path, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("the device is in use after the clone was closed: %v", err)
	}
	unix.Close(fd)
}

func TestCloneFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, filepath.Join(link, "x")} {
		if f, err := host.CloneMount(path, st.Dev); err == nil {
			t.Errorf("%s was cloned: %v", path, f)
		}
	}
}
