package follow

import (
	"sync"

	"github.com/flocker-mesos/flocker/marathon/client"
)

// maxDirty is from how many apps on everything is read in the place of each.
const maxDirty = 64

// dirty collects what events are about until it is looked at. It takes an event in
// no time, so that Marathon never waits for this program, and its size is bounded.
type dirty struct {
	ready chan struct{} // holds one token while there is something to look at

	mu       sync.Mutex
	apps     map[string]bool
	words    map[string]bool // whether what Marathon said last of an app's life is that it ends
	full     bool
	unasking map[string]bool // apps that ask for no volumes; events about their tasks mean nothing
}

func newDirty() *dirty {
	return &dirty{ready: make(chan struct{}, 1), apps: map[string]bool{}, words: map[string]bool{}}
}

// event takes an event in.
func (d *dirty) event(ev client.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := len(d.apps) + len(d.words)
	for _, ids := range [][]string{ev.Apps, ev.Pods} {
		for _, id := range ids {
			if ev.Tasks && d.unasking[id] {
				continue
			}
			d.apps[id] = true
		}
	}
	for _, id := range ev.Stops {
		d.words[id] = true
	}
	for _, id := range ev.Puts {
		d.words[id] = false
	}
	if len(d.apps) > maxDirty {
		d.full, d.apps = true, map[string]bool{}
	}
	if len(d.apps)+len(d.words) != before || d.full {
		d.wake()
	}
}

// everything has everything read.
func (d *dirty) everything() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = true
	d.wake()
}

// wake wakes who looks. The caller has the mutex.
func (d *dirty) wake() {
	select {
	case d.ready <- struct{}{}:
	default:
	}
}

// work is what there is to look at.
type work struct {
	apps, words map[string]bool
	full        bool
}

func (w work) empty() bool { return len(w.apps)+len(w.words) == 0 && !w.full }

// take returns what there is to look at, and empties it.
func (d *dirty) take() work {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := work{d.apps, d.words, d.full}
	d.apps, d.words, d.full = map[string]bool{}, map[string]bool{}, false
	return w
}

// back puts back what could not be looked at.
func (d *dirty) back(w work) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range w.apps {
		d.apps[id] = true
	}
	for id, ends := range w.words {
		if _, later := d.words[id]; !later {
			d.words[id] = ends
		}
	}
	d.full = d.full || w.full
}

// disinterested says which apps ask for no volumes, as of a snapshot.
func (d *dirty) disinterested(s *Snapshot) {
	none := map[string]bool{}
	for id, seen := range s.Apps {
		if !seen.asks() {
			none[id] = true
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unasking = none
}

// interested says whether an app asks for volumes, as it was just read.
func (d *dirty) interested(id string, asks bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case asks:
		delete(d.unasking, id)
	case d.unasking != nil:
		d.unasking[id] = true
	}
}
