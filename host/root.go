package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/fault"
)

// MountRoot is the directory below which the volumes of this machine are
// mounted. It is a read-only view of another directory, where mount points are
// made: so nothing can ever be written beside a volume, neither before it
// comes nor after it is gone. It is a shared mount: a volume that is mounted
// below it shows up in the containers that have the mount point bound in, and
// disappears from them when it is unmounted.
type MountRoot struct {
	path  string
	below *os.File // the writable side, a directory
}

// ErrNotEmpty says that a mount point has something in it.
var ErrNotEmpty = errors.New("directory is not empty")

// OpenMountRoot makes the mount root at path, a view of the directory
// writable; both are created where they do not exist. A mount root that an
// earlier process made is taken over with the volumes below it. It refuses a
// path where something else is mounted, or that is a directory with anything
// in it.
func OpenMountRoot(writable, path string) (*MountRoot, error) {
	root, err := openMountRoot(writable, path)
	if err != nil {
		return nil, fmt.Errorf("open mount root %s: %w", path, err)
	}
	return root, nil
}

func openMountRoot(writable, path string) (*MountRoot, error) {
	// The mount root is a view of this directory, and has its mode.
	writable, err := PrivateDirectory(writable)
	if err != nil {
		return nil, err
	}
	path, err = makeDirectory(path)
	if err != nil {
		return nil, err
	}
	if within(writable, path) || within(path, writable) {
		return nil, fmt.Errorf("it and %s lie within each other", writable)
	}
	below, err := os.Open(writable)
	if err != nil {
		return nil, err
	}
	if err := bindMountRoot(writable, path); err != nil {
		below.Close()
		return nil, err
	}
	return &MountRoot{path: path, below: below}, nil
}

// makeDirectory makes a directory where there is none and returns its path
// without symbolic links, as the mount table has it. It refuses one that another
// user can replace.
func makeDirectory(path string) (string, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return "", err
	}
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", err
	}
	return path, CheckParents(path)
}

// PrivateDirectory makes a directory for root alone, and one that is there
// already as well. It returns the directory's path without symbolic links, and
// refuses one that cannot be trusted.
func PrivateDirectory(path string) (string, error) {
	path, err := makeDirectory(path)
	if err != nil {
		return "", err
	}
	if err := CheckPrivateDir(path); err != nil {
		return "", err
	}
	return path, os.Chmod(path, 0o700)
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// bindMountRoot brings the mount at path to what it must be, from whatever an
// earlier process left.
func bindMountRoot(writable, path string) error {
	at, mounted, err := Mounted(path)
	if err != nil {
		return err
	}
	if !mounted {
		if err := checkPlain(path); err != nil {
			return err
		}
		return bindShared(writable, path)
	}
	same, err := sameDirectory(writable, path)
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("something else is mounted there (device %d:%d), not the view of %s",
			unix.Major(at.Device), unix.Minor(at.Device), writable)
	}
	if !at.ReadOnly {
		if err := remount(path, unix.MS_RDONLY, 0); err != nil {
			return fmt.Errorf("make it read-only: %w", err)
		}
	}
	// Nothing happens to one that is shared.
	if err := unix.Mount("", path, "", unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make it shared: %w", err)
	}
	return nil
}

func sameDirectory(a, b string) (bool, error) {
	fa, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	fb, err := os.Stat(b)
	if err != nil {
		return false, err
	}
	return os.SameFile(fa, fb), nil
}

// checkPlain refuses a directory that holds anything, which the mount would
// hide, and protects an empty one: whatever comes by while no agent has mounted
// anything here shall not write into it. That is a second fence, so a file
// system that has no immutable directories is fine.
func checkPlain(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(1)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: it holds %q; volumes would hide that", ErrNotEmpty, names[0])
	}
	_ = dir.Chmod(0o700)
	_ = setImmutable(dir, true)
	return nil
}

