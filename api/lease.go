package api

import "time"

// Lease is a promise that a node is using a dataset: while it lasts, that node
// does not unmount the dataset, neither to move nor to delete it. Neither the
// dataset nor the node need exist. It is Flocker's; who asks for volumes by
// labels needs none.
type Lease struct {
	Dataset  DatasetID `json:"dataset_id"`
	Node     NodeID    `json:"node_uuid"`
	Revision uint64    `json:"revision"` // of the log, at the lease's last change
	Acquired time.Time `json:"acquired"`
	Expires  time.Time `json:"expires,omitzero"` // zero for never
}

// HeldBy reports whether l is a lease of node; nil is nobody's.
func (l *Lease) HeldBy(node NodeID) bool { return l != nil && l.Node == node }
