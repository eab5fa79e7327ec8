package cluster

import (
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// The rules of fencing: a token is taken from a lost holder only after another
// node has seen to it that the holder can no longer write.

// fenceFor returns the fence that a dataset should have, nil for none.
func (s *State) fenceFor(d *api.Dataset, at time.Time) *api.Fence {
	if d.Holder == nil || d.Destroyed {
		return nil
	}
	holder := s.Node(d.Holder.Node)
	if holder == nil {
		return nil
	}
	if d.Revoked() {
		// The tenure is over, so it has to be brought to its end, though the
		// holder may be back and give up by itself.
		return s.fenceBy(d, holder, at)
	}
	if holder.Connected || !wantedElsewhere(d) {
		return nil
	}
	if holder.GivenUp.IsZero() && (holder.NeverCame() || s.otherOfInstance(holder.ID, holder.Instance) != nil) {
		// What the storage system calls its machine is not known, or in doubt, so
		// only an operator can tell whether it can write.
		return nil
	}
	return s.fenceBy(d, holder, at)
}

// wantedElsewhere reports whether somebody would have the dataset if its holder
// did not.
func wantedElsewhere(d *api.Dataset) bool {
	return d.Deleted || len(d.Waiting) > 0 || d.Pinned && !d.HeldBy(d.Primary) || d.Member != nil && d.Member.Sought
}

// fenceBy returns the fence with who carries it out: who does so now while it is
// there, else another node.
func (s *State) fenceBy(d *api.Dataset, holder *api.Node, at time.Time) *api.Fence {
	policy := api.FenceWait
	if s.meta != nil && s.meta.Settings.OnLostNode != "" {
		policy = s.meta.Settings.OnLostNode
	}
	fence := api.Fence{
		Holder: holder.ID, Epoch: d.Epoch, Instance: holder.Instance, Policy: policy,
		Vouched: !holder.GivenUp.IsZero(), Forced: holder.Forced, Since: at,
	}
	if old := d.Fence; old != nil {
		fence.Since, fence.Begun = old.Since, old.Begun
		if n := s.Node(old.Node); n != nil && n.Connected && seesAsHolder(n, d.Volume, holder) {
			fence.Node = n.ID
		}
		if fence.Begun { // what was found out then still holds, or was decided
			fence.Policy, fence.Vouched, fence.Forced, fence.Instance = old.Policy, old.Vouched, old.Forced, old.Instance
		}
		if fence.Node == old.Node && fence.Policy == old.Policy && fence.Vouched == old.Vouched && fence.Forced == old.Forced {
			fence.Finding = old.Finding
		}
	}
	if fence.Node == "" {
		fence.Node = s.fencer(d, holder)
	}
	switch {
	case fence.Node != "":
		return &fence
	case d.Revoked():
		return d.Fence // until somebody is there who can go on
	default:
		return nil
	}
}

// fencer chooses who fences the holder of a dataset: who gets it next, else
// anybody with the same storage system, and where volumes are bound to zones in
// the zone of this one: who cannot see a volume would vouch that nobody writes to it.
func (s *State) fencer(d *api.Dataset, holder *api.Node) api.NodeID {
	able := func(n *api.Node) bool {
		return n != nil && n.Connected && n.ID != holder.ID && n.Backend == holder.Backend && seesAsHolder(n, d.Volume, holder)
	}
	for _, w := range d.Waiting {
		if able(s.Node(w.Node)) {
			return w.Node
		}
	}
	if able(s.Node(d.Primary)) {
		return d.Primary
	}
	for n := range s.Nodes() {
		if able(n) {
			return n.ID
		}
	}
	return ""
}

// fence decides the part of a report in which a node says how far it is with
// fencing the holder.
func (c Report) fence(s *State, d *api.Dataset, r api.DatasetReport) ([]Change, error) {
	if !d.FencedBy(c.Node) || r.State.Epoch != d.Epoch {
		return nil, api.Errorf(api.CodeStale, "%s has not to fence the holder of dataset %s with epoch %d", s.nodeText(c.Node), d.ID, r.State.Epoch)
	}
	switch {
	case r.Fence.Done:
		return c.fenced(s, d)
	case r.Fence.Begin:
		return c.beginFence(s, d)
	}
	finding := api.Printable(r.Fence.Finding)
	if len(finding) > maxCause {
		return nil, api.FieldErrorf("fence", "has a finding of %d bytes, more than the %d that are allowed", len(finding), maxCause)
	}
	if finding == d.Fence.Finding {
		return nil, nil
	}
	d = s.draft(d)
	d.Fence.Finding = finding
	return []Change{putDataset(d)}, nil
}

// beginFence ends the holder's tenure, unless the holder is back: then it is
// the holder's still, and nothing has been done to it.
func (c Report) beginFence(s *State, d *api.Dataset) ([]Change, error) {
	if d.Fence.Begun {
		return nil, nil
	}
	if n := s.Node(d.Holder.Node); n != nil && n.Connected {
		return nil, api.Errorf(api.CodeStale, "%s is back and keeps dataset %s", n.Name(), d.ID)
	}
	d = s.draft(d)
	d.Fence.Begun, d.Fence.Finding = true, ""
	return []Change{putDataset(d)}, nil
}

// fenced takes the token from the holder, whose volume is attached nowhere now.
func (c Report) fenced(s *State, d *api.Dataset) ([]Change, error) {
	if !d.Fence.Begun {
		return nil, api.Errorf(api.CodeConflict, "the fence of dataset %s was not begun", d.ID)
	}
	from := d.Holder.Node
	d = s.draft(d)
	st := s.DatasetState(d.ID)
	if d.UserOn(from) != nil { // it ended with its node
		freeMember(d)
	}
	if d.Deleted {
		take(d)
		s.assignDestruction(d, st, c.At)
	} else {
		s.passOn(d, from, c.At)
	}
	changes := []Change{putDataset(d)}
	if d.Destroyed && st != nil {
		changes = append(changes, Change{Key: StateKey(d.ID)})
	}
	return changes, nil
}
