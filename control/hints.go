package control

import "github.com/flocker-mesos/flocker/api"

// tellHint tells the nodes that a change of a hint concerns, of which there are
// two at the most: the one that it was for and the one that it is for.
func (r *Replica) tellHint(id api.DatasetID, old, h *api.Hint) {
	if old != nil {
		r.hub.markHint(old.Node, id)
	}
	if h != nil && !old.For(h.Node) {
		r.hub.markHint(h.Node, id)
	}
}
