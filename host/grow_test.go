package host_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

// growImage makes an image larger, and its device.
func growImage(t *testing.T, image *os.File, loop host.Loop, size int64) {
	t.Helper()
	if err := image.Truncate(size); err != nil {
		t.Fatal(err)
	}
	grown, err := host.ResizeLoop(loop.Number, loop.Backing)
	if err != nil {
		t.Fatal(err)
	}
	if grown.Size != size || grown.Number != loop.Number || grown.Backing != loop.Backing {
		t.Fatalf("resized loop device: got %+v, want %+v with %d bytes", grown, loop, size)
	}
}

// mayGrow reports whether the kernel grows a mounted file system for this
// process. It never refuses XFS to root.
func mayGrow(t *testing.T, fs string) bool {
	t.Helper()
	var data [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		t.Fatal(err)
	}
	return fs == "xfs" || data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

func wantFills(t *testing.T, device, target string, want bool) {
	t.Helper()
	if got, err := host.Fills(device, target); err != nil || got != want {
		t.Errorf("file system fills its device: got %t, %v, want %t", got, err, want)
	}
}

func sizeOf(t *testing.T, target string) int64 {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(target, &fs); err != nil {
		t.Fatal(err)
	}
	return int64(fs.Blocks) * fs.Bsize
}

func TestMountedFileSystemGrows(t *testing.T) {
	for _, test := range []struct {
		fs    string
		sizes []int64 // one after the other
	}{
		{"xfs", []int64{320 * mib, 512 * mib, gib + 4096, 20 * gib}},
		{"ext4", []int64{64 * mib, 72 * mib, 128 * mib, 129 * mib, gib, 200 * gib}},
	} {
		t.Run(test.fs, func(t *testing.T) {
			image := newImage(t, test.sizes[0])
			loop := attach(t, image)
			dev := host.Device{Path: loop.Path(), Image: image.Name()}
			format(t, dev, test.fs)
			target := mount(t, dev, test.fs)
			wantFills(t, dev.Path, target, true)
			text := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
			file := filepath.Join(target, "file")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			for i, size := range test.sizes[1:] {
				before := sizeOf(t, target)
				growImage(t, image, loop, size)
				if !mayGrow(t, test.fs) {
					if size < 128*mib {
						wantFills(t, dev.Path, target, false)
					}
					continue
				}
				if err := errors.Join(host.MayGrow(target), host.GrowFS(dev.Path, target)); err != nil {
					t.Fatal(err)
				}
				wantFills(t, dev.Path, target, true)
				if err := host.GrowFS(dev.Path, target); err != nil {
					t.Errorf("grow what fills its device: %v", err)
				}
				// A last group that would hold little more than itself is left out.
				if after := sizeOf(t, target); after <= before && size != 129*mib {
					t.Errorf("file system on %d bytes: got %d, was %d on %d", size, after, before, test.sizes[i])
				}
			}
			if !mayGrow(t, test.fs) {
				before := sizeOf(t, target)
				if err := host.MayGrow(target); !errors.Is(err, host.ErrNotAllowed) {
					t.Errorf("ask without the capability: got %v, want %v", err, host.ErrNotAllowed)
				}
				if err := host.GrowFS(dev.Path, target); !errors.Is(err, host.ErrNotAllowed) {
					t.Errorf("grow without the capability: got %v, want %v", err, host.ErrNotAllowed)
				}
				if after := sizeOf(t, target); after != before {
					t.Errorf("size after that: got %d, want %d", after, before)
				}
			}
			if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, text) {
				t.Errorf("file in the grown file system: %d bytes, %v", len(got), err)
			}
			unmount(t, target)
			check := []string{"e2fsck", "-fn", dev.Path}
			if test.fs == "xfs" {
				check = []string{"xfs_repair", "-n", dev.Path}
			}
			run(t, check[0], check[1:]...)
		})
	}
}

// TestFreshFileSystemFillsItsDevice has mkfs leave what it leaves at the end of
// odd devices: that is no reason to grow anything.
func TestFreshFileSystemFillsItsDevice(t *testing.T) {
	for _, test := range []struct {
		fs   string
		size int64
	}{
		{"ext4", 64 * mib},
		{"ext4", 64*mib + 512},
		{"ext4", 64*mib + 4096},
		{"ext4", 128*mib + 4096},
		{"ext4", 129 * mib},
		{"ext4", 3*128*mib + 4*mib},
		{"ext4", gib + 2*mib},
		{"ext4", 100 * gib},
		{"xfs", 300 * mib},
		{"xfs", 300*mib + 512},
		{"xfs", gib + 512},
	} {
		dev := newDevice(t, test.size)
		format(t, dev, test.fs)
		target := mount(t, dev, test.fs)
		if got, err := host.Fills(dev.Path, target); err != nil || !got {
			t.Errorf("%s on %d bytes: fills its device: got %t, %v, want true", test.fs, test.size, got, err)
		}
	}
}

func TestOnlyFileSystemsOfOursGrow(t *testing.T) {
	loop := attach(t, newImage(t, 64*mib))
	wantFills(t, loop.Path(), "/proc", true)
	if err := host.GrowFS(loop.Path(), "/proc"); err != nil {
		t.Errorf("grow procfs: %v", err)
	}
	if _, err := host.Fills(loop.Path(), filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("look at nothing: got %v, want %v", err, os.ErrNotExist)
	}
}

func TestResizeLoopLeavesAnothersDeviceAlone(t *testing.T) {
	image, other := newImage(t, 64*mib), newImage(t, 64*mib)
	loop, theirs := attach(t, image), attach(t, other)
	if err := other.Truncate(128 * mib); err != nil {
		t.Fatal(err)
	}
	if _, err := host.ResizeLoop(theirs.Number, loop.Backing); !errors.Is(err, host.ErrNoLoop) {
		t.Errorf("resize another file's device: got %v, want %v", err, host.ErrNoLoop)
	}
	if now, err := host.StatLoop(theirs.Number); err != nil || now.Size != 64*mib {
		t.Errorf("another file's device: got %+v, %v, want 64 MiB", now, err)
	}
	if _, err := host.ResizeLoop(1<<19, loop.Backing); !errors.Is(err, host.ErrNoLoop) {
		t.Errorf("resize no device: got %v, want %v", err, host.ErrNoLoop)
	}
}
