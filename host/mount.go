package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/fault"
)

// Restricted are the flags of every volume's mount: programs in a volume gain no
// privilege, and device nodes in it are not opened.
const Restricted uintptr = unix.MS_NOSUID | unix.MS_NODEV

// Mount mounts the file system fs that is on a device at the directory target.
// flags are mount(2)'s, such as Restricted. ErrBusy for a device that another
// process has opened exclusively, or that is mounted at target already.
//
// An ext4 with an error becomes read-only: its superblock can ask for a kernel
// panic instead, and is not ours to trust.
func Mount(device, target, fs string, flags uintptr) error {
	options := ""
	if fs == "ext2" || fs == "ext3" || fs == "ext4" {
		options = "errors=remount-ro"
	}
	return mount(device, target, fs, flags, options)
}

// MountCopy mounts an XFS that has the UUID of another mounted file system, as a
// copy of a volume has. The caller knows that the two are not one: mounting one
// file system twice destroys it.
func MountCopy(device, target string, flags uintptr) error {
	return mount(device, target, "xfs", flags, "nouuid")
}

func mount(device, target, fs string, flags uintptr, options string) error {
	err := kernelSays(device, func() error {
		return retry(func() error { return unix.Mount(device, target, fs, flags, options) })
	})
	_, told := errors.AsType[*kernelError](err)
	switch {
	case !told && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EUCLEAN) || errors.Is(err, unix.EIO)):
		return fmt.Errorf("mount %s at %s: %w: the kernel refuses this file system; its log (dmesg) says why", device, target, err)
	case err != nil:
		return fmt.Errorf("mount %s at %s: %w", device, target, asBusy(err))
	}
	fault.Point("host.mounted")
	return nil
}

// SameUUID returns the mounts of this mount namespace of other devices whose XFS has
// the UUID of the XFS on a device.
func SameUUID(device string) ([]MountEntry, error) {
	number, err := DeviceNumber(device)
	if err != nil {
		return nil, err
	}
	id, err := xfsUUID(device)
	if err != nil || id == "" {
		return nil, err
	}
	table, err := MountTable()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(table, func(m MountEntry) bool {
		if m.FS != "xfs" || m.Device == number {
			return true
		}
		other, err := xfsUUID(m.Source)
		return err != nil || other != id
	}), nil
}

// xfsUUID returns the UUID of the XFS on a device, "" for what carries none.
func xfsUUID(device string) (string, error) {
	f, err := os.Open(device)
	if err != nil {
		return "", fmt.Errorf("read UUID: %w", err)
	}
	defer f.Close()
	head := make([]byte, extSuperblockOffset+extSuperblockLength)
	if _, err := f.ReadAt(head, 0); err != nil {
		return "", fmt.Errorf("read UUID: %w", err)
	}
	sb, _ := parseXFS(head)
	return sb.uuid, nil
}

// Thaw ends the freeze of the file system of a device at target, and reports whether it
// was frozen. The kernel keeps a frozen file system, and its device in use, when it is
// unmounted: then nothing shows it, and only another mount can thaw it. A file system
// that cannot be opened, such as one that is shut down, is left as it is.
func Thaw(target string, device uint64) bool {
	fd, err := openMount(target, device)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	const fiThaw = 0xc0045878 // _IOWR('X', 120, int)
	return retry(func() error { return unix.IoctlSetInt(fd, fiThaw, 0) }) == nil
}

// openMount opens the directory at which a device must be mounted.
func openMount(target string, device uint64) (int, error) {
	fd, err := open(target, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return -1, err
	}
	if err := checkDevice(fd, device); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// checkDevice refuses a file that is not on a device.
func checkDevice(fd int, device uint64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Dev != device {
		return fmt.Errorf("device %d:%d is mounted there, not %d:%d", unix.Major(st.Dev), unix.Minor(st.Dev), unix.Major(device), unix.Minor(device))
	}
	return nil
}

// Unmount unmounts what is mounted at target, never lazily and never by force:
// ErrBusy if it is in use. A target where nothing is mounted, or that does not
// exist, is no error.
func Unmount(target string) error {
	err := retry(func() error { return unix.Unmount(target, unix.UMOUNT_NOFOLLOW) })
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", target, asBusy(err))
	}
	fault.Point("host.unmounted")
	return nil
}

