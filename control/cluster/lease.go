package cluster

import (
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// The rules of leases. A lease stands beside the holder token and changes
// nothing about who may have it: it keeps the node that it names, while that
// node holds the dataset and has it mounted, from letting go by itself. So it
// is no part of what is decided about datasets, nor of the configuration's tag.
// A holder whose machine is lost is fenced whatever leases there are.

// AcquireLease acquires a lease of a dataset for a node, or renews the one that
// the node has, which may also make it shorter. Neither the dataset nor the
// node need exist.
type AcquireLease struct {
	At      time.Time
	Dataset api.DatasetID
	Node    api.NodeID
	Expires time.Time // zero for never
	By      Actor
}

// Apply decides the command.
func (c AcquireLease) Apply(s *State) (Outcome, error) {
	if err := s.checkLease(c.Dataset, c.By); err != nil {
		return Outcome{}, err
	}
	old, err := s.leaseOf(c.Dataset)
	if err != nil {
		return Outcome{}, err
	}
	// Without the monotonic clock, so that the index is the same as after a restart.
	l := &api.Lease{
		Dataset: c.Dataset, Node: c.Node, Acquired: c.At.Round(0), Expires: c.Expires.Round(0), Revision: s.revision + 1,
	}
	switch {
	case old == nil:
		return Outcome{Changes: []Change{putLease(l)}, Lease: l, New: true}, nil
	case old.Node != c.Node:
		return Outcome{}, api.Errorf(api.CodeConflict, "Lease already held.")
	case old.Expires.Equal(l.Expires):
		return Outcome{Lease: old}, nil
	}
	l.Acquired = old.Acquired
	return Outcome{Changes: []Change{putLease(l)}, Lease: l}, nil
}

// ReleaseLease ends a lease, whoever has it.
type ReleaseLease struct {
	At      time.Time
	By      Actor
	Dataset api.DatasetID
}

// Apply decides the command.
func (c ReleaseLease) Apply(s *State) (Outcome, error) {
	if err := s.checkLease(c.Dataset, c.By); err != nil {
		return Outcome{}, err
	}
	old, err := s.leaseOf(c.Dataset)
	if err != nil {
		return Outcome{}, err
	}
	if old == nil {
		return Outcome{}, api.Errorf(api.CodeNotFound, "Lease not found.")
	}
	return Outcome{Changes: []Change{{Key: LeaseKey(c.Dataset)}}, Lease: old}, nil
}

// ExpireLeases ends the leases whose time is past.
type ExpireLeases struct {
	At    time.Time
	Limit int // of leases, so that one commit can take it
}

// Apply decides the command. It never refuses.
func (c ExpireLeases) Apply(s *State) (Outcome, error) {
	var out Outcome
	s.expiring.Scan(func(e expiry) bool {
		if len(out.Changes) >= c.Limit || !c.At.After(e.at) {
			return false
		}
		if !s.frozen(e.dataset) {
			out.Changes = append(out.Changes, Change{Key: LeaseKey(e.dataset)})
		}
		return true
	})
	return out, nil
}

// checkLease refuses an actor that may not hold a dataset back from others. A lease of
// a dataset that is not there yet is for operators.
func (s *State) checkLease(id api.DatasetID, by Actor) error {
	if d := s.Dataset(id); d != nil {
		return s.checkManage(d, by, "lease")
	}
	if s.Bound(by) {
		return api.Errorf(api.CodeNotFound, "Dataset not found.")
	}
	return nil
}

// leaseOf returns the lease of a dataset that a command is about, nil if there
// is none.
func (s *State) leaseOf(id api.DatasetID) (*api.Lease, error) {
	if err := s.readable(LeaseKey(id)); err != nil {
		return nil, err
	}
	if err := s.intact(id); err != nil {
		return nil, err
	}
	return s.Lease(id), nil
}

// expiry is an entry of the index of leases by the time they end.
type expiry struct {
	at      time.Time
	dataset api.DatasetID
}

func (e expiry) before(other expiry) bool {
	if !e.at.Equal(other.at) {
		return e.at.Before(other.at)
	}
	return e.dataset < other.dataset
}

func (s *State) putLease(id api.DatasetID, l *api.Lease) {
	if old := s.Lease(id); old != nil {
		s.leases.Delete(id)
		s.leased.Delete(concern{old.Node, id})
		s.expiring.Delete(expiry{old.Expires, id})
	}
	if l == nil {
		return
	}
	s.leases.Set(id, l)
	s.leased.Set(concern{l.Node, id})
	if !l.Expires.IsZero() {
		s.expiring.Set(expiry{l.Expires, id})
	}
}
