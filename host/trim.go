package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrNoDiscard says that a device cannot give room back to its storage.
var ErrNoDiscard = errors.New("the device cannot discard")

// fitrim is FITRIM of linux/fs.h, whose argument is a trimRange.
const fitrim = 0xc0185879

type trimRange struct{ start, length, least uint64 }

// trimChunk is how much of a file system is trimmed at a time, in bytes.
const trimChunk = 8 << 30

// Trim tells the storage below a mounted file system which blocks are free, so that a
// thin volume gives their room back, and returns how many bytes that were. What was
// trimmed before and not written since may be left out. It goes on until stop reports
// true, which is asked every 8 GiB. device is the number of the device that must be
// mounted at target. Errors: ErrNoDiscard.
func Trim(target string, device uint64, stop func() bool) (int64, error) {
	trimmed, err := trim(target, device, stop)
	if err != nil {
		return trimmed, fmt.Errorf("trim %s: %w", target, err)
	}
	return trimmed, nil
}

func trim(target string, device uint64, stop func() bool) (int64, error) {
	fd, err := open(target, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	if st.Dev != device {
		return 0, fmt.Errorf("device %d:%d is mounted there, not %d:%d", unix.Major(st.Dev), unix.Minor(st.Dev), unix.Major(device), unix.Minor(device))
	}
	if limit, ok := discardLimit(device); ok && limit == 0 {
		return 0, fmt.Errorf("%w (/sys/dev/block/%d:%d/queue/discard_max_bytes is 0)", ErrNoDiscard, unix.Major(device), unix.Minor(device))
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return 0, err
	}
	size := fs.Blocks * uint64(fs.Bsize)
	size += size / 8 // what the file system keeps for itself is not among its blocks
	var total int64
	for start := uint64(0); start < size; start += trimChunk {
		if start > 0 && stop() {
			return total, nil
		}
		part := trimRange{start: start, length: trimChunk}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fitrim, uintptr(unsafe.Pointer(&part)))
		switch {
		case errno == unix.EOPNOTSUPP || errno == unix.ENOTTY:
			return total, ErrNoDiscard
		case errno == unix.EINVAL && start > 0:
			return total, nil // behind the end of the file system
		case errno == unix.EINTR:
			start -= trimChunk
			continue
		case errno != 0:
			return total, errno
		}
		total += int64(part.length)
	}
	return total, nil
}

// discardLimit returns how many bytes a device can discard at once, if sysfs tells.
func discardLimit(device uint64) (int64, bool) {
	data, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/queue/discard_max_bytes", unix.Major(device), unix.Minor(device)))
	if err != nil {
		return 0, false // a partition, whose disk knows
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return limit, err == nil
}
