package cluster

import (
	"errors"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

const (
	// leap is by how much the numbers of a restored log are at least higher
	// than those of its backup.
	leap = 1 << 32
	// leapRate is how many commits a millisecond a log may have made for two
	// restores of the same backup not to meet. With it the numbers of a log
	// that is restored now are about 2^47, which every reader of JSON can hold.
	leapRate = 1 << 6
	// renewal is how long whoever has a lease gets to renew it after a restore.
	renewal = 5 * time.Minute
)

// Leap returns the number that takes the place of n in a log that is restored,
// or begun from other records, at a time: a revision, an epoch, the number of a
// stream. Agents and storage systems may know higher numbers than a backup has,
// since the cluster went on after it was taken; and the same backup may have
// been restored before. So the numbers leap ahead of all of those, by the clock.
// A higher n never leaps to a lower number.
func Leap(n uint64, at time.Time) uint64 {
	return max(n+leap, uint64(max(at.UnixMilli(), 0))*leapRate)
}

// Restored returns the revision and the records of a log that is restored from
// a backup with these. Replaced are the ids of logs that are given up for it.
//
// Agents are still running and know what came after the backup. So whatever
// counts up leaps ahead of all that they can have seen, and nothing is believed
// that may have ended since: that a replica runs, that a lost node was given up
// or being fenced, that a holder is asked to let go of what it uses, that somebody
// waits for a member of a set. Nodes that hold datasets, or use members, are taken
// to be there until they have had the time to come back; else the first of them to
// return would fence the others. A lease may have been renewed since, and lasts
// until whoever has it had the time to do so again.
func Restored(revision uint64, records []Change, at time.Time, replaced ...string) (uint64, []Change, error) {
	out := make([]Change, 0, len(records))
	datasets := map[api.DatasetID]*api.Dataset{}
	holders := map[api.NodeID]bool{}
	var meta *Meta
	var log *Identity
	for _, c := range records {
		if c.Meta != nil {
			meta = c.Meta
		}
		if c.Log != nil {
			log = c.Log
		}
		if d := c.Dataset; d != nil {
			datasets[d.ID] = d
			if d.Holder != nil {
				holders[d.Holder.Node] = true
			}
			if d.Member != nil && d.Member.User != nil {
				holders[d.Member.User.Node] = true
			}
		}
	}
	if meta == nil {
		return 0, nil, errors.New("it has no record of which cluster it is of")
	}
	next := Leap(revision, at)
	out = append(out, putIdentity(restoredIdentity(identity(log, meta), next, replaced)))
	for _, c := range records {
		switch {
		case c.Log != nil:
		case c.Dataset != nil:
			out = append(out, putDataset(restoredDataset(c.Dataset, at)))
		case c.State != nil:
			out = append(out, putState(restoredState(c.State, datasets[c.State.ID], at)))
		case c.Node != nil:
			out = append(out, putNode(restoredNode(c.Node, holders[c.Node.ID], at)))
		case c.Lease != nil:
			out = append(out, putLease(restoredLease(c.Lease, at)))
		case c.App != nil:
			out = append(out, putApp(restoredApp(c.App, at)))
		case c.Damaged != nil: // a restored log is whole
		case c.Replica != nil, c.Job != nil: // none of them runs on this log
		case c.Hint != nil, c.Ending != nil: // what was about to start has started, and what to end has ended
		case c.Set != nil:
			if set := restoredSet(c.Set, at); set.Count != nil {
				out = append(out, putSet(set))
			}
		case c.Meta != nil:
			restored := *c.Meta
			restored.Restored = at.UTC().Round(0)
			out = append(out, Change{Key: c.Key, Meta: &restored})
		default:
			out = append(out, c)
		}
	}
	return next, out, nil
}

func restoredDataset(old *api.Dataset, at time.Time) *api.Dataset {
	d := old.Clone()
	d.Revision = Leap(d.Revision, at)
	d.Epoch = Leap(d.Epoch, at)
	if d.Holder != nil {
		d.Holder.Epoch = d.Epoch
	}
	// Somebody may have taken the deletion back since, or asked for it again.
	d.Reclaim = nil
	// Whatever was found out for a fence may not hold any more: it begins anew.
	d.Fence = nil
	if d.Member != nil {
		d.Member.Sought = false
	}
	for i := range d.Waiting {
		d.Waiting[i].Preempt = false
	}
	return d
}

// restoredState keeps what the holder reported about its tenure with the tenure.
// Of may be nil.
func restoredState(old *api.DatasetState, of *api.Dataset, at time.Time) *api.DatasetState {
	st := *old
	if of != nil && st.Epoch == of.Epoch {
		st.Epoch = Leap(st.Epoch, at)
	}
	return &st
}

// restoredSet forgets who waits: they ask again.
func restoredSet(old *api.VolumeSet, at time.Time) *api.VolumeSet {
	set := *old
	set.Revision, set.Waiting = Leap(set.Revision, at), nil
	return &set
}

func restoredLease(old *api.Lease, at time.Time) *api.Lease {
	l := *old
	l.Revision = Leap(l.Revision, at)
	if least := at.Add(renewal); !l.Expires.IsZero() && l.Expires.Before(least) {
		l.Expires = least
	}
	return &l
}

// restoredApp forgets what Marathon has said of an app's end: it may be back.
func restoredApp(old *api.App, at time.Time) *api.App {
	a := *old
	a.Revision = Leap(a.Revision, at)
	a.Stopped, a.Missing = time.Time{}, time.Time{}
	return &a
}

func restoredNode(old *api.Node, holds bool, at time.Time) *api.Node {
	n := *old
	n.Replica, n.GivenUp, n.Forced = "", time.Time{}, false
	if n.NeverCame() {
		return &n
	}
	n.Stream = Leap(n.Stream, at)
	if n.Connected != holds {
		n.Connected, n.Since = holds, at
	}
	return &n
}

// PutBack returns a single record of a backup as it is put into a log that has
// gone on since, at a revision. As with a whole log, its numbers leap.
func PutBack(c Change, revision uint64, at time.Time) Change {
	if c.Dataset != nil {
		c.Dataset = restoredDataset(c.Dataset, at)
		c.Dataset.Revision = revision
	}
	if c.Lease != nil {
		c.Lease = restoredLease(c.Lease, at)
		c.Lease.Revision = revision
	}
	return c
}
