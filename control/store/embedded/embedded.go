// Package embedded keeps the log in one file of this machine, for one replica
// of the control service and with no server to install.
//
// The file is a bbolt database: every commit is written to free pages, flushed,
// and made to count by one last flushed write of its root, so a commit is there
// wholly or not at all whenever the process or the machine dies. Around it this
// package sees to what bbolt does not: that one process has the directory, that
// a file which is missing, empty, cut short or altered is never taken for an
// empty log, and what a failed commit means.
package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/fault"
)

const (
	fileName = "control.db"

	history    = 256
	maxChanges = 512
	maxBytes   = 4 << 20
)

// Buckets of the file.
var (
	bucketHead    = []byte("head")    // keyHead → head
	bucketRecords = []byte("records") // key → sealed value
	bucketCommits = []byte("commits") // revision, 8 bytes big-endian → sealed commit

	keyHead = []byte("head")
)

// Log is a log in a directory.
type Log struct {
	path string
	dir  *os.File // locked
	db   *bbolt.DB

	committing sync.Mutex // one at a time, so that the outcome of a failed one can be told

	mu      sync.Mutex
	changed chan struct{} // closed at the next commit and by Close
	closed  bool
	broken  error // why nothing can be committed any more
}

var _ store.Log = (*Log)(nil)

// Open opens the log in a directory, which it makes if need be. Errors:
// store.ErrInUse, *store.DamagedError.
func Open(dir string) (*Log, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of the log: %w", err)
	}
	lock, err := lockDirectory(dir)
	if err != nil {
		return nil, err
	}
	l := &Log{path: filepath.Join(dir, fileName), dir: lock, changed: make(chan struct{})}
	if err := l.open(); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return l, nil
}

// Properties implements store.Log.
func (l *Log) Properties() store.Properties {
	return store.Properties{Name: l.path, MaxChanges: maxChanges, MaxBytes: maxBytes, History: history, Exclusive: true}
}

// Load implements store.Log.
func (l *Log) Load(ctx context.Context) (store.Snapshot, error) {
	if err := l.usable(ctx); err != nil {
		return store.Snapshot{}, err
	}
	var snap store.Snapshot
	err := l.view(func(tx *bbolt.Tx) error {
		h, err := readHead(tx)
		if err != nil {
			return err
		}
		snap.Revision = h.revision
		snap.Records = make([]store.Record, 0, h.records)
		return tx.Bucket(bucketRecords).ForEach(func(key, sealed []byte) error {
			value, err := open(key, sealed)
			if err != nil {
				return fmt.Errorf("record %s: %w", key, err)
			}
			snap.Records = append(snap.Records, store.Record{Key: string(key), Value: value})
			return nil
		})
	})
	return snap, err
}

// Commit implements store.Log.
func (l *Log) Commit(ctx context.Context, batch store.Batch) (uint64, error) {
	if err := l.usable(ctx); err != nil {
		return 0, err
	}
	if err := l.Properties().Check(batch); err != nil {
		return 0, err
	}
	l.committing.Lock()
	defer l.committing.Unlock()
	l.mu.Lock()
	err := l.broken
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}

	before, err := l.precondition(batch)
	if err != nil || len(batch.Changes) == 0 || before.revision != batch.After {
		return before.revision, err
	}
	if err := l.write(before, batch); err != nil {
		return 0, l.failed(before, err)
	}
	fault.Point("store.embedded.committed")
	l.announce()
	return before.revision + 1, nil
}

// precondition returns the head where the batch can be committed on it. Where
// the batch was committed before, it returns the head of then.
func (l *Log) precondition(batch store.Batch) (head, error) {
	var h head
	err := l.view(func(tx *bbolt.Tx) (err error) {
		if h, err = readHead(tx); err != nil || h.revision == batch.After {
			return err
		}
		for rev, c := range commitsBackFrom(tx, h.revision) {
			if c.ID == batch.ID {
				h.revision = rev
				return nil
			}
		}
		return fmt.Errorf("%w: revision %d, not %d", store.ErrRaced, h.revision, batch.After)
	})
	return h, err
}

