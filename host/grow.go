package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/fault"
)

// The kernel is asked directly to grow a mounted file system: resize2fs and
// xfs_growfs do no more than that on-line. So no program that could outlive
// the agent works on a volume in use, and the errors are the kernel's.

// ErrNotAllowed says that the kernel does not let this process grow a file system.
var ErrNotAllowed = errors.New("growing a mounted ext4 needs CAP_SYS_RESOURCE, which this process lacks: " +
	"grant it (CapabilityBoundingSet= of systemd, --cap-add SYS_RESOURCE of a container), or end the volume's containers")

// Fills reports whether the file system at target is as large as its device
// lets it be. It costs a few system calls and may be asked at any time. A file
// system that GrowFS does not know fills its device whatever there is.
func Fills(device, target string) (bool, error) {
	fs, err := openGrowable(device, target)
	if err != nil {
		return false, fmt.Errorf("look whether the file system at %s fills %s: %w", target, device, err)
	}
	if fs == nil {
		return true, nil
	}
	defer fs.close()
	return fs.fills(), nil
}

// MayGrow returns ErrNotAllowed where GrowFS would, for the file system that is
// mounted at target, before anything has grown.
func MayGrow(target string) error {
	var fs unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(target, &fs) }); err != nil {
		return fmt.Errorf("look at the file system at %s: %w", target, err)
	}
	if fs.Type == unix.EXT4_SUPER_MAGIC && !mayResizeExt4() {
		return ErrNotAllowed
	}
	return nil
}

// GrowFS makes the file system that is mounted at target as large as its device,
// while it is in use. It never makes it smaller. A crash of this process, or of
// the machine, leaves a sound file system: the old one, the new one, or one in
// between, from which GrowFS goes on.
func GrowFS(device, target string) error {
	if err := growFS(device, target); err != nil {
		return fmt.Errorf("grow the file system at %s to the size of %s: %w", target, device, err)
	}
	fault.Point("host.file-system-grown")
	return nil
}

func growFS(device, target string) error {
	fs, err := openGrowable(device, target)
	if err != nil || fs == nil {
		return err
	}
	defer fs.close()
	if fs.fills() {
		return nil
	}
	if err := fault.Err("host.grow-file-system"); err != nil {
		return err
	}
	return fs.grow()
}

// growable is a mounted file system with its size and its device's.
type growable struct {
	root   *os.File // its root directory
	grow   func() error
	block  uint64 // bytes
	blocks uint64 // it has
	device uint64 // blocks that there is room for
	group  uint64 // blocks of one of its allocation groups
	first  uint64 // block with which the first group begins
	// least is of how many blocks a last group must have more, by the group's
	// number: the kernel makes none that is smaller, and leaves that room.
	least func(group uint64) uint64
}

func (g *growable) close() { g.root.Close() }

// fills decides as the kernel does.
func (g *growable) fills() bool {
	if g.device <= g.blocks {
		return true
	}
	if g.blocks < g.first || (g.blocks-g.first)%g.group != 0 {
		return false // the last group can be extended
	}
	return g.device-g.blocks <= g.least((g.blocks-g.first)/g.group)
}

// openGrowable looks at the file system at target, which is on device; nil
// where it is none that can be grown.
func openGrowable(device, target string) (_ *growable, err error) {
	fd, err := open(target, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	g := &growable{root: os.NewFile(uintptr(fd), target)}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	var fs unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(fd, &fs) }); err != nil {
		return nil, err
	}
	var look func(device int) error
	switch fs.Type {
	case unix.EXT4_SUPER_MAGIC:
		look = g.lookExt4
	case unix.XFS_SUPER_MAGIC:
		look = g.lookXFS
	default:
		g.close()
		return nil, nil //nolint:nilnil // no file system of ours, which is no error
	}
	dev, err := open(device, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dev)
	if err := look(dev); err != nil {
		return nil, err
	}
	size, err := deviceSize(dev)
	if err != nil {
		return nil, err
	}
	g.device = uint64(size) / g.block
	return g, nil
}

