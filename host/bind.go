package host

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/fault"
)

// Bind makes what is at the directory source visible at target too.
func Bind(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s at %s: %w", source, target, asBusy(err))
	}
	return nil
}

// BindReadOnly makes what is at the directory source visible at target, for
// reading only. There is no moment at which target could be written (on Linux
// 5.12 and newer; before, there is one between two system calls).
func BindReadOnly(source, target string) error {
	if err := bindWith(source, target, unix.MS_RDONLY, 0); err != nil {
		return fmt.Errorf("bind %s read-only at %s: %w", source, target, asBusy(err))
	}
	fault.Point("host.bound-read-only")
	return nil
}

// BindWith is Bind with flags of mount(2)'s, which hold at target alone:
// MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME, MS_NODIRATIME,
// MS_RELATIME and MS_STRICTATIME. As with BindReadOnly, target is never seen
// without them.
func BindWith(source, target string, flags uintptr) error {
	if flags == 0 {
		return Bind(source, target)
	}
	if err := bindWith(source, target, flags, 0); err != nil {
		return fmt.Errorf("bind %s at %s: %w", source, target, asBusy(err))
	}
	return nil
}

// BindLifting is BindWith for a target that does not inherit some of the source's
// flags: MS_NOSUID, MS_NODEV.
func BindLifting(source, target string, flags, lifted uintptr) error {
	if err := bindWith(source, target, flags, lifted); err != nil {
		return fmt.Errorf("bind %s at %s: %w", source, target, asBusy(err))
	}
	fault.Point("host.bound")
	return nil
}

func bindWith(source, target string, flags, lifted uintptr) error {
	attributes := attributesOf(flags)
	attributes.Attr_clr |= attributesOf(lifted).Attr_set
	tree, err := cloneMount(source, attributes)
	if errors.Is(err, unix.ENOSYS) {
		return bindThenRemount(source, target, flags, lifted)
	}
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return moveMount(tree, target)
}

// attributesOf translates flags of mount(2) into those of mount_setattr(2).
func attributesOf(flags uintptr) *unix.MountAttr {
	a := new(unix.MountAttr)
	for flag, attribute := range map[uintptr]uint64{
		unix.MS_RDONLY: unix.MOUNT_ATTR_RDONLY, unix.MS_NOSUID: unix.MOUNT_ATTR_NOSUID, unix.MS_NODEV: unix.MOUNT_ATTR_NODEV,
		unix.MS_NOEXEC: unix.MOUNT_ATTR_NOEXEC, unix.MS_NODIRATIME: unix.MOUNT_ATTR_NODIRATIME,
		unix.MS_NOATIME: unix.MOUNT_ATTR_NOATIME, unix.MS_STRICTATIME: unix.MOUNT_ATTR_STRICTATIME,
	} {
		if flags&flag != 0 {
			a.Attr_set |= attribute
		}
	}
	if flags&(unix.MS_NOATIME|unix.MS_RELATIME|unix.MS_STRICTATIME) != 0 {
		a.Attr_clr |= unix.MOUNT_ATTR__ATIME // one of three values, of which relatime is 0
	}
	return a
}

// cloneMount returns a detached bind mount of a directory, after applying
// attributes to it. Detached means that nobody sees it until moveMount.
func cloneMount(source string, attributes ...*unix.MountAttr) (int, error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, err
	}
	for _, a := range attributes {
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, a); err != nil {
			unix.Close(tree)
			return -1, err
		}
	}
	return tree, nil
}

func moveMount(tree int, target string) error {
	return unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

func bindThenRemount(source, target string, flags, lifted uintptr) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if err := remount(target, flags, lifted); err != nil {
		return errors.Join(err, unix.Unmount(target, unix.UMOUNT_NOFOLLOW))
	}
	return nil
}

// remount adds flags to a mount, and takes others from it, for Linux before 5.12.
func remount(target string, flags, lifted uintptr) error {
	var fs unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(target, &fs) }); err != nil {
		return err
	}
	// These flags are the same for statfs(2) and mount(2). A remount replaces
	// all of them.
	const same = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME
	has := uintptr(fs.Flags) & same
	if flags&(unix.MS_NOATIME|unix.MS_RELATIME|unix.MS_STRICTATIME) != 0 {
		has &^= unix.MS_NOATIME // one of three
	}
	return unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|has&^lifted|flags, "")
}
