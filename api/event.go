package api

// EventKind says what an Event is about.
type EventKind string

// The kinds of events.
const (
	EventReset      EventKind = "reset"       // what was known is out of date: all that there is follows
	EventSynced     EventKind = "synced"      // all that there is has been sent; what follows are changes
	EventVolume     EventKind = "volume"      // a dataset, new or changed
	EventVolumeGone EventKind = "volume-gone" // a dataset's record was pruned
	EventNode       EventKind = "node"
	EventNodeGone   EventKind = "node-gone"
	EventLease      EventKind = "lease"
	EventLeaseGone  EventKind = "lease-gone"
)

// Event is one thing that a watch of the cluster tells. Several changes that
// follow each other closely may be told as one.
type Event struct {
	Kind   EventKind      `json:"-"`
	ID     string         `json:"-"` // to go on after, at any replica; "" where there is nothing to go on after
	Volume *DatasetDetail `json:"volume,omitempty"`
	Node   *NodeDetail    `json:"node,omitempty"`
	Lease  *Lease         `json:"lease,omitempty"`
	Gone   string         `json:"gone,omitempty"` // id of what is no more
}