func asBusy(err error) error {
	if errors.Is(err, unix.EBUSY) {
		return ErrBusy
	}
	return err
}

// MountPoint is what Mounted found.
type MountPoint struct {
	Device   uint64 // number of the mounted file system's device; see DeviceNumber
	ReadOnly bool
}

// Mounted looks at one directory, by two system calls: is something mounted
// exactly there, and what. A directory that does not exist has nothing mounted
// on it. Where something is mounted on something, it says what is on top.
func Mounted(target string) (MountPoint, bool, error) {
	var stx unix.Statx_t
	err := retry(func() error {
		return unix.Statx(unix.AT_FDCWD, target,
			unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &stx)
	})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return MountPoint{}, false, nil
	case errors.Is(err, unix.EIO), err == nil && stx.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0:
		// A file system that has shut itself down after an error answers
		// so, but it is mounted. Then the table tells.
		return mountedByTable(target)
	case err != nil:
		return MountPoint{}, false, fmt.Errorf("stat mount point %s: %w", target, err)
	}
	if stx.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return MountPoint{}, false, nil
	}
	var fs unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(target, &fs) }); err != nil {
		return mountedByTable(target)
	}
	return MountPoint{
		Device:   unix.Mkdev(stx.Dev_major, stx.Dev_minor),
		ReadOnly: fs.Flags&unix.ST_RDONLY != 0,
	}, true, nil
}

func mountedByTable(target string) (MountPoint, bool, error) {
	table, err := MountTable()
	if err != nil {
		return MountPoint{}, false, err
	}
	target, err = filepath.Abs(target)
	if err != nil {
		return MountPoint{}, false, fmt.Errorf("stat mount point: %w", err)
	}
	// The last one is on top.
	for _, m := range slices.Backward(table) {
		if m.Target == target {
			return MountPoint{Device: m.Device, ReadOnly: m.ReadOnly}, true, nil
		}
	}
	return MountPoint{}, false, nil
}

// MountEntry is one line of the mount table.
type MountEntry struct {
	ID       int
	Parent   int    // ID of the mount that it is mounted on
	Device   uint64 // number of the file system's device; see DeviceNumber
	Target   string
	Root     string  // the directory of the file system that is at Target
	FS       string  // "ext4", ...
	Source   string  // such as /dev/loop7
	ReadOnly bool    // the mount or the file system
	Shared   bool    // mounts below it propagate
	Flags    uintptr // those of Restricted that the mount has
}

// MountTable reads the mount table of this process' mount namespace, once, in
// the order of the table: of two mounts at the same target, the later one
// is on top.
func MountTable() ([]MountEntry, error) {
	infos, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, fmt.Errorf("read mount table: %w", err)
	}
	return mountEntries(infos), nil
}

func mountEntries(infos []*mountinfo.Info) []MountEntry {
	table := make([]MountEntry, len(infos))
	for i, m := range infos {
		table[i] = MountEntry{
			ID:       m.ID,
			Parent:   m.Parent,
			Device:   unix.Mkdev(uint32(m.Major), uint32(m.Minor)),
			Target:   m.Mountpoint,
			Root:     m.Root,
			FS:       m.FSType,
			Source:   m.Source,
			ReadOnly: hasOption(m.Options, "ro") || hasOption(m.VFSOptions, "ro"),
			Shared:   strings.Contains(" "+m.Optional, " shared:"),
			Flags:    restrictions(m.Options),
		}
	}
	return table
}

func hasOption(list, option string) bool {
	for o := range strings.SplitSeq(list, ",") {
		if o == option {
			return true
		}
	}
	return false
}

// restrictions returns those of Restricted that are among a mount's options.
func restrictions(options string) (flags uintptr) {
	if hasOption(options, "nosuid") {
		flags |= unix.MS_NOSUID
	}
	if hasOption(options, "nodev") {
		flags |= unix.MS_NODEV
	}
	return flags
}

// Restrict adds mount(2) flags to the mount at target, also while it is in use.
// Copies that propagated to other namespaces before keep their flags.
func Restrict(target string, flags uintptr) error {
	err := unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_SYMLINK_NOFOLLOW, attributesOf(flags))
	if errors.Is(err, unix.ENOSYS) {
		err = remount(target, flags, 0)
	}
	if err != nil {
		return fmt.Errorf("restrict the mount at %s: %w", target, err)
	}
	return nil
}
