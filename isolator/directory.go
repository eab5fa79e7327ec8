package isolator

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Directory is a directory by its path and its identity. Prepare notes both
// and the launch process compares them, so a task that exchanges a directory
// in between gets no mount.
type Directory struct {
	Path   string
	Device uint64
	Inode  uint64
}

// FindDirectory returns the directory at an absolute path.
func FindDirectory(path string) (Directory, error) {
	fd, err := openTrusted(path)
	if err != nil {
		return Directory{}, err
	}
	defer unix.Close(fd)
	d, _, err := identify(fd)
	d.Path = path
	return d, err
}

// open returns an O_PATH descriptor of the directory, if it is still the one
// that FindDirectory has seen.
func (d Directory) open() (int, error) {
	fd, err := openTrusted(d.Path)
	if err != nil {
		return -1, err
	}
	now, _, err := identify(fd)
	if err == nil && !now.same(d) {
		err = fmt.Errorf("open %s: it was exchanged for another directory after the container had been prepared", d.Path)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (d Directory) same(other Directory) bool {
	return d.Device == other.Device && d.Inode == other.Inode
}

// String returns "DEVICE:INODE:PATH", which ParseDirectory reads.
func (d Directory) String() string { return fmt.Sprintf("%d:%d:%s", d.Device, d.Inode, d.Path) }

// ParseDirectory reads what String has written.
func ParseDirectory(text string) (Directory, error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		return Directory{}, fmt.Errorf("read directory %q: want DEVICE:INODE:PATH", text)
	}
	device, err1 := strconv.ParseUint(parts[0], 10, 64)
	inode, err2 := strconv.ParseUint(parts[1], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return Directory{}, fmt.Errorf("read directory %q: %w", text, err)
	}
	return Directory{Path: parts[2], Device: device, Inode: inode}, nil
}

// errKernel is what an older kernel causes.
var errKernel = errors.New("volumes need Linux 5.10 or newer on this machine")

// identify returns a directory's identity and the id of the mount it is on.
func identify(fd int) (Directory, uint64, error) {
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_MNT_ID, &st); err != nil {
		return Directory{}, 0, fmt.Errorf("identify directory: %w", err)
	}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return Directory{}, 0, errKernel
	}
	return Directory{Device: unix.Mkdev(st.Dev_major, st.Dev_minor), Inode: st.Ino}, st.Mnt_id, nil
}

// openTrusted opens a directory by an absolute path that Mesos has given. It
// follows a symbolic link, such as an operator's of Mesos' work directory, only
// in a directory that root alone can change. The sandbox of a nested container
// lies in its parent's, where the task's user can put links.
func openTrusted(path string) (int, error) {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open /: %w", err)
	}
	trusted := true
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("open %s: %w", path, err)
		}
		trusted = trusted && st.Uid == 0 && st.Mode&0o022 == 0
		flags := unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
		if !trusted {
			flags |= unix.O_NOFOLLOW
		}
		next, err := unix.Openat(fd, name, flags, 0)
		unix.Close(fd)
		switch {
		case errors.Is(err, unix.ENOTDIR) && !trusted:
			return -1, fmt.Errorf("open %s: %s is no directory, or a symbolic link that other users than root can change", path, name)
		case err != nil:
			return -1, fmt.Errorf("open %s: %s: %w", path, name, err)
		}
		fd = next
	}
	return fd, nil
}
