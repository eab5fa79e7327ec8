package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/fault"
)

// ext4Image is what mke2fs writes to a device of a size. mkfs writes it into
// a sparse file in memory, and it is copied to the device from there: once for
// all devices of that size. So a device is written by this process alone, under
// the same exclusive open as it was found to be blank, and in an order that
// lets an interrupted format be told from foreign data: its first block last.
// It is also quicker than an mkfs that writes single blocks and flushes four
// times, even if it has to be run.
//
// Each copy gets a UUID of its own. The checksums of ext4 start from a seed
// that is made from the UUID, or, with the feature metadata_csum_seed, kept in
// the superblock; with that, only the superblocks have to be changed.
type ext4Image struct {
	memory  *os.File
	extents []extent // where the image has data
	// supers are the byte offsets of the superblock and its backups.
	supers  []int64
	journal int64 // byte offset of the journal's superblock, 0 if it needs no change
	root    rootInode
	bytes   int64 // of all extents
}

type extent struct{ from, to int64 }

const ext4Block = 4096

// makeExt4Image runs mke2fs for a device of a size in bytes. There is nothing
// to discard on a blank device, and inode tables and journal are left to the
// kernel, which fills them when there is time.
func makeExt4Image(ctx context.Context, size int64) (*ext4Image, error) {
	memory, err := newMemoryFile("image of ext4")
	if err != nil {
		return nil, err
	}
	image := &ext4Image{memory: memory}
	if err := image.make(ctx, size); err != nil {
		image.memory.Close()
		return nil, err
	}
	return image, nil
}

func (e *ext4Image) make(ctx context.Context, size int64) error {
	if err := e.memory.Truncate(size); err != nil {
		return fmt.Errorf("size the file in memory: %w", err)
	}
	if err := makeExt4(ctx, "/proc/self/fd/3", size, e.memory); err != nil {
		return err
	}
	if err := e.findExtents(); err != nil {
		return fmt.Errorf("look at the new file system: %w", err)
	}
	if err := e.findSupers(); err != nil {
		return err
	}
	var err error
	e.root, err = findRootInode(e.memory)
	return err
}

