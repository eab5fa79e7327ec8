package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flocker-mesos/flocker/control/backup"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/store"
)

// TakeBackup reads all of a log, as of one revision. Records of a newer version
// are taken as they are; one that cannot be read makes it fail, since a backup
// that cannot be restored is none.
func TakeBackup(ctx context.Context, log store.Log, program string, now time.Time) (backup.Backup, error) {
	name := log.Properties().Name
	snap, err := log.Load(ctx)
	if err != nil {
		return backup.Backup{}, fmt.Errorf("load log: %w", err)
	}
	if snap.Revision == 0 {
		return backup.Backup{}, fmt.Errorf("%s is empty: there is nothing to back up", name)
	}
	b := backup.Backup{
		Header:  backup.Header{Revision: snap.Revision, Taken: now, Log: name, Program: program},
		Records: snap.Records,
	}
	known := map[string]bool{}
	for _, r := range snap.Records {
		known[r.Key] = true
	}
	for _, d := range snap.Damage {
		if !d.Foreign && !d.Stray && !known[d.Key] {
			return backup.Backup{}, fmt.Errorf("%s: its record %s %s, and what was committed is not known: mend it first: flocker control repair", name, d.Key, d.What)
		}
	}
	for _, r := range snap.Records {
		c, err := cluster.Decode(cluster.Key(r.Key), r.Value)
		if _, newer := errors.AsType[*cluster.NewerError](err); err != nil && !newer {
			return backup.Backup{}, fmt.Errorf("%s: %w", name, err)
		}
		if c.Meta != nil {
			b.Cluster = c.Meta.Cluster
		}
	}
	if b.Cluster == "" {
		return backup.Backup{}, fmt.Errorf("%s: the record of which cluster it is of cannot be read", name)
	}
	return b, nil
}

// Restorable is what is put into a log, and what is in it.
type Restorable struct {
	Snapshot store.Snapshot
	Cluster  string
	Log      string // its id
	Datasets int    // that are not deleted
	Deleted  int
	Nodes    int
	Leases   int
}

// FromBackup returns what is restored from a backup: its records as they are to
// be in a log that goes on from there. Records of a newer version make it fail.
// Replaced are the ids of logs that are given up for this one.
func FromBackup(b backup.Backup, now time.Time, replaced ...string) (Restorable, error) {
	changes := make([]cluster.Change, 0, len(b.Records))
	for _, r := range b.Records {
		c, err := cluster.Decode(cluster.Key(r.Key), r.Value)
		if err != nil {
			return Restorable{}, err
		}
		changes = append(changes, c)
	}
	revision, changes, err := cluster.Restored(b.Revision, changes, now, replaced...)
	if err != nil {
		return Restorable{}, err
	}
	return restorable(revision, changes)
}

func restorable(revision uint64, changes []cluster.Change) (Restorable, error) {
	r := Restorable{Snapshot: store.Snapshot{Revision: revision}}
	for _, c := range changes {
		value, err := cluster.Encode(c)
		if err != nil {
			return Restorable{}, err
		}
		r.Snapshot.Records = append(r.Snapshot.Records, store.Record{Key: string(c.Key), Value: value})
		switch {
		case c.Meta != nil:
			r.Cluster = c.Meta.Cluster
		case c.Log != nil:
			r.Log = c.Log.ID
		case c.Dataset != nil && c.Dataset.Deleted:
			r.Deleted++
		case c.Dataset != nil:
			r.Datasets++
		case c.Node != nil:
			r.Nodes++
		case c.Lease != nil:
			r.Leases++
		}
	}
	return r, nil
}
