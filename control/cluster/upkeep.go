package cluster

import (
	"time"

	"github.com/tidwall/btree"

	"github.com/flocker-mesos/flocker/api"
)

// Upkeep does what follows from the state and nobody has to ask for: it begins
// and ends the fencing of lost holders, lets go of what users have put on nodes
// that are being drained, gives back to nodes that have come back what users have
// put there, has nobody wait for a volume of another zone, and gives members of sets to
// who waits for them.
type Upkeep struct {
	At    time.Time
	Limit int // of datasets, so that one commit can take it
}

// Apply decides the command. It never refuses.
func (c Upkeep) Apply(s *State) (Outcome, error) {
	return Outcome{Changes: s.upkeep(c.At, c.Limit)}, nil
}

// Due reports whether Upkeep has something to do.
func (s *State) Due() bool { return s.due.Len() > 0 || s.dueSets.Len() > 0 }

func (s *State) upkeep(at time.Time, limit int) []Change {
	b := newBatch(s)
	s.due.Scan(func(id api.DatasetID) bool {
		if len(b.changes) >= limit {
			return false
		}
		if d := s.kept(s.Dataset(id), at); d != nil {
			b.put(putDataset(d))
		}
		return true
	})
	for b.state.dueSets.Len() > 0 && len(b.changes) < limit {
		name, _ := b.state.dueSets.GetAt(0)
		b.settle(name, at, min(limit-len(b.changes), setsAtOnce))
	}
	return b.changes
}

// kept returns what should become of a dataset by itself, nil if it is as it
// should be.
func (s *State) kept(old *api.Dataset, at time.Time) *api.Dataset {
	if s.frozen(old.ID) {
		return nil
	}
	if s.astray(old) {
		d := s.draft(old)
		s.sendHome(d)
		d.Fence = s.fenceFor(d, at)
		return d
	}
	if s.abandoned(old) {
		d := s.draft(old)
		if s.assignDestruction(d, s.DatasetState(d.ID), at); d.Holder == nil && !d.Destroyed {
			return nil
		}
		return d
	}
	fence := s.fenceFor(old, at)
	unpin, home := s.leavesDrained(old), s.comesHome(old)
	if sameFence(old.Fence, fence) && !unpin && !home {
		return nil
	}
	d := s.draft(old)
	d.Fence = fence
	if unpin {
		d.Pinned = false
	}
	if home {
		grant(d, d.Primary, at)
	}
	return d
}

// comesHome reports whether nobody holds a dataset that a user has put on a node
// which is there: it was lost when it gave the dataset up, or had it taken from it,
// and is back.
func (s *State) comesHome(d *api.Dataset) bool {
	n := s.Node(d.Primary)
	return d.Pinned && !d.Deleted && d.Holder == nil && n != nil && n.Connected && n.Draining.IsZero() && !s.apart(d, d.Primary)
}

// abandoned reports whether a dataset was deleted when there was no node that could
// destroy its volume.
func (s *State) abandoned(d *api.Dataset) bool { return d.Deleted && !d.Destroyed && d.Holder == nil }

// leavesDrained reports whether a user has put a dataset on a node that is
// being drained.
func (s *State) leavesDrained(d *api.Dataset) bool {
	n := s.Node(d.Primary)
	return d.Pinned && !d.Deleted && d.HeldBy(d.Primary) && n != nil && !n.Draining.IsZero()
}

func sameFence(a, b *api.Fence) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// reconsider keeps the indexes of what Upkeep has to do. What it would write
// does not depend on the time, but for when a new fence begins.
func (s *State) reconsider(d *api.Dataset) {
	mark(s.due, d.ID, s.kept(d, time.Time{}) != nil)
	mark(s.orphans, d.ID, s.orphan(d) || s.abandoned(d))
}

func mark(set *btree.Set[api.DatasetID], id api.DatasetID, in bool) {
	if in {
		set.Insert(id)
	} else {
		set.Delete(id)
	}
}

// orphan reports whether somebody wants a dataset whose holder is lost.
func (s *State) orphan(d *api.Dataset) bool {
	if d.Holder == nil || d.Destroyed {
		return false
	}
	holder := s.Node(d.Holder.Node)
	return holder != nil && (d.Revoked() || holder.Lost() && wantedElsewhere(d))
}

// reconsiderAll reconsiders all datasets that concern a node, and those that it
// may be able to help with.
func (s *State) reconsiderAll(node api.NodeID) {
	for d := range s.Concerning(node) {
		s.reconsider(d)
	}
	for _, id := range s.orphans.Keys() {
		s.reconsider(s.Dataset(id))
	}
	s.reconsiderSets()
}

func (s *State) reconsiderSets() {
	for _, name := range s.waitingSets.Keys() {
		s.reconsiderSet(name)
	}
}
