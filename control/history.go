package control

import (
	"cmp"
	"slices"
	"sync"

	"github.com/flocker-mesos/flocker/control/cluster"
)

// maxHistory is how many changes are remembered for those who watch and come
// back, or are slow.
const maxHistory = 1 << 14

// history remembers which records the newest commits have changed, so that who
// watches the cluster can be told of what has changed since a revision. The
// revisions are the log's, so it can be any replica that told of what was
// before.
type history struct {
	mu      sync.Mutex
	from    uint64 // what has changed after it is known
	to      uint64
	changes []change      // in the order of their revisions
	more    chan struct{} // closed when to rises; nil while nobody waits for that
}

// change is one record that a commit has changed.
type change struct {
	revision uint64
	key      cluster.Key
}

// begin says where the history begins.
func (h *history) begin(revision uint64) { h.from, h.to = revision, revision }

// add notes what the newest commit has changed.
func (h *history) add(revision uint64, changes []cluster.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(changes) > maxHistory {
		h.changes, h.from = nil, revision
	} else {
		for _, c := range changes {
			if _, ok := c.Key.Replica(); !ok { // beats
				h.changes = append(h.changes, change{revision, c.Key})
			}
		}
	}
	if excess := len(h.changes) - maxHistory; excess > 0 {
		h.from = h.changes[excess-1].revision
		keep := slices.IndexFunc(h.changes, func(c change) bool { return c.revision > h.from })
		if keep < 0 {
			keep = len(h.changes)
		}
		h.changes = slices.Clone(h.changes[keep:])
	}
	h.to = revision
	if h.more != nil {
		close(h.more)
		h.more = nil
	}
}

// since returns what has changed after a revision, each record once, up to which
// revision that is, and a channel that is closed when there is more. Known is
// false where what has changed is no more remembered. The replica's state is
// never behind.
func (h *history) since(after uint64) (keys []cluster.Key, to uint64, more <-chan struct{}, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.more == nil {
		h.more = make(chan struct{})
	}
	if after < h.from {
		return nil, h.to, h.more, false
	}
	seen := map[cluster.Key]bool{}
	first, _ := slices.BinarySearchFunc(h.changes, after+1, func(c change, r uint64) int { return cmp.Compare(c.revision, r) })
	for _, c := range h.changes[first:] {
		if !seen[c.key] {
			seen[c.key] = true
			keys = append(keys, c.key)
		}
	}
	return keys, max(h.to, after), h.more, true
}
