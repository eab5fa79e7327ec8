// Package memory keeps a log in this process, for as many replicas in it as
// are wanted: for tests, and for trying things out.
package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/flocker-mesos/flocker/control/store"
)

const (
	history    = 256
	maxChanges = 64        // Consul's limit, so that nobody comes to rely on more
	maxBytes   = 480 << 10 // likewise, less what Consul's encoding adds
)

// Store is a log's records. The zero value is an empty log.
type Store struct {
	mu       sync.Mutex
	revision uint64
	records  map[string][]byte
	commits  []committed   // the last ones, oldest first
	changed  chan struct{} // closed at the next commit
	restored int           // how often
}

type committed struct {
	id   string
	keys []string
}

// Open returns the log as one replica has it.
func (s *Store) Open() *Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Log{store: s, restored: s.restored, closed: make(chan struct{})}
}

// Log is one replica's access to a Store.
type Log struct {
	store    *Store
	restored int // as it was when this was opened
	once     sync.Once
	closed   chan struct{}
}

var _ store.Log = (*Log)(nil)

// Properties implements store.Log.
func (l *Log) Properties() store.Properties {
	return store.Properties{Name: "the log in memory", MaxChanges: maxChanges, MaxBytes: maxBytes, History: history}
}

func (l *Log) check(ctx context.Context) error {
	select {
	case <-l.closed:
		return store.ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if l.store.restored != l.restored {
		return &store.DamagedError{Name: l.Properties().Name, What: "is another log than it was", Err: store.ErrRewound}
	}
	return nil
}

// Load implements store.Log.
func (l *Log) Load(ctx context.Context) (store.Snapshot, error) {
	if err := l.check(ctx); err != nil {
		return store.Snapshot{}, err
	}
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := store.Snapshot{Revision: s.revision}
	for key, value := range s.records {
		snap.Records = append(snap.Records, store.Record{Key: key, Value: slices.Clone(value)})
	}
	return snap, nil
}

// Commit implements store.Log.
func (l *Log) Commit(ctx context.Context, batch store.Batch) (uint64, error) {
	if err := l.check(ctx); err != nil {
		return 0, err
	}
	if err := l.Properties().Check(batch); err != nil {
		return 0, err
	}
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range s.commits {
		if c.id == batch.ID {
			return s.revision - uint64(len(s.commits)-1-i), nil
		}
	}
	if s.revision != batch.After {
		return 0, fmt.Errorf("%w: revision %d, not %d", store.ErrRaced, s.revision, batch.After)
	}
	if len(batch.Changes) == 0 {
		return s.revision, nil
	}
	done := committed{id: batch.ID}
	if s.records == nil {
		s.records = map[string][]byte{}
	}
	for _, c := range batch.Changes {
		done.keys = append(done.keys, c.Key)
		if len(c.Value) == 0 {
			delete(s.records, c.Key)
		} else {
			s.records[c.Key] = slices.Clone(c.Value)
		}
	}
	s.revision++
	s.commits = append(s.commits, done)
	if len(s.commits) > history {
		s.commits = slices.Delete(s.commits, 0, 1)
	}
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
	return s.revision, nil
}

// Follow implements store.Log.
func (l *Log) Follow(ctx context.Context, after uint64) (store.Update, error) {
	for {
		if err := l.check(ctx); err != nil {
			return store.Update{}, err
		}
		up, changed, err := l.store.since(after)
		if changed == nil {
			return up, err
		}
		select {
		case <-changed:
		case <-l.closed:
		case <-ctx.Done():
		}
	}
}

// since returns what changed after a revision, or a channel to wait on.
func (s *Store) since(after uint64) (store.Update, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case after > s.revision:
		return store.Update{}, nil, store.ErrRewound
	case after == s.revision:
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		return store.Update{}, s.changed, nil
	case s.revision-after > uint64(len(s.commits)):
		return store.Update{}, nil, store.ErrGap
	}
	up := store.Update{Revision: s.revision}
	seen := map[string]bool{}
	for _, c := range s.commits[uint64(len(s.commits))-(s.revision-after):] {
		for _, key := range c.keys {
			if !seen[key] {
				seen[key] = true
				up.Changes = append(up.Changes, store.Record{Key: key, Value: slices.Clone(s.records[key])})
			}
		}
	}
	return up, nil, nil
}

// Close implements store.Log.
func (l *Log) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}
