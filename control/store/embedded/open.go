package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/fault"
)

// markName is a file beside the log that tells a lost log from a new one.
const markName = "control.db.exists"

const markText = `The datasets of this cluster are recorded in control.db beside this file.
While this file is here, Flocker does not start without control.db: without
its records volumes would be made anew, empty, in place of those with your data.
`

// lockDirectory makes this process the only one that uses a directory. The
// kernel lets go of the lock when the process ends, however it ends.
func lockDirectory(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open directory of the log: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: another control service uses %s, and only one at a time can; "+
				"for several replicas keep the log in Consul. To back it up while it runs: flocker control backup --from-service FILE",
				store.ErrInUse, dir)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

// open opens the file, or makes it where there has never been one, and checks it.
func (l *Log) open() error {
	info, err := os.Stat(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		switch {
		case exists(l.path + unfinishedSuffix):
			return l.damaged("is missing, and a restore of it was begun and not finished", nil)
		case l.marked():
			return l.damaged("is missing", nil)
		}
		if err := l.create(); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("look at the log: %w", err)
	case info.Size() == 0:
		return l.damaged("is empty", nil)
	}
	if err := l.openFile(); err != nil {
		return err
	}
	// What a restore left that did not come to replace this log.
	if err := os.Remove(l.path + unfinishedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("remove a restored log that was never finished: %w", err), l.db.Close())
	}
	if !l.marked() {
		return l.mark()
	}
	return nil
}

// create makes an empty log under another name and puts it in its place, so
// that a file of the log's name is always a whole log.
func (l *Log) create() error {
	path := l.path + ".new"
	if err := makeFile(path, store.Snapshot{}); err != nil {
		return fmt.Errorf("make log: %w", err)
	}
	if err := os.Rename(path, l.path); err != nil {
		return fmt.Errorf("put new log in its place: %w", err)
	}
	fault.Point("store.embedded.created")
	return l.syncDirectory()
}

// makeFile makes the file of a log that has a snapshot, in place of whatever was
// there. A file that was cut short has no head, so it is none of a log.
func makeFile(path string, snap store.Snapshot) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what was never finished: %w", err)
	}
	db, err := bbolt.Open(path, 0o600, options(nil))
	if err != nil {
		return err
	}
	return errors.Join(fillFile(db, snap), db.Close())
}

// fillAtOnce is how many records one transaction takes.
const fillAtOnce = 4096

func fillFile(db *bbolt.DB, snap store.Snapshot) error {
	err := db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketHead, bucketRecords, bucketCommits} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for records := range slices.Chunk(snap.Records, fillAtOnce) {
		err := db.Update(func(tx *bbolt.Tx) error {
			for _, r := range records {
				if err := tx.Bucket(bucketRecords).Put([]byte(r.Key), seal([]byte(r.Key), r.Value)); err != nil {
					return fmt.Errorf("put record %s: %w", r.Key, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		fault.Point("store.embedded.restoring")
	}
	return db.Update(func(tx *bbolt.Tx) error {
		return writeHead(tx, head{revision: snap.Revision, records: uint64(len(snap.Records)), base: snap.Revision})
	})
}

func (l *Log) openFile() error {
	var file *os.File
	err := guarded(func() (err error) {
		l.db, err = bbolt.Open(l.path, 0o600, options(func(f *os.File) { file = f }))
		return err
	})
	if err == nil {
		var info fs.FileInfo
		if info, err = os.Stat(l.path); err != nil {
			err = fmt.Errorf("look at the log: %w", err)
		} else {
			err = guarded(func() error {
				return l.db.View(func(tx *bbolt.Tx) error { return check(tx, info.Size()) })
			})
		}
		if err != nil {
			_ = l.db.Close()
		}
	} else if file != nil {
		// bbolt leaves the file open and mapped when it panics, and a mapped
		// file keeps its lock.
		_ = unix.Flock(int(file.Fd()), unix.LOCK_UN)
		_ = file.Close()
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%w: %s", store.ErrInUse, l.path)
	case errors.Is(err, errUnreadable), errors.Is(err, bolterrors.ErrInvalid),
		errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return l.damaged("is damaged", err)
	}
	if _, pathErr := errors.AsType[*fs.PathError](err); pathErr {
		return fmt.Errorf("open log: %w", err)
	}
	return l.damaged("cannot be opened", err)
}

func options(opened func(*os.File)) *bbolt.Options {
	return &bbolt.Options{
		Timeout:      time.Second, // for its lock on the file; the directory's has been taken
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
		// Room to grow before the file has to be mapped again, which waits
		// for readers; address space costs nothing.
		InitialMmapSize: 256 << 20,
		OpenFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, perm)
			if err == nil && opened != nil {
				opened(f)
			}
			return f, err
		},
	}
}

func (l *Log) damaged(what string, err error) error {
	return &store.DamagedError{Name: l.path, What: what, Err: err}
}

func (l *Log) markPath() string { return filepath.Join(filepath.Dir(l.path), markName) }

func (l *Log) marked() bool { return exists(l.markPath()) }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// mark notes for all time that there is a log.
func (l *Log) mark() error {
	if err := os.WriteFile(l.markPath(), []byte(markText), 0o600); err != nil {
		_ = l.db.Close()
		return fmt.Errorf("mark log as begun: %w", err)
	}
	fault.Point("store.embedded.marked")
	return l.syncDirectory()
}

func (l *Log) syncDirectory() error {
	if err := l.dir.Sync(); err != nil {
		return fmt.Errorf("flush directory of the log: %w", err)
	}
	return nil
}
