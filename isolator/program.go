package isolator

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The command that places the volumes runs as root in the container's mount
// namespace, after the mounts of Mesos' own isolators. A framework chooses
// where these go (docker/volume, HOST_PATH, CSI, a link in a sandbox), so any
// path of the host may show the framework's files by then, also the source of
// a bind mount. One mount cannot be misled: a new one of the kernel's device
// file system, which takes no source, on a directory that every machine has in
// its root directory, as the last mount of the list. Root alone can write to
// that file system; it keeps a copy of this program, which the command starts.
// The mount is on /sys until the program has started (on /dev the kernel would
// refuse the file system that is there already).
const (
	deviceFS   = "devtmpfs"
	devicePath = "/dev" // where it normally is
	launchPath = "/sys" // where the launch process has it
	storeName  = ".flocker"
)

// A version that was not started for staleAfter is removed when another one
// comes. Its time is noted anew every noteEvery.
const (
	staleAfter = 24 * time.Hour
	noteEvery  = time.Hour
)

// StoreProgram makes sure that the device file system has a copy of the
// running program, and returns its path in the launch process. It costs one look unless this
// version is new since the machine was started.
func StoreProgram(now time.Time) (string, error) {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("store program: %w", err)
	}
	defer self.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(self.Fd()), &st); err != nil {
		return "", fmt.Errorf("store program: %w", err)
	}
	// A file that is written anew, or replaced, has another name.
	name := fmt.Sprintf("%x-%x-%x-%x", st.Dev, st.Ino, st.Ctim.Nano(), st.Size)
	below := "/" + storeName + "/" + name
	if stored(unix.AT_FDCWD, devicePath+below, st.Size, now) {
		return launchPath + below, nil
	}
	if err := store(self, name, st.Size, now); err != nil {
		return "", fmt.Errorf("store program in the device file system: %w", err)
	}
	return launchPath + below, nil
}

// stored reports whether a whole copy is there, and notes its use.
func stored(dir int, path string, size int64, now time.Time) bool {
	var st unix.Stat_t
	if unix.Fstatat(dir, path, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Uid != 0 || st.Size != size {
		return false
	}
	if now.Sub(time.Unix(st.Mtim.Unix())) > noteEvery {
		at := unix.NsecToTimespec(now.UnixNano())
		_ = unix.UtimesNanoAt(dir, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	}
	return true
}

// store copies the program. The device file system is mounted anew, without a
// path: the Mesos agent may have another one at /dev.
func store(self *os.File, name string, size int64, now time.Time) error {
	top, err := freshMount(deviceFS)
	if err != nil {
		return err
	}
	defer unix.Close(top)
	if err := unix.Mkdirat(top, storeName, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make directory %s: %w", storeName, err)
	}
	fd, err := unix.Openat(top, storeName, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", storeName, err)
	}
	dir := os.NewFile(uintptr(fd), storeName)
	defer dir.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Uid != 0 || st.Mode&0o077 != 0 {
		return fmt.Errorf("directory %s is open to other users than root: remove it", storeName)
	}
	if stored(fd, name, size, now) {
		return nil
	}
	removeStale(dir, now)
	temporary := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := copyTo(fd, temporary, self, size); err != nil {
		_ = unix.Unlinkat(fd, temporary, 0)
		return err
	}
	return unix.Renameat(fd, temporary, fd, name)
}

func copyTo(dir int, name string, from io.Reader, size int64) error {
	fd, err := unix.Openat(dir, name, unix.O_CREAT|unix.O_TRUNC|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o500)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	n, err := io.Copy(f, from)
	if err == nil && n != size {
		err = fmt.Errorf("%d of %d bytes were copied", n, size)
	}
	return errors.Join(err, f.Close())
}

// removeStale removes versions that are in use no more.
func removeStale(dir *os.File, now time.Time) {
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		var st unix.Stat_t
		if unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && now.Sub(time.Unix(st.Mtim.Unix())) > staleAfter {
			_ = unix.Unlinkat(int(dir.Fd()), name, 0)
		}
	}
}

// freshMount mounts a file system that takes no source, and returns its root.
// The mount has no path, so no other mount can hide it.
func freshMount(kind string) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.ENOSYS) {
		return -1, errKernel
	}
	if err != nil {
		return -1, fmt.Errorf("mount %s: %w", kind, err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("mount %s: %w", kind, err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID)
	if err != nil {
		return -1, fmt.Errorf("mount %s: %w", kind, err)
	}
	return fd, nil
}
