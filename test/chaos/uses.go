package main

import (
	"sync"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
)

// What may end a live use, as docs/reliability.md has it, of which a run plays the
// first three. The policy of a run is "wait", which ends nothing, and the loopback
// storage is always certain, so an operator's word alone ends nothing either.
const (
	endedWithMachine = "machine died under a consumer"
	endedPreempted   = "use ended by pre-emption"
	endedForced      = "use ended by nodes lost --force"
)

// use is a consumer that has a volume on a machine.
type use struct {
	consumer string
	dataset  api.DatasetID
	node     *cluster.Node
	alive    func() bool // whether the machine has run all the time
	reason   string      // why it may be ended, "" while it may not; the mutex of uses guards it
}

// on makes a use on a machine, which runs since a boot.
func on(n *cluster.Node, boot, consumer string, dataset api.DatasetID) *use {
	return &use{consumer: consumer, dataset: dataset, node: n, alive: func() bool { return n.BootID() == boot && !off(n) }}
}

// permit is a reason for which some uses may be ended while it stands.
type permit struct {
	reason string
	covers func(*use) bool
}

// uses knows the live uses, and which of them may be ended. Everything else that
// ends one is an anomaly.
type uses struct {
	mu      sync.Mutex
	live    map[*use]bool
	permits map[*permit]bool
}

func newUses() *uses { return &uses{live: map[*use]bool{}, permits: map[*permit]bool{}} }

// begin notes a use, until end.
func (s *uses) begin(u *use) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[u] = true
	for p := range s.permits {
		p.mark(u)
	}
}

func (s *uses) end(u *use) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, u)
}

// allow has a reason stand from now until revoke: the uses that it covers meanwhile
// may be ended at any later time. It comes before the call that may end them.
func (s *uses) allow(reason string, covers func(*use) bool) (revoke func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &permit{reason: reason, covers: covers}
	s.permits[p] = true
	for u := range s.live {
		p.mark(u)
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.permits, p)
	}
}

func (p *permit) mark(u *use) {
	if u.reason == "" && p.covers(u) {
		u.reason = p.reason
	}
}

// mayEnd returns why a use may be ended, "" where it may not.
func (s *uses) mayEnd(u *use) string {
	if !u.alive() {
		return endedWithMachine
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return u.reason
}
