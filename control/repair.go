package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/control/backup"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/store"
)

// Repair says how the damaged records of a log are mended.
type Repair struct {
	// Backup has the records whose values are not known any more; nil for none.
	Backup *backup.Backup
	// Drop are the keys of records that are given up.
	Drop   []string
	DryRun bool
	At     time.Time
}

// Mended is a damaged record, and what becomes of it.
type Mended struct {
	Key, What string
	How       string // "" where nothing is done, since it is not known what it was
}

// mendedAtOnce is how many records are mended with one commit.
const mendedAtOnce = 16

// RepairLog mends a log, which control services may be using.
func RepairLog(ctx context.Context, log store.Log, how Repair) ([]Mended, error) {
	if recaller, ok := log.(store.Recaller); ok && how.Backup != nil {
		recaller.Recall(how.Backup.Records)
	}
	r := &Replica{log: log, props: log.Properties(), slog: slog.New(slog.DiscardHandler)}
	for {
		s, err := r.load(ctx)
		if err != nil {
			return nil, err
		}
		changes, all, err := how.plan(s)
		if err != nil || how.DryRun {
			return all, err
		}
		revision := s.Revision()
		for part := range slices.Chunk(changes, 2*mendedAtOnce) {
			if revision, err = log.Commit(ctx, store.Batch{ID: newBatchID(), After: revision, Changes: part}); err != nil {
				break
			}
		}
		if !errors.Is(err, store.ErrRaced) { // a control service was faster
			return all, err
		}
	}
}

// plan returns what mends the records of a state that are damaged. Each is
// followed by the end of its note.
func (how Repair) plan(s *cluster.State) (changes []store.Record, all []Mended, err error) {
	dropped := slices.Clone(how.Drop)
	for d := range s.Damage() {
		m := Mended{Key: string(d.Key), What: d.What}
		var value []byte
		switch i := slices.Index(dropped, m.Key); {
		case i >= 0:
			dropped = slices.Delete(dropped, i, i+1)
			m.How = "is given up"
		case d.Stray:
			m.How = "is removed"
		case d.Value != nil:
			value, m.How = d.Value, "is put back as it was committed"
		case how.Backup != nil:
			if value, err = how.fromBackup(s, d.Key); err != nil {
				return nil, nil, err
			}
			if value != nil {
				m.How = "is put back as the backup has it"
			}
		}
		all = append(all, m)
		if m.How != "" {
			changes = append(changes, store.Record{Key: m.Key, Value: value}, store.Record{Key: string(cluster.DamagedKey(d.Key))})
		}
	}
	if len(dropped) > 0 {
		return nil, nil, fmt.Errorf("record %s is not damaged, so it is not given up. Nothing was changed", dropped[0])
	}
	return changes, all, nil
}

// fromBackup returns the record of a key as it is put back from a backup, nil
// where the backup has none.
func (how Repair) fromBackup(s *cluster.State, key cluster.Key) ([]byte, error) {
	for _, r := range how.Backup.Records {
		if r.Key != string(key) {
			continue
		}
		c, err := cluster.Decode(key, r.Value)
		if err != nil {
			return nil, fmt.Errorf("the backup: %w", err)
		}
		return cluster.Encode(cluster.PutBack(c, s.Revision()+1, how.At))
	}
	return nil, nil
}
