package reconcile

import "strings"

// Live is what a Mesos agent ran at one moment.
type Live struct {
	ids map[string]bool
	// leaves are the ids of nested containers whose parents Mesos did not
	// say, as it does for one that is just being launched.
	leaves map[string]bool
}

// NewLive returns the Live with these containers, each id with its parents'
// before it, joined by periods.
func NewLive(ids ...string) Live {
	l := Live{ids: make(map[string]bool), leaves: make(map[string]bool)}
	for _, id := range ids {
		l.ids[id] = true
	}
	return l
}

// Has reports whether a container was there, or may have been.
func (l Live) Has(id string) bool {
	return l.ids[id] || l.leaves[id[strings.LastIndexByte(id, '.')+1:]]
}
