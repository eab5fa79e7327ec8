package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// newImage makes a sparse file of a size.
func newImage(t *testing.T, size int64) *os.File {
	t.Helper()
	return newImageIn(t, t.TempDir(), size)
}

func newImageIn(t testing.TB, dir string, size int64) *os.File {
	t.Helper()
	image, err := os.OpenFile(filepath.Join(dir, "image"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { image.Close() })
	if err := image.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return image
}

// attach puts a loop device on an image for the time of the test.
func attach(t testing.TB, image *os.File) host.Loop {
	t.Helper()
	loop, err := host.AttachLoop(t.Context(), image, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.DetachLoop(loop.Number, loop.Backing); err != nil {
			t.Error(err)
		}
	})
	return loop
}

// newDevice makes a blank device of a size.
func newDevice(t testing.TB, size int64) host.Device {
	t.Helper()
	return newDeviceIn(t, t.TempDir(), size)
}

func newDeviceIn(t testing.TB, dir string, size int64) host.Device {
	t.Helper()
	image := newImageIn(t, dir, size)
	return host.Device{Path: attach(t, image).Path(), Image: image.Name()}
}

func format(t testing.TB, dev host.Device, fs string) {
	t.Helper()
	if err := host.Format(t.Context(), dev, fs); err != nil {
		t.Fatal(err)
	}
}

// mount mounts a device at a new directory for the time of the test.
func mount(t testing.TB, dev host.Device, fs string) (target string) {
	t.Helper()
	target = t.TempDir()
	mountAt(t, dev, target, fs)
	return target
}

func mountAt(t testing.TB, dev host.Device, target, fs string) {
	t.Helper()
	if err := host.Mount(dev.Path, target, fs, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmount(t, target) })
}

func unmount(t testing.TB, target string) {
	t.Helper()
	if err := host.Unmount(target); err != nil {
		t.Error(err)
	}
}

// run runs a program and returns what it writes.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func writeAt(t *testing.T, path string, data string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(data), at); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

func readAt(t *testing.T, path string, n int, at int64) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, n)
	if _, err := f.ReadAt(data, at); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// mapFile makes a file and maps it into this process' memory, with no descriptor of it
// open.
func mapFile(t *testing.T, path string) (unmap func()) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := unix.Munmap(memory); err != nil {
			t.Fatal(err)
		}
	}
}