// setImmutable sets or clears a directory's immutable flag (chattr +i), which
// keeps even root from making files in it.
func setImmutable(dir *os.File, on bool) error {
	const immutable = 0x10 // FS_IMMUTABLE_FL of linux/fs.h
	flags, err := unix.IoctlGetUint32(int(dir.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	if on {
		flags |= immutable
	} else {
		flags &^= immutable
	}
	return unix.IoctlSetPointerInt(int(dir.Fd()), unix.FS_IOC_SETFLAGS, int(flags))
}

// bindShared mounts the read-only, shared view. The clone is made private
// before it is made shared, so that it gets a peer group of its own: otherwise
// volumes mounted below it would show up in the writable directory as well
// wherever that lies on a shared mount, as / is under systemd.
func bindShared(writable, path string) error {
	tree, err := cloneMount(writable,
		&unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY, Propagation: unix.MS_PRIVATE},
		&unix.MountAttr{Propagation: unix.MS_SHARED})
	if errors.Is(err, unix.ENOSYS) {
		return bindSharedByRemount(writable, path)
	}
	if err != nil {
		return fmt.Errorf("make a read-only view of %s: %w", writable, err)
	}
	defer unix.Close(tree)
	if err := moveMount(tree, path); err != nil {
		return fmt.Errorf("mount the view of %s: %w", writable, err)
	}
	fault.Point("host.root-bound")
	return nil
}

// bindSharedByRemount is bindShared for Linux before 5.12. A crash between its
// steps leaves a mount that the next bindMountRoot completes.
func bindSharedByRemount(writable, path string) error {
	if err := bindThenRemount(writable, path, unix.MS_RDONLY, 0); err != nil {
		return err
	}
	if err := unix.Mount("", path, "", unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("", path, "", unix.MS_SHARED, "")
}

// Close gives up the handle; what is mounted stays.
func (r *MountRoot) Close() error { return r.below.Close() }

// Path returns the path of a mount point; without a name, the mount root's.
func (r *MountRoot) Path(name string) string { return filepath.Join(r.path, name) }

// MakeMountPoint makes an empty directory below the mount root and returns its
// path. One that is there already is fine, also with a volume mounted on it,
// but it must be empty below that: else ErrNotEmpty.
func (r *MountRoot) MakeMountPoint(name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	err := retry(func() error { return unix.Mkdirat(int(r.below.Fd()), name, 0o755) })
	if errors.Is(err, unix.EEXIST) {
		err = r.checkEmpty(name)
	}
	if err != nil {
		return "", fmt.Errorf("make mount point %s: %w", r.Path(name), err)
	}
	return r.Path(name), nil
}

func (r *MountRoot) checkEmpty(name string) error {
	dir, err := r.openBelow(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(1)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: below the mount lies %q", ErrNotEmpty, names[0])
	}
	return nil
}

func (r *MountRoot) openBelow(name string) (*os.File, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(int(r.below.Fd()), name,
			unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// RemoveMountPoint removes a mount point; one that does not exist is no error.
// ErrBusy while something is mounted on it, ErrNotEmpty if there is anything
// in it.
func (r *MountRoot) RemoveMountPoint(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	err := retry(func() error { return unix.Unlinkat(int(r.below.Fd()), name, unix.AT_REMOVEDIR) })
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.ENOTEMPTY):
		err = ErrNotEmpty
	}
	return fmt.Errorf("remove mount point %s: %w", r.Path(name), asBusy(err))
}

// MountPoints returns the names of all mount points, whether or not anything
// is mounted on them.
func (r *MountRoot) MountPoints() ([]string, error) {
	dir, err := r.openBelow(".")
	if err != nil {
		return nil, fmt.Errorf("list mount points: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list mount points: %w", err)
	}
	return names, nil
}

// Remove takes the mount root away for good, as when the agent is uninstalled:
// ErrBusy while a volume is mounted below it. The directories stay, empty.
func (r *MountRoot) Remove() error {
	if err := Unmount(r.path); err != nil {
		return err
	}
	dir, err := os.Open(r.path)
	if err != nil {
		return fmt.Errorf("remove mount root: %w", err)
	}
	defer dir.Close()
	_ = setImmutable(dir, false)
	return r.Close()
}

// checkName keeps names from leading anywhere but to a directory directly
// below the mount root.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("mount point name %q: must be a plain file name", name)
	}
	return nil
}
