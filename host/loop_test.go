package host_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

func identity(t *testing.T, f *os.File) host.FileID {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return host.FileID{Dev: st.Dev, Inode: st.Ino}
}

func TestAttachedLoopShowsItsImage(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/dev/shm"} {
		t.Run(dir, func(t *testing.T) {
			dir, err := os.MkdirTemp(dir, "flocker-test-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			image := newImageIn(t, dir, mib+512)
			loop := attach(t, image)
			want := host.Loop{Number: loop.Number, Backing: identity(t, image), Size: mib + 512}
			if loop != want {
				t.Errorf("attached: got %+v, want %+v", loop, want)
			}
			if got, err := host.StatLoop(loop.Number); err != nil || got != want {
				t.Errorf("stat: got %+v, %v, want %+v", got, err, want)
			}
			writeAt(t, loop.Path(), "text", mib)
			if got := readAt(t, image.Name(), 4, mib); got != "text" {
				t.Errorf("image after writing to the device: got %q", got)
			}
		})
	}
}

func TestLoopUsesDirectIOWhereItCan(t *testing.T) {
	loop := attach(t, newImage(t, mib))
	dio, err := os.ReadFile("/sys/block/" + strings.TrimPrefix(loop.Path(), "/dev/") + "/loop/dio")
	if err != nil || string(dio) != "1\n" {
		t.Errorf("direct I/O: got %q, %v", dio, err)
	}
}

func TestLoopKeepsTheLockOfItsImage(t *testing.T) {
	image := newImage(t, mib)
	if err := unix.Flock(int(image.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	loop := attach(t, image)
	image.Close()
	other, err := os.OpenFile(image.Name(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("lock while attached: got %v, want %v", err, unix.EWOULDBLOCK)
	}
	if err := host.DetachLoop(loop.Number, loop.Backing); err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("lock when detached: %v", err)
	}
}

func TestLoopsAttachedAtOnceAreDifferent(t *testing.T) {
	const n = 24
	loops := make([]host.Loop, n)
	var wg sync.WaitGroup
	for i := range n {
		image := newImage(t, mib)
		wg.Go(func() {
			loop, err := host.AttachLoop(t.Context(), image, "")
			if err != nil {
				t.Error(err)
				return
			}
			loops[i] = loop
		})
	}
	wg.Wait()
	seen := map[int]bool{}
	for _, loop := range loops {
		if seen[loop.Number] {
			t.Errorf("%s was attached twice", loop.Path())
		}
		seen[loop.Number] = true
		if err := host.DetachLoop(loop.Number, loop.Backing); err != nil {
			t.Error(err)
		}
	}
}

func TestAttachLoopEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := host.AttachLoop(ctx, newImage(t, mib), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("attach: got %v, want %v", err, context.Canceled)
	}
}

func TestDetachLoopTwiceIsNoError(t *testing.T) {
	loop := attach(t, newImage(t, mib))
	for range 2 {
		if err := host.DetachLoop(loop.Number, loop.Backing); err != nil {
			t.Error(err)
		}
		if _, err := host.StatLoop(loop.Number); !errors.Is(err, host.ErrNoLoop) {
			t.Errorf("stat: got %v, want %v", err, host.ErrNoLoop)
		}
	}
	if _, err := host.StatLoop(1 << 19); !errors.Is(err, host.ErrNoLoop) {
		t.Errorf("stat what never was: got %v, want %v", err, host.ErrNoLoop)
	}
}

func TestDetachLoopLeavesOthersAlone(t *testing.T) {
	loop := attach(t, newImage(t, mib))
	other := identity(t, newImage(t, mib))
	if err := host.DetachLoop(loop.Number, other); err != nil {
		t.Error(err)
	}
	if _, err := host.StatLoop(loop.Number); err != nil {
		t.Errorf("stat: %v", err)
	}
	fd, err := unix.Open(loop.Path(), unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := host.DetachLoop(loop.Number, other); err != nil {
		t.Errorf("another's device, in use: %v", err)
	}
}

func TestDetachLoopInUseIsBusyAndChangesNothing(t *testing.T) {
	dev := newDevice(t, 64*mib)
	format(t, dev, "ext4")
	loop := loopAt(t, dev.Path)
	wantBusy := func(why string) {
		t.Helper()
		if err := host.DetachLoop(loop.Number, loop.Backing); !errors.Is(err, host.ErrBusy) {
			t.Errorf("detach, %s: got %v, want %v", why, err, host.ErrBusy)
		}
		if got, err := host.StatLoop(loop.Number); err != nil || got != loop {
			t.Errorf("stat, %s: got %+v, %v, want %+v", why, got, err, loop)
		}
	}
	target := mount(t, dev, "ext4")
	wantBusy("mounted")
	unmount(t, target)
	fd, err := unix.Open(dev.Path, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	wantBusy("open exclusively")
	unix.Close(fd)
}

func TestDetachedLoopLivesUntilItsLastReaderCloses(t *testing.T) {
	loop := attach(t, newImage(t, mib))
	reader, err := os.Open(loop.Path())
	if err != nil {
		t.Fatal(err)
	}
	if err := host.DetachLoop(loop.Number, loop.Backing); err != nil {
		t.Fatal(err)
	}
	if got, err := host.StatLoop(loop.Number); err != nil || !got.Clearing {
		t.Errorf("stat while somebody reads: got %+v, %v, want it to be clearing", got, err)
	}
	reader.Close()
	if _, err := host.StatLoop(loop.Number); !errors.Is(err, host.ErrNoLoop) {
		t.Errorf("stat afterwards: got %v, want %v", err, host.ErrNoLoop)
	}
}

func TestScanFindsLoopsWhateverTheirImagesAreCalled(t *testing.T) {
	renamed, removed := newImage(t, mib), newImage(t, mib)
	want := []host.Loop{attach(t, renamed), attach(t, removed)}
	if err := os.Rename(renamed.Name(), renamed.Name()+"-new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(removed.Name()); err != nil {
		t.Fatal(err)
	}
	loops, err := host.ScanLoops()
	if err != nil {
		t.Fatal(err)
	}
	found := map[host.Loop]bool{}
	for _, loop := range loops {
		found[loop] = true
	}
	for _, loop := range want {
		if !found[loop] {
			t.Errorf("scan: %+v is missing in %+v", loop, loops)
		}
	}
}

// loopAt returns the loop device with a path.
func loopAt(t *testing.T, path string) host.Loop {
	t.Helper()
	loops, err := host.ScanLoops()
	if err != nil {
		t.Fatal(err)
	}
	for _, loop := range loops {
		if loop.Path() == path {
			return loop
		}
	}
	t.Fatalf("%s is not attached", path)
	return host.Loop{}
}
