package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrNoDiscard says that a device does not support discard.
var ErrNoDiscard = errors.New("the device cannot discard")

// fitrim is FITRIM of linux/fs.h, whose argument is a trimRange.
const fitrim = 0xc0185879

type trimRange struct{ start, length, least uint64 }

// trimChunk is how much of a file system is trimmed at a time, in bytes.
const trimChunk = 8 << 30

// Trim tells the storage below a mounted file system which blocks are free, so that a
// thin volume gives their room back, and returns the number of bytes. The kernel may
// leave out blocks that were trimmed before and not written since. Trim calls stop every
// 8 GiB, and ends when stop returns true. device is the number of the device that must
// be mounted at target. Errors: ErrNoDiscard.
func Trim(target string, device uint64, stop func() bool) (int64, error) {
	trimmed, err := trim(target, device, stop)
	if err != nil {
		return trimmed, fmt.Errorf("trim %s: %w", target, err)
	}
	return trimmed, nil
}

func trim(target string, device uint64, stop func() bool) (int64, error) {
	fd, err := openMount(target, device)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	path := filepath.Join(sysBlock(device), "queue/discard_max_bytes")
	if limit, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(limit)) == "0" { // a partition has none
		return 0, fmt.Errorf("%w (%s is 0)", ErrNoDiscard, path)
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
		err := retry(func() error {
			if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fitrim, uintptr(unsafe.Pointer(&part))); errno != 0 {
				return errno
			}
			return nil
		})
		switch {
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOTTY):
			return total, ErrNoDiscard
		case errors.Is(err, unix.EINVAL) && start > 0:
			return total, nil // behind the end of the file system
		case err != nil:
			return total, err
		}
		total += int64(part.length)
	}
	return total, nil
}
