package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A container or chroot may have a /dev of its own, which is no devtmpfs: the kernel
// makes a loop device, and /dev gets no file for it. The file is then made here. That
// gives no right that root lacks, replaces nothing, and opens the device that the kernel
// has named, and no other.

const loopMajor = 7

// openLoopNode opens a loop device, and makes its file in /dev if that is missing.
func openLoopNode(number, flags int) (int, error) {
	path := loopPath(number)
	fd, err := open(path, flags)
	if errors.Is(err, unix.ENOENT) {
		if err := makeNode(path, fmt.Sprintf("/sys/block/loop%d/dev", number), unix.S_IFBLK, "b"); err != nil {
			return -1, err
		}
		fd, err = open(path, flags)
	}
	if err != nil {
		return -1, forbidden(path, "--device-cgroup-rule 'b 7:* rwm'", err)
	}
	if err := checkLoopNode(fd, number); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// checkLoopNode refuses a file in /dev that is another device than its name says.
func checkLoopNode(fd, number int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFBLK && unix.Major(st.Rdev) == loopMajor && unix.Minor(st.Rdev) == uint32(number) {
		return nil // the usual numbers, which loop devices with partitions do not have
	}
	want, err := deviceInSysfs(fmt.Sprintf("/sys/block/loop%d/dev", number))
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK || st.Rdev != want {
		return fmt.Errorf("%s is not loop device %d (block device %d:%d): remove it, and the agent makes the right one",
			loopPath(number), number, unix.Major(want), unix.Minor(want))
	}
	return nil
}

// openLoopControl opens the device that hands out loop devices.
func openLoopControl() (int, error) {
	const path = "/dev/loop-control"
	fd, err := open(path, unix.O_RDWR)
	if errors.Is(err, unix.ENOENT) {
		if err := makeNode(path, "/sys/class/misc/loop-control/dev", unix.S_IFCHR, "c"); err != nil {
			if errors.Is(err, unix.ENOENT) {
				return -1, fmt.Errorf("open %s: it is missing, and the kernel has no loop driver: modprobe loop on the host", path)
			}
			return -1, err
		}
		fd, err = open(path, unix.O_RDWR)
	}
	switch {
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return -1, fmt.Errorf("open %s: %w: the kernel has no loop driver: modprobe loop on the host", path, err)
	case err != nil:
		return -1, fmt.Errorf("open %s: %w", path, forbidden(path, "--device "+path, err))
	}
	return fd, nil
}

// forbidden adds the remedy to an error that says that a device may not be opened.
func forbidden(path, option string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: the device cgroup of the agent's container forbids %s: allow it (docker: %s, or --privileged)", err, path, option)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: the file system of %s is mounted nodev: mount it without, or give the agent the host's /dev (docker: -v /dev:/dev)", err, path)
	default:
		return err
	}
}

// makeNode makes a device's file with access for root alone, and leaves an existing one.
// The error is ENOENT for a device that the kernel does not have.
func makeNode(path, sysfs string, kind uint32, letter string) error {
	device, err := deviceInSysfs(sysfs)
	if err != nil {
		return err
	}
	err = unix.Mknod(path, kind|0o600, int(device))
	if err == nil || errors.Is(err, unix.EEXIST) {
		return nil
	}
	major, minor := unix.Major(device), unix.Minor(device)
	return &MissingNodeError{Path: path, Command: fmt.Sprintf("mknod -m 600 %s %s %d %d", path, letter, major, minor), Cause: err}
}

// MissingNodeError says that the kernel has a device, that /dev has no file for it, and
// that the file cannot be made.
type MissingNodeError struct {
	Path    string
	Command string // that makes the file
	Cause   error
}

func (e *MissingNodeError) Error() string {
	return fmt.Sprintf("%s is missing: the kernel has the device, but /dev is no devtmpfs and the agent cannot make the file (%v): "+
		"run %s there, or give the agent the host's /dev (docker: -v /dev:/dev)", e.Path, e.Cause, e.Command)
}

// deviceInSysfs returns a device's number from its file in sysfs: ENOENT for a device
// that the kernel does not have.
func deviceInSysfs(path string) (uint64, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, unix.ENOENT
	}
	if err != nil {
		return 0, err
	}
	major, minor, _ := strings.Cut(strings.TrimSpace(string(data)), ":")
	a, errA := strconv.ParseUint(major, 10, 32)
	b, errB := strconv.ParseUint(minor, 10, 32)
	if errA != nil || errB != nil {
		return 0, fmt.Errorf("%s has %q, not the number of a device", path, data)
	}
	return unix.Mkdev(uint32(a), uint32(b)), nil
}

func isMissingNode(err error) bool {
	_, missing := errors.AsType[*MissingNodeError](err)
	return missing
}
