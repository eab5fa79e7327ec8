package control

import (
	"sync"

	"github.com/flocker-mesos/flocker/api"
)

// hub wakes the streams of nodes. It keeps which datasets, leases and hints have
// changed, and that an instance has ended, not how: a stream that is behind finds the newest record of each,
// once. So what waits for a slow agent is never more than the datasets that
// concern it. The zero value is ready to use.
type hub struct {
	mu            sync.Mutex
	subscriptions map[api.NodeID]map[*subscription]struct{}
}

// subscription is one stream's view of the hub.
type subscription struct {
	hub   *hub
	node  api.NodeID
	ready chan struct{} // holds one token while there is something to look at

	mu      sync.Mutex
	changed map[api.DatasetID]struct{}
	leased  map[api.DatasetID]struct{} // whose leases have changed
	hinted  map[api.DatasetID]struct{} // the hints about which have changed
	ended   bool                       // an instance has ended on the node
}

// subscribe has a stream woken by whatever concerns its node from now on.
func (h *hub) subscribe(node api.NodeID) *subscription {
	s := &subscription{
		hub: h, node: node, ready: make(chan struct{}, 1),
		changed: map[api.DatasetID]struct{}{}, leased: map[api.DatasetID]struct{}{}, hinted: map[api.DatasetID]struct{}{},
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subscriptions == nil {
		h.subscriptions = map[api.NodeID]map[*subscription]struct{}{}
	}
	if h.subscriptions[node] == nil {
		h.subscriptions[node] = map[*subscription]struct{}{}
	}
	h.subscriptions[node][s] = struct{}{}
	return s
}

// close ends a subscription.
func (s *subscription) close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	delete(s.hub.subscriptions[s.node], s)
	if len(s.hub.subscriptions[s.node]) == 0 {
		delete(s.hub.subscriptions, s.node)
	}
}

// take returns which datasets have changed since it was called last, the leases of
// which datasets, and the hints about which, have, and whether an instance has ended.
func (s *subscription) take() (datasets, leases, hints []api.DatasetID, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended, s.ended = s.ended, false
	return empty(s.changed), empty(s.leased), empty(s.hinted), ended
}

// empty empties a set and returns what was in it.
func empty(set map[api.DatasetID]struct{}) []api.DatasetID {
	ids := make([]api.DatasetID, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	clear(set)
	return ids
}

// mark tells a node's streams that a dataset has changed.
func (h *hub) mark(node api.NodeID, id api.DatasetID) {
	h.each(node, func(s *subscription) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed[id] = struct{}{}
	})
}

// markLease tells a node's streams that the lease of a dataset has changed.
func (h *hub) markLease(node api.NodeID, id api.DatasetID) {
	h.each(node, func(s *subscription) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.leased[id] = struct{}{}
	})
}

// markHint tells a node's streams that the hint about a dataset has changed.
func (h *hub) markHint(node api.NodeID, id api.DatasetID) {
	h.each(node, func(s *subscription) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hinted[id] = struct{}{}
	})
}

// markEnding tells a node's streams that an instance has ended on the node.
func (h *hub) markEnding(node api.NodeID) {
	h.each(node, func(s *subscription) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = true
	})
}

// wake has a node's streams look whether they still count.
func (h *hub) wake(node api.NodeID) { h.each(node, func(*subscription) {}) }

func (h *hub) each(node api.NodeID, note func(*subscription)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subscriptions[node] {
		note(s)
		select {
		case s.ready <- struct{}{}:
		default:
		}
	}
}
