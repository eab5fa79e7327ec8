package cluster

import (
	"iter"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Reclaim deletes a dataset whose app was destroyed, once its time of grace is
// over, unless anybody has something to do with it.
type Reclaim struct {
	At      time.Time
	Replica api.ReplicaID
	ID      api.DatasetID
}

// Apply decides the command. Where it is not to be deleted, or not yet, it
// changes nothing.
func (c Reclaim) Apply(s *State) (Outcome, error) {
	if err := s.checkFollower(c.Replica); err != nil {
		return Outcome{}, err
	}
	d := s.Dataset(c.ID)
	if d == nil || d.Deleted || d.Reclaim == nil || c.At.Before(d.Reclaim.At) || s.wanted(d) {
		return Outcome{Dataset: d}, nil
	}
	return s.deleted(d, c.At), nil
}

// wanted reports whether anybody uses a dataset, or asks for it, as far as is
// known.
func (s *State) wanted(d *api.Dataset) bool {
	st := s.DatasetState(d.ID)
	return s.frozen(d.ID) || len(d.Waiting) > 0 || d.Pinned || s.Lease(d.ID) != nil || s.askedBesides(d.Name(), "") ||
		d.Holder != nil && st != nil && len(st.Consumers) > 0 || d.Member != nil && s.memberWanted(d.Member)
}

// memberWanted reports whether somebody has a member of a set, or waits for one.
func (s *State) memberWanted(m *api.Member) bool {
	set := s.Set(m.Set)
	return m.User != nil || set != nil && len(set.Waiting) > 0
}

// Undelete takes back that a dataset is to be deleted since its app was
// destroyed. One that was deleted is beyond that.
type Undelete struct {
	At time.Time
	By Actor
	ID api.DatasetID
}

// Apply decides the command.
func (c Undelete) Apply(s *State) (Outcome, error) {
	d, err := s.find(c.ID)
	switch {
	case err != nil:
		return Outcome{}, err
	case !s.mayManage(d, c.By):
		return Outcome{}, s.checkManage(d, c.By, "keep")
	case d.Destroyed:
		return Outcome{}, api.Errorf(api.CodeDeleted, "dataset %s was deleted and its volume is gone: that can't be taken back", nameOf(d))
	case d.Deleted:
		return Outcome{}, api.Errorf(api.CodeDeleted, "dataset %s was deleted and its volume is being destroyed: that can't be taken back", nameOf(d))
	case d.Reclaim == nil:
		return Outcome{Dataset: d}, nil
	}
	d = s.draft(d)
	d.Reclaim = nil
	return Outcome{Changes: []Change{putDataset(d)}, Dataset: d}, nil
}

// Reclaimable yields the datasets whose time of grace is over at a time.
func (s *State) Reclaimable(at time.Time) iter.Seq[*api.Dataset] {
	return func(yield func(*api.Dataset) bool) {
		s.reclaimed.Scan(func(e expiry) bool { return !e.at.After(at) && yield(s.Dataset(e.dataset)) })
	}
}

// NextReclaim returns when the next time of grace is over after a moment, and
// false where none is.
func (s *State) NextReclaim(after time.Time) (at time.Time, some bool) {
	s.reclaimed.Ascend(expiry{at: after}, func(e expiry) bool {
		at, some = e.at, e.at.After(after)
		return !some
	})
	return at, some
}
