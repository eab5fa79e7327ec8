package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/fault"
)

// unfinishedSuffix is added to the log's name for a restored one that is being
// written. While such a file is there and no log is, there is no empty log.
const unfinishedSuffix = ".restoring"

// Exists reports whether there is a log in a directory, or was one.
func Exists(dir string) bool {
	return exists(filepath.Join(dir, fileName)) || exists(filepath.Join(dir, fileName+unfinishedSuffix)) || exists(filepath.Join(dir, markName))
}

// Restorer restores the log in a directory. It has the directory to itself.
type Restorer struct {
	log *Log // with its directory locked, not opened
	now func() time.Time
}

var _ store.Restorer = (*Restorer)(nil)

// OpenRestorer returns what restores the log in a directory, which it makes if
// need be. A log that is there already is kept beside the new one, under a name
// with the time. Errors: store.ErrInUse.
func OpenRestorer(dir string, now func() time.Time) (*Restorer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of the log: %w", err)
	}
	lock, err := lockDirectory(dir)
	if err != nil {
		return nil, err
	}
	return &Restorer{log: &Log{path: filepath.Join(dir, fileName), dir: lock, changed: make(chan struct{})}, now: now}, nil
}

// Name implements store.Restorer.
func (r *Restorer) Name() string { return r.log.path }

// Close implements store.Restorer.
func (r *Restorer) Close() error {
	if err := r.log.dir.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("unlock directory of the log: %w", err)
	}
	return nil
}

// Remains implements store.Restorer.
func (r *Restorer) Remains(ctx context.Context) (store.Remains, error) {
	if err := ctx.Err(); err != nil {
		return store.Remains{}, err
	}
	l := r.log
	_, err := os.Stat(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if l.marked() && !exists(l.path+unfinishedSuffix) {
			return store.Remains{
				What:    fmt.Sprintf("a mark that there was a log (%s), but not the log itself", markName),
				Becomes: "stays, and is right again",
			}, nil
		}
		return store.Remains{Empty: true, What: "nothing", Becomes: "is no more"}, nil
	case err != nil:
		return store.Remains{}, fmt.Errorf("look at the log: %w", err)
	}
	h, err := r.headOfFile()
	remains := store.Remains{Becomes: "is kept as " + filepath.Base(l.path) + ".replaced-TIME beside it"}
	if damaged, ok := errors.AsType[*store.DamagedError](err); ok {
		remains.What = "a file that " + damaged.What
		return remains, nil
	}
	if err != nil {
		return store.Remains{}, err
	}
	remains.Empty = h.revision == 0
	remains.What = fmt.Sprintf("revision %d with %d records", h.revision, h.records)
	return remains, nil
}

// headOfFile checks the file that is there.
func (r *Restorer) headOfFile() (h head, err error) {
	l := r.log
	if err := l.openFile(); err != nil {
		return head{}, err
	}
	defer func() { err = errors.Join(err, l.db.Close()) }()
	err = l.view(func(tx *bbolt.Tx) (err error) {
		h, err = readHead(tx)
		return err
	})
	return h, err
}

// Restore implements store.Restorer. The file gets the name of the log when it
// is whole, and the log that was there another just before.
func (r *Restorer) Restore(ctx context.Context, snap store.Snapshot, replace bool) error {
	remains, err := r.Remains(ctx)
	if err != nil {
		return err
	}
	if !remains.Empty && !replace {
		return fmt.Errorf("%w: %s has %s", store.ErrNotEmpty, r.Name(), remains.What)
	}
	l := r.log
	unfinished := l.path + unfinishedSuffix
	if err := makeFile(unfinished, snap); err != nil {
		return fmt.Errorf("write the restored log: %w", err)
	}
	if err := errors.Join(r.giveAway(unfinished), l.syncDirectory()); err != nil {
		return err
	}
	fault.Point("store.embedded.restore-written")
	if !remains.Empty && exists(l.path) {
		aside := l.path + ".replaced-" + r.now().UTC().Format("20060102T150405.000Z")
		if err := os.Rename(l.path, aside); err != nil {
			return fmt.Errorf("keep the log that is there: %w", err)
		}
	}
	fault.Point("store.embedded.set-aside")
	if err := os.Rename(unfinished, l.path); err != nil {
		return fmt.Errorf("put the restored log in its place: %w", err)
	}
	fault.Point("store.embedded.restored")
	if err := os.WriteFile(l.markPath(), []byte(markText), 0o600); err != nil {
		return fmt.Errorf("mark log as begun: %w", err)
	}
	return errors.Join(r.giveAway(l.markPath()), l.syncDirectory())
}

// giveAway gives a file to who owns the directory: an administrator restores
// what the control service's own user must be able to open.
func (r *Restorer) giveAway(path string) error {
	info, err := r.log.dir.Stat()
	if err != nil {
		return fmt.Errorf("look at the directory of the log: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return nil
	}
	if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
		return fmt.Errorf("give the restored log to the owner of its directory: %w", err)
	}
	return nil
}
