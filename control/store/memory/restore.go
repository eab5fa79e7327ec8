package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/flocker-mesos/flocker/control/store"
)

// Restorer returns what restores the log. Whoever has it open finds it damaged
// afterwards: it is another log.
func (s *Store) Restorer() *Restorer { return &Restorer{store: s} }

// Restorer restores a Store.
type Restorer struct {
	store *Store

	mu       sync.Mutex
	revision uint64 // of the remains
	looked   bool
}

var _ store.Restorer = (*Restorer)(nil)

// Name implements store.Restorer.
func (r *Restorer) Name() string { return new(Log).Properties().Name }

// Remains implements store.Restorer.
func (r *Restorer) Remains(ctx context.Context) (store.Remains, error) {
	if err := ctx.Err(); err != nil {
		return store.Remains{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	r.revision, r.looked = r.store.revision, true
	return r.store.remains(), nil
}

func (s *Store) remains() store.Remains {
	return store.Remains{
		Empty: s.revision == 0, What: fmt.Sprintf("revision %d with %d records", s.revision, len(s.records)), Becomes: "is forgotten",
	}
}

// Restore implements store.Restorer.
func (r *Restorer) Restore(ctx context.Context, snap store.Snapshot, replace bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	switch remains := s.remains(); {
	case !r.looked || r.revision != s.revision:
		return store.ErrRaced
	case !remains.Empty && !replace:
		return fmt.Errorf("%w: it has %s", store.ErrNotEmpty, remains.What)
	}
	s.revision, s.records, s.commits = snap.Revision, map[string][]byte{}, nil
	for _, record := range snap.Records {
		s.records[record.Key] = slices.Clone(record.Value)
	}
	s.restored++
	r.looked = false
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
	return nil
}

// Close implements store.Restorer.
func (r *Restorer) Close() error { return nil }
