package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

func never() bool { return false }

// allocated returns how many bytes of room a file takes.
func allocated(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

// settle has a file system finish what it does in the background: XFS frees a deleted
// file's blocks some time after the call.
func settle(t *testing.T, target string) {
	t.Helper()
	dir, err := os.Open(target)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	const freeze, thaw = 0xc0045877, 0xc0045878 // FIFREEZE and FITHAW of linux/fs.h
	for _, call := range []uint{freeze, thaw} {
		if err := unix.IoctlSetInt(int(dir.Fd()), call, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// The room of deleted files goes back to the storage.
func TestTrimGivesRoomBack(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			dev := newDevice(t, 512*mib)
			format(t, dev, fs)
			target := mount(t, dev, fs)
			file := filepath.Join(target, "file")
			data := make([]byte, 64*mib)
			for i := range data {
				data[i] = byte(i)
			}
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			unix.Sync()
			full := allocated(t, dev.Image)
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			settle(t, target)
			kept := allocated(t, dev.Image)
			trimmed, err := host.Trim(target, deviceNumber(t, dev), never)
			if err != nil {
				t.Fatal(err)
			}
			unix.Sync()
			after := allocated(t, dev.Image)
			t.Logf("the image takes %d bytes with the file, %d without, %d when %d are trimmed", full, kept, after, trimmed)
			if kept-after < 60*mib || trimmed < 60*mib {
				t.Errorf("%d bytes came back, of 64 MiB", kept-after)
			}
		})
	}
}

func TestTrimRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("trim", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmount(t, dir) })
	at, _, err := host.Mounted(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := host.Trim(dir, at.Device, never); !errors.Is(err, host.ErrNoDiscard) {
		t.Errorf("Trim of a file system without a device = %v", err)
	}
	if _, err := host.Trim(dir, at.Device+1, never); err == nil || errors.Is(err, host.ErrNoDiscard) {
		t.Errorf("Trim of another device's mount = %v", err)
	}

	// A file system that punches no holes has loop devices that cannot discard.
	storage := t.TempDir()
	if err := unix.Mount("trim", storage, "ramfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmount(t, storage) })
	dev := newDeviceIn(t, storage, 64*mib)
	format(t, dev, "ext4")
	target := mount(t, dev, "ext4")
	if _, err := host.Trim(target, deviceNumber(t, dev), never); !errors.Is(err, host.ErrNoDiscard) {
		t.Errorf("Trim on a device that cannot discard = %v", err)
	}
}
