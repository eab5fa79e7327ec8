// Package host is this Linux machine: loop devices, what is on a block device,
// file systems, mounts. It makes system calls directly and starts a process
// only to make or check a file system; no function scans all devices or mounts
// unless its name says so. Linux 5.10 or newer, as root.
//
// Functions that a crash may interrupt can be called again: they finish what
// the first call began.
package host

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrBusy says that a device or a mount is in use: mounted, in this or another
// mount namespace, or opened exclusively, as a running mkfs does.
var ErrBusy = errors.New("in use")

// Device is a block device to look at.
type Device struct {
	Path string // such as /dev/loop7
	// Image is the regular file behind a loop device, "" where there is none
	// or nobody knows it. It is only a hint: that the file is really the one
	// behind the device is checked, and with it a file without data is known
	// to be blank without reading the device.
	Image string
}

// FileID is the identity of a file on this machine while it is in use.
type FileID struct {
	Dev   uint64 // st_dev
	Inode uint64
}

func (id FileID) String() string {
	return fmt.Sprintf("inode %d on %d:%d", id.Inode, unix.Major(id.Dev), unix.Minor(id.Dev))
}

// DeviceNumber returns the number of the block device at path, as MountPoint
// and Mount have it.
func DeviceNumber(path string) (uint64, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Stat(path, &st) }); err != nil {
		return 0, fmt.Errorf("stat device %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, fmt.Errorf("stat device %s: not a block device", path)
	}
	return st.Rdev, nil
}

// open is open(2) without the runtime's poller, which devices have no use for.
func open(path string, flags int) (int, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(path, flags|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// openExclusive opens a block device that nobody has mounted or holds
// exclusively; for those the error is ErrBusy.
func openExclusive(path string, flags int) (int, error) {
	fd, err := open(path, flags|unix.O_EXCL)
	if errors.Is(err, unix.EBUSY) {
		err = ErrBusy
	}
	return fd, err
}

// CheckIdle returns ErrBusy for a block device that is mounted, in whatever mount
// namespace, or opened exclusively. A device that is gone is idle.
func CheckIdle(path string) error {
	fd, err := openExclusive(path, unix.O_RDONLY)
	if isNoLoop(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open device %s: %w", path, err)
	}
	return unix.Close(fd)
}

// retry calls f until it is not interrupted by a signal.
func retry(f func() error) error {
	for {
		err := f()
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
