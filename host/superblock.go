package host

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/google/uuid"
)

// superblock is what matters of the superblock of a file system that we make.
type superblock struct {
	fs         string // "ext4", ...
	uuid       string
	size       int64 // bytes that the file system covers
	clean      bool
	damage     string // what is wrong with it, "" if nothing
	foreign    string // why it must not be mounted although it is whole, "" if it may be
	unfinished bool   // its mkfs never came to its end
	unused     bool   // of ext4: it was never mounted
}

// The features of ext4 that matter here; see Documentation/filesystems/ext4 of
// the kernel.
const (
	extCompatJournal   = 0x4
	extIncompatRecover = 0x4
	extIncompatJournal = 0x8  // is no file system but the journal of one
	extIncompatGroups  = 0x10 // groups have their descriptors with them
	extIncompat64Bit   = 0x80
	extIncompatSeed    = 0x2000 // checksums start from a seed of their own, not from the UUID
	// What any released kernel mounts; of the rest no checker or kernel here can
	// be trusted to know what it does.
	extIncompatKnown    = 0x2 | extIncompatRecover | extIncompatGroups | 0x40 | extIncompat64Bit | 0x100 | 0x200 | 0x400 | extIncompatSeed | 0x4000 | 0x8000 | 0x10000 | 0x20000
	extROCompatKnown    = 0x77f&^0x80 | 0x1000 | 0x2000 | 0x8000 | extROCompatOrphans
	extROCompatSparse   = 0x1 // only some groups have backups of the superblock
	extROCompatChecksum = 0x400
	extROCompatOrphans  = 0x10000 // files to be deleted were left open
	extIncompatOfExt3   = 0x2 | extIncompatRecover | extIncompatGroups
	extROCompatOfExt3   = extROCompatSparse | 0x2 | 0x4
	extStateValid       = 0x1
	extStateError       = 0x2
	extMagic            = 0xEF53
	extSuperblockOffset = 1024
	extSuperblockLength = 1024
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parseExt reads the superblock of ext2, ext3 or ext4 from the start of a
// device; false if there is none.
func parseExt(head []byte) (superblock, bool) {
	b := head[extSuperblockOffset:][:extSuperblockLength]
	le := binary.LittleEndian
	if le.Uint16(b[0x38:]) != extMagic {
		return superblock{}, false
	}
	compat, incompat, roCompat := le.Uint32(b[0x5c:]), le.Uint32(b[0x60:]), le.Uint32(b[0x64:])
	state := le.Uint16(b[0x3a:])
	blocks := extBlocks(b)
	logBlock := le.Uint32(b[0x18:])
	sb := superblock{fs: extName(compat, incompat, roCompat), uuid: uuidText(b[0x68:0x78])}
	sb.clean = state&extStateValid != 0 && state&extStateError == 0 &&
		incompat&extIncompatRecover == 0 && roCompat&extROCompatOrphans == 0
	sb.unused = le.Uint32(b[0x2c:]) == 0 && le.Uint16(b[0x34:]) == 0 // s_mtime, s_mnt_count
	switch {
	case roCompat&extROCompatChecksum != 0 && ^crc32.Checksum(b[:0x3fc], castagnoli) != le.Uint32(b[0x3fc:]):
		sb.damage = "the superblock's checksum is wrong"
	case incompat&extIncompatJournal != 0:
		sb.fs, sb.damage = "jbd", "is only the journal of a file system elsewhere"
	case logBlock > 6 || blocks == 0 || blocks > 1<<63>>(10+logBlock) || le.Uint32(b) == 0:
		sb.damage = "the superblock makes no sense"
	default:
		sb.size = int64(blocks << (10 + logBlock))
		sb.foreign = foreignFeatures(incompat&^extIncompatKnown, roCompat&^extROCompatKnown)
		// The journal's place is the superblock's word: mounting would open, and
		// replay, another device.
		if compat&extCompatJournal != 0 && le.Uint32(b[0xe0:]) == 0 {
			sb.foreign = "keeps its journal on another device"
		}
	}
	return sb, true
}

// foreignFeatures says which features of a file system are unknown, given their
// bits; "" if none is.
func foreignFeatures(incompat, roCompat uint32) string {
	if incompat|roCompat == 0 {
		return ""
	}
	return fmt.Sprintf("needs features that are not known here (incompatible 0x%x, incompatible for writing 0x%x)", incompat, roCompat)
}

// extBlocks returns the blocks that a superblock says its file system has.
func extBlocks(b []byte) uint64 {
	le := binary.LittleEndian
	blocks := uint64(le.Uint32(b[0x4:]))
	if le.Uint32(b[0x60:])&extIncompat64Bit != 0 {
		blocks |= uint64(le.Uint32(b[0x150:])) << 32
	}
	return blocks
}

func extName(compat, incompat, roCompat uint32) string {
	switch {
	case incompat&^extIncompatOfExt3 != 0 || roCompat&^extROCompatOfExt3 != 0:
		return "ext4"
	case compat&extCompatJournal != 0:
		return "ext3"
	default:
		return "ext2"
	}
}

// parseXFS reads the superblock of XFS from the start of a device; false if
// there is none.
func parseXFS(head []byte) (superblock, bool) {
	be := binary.BigEndian
	if string(head[:4]) != "XFSB" {
		return superblock{}, false
	}
	blockSize, blocks := uint64(be.Uint32(head[4:])), be.Uint64(head[8:])
	version, sector := be.Uint16(head[100:])&0xf, int(be.Uint16(head[102:]))
	sb := superblock{fs: "xfs", uuid: uuidText(head[32:48]), clean: true, unfinished: head[126] != 0}
	switch {
	case blockSize < 512 || blockSize > 65536 || blocks == 0 || blocks > 1<<63/blockSize || sector < 512 || sector > len(head):
		sb.damage = "the superblock makes no sense"
	case version == 5 && !xfsChecksumRight(head[:sector]):
		sb.damage = "the superblock's checksum is wrong"
	default:
		sb.size = int64(blocks * blockSize)
		sb.foreign = foreignXFS(head, version)
	}
	return sb, true
}

// What any released kernel mounts.
const (
	xfsIncompatKnown = 0xff
	xfsROCompatKnown = 0xf
)

// foreignXFS says why a whole XFS must not be mounted.
func foreignXFS(head []byte, version uint16) string {
	be := binary.BigEndian
	switch {
	case be.Uint64(head[48:]) == 0:
		return "keeps its log on another device"
	case be.Uint64(head[16:]) != 0:
		return "keeps data on a realtime device"
	case version == 5:
		return foreignFeatures(be.Uint32(head[216:])&^xfsIncompatKnown, be.Uint32(head[212:])&^xfsROCompatKnown)
	default:
		return ""
	}
}

// xfsChecksumRight checks a version 5 superblock. The checksum counts itself
// as zeros, and is the one field in little-endian order.
func xfsChecksumRight(sector []byte) bool {
	const at = 224
	sum := crc32.Update(0, castagnoli, sector[:at])
	sum = crc32.Update(sum, castagnoli, make([]byte, 4))
	sum = crc32.Update(sum, castagnoli, sector[at+4:])
	return sum == binary.LittleEndian.Uint32(sector[at:])
}

func uuidText(b []byte) string {
	u, err := uuid.FromBytes(b)
	if err != nil {
		return "" // never: b has 16 bytes
	}
	return u.String()
}
