package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// Owner is the owner and the mode of a new file system's root directory. It is part of
// the format: no later step sets it, and a crash cannot lose it.
type Owner struct {
	UID, GID uint32
	Mode     uint16 // permission bits, at most 0777
}

// Anyone is the owner of a file system whose user is not known: root, and every
// user may read and write.
var Anyone = Owner{Mode: 0o777}

// LookupUser returns the numbers of a user and its primary group by name, as
// this machine knows them. It reads /etc/passwd alone. The error wraps
// user.UnknownUserError for a user that the machine does not know.
func LookupUser(name string) (uid, gid uint32, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("look up user %q: %w", name, err)
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, 0, fmt.Errorf("look up user %q: uid: %w", name, err)
	}
	group, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return 0, 0, fmt.Errorf("look up user %q: gid: %w", name, err)
	}
	return uint32(id), uint32(group), nil
}

// xfsPrototype describes an empty root directory to mkfs.xfs.
func (o Owner) xfsPrototype() string {
	return fmt.Sprintf("/\n0 0\nd--%03o %d %d\n$\n", o.Mode, o.UID, o.GID)
}

// rootInode is where an ext4 has the inode of its root directory, and from which
// number the checksums of inodes start.
type rootInode struct {
	at   int64 // byte offset
	size int   // bytes
	seed uint32
}

// findRootInode finds the root directory of an ext4 that makeExt4 has made.
func findRootInode(r io.ReaderAt) (rootInode, error) {
	le := binary.LittleEndian
	block := make([]byte, 2*ext4Block) // the superblock, and the descriptor of the first group
	if _, err := r.ReadAt(block, 0); err != nil {
		return rootInode{}, fmt.Errorf("read superblock: %w", err)
	}
	sb, group := block[extSuperblockOffset:], block[ext4Block:]
	table := int64(le.Uint32(group[0x8:])) | int64(le.Uint32(group[0x28:]))<<32
	size := int(le.Uint16(sb[0x58:]))
	if table == 0 || size != ext4InodeSize || le.Uint32(sb[0x60:])&extIncompatSeed == 0 {
		return rootInode{}, errors.New("mke2fs made another file system than it was asked for")
	}
	const number = 2
	return rootInode{at: table*ext4Block + int64((number-1)*size), size: size, seed: le.Uint32(sb[0x270:])}, nil
}

// give puts an owner into the inode.
func (i rootInode) give(inode []byte, o Owner) {
	le := binary.LittleEndian
	le.PutUint16(inode[0x0:], unix.S_IFDIR|o.Mode)
	le.PutUint16(inode[0x2:], uint16(o.UID))
	le.PutUint16(inode[0x18:], uint16(o.GID))
	le.PutUint16(inode[0x78:], uint16(o.UID>>16))
	le.PutUint16(inode[0x7a:], uint16(o.GID>>16))
	const checksumLow, checksumHigh = 0x7c, 0x82
	le.PutUint16(inode[checksumLow:], 0)
	le.PutUint16(inode[checksumHigh:], 0)
	sum := ext4Checksum(i.seed, le.AppendUint32(nil, 2))
	sum = ext4Checksum(sum, inode[0x64:0x68]) // i_generation
	sum = ext4Checksum(sum, inode)
	le.PutUint16(inode[checksumLow:], uint16(sum))
	le.PutUint16(inode[checksumHigh:], uint16(sum>>16))
}

// ext4Checksum continues a checksum as the kernel does: without the inversions at
// both ends that crc32.Update makes.
func ext4Checksum(sum uint32, data []byte) uint32 { return ^crc32.Update(^sum, castagnoli, data) }

// DropLostFound removes the directory lost+found, which database images refuse,
// where a file system has nothing else and nothing was found. mke2fs makes it,
// and so does e2fsck.
func DropLostFound(mountpoint string) error {
	if err := dropLostFound(mountpoint); err != nil {
		return fmt.Errorf("remove lost+found from %s: %w", mountpoint, err)
	}
	return nil
}

func dropLostFound(mountpoint string) error {
	const name = "lost+found"
	dir, err := os.Open(mountpoint)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(2)
	if errors.Is(err, io.EOF) || err == nil && (len(names) != 1 || names[0] != name) {
		return nil
	}
	if err != nil {
		return err
	}
	err = unix.Unlinkat(int(dir.Fd()), name, unix.AT_REMOVEDIR)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.ENOTDIR) {
		return nil // e2fsck has saved something there, or it is a user's file
	}
	return err
}
