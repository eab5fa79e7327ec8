package isolator

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// MountNamespace returns the number of this process' mount namespace.
func MountNamespace() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/mnt", &st); err != nil {
		return 0, fmt.Errorf("find mount namespace: %w", err)
	}
	return st.Ino, nil
}

// Enter makes the mount namespace of a launch process ready: no mount that is
// made from now on reaches the host, and /sys is the container's again.
// outside is the Mesos agent's namespace, in which it changes nothing.
func Enter(outside uint64) error {
	proc, err := freshMount("proc")
	if err != nil {
		return err
	}
	defer unix.Close(proc)
	var st unix.Stat_t
	if err := unix.Fstatat(proc, "self/ns/mnt", &st, 0); err != nil {
		return fmt.Errorf("find mount namespace: %w", err)
	}
	if st.Ino == outside {
		return errors.New("the container has no mount namespace of its own: add filesystem/linux to --isolation of the Mesos agent")
	}
	// Mesos has done so, unless a volume of the task propagates to the host.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("keep the container's mounts from the host: %w", err)
	}
	return leaveStore(proc)
}

// leaveStore takes the mount away from which this program was started.
func leaveStore(proc int) error {
	program, err := mountOf(proc, "self/exe")
	if err != nil {
		return err
	}
	here, err := mountOf(unix.AT_FDCWD, launchPath)
	if err != nil || program != here {
		return err // it was started from elsewhere
	}
	if err := unix.Unmount(launchPath, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("unmount %s: %w", launchPath, err)
	}
	return nil
}

// mountOf returns the id of the mount that a path leads to.
func mountOf(dir int, path string) (uint64, error) {
	fd, err := unix.Openat(dir, path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	_, id, err := identify(fd)
	return id, err
}

// maxStacked bounds how many mounts at one path are unmounted.
const maxStacked = 16

// detachAll unmounts what is mounted at a path, with all below. Only Enter makes
// that safe: before, it could reach the host.
func detachAll(path string) error {
	for range maxStacked {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		switch {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			return nil // nothing is mounted there
		case err != nil:
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	return fmt.Errorf("unmount %s: more than %d mounts are there", path, maxStacked)
}
