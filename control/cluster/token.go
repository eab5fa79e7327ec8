package cluster

import (
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// The rules of the holder token. The functions change a draft of a dataset.

// free reports whether nobody can have the volume attached under the token:
// nobody holds it, or a node does that has never run an agent.
func (s *State) free(d *api.Dataset) bool {
	return d.Holder == nil || s.Node(d.Holder.Node) == nil
}

// grant gives a free token to a node.
func grant(d *api.Dataset, node api.NodeID, at time.Time) {
	d.Epoch++
	d.Holder = &api.Holder{Node: node, Epoch: d.Epoch, Since: at}
	d.Fence = nil
	stopWaiting(d, node)
}

// take takes the token from whoever has it.
func take(d *api.Dataset) { d.Holder, d.Fence = nil, nil }

// enqueue makes a node wait for the token, once: in the order of arrival, but
// who preempts before who does not.
func enqueue(d *api.Dataset, node api.NodeID, owner api.Owner, preempt bool, at time.Time) {
	w := api.Waiter{Node: node, Since: at, Preempt: preempt, Owner: owner}
	if i := slices.IndexFunc(d.Waiting, func(w api.Waiter) bool { return w.Node == node }); i >= 0 {
		if d.Waiting[i].Preempt || !preempt {
			return
		}
		w.Since = d.Waiting[i].Since
		d.Waiting = slices.Delete(d.Waiting, i, i+1)
	}
	place := len(d.Waiting)
	if preempt {
		place = 0
		for place < len(d.Waiting) && d.Waiting[place].Preempt {
			place++
		}
	}
	d.Waiting = slices.Insert(d.Waiting, place, w)
}

func stopWaiting(d *api.Dataset, node api.NodeID) {
	d.Waiting = slices.DeleteFunc(d.Waiting, func(w api.Waiter) bool { return w.Node == node })
	if len(d.Waiting) == 0 {
		d.Waiting = nil
	}
}

// passOn gives a token that its holder has just given up, or that was taken
// from it, to who comes next: the first that waits, else the node that a user
// has moved the dataset to, else nobody. A waiter that has fallen silent since
// asks again when it is back; a hopeless one is refused when it asks again. That node
// may be the one which gives the token up: a user has moved the dataset away and
// back. A deleted dataset is assignDestruction's.
func (s *State) passOn(d *api.Dataset, from api.NodeID, at time.Time) {
	take(d)
	d.Waiting = slices.DeleteFunc(d.Waiting, func(w api.Waiter) bool {
		n := s.Node(w.Node)
		return n != nil && n.Lost() || s.hopeless(d, w)
	})
	if len(d.Waiting) == 0 {
		d.Waiting = nil
	}
	switch {
	case len(d.Waiting) > 0:
		next := d.Waiting[0].Node
		grant(d, next, at)
		if !d.Pinned {
			d.Primary = next
		}
		// Else a user has moved it to Primary after next began to wait (a
		// claim would have ended the pin): Primary's turn comes after next's.
	case d.Pinned && (d.Primary != from || s.there(from)) && !s.apart(d, d.Primary):
		grant(d, d.Primary, at)
	}
}

// there reports whether a node's agent is connected.
func (s *State) there(id api.NodeID) bool {
	n := s.Node(id)
	return n != nil && n.Connected
}

// assignDestruction sees that somebody destroys a deleted dataset's volume:
// its holder, or if there is none a node that is chosen for it. A dataset that
// never had a volume is done with at once. What was last reported of it is st,
// or nil.
func (s *State) assignDestruction(d *api.Dataset, st *api.DatasetState, at time.Time) {
	if !s.free(d) {
		return
	}
	take(d)
	if !mayHaveVolume(d, st) {
		destroyed(d, at)
		return
	}
	if node := s.executor(d, st); node != "" {
		grant(d, node, at)
	}
}

func destroyed(d *api.Dataset, at time.Time) {
	d.Destroyed, d.DestroyedAt = true, at
	take(d)
	d.Waiting = nil
	freeMember(d)
}

// mayHaveVolume reports whether a volume may have been made for d. Its last
// holder may have made one that it did not come to register.
func mayHaveVolume(d *api.Dataset, st *api.DatasetState) bool {
	if d.Volume != nil {
		return true
	}
	if st == nil {
		return false
	}
	switch st.Phase {
	case "", api.PhaseUnknown, api.PhaseNonExistent:
		return false
	default:
		return true
	}
}

// executor chooses who destroys a deleted dataset that nobody holds: the
// primary or its last user if they are there, else anybody who is, else the
// primary or last user when they come back. Who cannot see the volume would take
// it for gone.
func (s *State) executor(d *api.Dataset, st *api.DatasetState) api.NodeID {
	candidates := []api.NodeID{d.Primary}
	if st != nil {
		candidates = append(candidates, st.Node)
	}
	for _, id := range candidates {
		if n := s.Node(id); n != nil && n.Connected && sees(n, d.Volume) {
			return id
		}
	}
	for n := range s.Nodes() {
		if n.Connected && sees(n, d.Volume) {
			return n.ID
		}
	}
	for _, id := range candidates {
		if n := s.Node(id); n != nil && sees(n, d.Volume) {
			return id
		}
	}
	return ""
}
