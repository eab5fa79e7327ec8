package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/fault"
)

// inPlaceMark is the byte offset of formatMark while mke2fs writes to a device
// itself. mke2fs erases the first block at once. It writes the superblock last,
// and leaves this block alone: the metadata of the first sixteen groups is in
// front of it, and its own group has no backup of the superblock.
const inPlaceMark = 384<<20 - ext4Block

// formatInPlace lets mke2fs write to the device: an image of it would take too
// much memory. The mark is erased when mke2fs has come to its end, so until then
// the device probes as interrupted. It closes the device.
func formatInPlace(ctx context.Context, device *os.File, size int64, root Owner) error {
	block := make([]byte, ext4Block)
	copy(block, formatMark)
	if err := writeThrough(device, block, inPlaceMark); err != nil {
		return fmt.Errorf("mark device: %w", err)
	}
	fault.Point("host.format-marked-in-place")
	// mke2fs wants to open the device exclusively itself.
	path := device.Name()
	if err := device.Close(); err != nil {
		return err
	}
	if err := makeExt4(ctx, path, size); err != nil {
		return err
	}
	fault.Point("host.format-made-in-place")
	fd, err := openExclusive(path, unix.O_RDWR)
	if err != nil {
		return err
	}
	device = os.NewFile(uintptr(fd), path)
	defer device.Close()
	if _, err := device.ReadAt(block, inPlaceMark); err != nil {
		return fmt.Errorf("read mark: %w", err)
	}
	if !isFormatMark(block) {
		return errors.New("another program has written to the device meanwhile")
	}
	if err := giveRoot(device, root); err != nil {
		return fmt.Errorf("set the owner: %w", err)
	}
	if err := writeThrough(device, make([]byte, ext4Block), inPlaceMark); err != nil {
		return fmt.Errorf("erase mark: %w", err)
	}
	return nil
}

// giveRoot gives the root directory of an ext4 on a device to an owner.
func giveRoot(device *os.File, root Owner) error {
	inode, err := findRootInode(device)
	if err != nil {
		return err
	}
	data := make([]byte, inode.size)
	if _, err := device.ReadAt(data, inode.at); err != nil {
		return err
	}
	inode.give(data, root)
	_, err = device.WriteAt(data, inode.at)
	return err
}

// writeThrough writes a block when everything before is on disk, and returns when
// the block is.
func writeThrough(device *os.File, block []byte, at int64) error {
	if err := device.Sync(); err != nil {
		return err
	}
	if _, err := device.WriteAt(block, at); err != nil {
		return err
	}
	return device.Sync()
}

// interruptedInPlace reports whether formatInPlace began on a device and did not
// end, given the start of the device and whether it has an ext4 that was never
// mounted. Only then does the mark count: in a file system that has been in use,
// the block may be a file's.
func interruptedInPlace(device *os.File, head []byte, size int64, unused bool) (bool, error) {
	if size <= maxImageSize || !unused && firstData(head[:ext4Block], 0) >= 0 {
		return false, nil
	}
	block := alignedBuffer(ext4Block)
	if _, err := device.ReadAt(block, inPlaceMark); err != nil {
		return false, fmt.Errorf("read at byte %d: %w", int64(inPlaceMark), err)
	}
	return isFormatMark(block), nil
}

func isFormatMark(block []byte) bool {
	rest, ok := bytes.CutPrefix(block, []byte(formatMark))
	return ok && firstData(rest, 0) < 0
}