func (l *Log) write(before head, batch store.Batch) error {
	if err := fault.Err("store.embedded.write"); err != nil {
		return err
	}
	return guarded(func() error {
		return l.db.Update(func(tx *bbolt.Tx) error {
			after := head{revision: before.revision + 1, records: before.records, base: before.base}
			records := tx.Bucket(bucketRecords)
			done := commit{ID: batch.ID}
			for _, c := range batch.Changes {
				key := []byte(c.Key)
				done.Keys = append(done.Keys, c.Key)
				known := records.Get(key) != nil
				if len(c.Value) == 0 {
					if err := records.Delete(key); err != nil {
						return fmt.Errorf("remove record %s: %w", c.Key, err)
					}
					if known {
						after.records--
					}
					continue
				}
				if err := records.Put(key, seal(key, c.Value)); err != nil {
					return fmt.Errorf("put record %s: %w", c.Key, err)
				}
				if !known {
					after.records++
				}
			}
			if err := writeCommit(tx, after.revision, done); err != nil {
				return err
			}
			if err := writeHead(tx, after); err != nil {
				return err
			}
			fault.Point("store.embedded.before-commit")
			return nil
		})
	})
}

// failed says what it means that a commit failed. If the log still shows the
// state before it, nothing was committed and the next may succeed: a full disk
// can be made room on. If it shows the commit, the flush failed and nobody can
// know what the disk has: then nothing may be built on it until the file is
// opened again.
func (l *Log) failed(before head, cause error) error {
	var now head
	err := l.view(func(tx *bbolt.Tx) (err error) {
		now, err = readHead(tx)
		return err
	})
	if err == nil && now == before {
		return fmt.Errorf("commit to %s: %w", l.path, cause)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = fmt.Errorf("%w, and %w: %s: %w", store.ErrUncertain, store.ErrBroken, l.path, cause)
	return l.broken
}

// Follow implements store.Log.
func (l *Log) Follow(ctx context.Context, after uint64) (store.Update, error) {
	for {
		if err := l.usable(ctx); err != nil {
			return store.Update{}, err
		}
		l.mu.Lock()
		changed := l.changed
		l.mu.Unlock()
		up, err := l.since(after)
		if err != nil || up.Revision > after {
			return up, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// since returns what changed after a revision, which may be nothing.
func (l *Log) since(after uint64) (store.Update, error) {
	var up store.Update
	err := l.view(func(tx *bbolt.Tx) error {
		h, err := readHead(tx)
		if err != nil {
			return err
		}
		up.Revision = h.revision
		switch {
		case h.revision < after:
			return fmt.Errorf("%w: %s is at revision %d, not %d", store.ErrRewound, l.path, h.revision, after)
		case h.revision-after > history, after < h.base:
			return store.ErrGap
		}
		seen := map[string]bool{}
		for rev, c := range commitsBackFrom(tx, h.revision) {
			if rev <= after {
				break
			}
			for _, key := range c.Keys {
				if seen[key] {
					continue
				}
				seen[key] = true
				change := store.Record{Key: key}
				if sealed := tx.Bucket(bucketRecords).Get([]byte(key)); sealed != nil {
					if change.Value, err = open([]byte(key), sealed); err != nil {
						return fmt.Errorf("record %s: %w", key, err)
					}
				}
				up.Changes = append(up.Changes, change)
			}
		}
		return nil
	})
	return up, err
}

// Close implements store.Log.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.changed)
	l.mu.Unlock()
	return errors.Join(l.db.Close(), l.dir.Close())
}

func (l *Log) usable(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return store.ErrClosed
	}
	return ctx.Err()
}

// announce wakes who follows.
func (l *Log) announce() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

// view reads the file as of one revision.
func (l *Log) view(read func(*bbolt.Tx) error) error {
	err := guarded(func() error { return l.db.View(read) })
	switch {
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return store.ErrClosed
	case errors.Is(err, errUnreadable):
		return &store.DamagedError{Name: l.path, What: "is damaged", Err: err}
	}
	return err
}

func revisionKey(revision uint64) []byte { return binary.BigEndian.AppendUint64(nil, revision) }
