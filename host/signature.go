package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"github.com/siderolabs/go-blockdevice/v2/blkid"
	"golang.org/x/sys/unix"
)

// Kind says what a device carries, as far as it matters for a volume.
type Kind int

// The kinds of signatures.
const (
	// Other is anything that must not be touched: a partition table, a member
	// of a volume group, RAID or encryption, a damaged file system, or data
	// that nothing known explains. It is the zero value, on purpose.
	Other Kind = iota
	// Blank is a device on which nothing was ever stored: wherever any known
	// format keeps its signature there are only zeros.
	Blank
	// Filesystem is a device with a complete file system.
	Filesystem
)

// Signature is what Probe found on a device.
type Signature struct {
	Kind Kind
	Type string // as blkid(8) names it: "ext4", "LVM2_member", ...; "" if blank or unknown
	UUID string // of the file system, "" if blank or unknown
	// Clean is false for an ext4 that was not unmounted or has known errors:
	// see Check. XFS looks after itself when it is mounted and counts as clean.
	Clean bool
	// Interrupted is set on a blank device on which a Format of ours began
	// and never came to its end.
	Interrupted bool
	// Detail says for people what is wrong, where Kind is Other.
	Detail string
}

func (s Signature) String() string {
	switch {
	case s.Kind == Blank:
		return "blank"
	case s.Detail != "":
		return s.Detail
	case s.UUID != "":
		return s.Type + " " + s.UUID
	default:
		return s.Type
	}
}

// Probe says what a device carries. It opens the device exclusively: ErrBusy
// if it is mounted, or an mkfs or the like still works on it.
func Probe(dev Device) (Signature, error) {
	f, err := openProbed(dev.Path, unix.O_RDONLY)
	if err != nil {
		return Signature{}, fmt.Errorf("probe device %s: %w", dev.Path, err)
	}
	defer f.Close()
	sig, err := probe(f, dev.Image)
	if err != nil {
		return Signature{}, fmt.Errorf("probe device %s: %w", dev.Path, err)
	}
	return sig, nil
}

func openProbed(path string, flags int) (*os.File, error) {
	// Direct I/O: what is read once need not go through the page cache, and a
	// read through it would be cut into small requests.
	fd, err := openExclusive(path, flags|unix.O_DIRECT)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// firstRead is how much of a device is read at first: enough to tell a file
// system of ours, in one request.
const firstRead = 16 << 10

// probe goes from the cheap and usual to the thorough.
func probe(f *os.File, image string) (Signature, error) {
	size, err := deviceSize(int(f.Fd()))
	if err != nil {
		return Signature{}, err
	}
	if size < firstRead {
		return Signature{}, fmt.Errorf("device has only %d bytes", size)
	}
	if image != "" && imageIsBlank(int(f.Fd()), image) {
		return Signature{Kind: Blank, Clean: true}, nil
	}
	head := alignedBuffer(firstRead)
	if _, err := f.ReadAt(head, 0); err != nil {
		return Signature{}, fmt.Errorf("read its start: %w", err)
	}
	sb, found := parseExt(head)
	if interrupted, err := interruptedInPlace(f, head, size, sb.unused); err != nil || interrupted {
		return Signature{Kind: Blank, Clean: true, Interrupted: true}, err
	}
	if !found {
		sb, found = parseXFS(head)
	}
	if found {
		return checkSuperblock(f, sb, size)
	}
	return probeUnknown(f, size)
}

// checkSuperblock says what a device with a superblock of ext4 or XFS is.
func checkSuperblock(r io.ReaderAt, sb superblock, size int64) (Signature, error) {
	sig := Signature{Kind: Other, Type: sb.fs, UUID: sb.uuid, Clean: sb.clean}
	switch {
	case sb.unfinished:
		return Signature{Kind: Blank, Clean: true, Interrupted: true}, nil
	case sb.damage != "":
		sig.Detail = fmt.Sprintf("damaged %s: %s", sb.fs, sb.damage)
		return sig, nil
	case sb.size > size:
		sig.Detail = fmt.Sprintf("%s of %d bytes on a device that has only %d", sb.fs, sb.size, size)
		return sig, nil
	case sb.foreign != "":
		sig.Detail = sb.fs + " that " + sb.foreign
		return sig, nil
	}
	// A file system that leaves room behind it may be half of a mirror whose
	// metadata is at the end. It must not be mounted alone.
	if size-sb.size >= 4096 {
		tail, at, err := readTail(r, size)
		if err != nil {
			return Signature{}, err
		}
		tail = tail[max(0, sb.size-at):]
		if m, ok := findMagic(tail, size-int64(len(tail)), size); ok {
			sig.Type, sig.UUID, sig.Detail = m.name, "", fmt.Sprintf("%s, at byte %d, with %s in it", m.name, m.at, sb.fs)
			return sig, nil
		}
	}
	sig.Kind = Filesystem
	return sig, nil
}

// Where signatures can be. Further than a few KiB from an end are only: at the
// start, ZFS' second label (up to 512 KiB), VMFS (1 MiB) and the second copies
// of bcachefs (1 MiB and 4 KiB); at the end, the labels of ZFS (768 KiB), the
// last copy of bcachefs (1 MiB) and the metadata of BIOS RAIDs (1.6 MiB); and,
// alone in the middle, btrfs' first mirror.
const (
	headLength  = 1<<20 + 128<<10
	tailLength  = 2 << 20
	btrfsMirror = 64 << 20
)

// probeUnknown says what a device without ext4 or XFS carries.
func probeUnknown(f *os.File, size int64) (Signature, error) {
	head := alignedBuffer(int(min(headLength, size)))
	if _, err := f.ReadAt(head, 0); err != nil {
		return Signature{}, fmt.Errorf("read its start: %w", err)
	}
	tail, tailAt, err := readTail(f, size)
	if err != nil {
		return Signature{}, err
	}
	var mirror []byte
	if size >= btrfsMirror+4096 {
		mirror = alignedBuffer(4096)
		if _, err := f.ReadAt(mirror, btrfsMirror); err != nil {
			return Signature{}, fmt.Errorf("read at byte %d: %w", btrfsMirror, err)
		}
	}
	data := firstData(head, 0)
	if data < 0 {
		data = firstData(mirror, btrfsMirror)
	}
	if data < 0 {
		data = firstData(tail, tailAt)
	}
	if data < 0 {
		return Signature{Kind: Blank, Clean: true}, nil
	}
	name, uuid, err := askLibrary(f)
	if err != nil {
		return Signature{}, err
	}
	if name == "" {
		for _, part := range []struct {
			data []byte
			at   int64
		}{{head, 0}, {mirror, btrfsMirror}, {tail, tailAt}} {
			if m, ok := findMagic(part.data, part.at, size); ok {
				name = m.name
				break
			}
		}
	}
	sig := Signature{Kind: Other, Type: name, UUID: uuid, Clean: true}
	switch {
	case filesystems[name]:
		sig.Kind = Filesystem
	case name != "":
		sig.Detail = name
	case isFormatMark(head[:ext4Block]):
		return Signature{Kind: Blank, Clean: true, Interrupted: true}, nil
	default:
		sig.Detail = fmt.Sprintf("unknown data at byte %d", data)
	}
	return sig, nil
}

// askLibrary asks go-blockdevice what the device carries.
func askLibrary(f *os.File) (name, uuid string, err error) {
	// It reads unaligned pieces.
	if err := directIO(f, false); err != nil {
		return "", "", err
	}
	info, err := blkid.Probe(f, blkid.WithSkipLocking(true))
	if err := errors.Join(err, directIO(f, true)); err != nil {
		return "", "", err
	}
	if info.UUID != nil {
		uuid = info.UUID.String()
	}
	name = info.Name
	if n, ok := libraryNames[name]; ok {
		name = n
	}
	return name, uuid, nil
}

// directIO turns direct I/O on or off for an open device.
func directIO(f *os.File, on bool) error {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err == nil {
		flags &^= unix.O_DIRECT
		if on {
			flags |= unix.O_DIRECT
		}
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, flags)
	}
	if err != nil {
		return fmt.Errorf("switch direct I/O of %s: %w", f.Name(), err)
	}
	return nil
}

