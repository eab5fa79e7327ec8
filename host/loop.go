package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/fault"
)

// Loop is a loop device with a file behind it.
type Loop struct {
	Number  int
	Backing FileID
	Size    int64 // bytes
	// Clearing is set when the device goes away as soon as nobody has it
	// open any more.
	Clearing bool
	// Name is what AttachLoop called it, or the start of its file's path. The kernel
	// keeps it whatever becomes of the file.
	Name string
}

// Path returns the device's path.
func (l Loop) Path() string { return loopPath(l.Number) }

func loopPath(number int) string { return "/dev/loop" + strconv.Itoa(number) }

// ErrNoLoop says that a loop device has no file behind it, or not the expected
// one.
var ErrNoLoop = errors.New("no such loop device")

// loopAttempts bounds how often AttachLoop asks for another free device. Every
// attempt that fails means that another process got a device meanwhile.
const loopAttempts = 1000

// loopMissing bounds how often a free device may have no file in /dev: it may
// have been removed meanwhile, or /dev is a container's own.
const loopMissing = 10

// AttachLoop makes a free loop device show image, which must be open for
// reading and writing. The device keeps the open file description: locks taken
// through image live as long as the device does, even when this process dies.
// The device uses direct I/O where the image's file system can. It is called name, of
// which the kernel keeps 63 bytes.
func AttachLoop(ctx context.Context, image *os.File, name string) (Loop, error) {
	loop, err := attachLoop(ctx, image, name)
	if err != nil {
		return Loop{}, fmt.Errorf("attach loop device to %s: %w", image.Name(), err)
	}
	return loop, nil
}

func attachLoop(ctx context.Context, image *os.File, name string) (Loop, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(int(image.Fd()), &st) }); err != nil {
		return Loop{}, err
	}
	if err := fault.Err("host.attach-loop"); err != nil {
		return Loop{}, err
	}
	ctl, err := openLoopControl()
	if err != nil {
		return Loop{}, err
	}
	defer unix.Close(ctl)
	config := unix.LoopConfig{Fd: uint32(image.Fd())}
	// The kernel drops this flag by itself where direct I/O is not possible.
	config.Info.Flags = unix.LO_FLAGS_DIRECT_IO
	copy(config.Info.File_name[:len(config.Info.File_name)-1], name)
	missing := 0
	for range loopAttempts {
		if err := ctx.Err(); err != nil {
			return Loop{}, err
		}
		number, err := unix.IoctlRetInt(ctl, unix.LOOP_CTL_GET_FREE)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.ENOMEM) {
			return Loop{}, fmt.Errorf("get a free loop device: the kernel has none left (%w): free some (losetup -l lists them)", err)
		}
		if err != nil {
			return Loop{}, fmt.Errorf("get a free loop device: %w", err)
		}
		err = configureLoop(number, &config)
		switch {
		case err == nil:
			fault.Point("host.loop-configured")
			return Loop{Number: number, Backing: FileID{Dev: st.Dev, Inode: st.Ino}, Size: st.Size, Name: name}, nil
		case errors.Is(err, unix.EINVAL) && config.Info.Flags != 0:
			config.Info.Flags = 0 // buffered I/O then
		case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EINTR):
			// Another process was quicker, or has the device open
			// exclusively. Ask for another one.
		case isNoLoop(err) && missing < loopMissing:
			missing++ // another process removes it
		default:
			return Loop{}, fmt.Errorf("configure %s: %w", loopPath(number), err)
		}
	}
	return Loop{}, fmt.Errorf("no free device in %d attempts: %w", loopAttempts, unix.EBUSY)
}

func configureLoop(number int, config *unix.LoopConfig) error {
	dev, err := openLoopNode(number, unix.O_RDWR)
	if err != nil {
		return err
	}
	defer unix.Close(dev)
	return unix.IoctlLoopConfigure(dev, config)
}

// DetachLoop removes the file behind a loop device. It is no error when the
// device shows nothing or another file already. It returns ErrBusy, and changes
// nothing, while the device is mounted (in any mount namespace) or opened
// exclusively.
//
// LOOP_CLR_FD by itself succeeds on a device in use and only marks it to be
// cleared later. So the device is opened exclusively first: that fails beside
// a mount or another exclusive opener, and keeps new ones out until it is
// cleared. What remains are plain readers such as udev's blkid; for them the
// device lives on until they close it. Whoever must know that it is gone takes
// a lock on the image (see AttachLoop).
func DetachLoop(number int, backing FileID) error {
	if err := detachLoop(number, backing); err != nil {
		return fmt.Errorf("detach %s: %w", loopPath(number), err)
	}
	return nil
}

