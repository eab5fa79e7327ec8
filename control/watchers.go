package control

import (
	"sync"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// watchers wakes users who wait until a dataset is another. The zero value is
// ready to use.
type watchers struct {
	mu   sync.Mutex
	byID map[api.DatasetID]map[chan struct{}]struct{}
}

// watch returns a channel that holds a token whenever something about a dataset
// may have changed since it was emptied, until stop is called.
func (w *watchers) watch(id api.DatasetID) (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID == nil {
		w.byID = map[api.DatasetID]map[chan struct{}]struct{}{}
	}
	if w.byID[id] == nil {
		w.byID[id] = map[chan struct{}]struct{}{}
	}
	w.byID[id][c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.byID[id], c)
		if len(w.byID[id]) == 0 {
			delete(w.byID, id)
		}
	}
}

// wake wakes whom a change concerns: who watches the dataset, and for a node's
// change everybody, since it may be the node that holds what they watch. Nodes
// come and go rarely.
func (w *watchers) wake(key cluster.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := key.Node(); ok {
		for _, all := range w.byID {
			wakeAll(all)
		}
		return
	}
	if id, ok := key.Dataset(); ok {
		wakeAll(w.byID[id])
	}
	if id, ok := key.State(); ok {
		wakeAll(w.byID[id])
	}
	if id, ok := key.Lease(); ok {
		wakeAll(w.byID[id])
	}
}

func wakeAll(all map[chan struct{}]struct{}) {
	for c := range all {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