// lookExt4 reads the superblock through the device's page cache, which is where
// the kernel itself has it. Its checksum is not looked at: that is brought up to
// date only when the superblock is written.
func (g *growable) lookExt4(device int) error {
	b := make([]byte, extSuperblockLength)
	if n, err := unix.Pread(device, b, extSuperblockOffset); err != nil || n < len(b) {
		return fmt.Errorf("read superblock: %d bytes: %w", n, err)
	}
	le := binary.LittleEndian
	logBlock, logCluster := le.Uint32(b[0x18:]), le.Uint32(b[0x1c:])
	perGroup, inodes, inodeSize := uint64(le.Uint32(b[0x20:])), uint64(le.Uint32(b[0x28:])), uint64(le.Uint16(b[0x58:]))
	if le.Uint16(b[0x38:]) != extMagic || logBlock > 6 || logCluster < logBlock || logCluster > 30 || perGroup == 0 {
		return errors.New("the superblock makes no sense")
	}
	incompat, roCompat := le.Uint32(b[0x60:]), le.Uint32(b[0x64:])
	g.block, g.blocks = 1024<<logBlock, extBlocks(b)
	g.group, g.first = perGroup, uint64(le.Uint32(b[0x14:]))
	descriptor := uint64(32)
	if incompat&extIncompat64Bit != 0 {
		descriptor = max(64, uint64(le.Uint16(b[0xfe:])))
	}
	reserved := uint64(le.Uint16(b[0xce:])) // blocks for descriptors of later groups
	tables := (inodes*inodeSize + g.block - 1) / g.block
	ratio := uint64(1) << (logCluster - logBlock)
	g.least = func(group uint64) uint64 {
		least := 2 + tables + ratio
		if incompat&extIncompatGroups == 0 && (roCompat&extROCompatSparse == 0 || extHasBackup(group)) {
			descriptors := ((group+1)*descriptor + g.block - 1) / g.block
			least += 1 + descriptors + reserved
		}
		return least
	}
	g.grow = func() error {
		err := ioctl(int(g.root.Fd()), ioctlExt4Resize, unsafe.Pointer(&g.device))
		if errors.Is(err, unix.EPERM) && !mayResizeExt4() {
			return ErrNotAllowed
		}
		if errors.Is(err, unix.EPERM) {
			return fmt.Errorf("%w: the file system has errors; have it checked by e2fsck while it is not mounted", err)
		}
		return err
	}
	return nil
}

// mayResizeExt4 reports whether this process has CAP_SYS_RESOURCE.
func mayResizeExt4() bool {
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &data[0]); err != nil {
		return true // then it is not known to be the cause
	}
	return data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

// extHasBackup reports whether a block group begins with a backup of the
// superblock: 0, 1, and the powers of 3, 5 and 7.
func extHasBackup(group uint64) bool {
	if group <= 1 {
		return true
	}
	for _, base := range []uint64{3, 5, 7} {
		n := group
		for n%base == 0 {
			n /= base
		}
		if n == 1 {
			return true
		}
	}
	return false
}

// xfsLeastGroup is the kernel's XFS_MIN_AG_BLOCKS.
const xfsLeastGroup = 64

func (g *growable) lookXFS(int) error {
	var geometry xfsGeometry
	if err := ioctl(int(g.root.Fd()), ioctlXFSGeometry, unsafe.Pointer(&geometry)); err != nil {
		return fmt.Errorf("read geometry: %w", err)
	}
	if geometry.BlockSize == 0 || geometry.GroupBlocks == 0 {
		return errors.New("the geometry makes no sense")
	}
	g.block, g.blocks, g.group = uint64(geometry.BlockSize), geometry.DataBlocks, uint64(geometry.GroupBlocks)
	g.least = func(uint64) uint64 { return xfsLeastGroup - 1 }
	g.grow = func() error {
		want := xfsGrowData{NewBlocks: g.device, InodePercent: geometry.InodePercent}
		return ioctl(int(g.root.Fd()), ioctlXFSGrowData, unsafe.Pointer(&want))
	}
	return nil
}

// The kernel's ABI: EXT4_IOC_RESIZE_FS, XFS_IOC_FSGEOMETRY_V1 and
// XFS_IOC_FSGROWFSDATA.
const (
	ioctlExt4Resize  = 0x40086610
	ioctlXFSGeometry = 0x80705864
	ioctlXFSGrowData = 0x4010586e
)

// xfsGeometry is struct xfs_fsop_geom_v1.
type xfsGeometry struct {
	BlockSize, RealtimeExtent, GroupBlocks, GroupCount   uint32
	LogBlocks, SectorSize, InodeSize, InodePercent       uint32
	DataBlocks, RealtimeBlocks, RealtimeExtents, LogFrom uint64
	UUID                                                 [16]byte
	StripeUnit, StripeWidth                              uint32
	Version                                              int32
	Flags, LogSectorSize, RealtimeSectorSize, DirBlock   uint32
	_                                                    uint32
}

// xfsGrowData is struct xfs_growfs_data.
type xfsGrowData struct {
	NewBlocks    uint64
	InodePercent uint32
	_            uint32
}

func ioctl(fd int, request uintptr, argument unsafe.Pointer) error {
	return retry(func() error {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(argument)); errno != 0 {
			return errno
		}
		return nil
	})
}
