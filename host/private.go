package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// UntrustedFileError says that a file was read but that another user may have
// written it.
type UntrustedFileError struct{ Reason string }

func (e *UntrustedFileError) Error() string { return e.Reason }

// ReadPrivateAt reads a small file of this process' user from a directory into
// buffer. It follows no link, waits for no writer of a pipe, opens no device and
// reads no more than the buffer holds. Errors: *UntrustedFileError, with the
// contents, for a file of another user or one that other users may write.
func ReadPrivateAt(dir int, name string, buffer []byte) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("it is %s, not a file", fileType(st.Mode))
	}
	if st.Size >= int64(len(buffer)) {
		return nil, fmt.Errorf("it has %d bytes, more than the %d that it may have", st.Size, len(buffer)-1)
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	n, err := unix.Read(fd, buffer)
	if err != nil {
		return nil, err
	}
	if n == len(buffer) {
		return nil, fmt.Errorf("it has more than the %d bytes that it may have", len(buffer)-1)
	}
	if reason := untrusted(&st); reason != "" {
		return buffer[:n], &UntrustedFileError{reason}
	}
	return buffer[:n], nil
}

// ReadPrivate is ReadPrivateAt for a path whose directory is trusted.
func ReadPrivate(path string, limit int) ([]byte, error) {
	return ReadPrivateAt(unix.AT_FDCWD, path, make([]byte, limit+1))
}

func fileType(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return "a symbolic link"
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFIFO:
		return "a named pipe"
	case unix.S_IFSOCK:
		return "a socket"
	default:
		return "a device"
	}
}

// untrusted says why others than root and this process' user may have written a
// file, "" where they cannot have.
func untrusted(st *unix.Stat_t) string {
	switch {
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Sprintf("it belongs to user %d, not to root", st.Uid)
	case st.Mode&0o022 != 0:
		return fmt.Sprintf("its mode %04o lets other users write it", st.Mode&0o7777)
	default:
		return ""
	}
}

// CheckPrivateDir reports why a directory cannot be trusted: it or one of its
// parents belongs to another user, or other users may replace what is in it. A
// sticky parent, such as /tmp, keeps them from that.
func CheckPrivateDir(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("%s is %s, not a directory: move it away", path, fileType(st.Mode))
	}
	if reason := untrusted(&st); reason != "" {
		return fmt.Errorf("%s cannot be trusted: %s. Only root may write there: chown root: %s && chmod go-w %s", path, reason, path, path)
	}
	return CheckParents(path)
}

// CheckParents reports why the directories above a path cannot be trusted.
func CheckParents(path string) error {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return err
	}
	for {
		var st unix.Stat_t
		if err := unix.Lstat(dir, &st); err != nil {
			return &os.PathError{Op: "stat", Path: dir, Err: err}
		}
		if st.Mode&unix.S_ISVTX != 0 {
			st.Mode &^= 0o022
		}
		if reason := untrusted(&st); reason != "" {
			return fmt.Errorf("%s cannot be trusted, since %s is above it: %s. Choose a path below directories that only root can write, "+
				"or: chown root: %s && chmod go-w %s", path, dir, reason, dir, dir)
		}
		if dir == "/" {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

// SetAside moves an entry of one directory, whatever it is, into another under a
// name that is free there, and returns that name. No link is followed.
func SetAside(from int, name string, to int) (string, error) {
	as := strings.TrimLeft(name, ".")
	for i := range 1000 {
		err := unix.Renameat2(from, name, to, as, unix.RENAME_NOREPLACE)
		if !errors.Is(err, unix.EEXIST) {
			return as, err
		}
		as = fmt.Sprintf("%s.%d", strings.TrimLeft(name, "."), i+1)
	}
	return "", fmt.Errorf("1000 entries called %s were set aside already", name)
}

// ReplaceFile writes a small file that only this process writes. After a crash at any
// instruction, and after a power cut, it is the old one or the new one.
func ReplaceFile(path string, data []byte, mode os.FileMode) error {
	tmp := path + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
