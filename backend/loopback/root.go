package loopback

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// ErrStorageGone says that the root is not, or no longer, the storage that
// this machine has worked with: it is not mounted, or another one is. No
// volume is made or missed then.
var ErrStorageGone = errors.New("the storage is gone")

// markName is the file that marks a root and has the storage's id in it.
const markName = ".flocker-loopback"

// root is the directory of a storage.
type root struct {
	path     string
	instance string
	id       string
	zone     string // "" where it is in none
	// flushes is set where the file system is not one of this machine alone:
	// what was written must be flushed before another machine reads it.
	flushes bool

	mu   sync.Mutex
	mark host.FileID // of the mark, as last seen
}

func (r *root) markPath() string              { return filepath.Join(r.path, markName) }
func (r *root) unattached() string            { return filepath.Join(r.path, "unattached") }
func (r *root) attached() string              { return filepath.Join(r.path, "attached") }
func (r *root) free(volumeID string) string   { return filepath.Join(r.unattached(), volumeID) }
func (r *root) at(instance, id string) string { return filepath.Join(r.attached(), instance, id) }
func (r *root) here(volumeID string) string   { return r.at(r.instance, volumeID) }

// openRoot opens a root and completes it: mark and directories.
func openRoot(path, instance, expectedID string) (*root, error) {
	r := &root{path: path, instance: instance}
	if expectedID == "" {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
	}
	id, mark, err := readMark(r.markPath())
	if errors.Is(err, os.ErrNotExist) && expectedID == "" {
		if err := writeMark(r.markPath(), uuid.NewString()); err != nil {
			return nil, fmt.Errorf("mark it: %w", err)
		}
		id, mark, err = readMark(r.markPath())
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s in it, and this machine knows it as %s", ErrStorageGone, markName, expectedID)
	}
	if err != nil {
		return nil, err
	}
	if expectedID != "" && id != expectedID {
		return nil, fmt.Errorf("%w: this one is %s, and this machine knows it as %s", ErrStorageGone, id, expectedID)
	}
	r.id, r.mark = id, mark
	for _, dir := range []string{r.unattached(), r.names(), r.attached(), filepath.Join(r.attached(), instance)} {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
	}
	for _, dir := range []string{r.path, r.attached()} {
		if err := syncDirectory(dir); err != nil {
			return nil, err
		}
	}
	if err := r.removeLeftovers(); err != nil {
		return nil, err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return nil, fmt.Errorf("stat file system: %w", err)
	}
	switch fs.Type {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.F2FS_SUPER_MAGIC:
	default:
		r.flushes = true
	}
	return r, nil
}

// check looks, with one system call, whether the root is still the one that
// was opened: an empty directory from which the storage was unmounted must not
// look as if all volumes had vanished. It reports whether the storage has been
// mounted anew since.
func (r *root) check() (returned bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, err := fileID(r.markPath())
	if err == nil && seen == r.mark {
		return false, nil
	}
	id, seen, err := readMark(r.markPath())
	if errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("%w: there is no %s in %s any more; is it mounted?", ErrStorageGone, markName, r.path)
	}
	if err != nil {
		return false, fmt.Errorf("look at storage %s: %w", r.path, err)
	}
	if id != r.id {
		return false, fmt.Errorf("%w: %s is another one (%s) than it was (%s)", ErrStorageGone, r.path, id, r.id)
	}
	r.mark = seen
	return true, nil
}

func fileID(path string) (host.FileID, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return host.FileID{}, err
	}
	return idOf(&st), nil
}

func idOf(st *unix.Stat_t) host.FileID { return host.FileID{Dev: st.Dev, Inode: st.Ino} }

func readMark(path string) (string, host.FileID, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", host.FileID{}, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", host.FileID{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", host.FileID{}, err
	}
	id := strings.TrimSpace(string(text))
	if _, err := uuid.Parse(id); err != nil {
		return "", host.FileID{}, fmt.Errorf("%w: %s holds no id: %w", backend.ErrDamaged, path, err)
	}
	return id, idOf(&st), nil
}

// writeMark writes a mark of a storage, unless another machine did.
//
// A machine that opens the root at the same moment may take the file that is
// being written for one that a crash left behind, and remove it.
func writeMark(path, text string) error {
	for range markAttempts {
		err := tryWriteMark(path, text)
		if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
	}
	return fmt.Errorf("other machines removed it, %d times", markAttempts)
}

const markAttempts = 100

func tryWriteMark(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), leftoverPrefix+"mark-")
	if err != nil {
		return err
	}
	defer f.Close()
	defer os.Remove(f.Name())
	if err := lock(f); err != nil {
		return err
	}
	if _, err := f.WriteString(text + "\n"); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	err = publish(f.Name(), path)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

// leftoverPrefix begins the names of files that are not complete yet.
const leftoverPrefix = ".new-"

// removeLeftovers removes what crashes left of files that were to be made. One
// that is still being made is locked, or taken for abandoned at worst: then its
// maker fails and tries again.
func (r *root) removeLeftovers() error {
	for _, dir := range []string{r.path, r.unattached()} {
		names, err := readNames(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !strings.HasPrefix(name, leftoverPrefix) {
				continue
			}
			if err := removeAbandoned(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func removeAbandoned(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil // gone, or none of ours
	}
	defer f.Close()
	if lock(f) != nil {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// publish gives a complete file its name, but never over another file: then
// the error is os.ErrExist.
func publish(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if noExclusiveRename(err) {
		if err = unix.Link(from, to); err == nil {
			err = unix.Unlink(from)
		}
	}
	return linkError("publish", from, to, err)
}

// move moves an image, whose lock the caller has, but not over another one:
// then the error is os.ErrExist.
func move(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if noExclusiveRename(err) {
		// Not with links as above: a crash between the two would leave an
		// image that is attached and is not. Nobody makes another file of
		// this name meanwhile unless two nodes hold the same dataset.
		if _, statErr := os.Lstat(to); statErr == nil {
			err = unix.EEXIST
		} else {
			err = unix.Rename(from, to)
		}
	}
	return linkError("move", from, to, err)
}

// noExclusiveRename tells the errors of file systems such as NFS.
func noExclusiveRename(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)
}

func linkError(op, from, to string, err error) error {
	if err == nil {
		return nil
	}
	return &os.LinkError{Op: op, Old: from, New: to, Err: err}
}

// lock takes the lock of an image, which says that nobody has it attached;
// unix.EWOULDBLOCK where somebody has.
func lock(image *os.File) error {
	for {
		err := unix.Flock(int(image.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// release gives up the lock and closes the image. Closing alone would not do:
// until it has started its program, a child process that is being made at this
// moment has the open file as well.
func release(image *os.File) {
	_ = unix.Flock(int(image.Fd()), unix.LOCK_UN)
	image.Close()
}

// translate says what an error of the file system means to the agent.
func translate(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: %w", backend.ErrNoSpace, err)
	case errors.Is(err, host.ErrBusy):
		return fmt.Errorf("%w: %w", backend.ErrInUse, err)
	default:
		return err
	}
}