func (e *ext4Image) findExtents() error {
	fd := int(e.memory.Fd())
	for at := int64(0); ; {
		from, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err != nil {
			return err
		}
		to, err := unix.Seek(fd, from, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		e.extents = append(e.extents, extent{from, to})
		e.bytes += to - from
		at = to
	}
}

// findSupers finds all superblocks. The backups are at the beginning of some
// block groups, and say of which.
func (e *ext4Image) findSupers() error {
	first := make([]byte, extSuperblockLength)
	if _, err := e.memory.ReadAt(first, extSuperblockOffset); err != nil {
		return fmt.Errorf("read superblock: %w", err)
	}
	le := binary.LittleEndian
	sb, ok := parseExt(append(make([]byte, extSuperblockOffset), first...))
	switch {
	case !ok || sb.damage != "":
		return errors.New("mke2fs made no superblock")
	case le.Uint32(first[0x60:])&extIncompatSeed == 0 || 1024<<le.Uint32(first[0x18:]) != ext4Block:
		return errors.New("mke2fs made another file system than it was asked for")
	}
	e.supers = append(e.supers, extSuperblockOffset)
	group := int64(le.Uint32(first[0x20:])) * ext4Block // bytes
	return e.eachBlock(func(block []byte, at int64) {
		if isJournalSuperblock(block) && bytes.Equal(block[journalUUID:][:16], first[0x68:0x78]) {
			e.journal = at
		}
		if at > 0 && at%group == 0 && le.Uint16(block[0x38:]) == extMagic &&
			int64(le.Uint16(block[0x5a:])) == at/group&0xffff {
			e.supers = append(e.supers, at)
		}
	})
}

// eachBlock calls f for each block that has data, with its byte offset.
func (e *ext4Image) eachBlock(f func(block []byte, at int64)) error {
	buffer := make([]byte, 1<<20)
	for _, x := range e.extents {
		for at := x.from; at < x.to; {
			chunk := buffer[:min(int64(len(buffer)), x.to-at)]
			if _, err := e.memory.ReadAt(chunk, at); err != nil {
				return fmt.Errorf("read new file system: %w", err)
			}
			for offset := 0; offset+ext4Block <= len(chunk); offset += ext4Block {
				f(chunk[offset:][:ext4Block], at+int64(offset))
			}
			at += int64(len(chunk))
		}
	}
	return nil
}

// isJournalSuperblock knows a JBD2 superblock, version 2, by its header.
func isJournalSuperblock(block []byte) bool {
	return bytes.HasPrefix(block, []byte("\xc0\x3b\x39\x98\x00\x00\x00\x04"))
}

const journalUUID = 0x30 // byte offset of the UUID in a JBD2 superblock

// copyTo writes the image to a blank device, with a new UUID and an owner of the
// root directory. In this order:
// a mark in the first block, everything but the first block, a flush, and the
// first block, with the superblock in it. So the mark says that there is no
// file system, whatever else is there, and it never stays behind. The first
// block is on disk when the file system has been mounted.
func (e *ext4Image) copyTo(ctx context.Context, device *os.File, root Owner) error {
	id, err := uuid.NewRandom()
	if err != nil {
		return fmt.Errorf("make UUID: %w", err)
	}
	hashSeed, err := uuid.NewRandom()
	if err != nil {
		return fmt.Errorf("make hash seed: %w", err)
	}
	stamp := func(chunk []byte, at int64) {
		e.stamp(chunk, at, id, hashSeed, time.Now())
		if offset := e.root.at - at; offset >= 0 && offset < int64(len(chunk)) {
			e.root.give(chunk[offset:][:e.root.size], root)
		}
	}
	first := make([]byte, ext4Block)
	copy(first, formatMark)
	if _, err := device.WriteAt(first, 0); err != nil {
		return fmt.Errorf("mark device: %w", err)
	}
	fault.Point("host.format-marked")
	buffer := make([]byte, min(e.bytes, 1<<20))
	for _, x := range e.extents {
		for at := max(x.from, ext4Block); at < x.to; {
			if err := ctx.Err(); err != nil {
				return err
			}
			chunk := buffer[:min(int64(len(buffer)), x.to-at)]
			if _, err := e.memory.ReadAt(chunk, at); err != nil {
				return fmt.Errorf("read new file system: %w", err)
			}
			stamp(chunk, at)
			if _, err := device.WriteAt(chunk, at); err != nil {
				return fmt.Errorf("write device: %w", err)
			}
			at += int64(len(chunk))
		}
	}
	fault.Point("host.format-copied")
	if err := device.Sync(); err != nil {
		return fmt.Errorf("flush device: %w", err)
	}
	if _, err := e.memory.ReadAt(first, 0); err != nil {
		return fmt.Errorf("read new file system: %w", err)
	}
	stamp(first, 0)
	if _, err := device.WriteAt(first, 0); err != nil {
		return fmt.Errorf("write superblock: %w", err)
	}
	return nil
}

// stamp puts UUID, hash seed and times into the superblocks that lie in a
// chunk from a byte offset of the device.
func (e *ext4Image) stamp(chunk []byte, at int64, id, hashSeed uuid.UUID, now time.Time) {
	within := func(offset, length int64) []byte {
		if offset < at || offset+length > at+int64(len(chunk)) {
			return nil // superblocks never cross chunks: both are aligned to blocks
		}
		return chunk[offset-at:][:length]
	}
	le := binary.LittleEndian
	for _, offset := range e.supers {
		sb := within(offset, extSuperblockLength)
		if sb == nil {
			continue
		}
		copy(sb[0x68:], id[:])
		copy(sb[0xec:], hashSeed[:])
		for _, field := range []int{0x30, 0x40, 0x108} { // s_wtime, s_lastcheck, s_mkfs_time
			le.PutUint32(sb[field:], uint32(now.Unix()))
		}
		le.PutUint32(sb[0x3fc:], ^crc32.Checksum(sb[:0x3fc], castagnoli))
	}
	if e.journal != 0 {
		if sb := within(e.journal, ext4Block); sb != nil {
			copy(sb[journalUUID:], id[:])
		}
	}
}

// formatMark is in the first block while an ext4 is made by copying, and at
// inPlaceMark while mke2fs writes to the device itself.
const formatMark = "flocker: a file system is being made here, and is not complete\n"
