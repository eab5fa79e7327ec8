package agent

import "github.com/flocker-mesos/flocker/api"

// The leases that this node has. What the control service has said of them
// holds until it says something else: while there is no stream, nothing expires
// here, since nobody can have told the one who counts on a lease either.

// lease takes over a lease of this node, unless a newer one is known. The caller
// has the mutex.
func (e *engine) lease(l *api.Lease) {
	if old := e.leases[l.Dataset]; old != nil && l.Revision <= old.Revision {
		return
	}
	e.leases[l.Dataset] = l
	e.reconsider(l.Dataset)
}

// unlease takes over that a lease has ended, or is another node's now. What it
// has held up goes on at once. The caller has the mutex.
func (e *engine) unlease(id api.DatasetID) {
	delete(e.leases, id)
	e.reconsider(id)
}

// syncLeases takes over all leases of this node, as they are on a new stream:
// whoever serves it has opened it with a commit, and so knows at least what was
// told before. The caller has the mutex, and wakes all datasets.
func (e *engine) syncLeases(leases []*api.Lease) {
	clear(e.leases)
	for _, l := range leases {
		e.leases[l.Dataset] = l
	}
}

// reconsider has a dataset looked at, if it is one of this node's.
func (e *engine) reconsider(id api.DatasetID) {
	if d, ok := e.datasets[id]; ok {
		e.wake(d)
	}
}