// libraryNames are blkid(8)'s names for what the library calls otherwise.
var libraryNames = map[string]string{
	"lvm2-pv":   "LVM2_member",
	"luks":      "crypto_LUKS",
	"zfs":       "zfs_member",
	"bluestore": "ceph_bluestore",
}

var filesystems = map[string]bool{
	"ext2": true, "ext3": true, "ext4": true, "xfs": true, "btrfs": true, "vfat": true, "iso9660": true, "squashfs": true,
	"ntfs": true, "exfat": true, "f2fs": true, "bcachefs": true, "jfs": true, "reiserfs": true, "gfs2": true,
	"ocfs2": true, "nilfs2": true, "hfsplus": true, "udf": true, "apfs": true, "erofs": true,
}

// imageIsBlank reports whether image is the file behind the open loop device
// and has no data anywhere. It says no where it can not be sure, and believes
// only file systems that are known to count data which is not on disk yet. What
// other processes wrote to the device but did not flush would be missed; but
// the device is open exclusively, and the last close of a device flushes it.
func imageIsBlank(loop int, image string) bool {
	info, err := loopStatus(loop)
	if err != nil || info.Offset != 0 || info.Sizelimit != 0 {
		return false
	}
	fd, err := open(image, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG ||
		st.Dev != info.Device || st.Ino != info.Inode {
		return false
	}
	var fs unix.Statfs_t
	if unix.Fstatfs(fd, &fs) != nil {
		return false
	}
	switch fs.Type {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.TMPFS_MAGIC:
	default:
		return false
	}
	_, err = unix.Seek(fd, 0, unix.SEEK_DATA)
	return errors.Is(err, unix.ENXIO)
}

func readTail(r io.ReaderAt, size int64) (tail []byte, at int64, err error) {
	// Direct I/O wants offsets that are multiples of the sector size.
	at = max(0, (size-tailLength)&^4095)
	tail = alignedBuffer(int(size - at))
	if _, err := r.ReadAt(tail, at); err != nil {
		return nil, 0, fmt.Errorf("read its end: %w", err)
	}
	return tail, at, nil
}

// firstData returns where the first byte that is not zero lies on the device,
// given what was read at a byte offset; -1 if there is none.
func firstData(data []byte, at int64) int64 {
	for len(data) > 0 {
		n := min(len(data), len(zeros))
		if string(data[:n]) != zeros[:n] {
			for i, b := range data[:n] {
				if b != 0 {
					return at + int64(i)
				}
			}
		}
		data, at = data[n:], at+int64(n)
	}
	return -1
}

var zeros = string(make([]byte, 64<<10))

// alignedBuffer returns a buffer that direct I/O can read into.
func alignedBuffer(n int) []byte {
	const alignment = 4096
	b := make([]byte, n+alignment)
	skip := alignment - int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))%alignment)
	return b[skip : skip+n]
}