func detachLoop(number int, backing FileID) error {
	dev, err := openLoopNode(number, unix.O_RDWR|unix.O_EXCL)
	err = asBusy(err)
	if isNoLoop(err) {
		return nil
	}
	if errors.Is(err, ErrBusy) {
		// Busy with our file, or with another that it got since.
		if loop, err := statLoop(number); errors.Is(err, ErrNoLoop) || err == nil && loop.Backing != backing {
			return nil
		}
	}
	if err != nil {
		return err
	}
	defer unix.Close(dev) // the last close is what clears the device
	info, err := loopStatus(dev)
	if isNoLoop(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if (FileID{Dev: info.Device, Inode: info.Inode}) != backing {
		return nil
	}
	err = retry(func() error { return unix.IoctlSetInt(dev, unix.LOOP_CLR_FD, 0) })
	if err != nil && !isNoLoop(err) {
		return err
	}
	return nil
}

// ResizeLoop has a loop device show the size that the file behind it has now,
// while it is in use: ErrNoLoop if it shows another file, or none.
func ResizeLoop(number int, backing FileID) (Loop, error) {
	loop, err := resizeLoop(number, backing)
	if err != nil {
		return Loop{}, fmt.Errorf("resize %s: %w", loopPath(number), err)
	}
	fault.Point("host.loop-resized")
	return loop, nil
}

func resizeLoop(number int, backing FileID) (Loop, error) {
	dev, err := openLoop(number)
	if err != nil {
		return Loop{}, err
	}
	defer unix.Close(dev)
	loop, err := loopOf(dev, number)
	if err != nil {
		return Loop{}, err
	}
	if loop.Backing != backing || loop.Clearing {
		return Loop{}, ErrNoLoop
	}
	err = retry(func() error { return unix.IoctlSetInt(dev, unix.LOOP_SET_CAPACITY, 0) })
	if isNoLoop(err) {
		return Loop{}, ErrNoLoop
	}
	if err != nil {
		return Loop{}, err
	}
	loop.Size, err = deviceSize(dev)
	return loop, err
}

// StatLoop returns what a loop device shows; ErrNoLoop if that is nothing.
func StatLoop(number int) (Loop, error) {
	loop, err := statLoop(number)
	if err != nil {
		return Loop{}, fmt.Errorf("stat %s: %w", loopPath(number), err)
	}
	return loop, nil
}

func statLoop(number int) (Loop, error) {
	dev, err := openLoop(number)
	if err != nil {
		return Loop{}, err
	}
	defer unix.Close(dev)
	return loopOf(dev, number)
}

// openLoop opens a loop device for reading, which is enough to resize it too:
// newer kernels may open no mounted device for writing.
func openLoop(number int) (int, error) {
	dev, err := open(loopPath(number), unix.O_RDONLY)
	if errors.Is(err, unix.ENOENT) && LoopFile(number) != "" {
		dev, err = openLoopNode(number, unix.O_RDONLY)
	}
	if isNoLoop(err) {
		return -1, ErrNoLoop
	}
	return dev, err
}

// loopOf returns what an open loop device shows.
func loopOf(dev, number int) (Loop, error) {
	info, err := loopStatus(dev)
	if isNoLoop(err) {
		return Loop{}, ErrNoLoop
	}
	if err != nil {
		return Loop{}, err
	}
	size, err := deviceSize(dev)
	if err != nil {
		return Loop{}, err
	}
	return Loop{
		Number:   number,
		Backing:  FileID{Dev: info.Device, Inode: info.Inode},
		Size:     size,
		Clearing: info.Flags&unix.LO_FLAGS_AUTOCLEAR != 0,
		Name:     unix.ByteSliceToString(info.File_name[:]),
	}, nil
}

// ScanLoops returns all loop devices with a file behind them, in one pass over
// sysfs. It goes by the kernel's device and inode numbers: the path in sysfs
// is as the mount namespace of who attached it sees it, and may be cut or
// renamed since.
func ScanLoops() ([]Loop, error) {
	numbers, err := loopNumbers()
	if err != nil {
		return nil, fmt.Errorf("scan loop devices: %w", err)
	}
	loops := make([]Loop, len(numbers))
	errs := make([]error, len(numbers))
	inParallel(len(numbers), func(i int) { loops[i], errs[i] = statLoop(numbers[i]) })
	found := loops[:0]
	for i, err := range errs {
		switch {
		case err == nil:
			found = append(found, loops[i])
		case !errors.Is(err, ErrNoLoop) && !isMissingNode(err): // one that /dev lacks may be anything's
			return nil, fmt.Errorf("scan loop devices: stat %s: %w", loopPath(numbers[i]), err)
		}
	}
	return found, nil
}

// loopNumbers returns the numbers of all loop devices, in use or not.
func loopNumbers() ([]int, error) {
	dir, err := os.Open("/sys/block")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, name := range names {
		digits, ok := strings.CutPrefix(name, "loop")
		if !ok {
			continue
		}
		if number, err := strconv.Atoi(digits); err == nil {
			numbers = append(numbers, number)
		}
	}
	return numbers, nil
}

// inParallel calls f with 0 to n-1, on all processors if there is enough to do,
// and waits.
func inParallel(n int, f func(i int)) {
	const enough = 64 // calls; each is a few microseconds
	workers := min(runtime.GOMAXPROCS(0), 1+n/enough)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}

func loopStatus(dev int) (info *unix.LoopInfo64, err error) {
	err = retry(func() error {
		info, err = unix.IoctlLoopGetStatus64(dev)
		return err
	})
	return info, err
}

// isNoLoop tells the errors of a device that is not bound, is being removed,
// or never was.
func isNoLoop(err error) bool {
	return errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT)
}

// deviceSize returns the size of an open block device in bytes.
func deviceSize(fd int) (int64, error) {
	var size uint64
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.BLKGETSIZE64, uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return 0, fmt.Errorf("get size of device: %w", errno)
	}
	return int64(size), nil
}

// LoopFile returns the path of the file behind a loop device as the kernel has it now:
// moved with the file, and with " (deleted)" at its end for one without a name. "" for
// a device without a file.
func LoopFile(number int) string {
	data, err := os.ReadFile(fmt.Sprintf("/sys/block/loop%d/loop/backing_file", number))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(data), "\n")
}
