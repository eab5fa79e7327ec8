package api

import "time"

// The agent protocol: JSON over HTTPS on port 4524, mutual TLS, the node's
// identity is its certificate's. An agent opens one stream
//
//	POST /agent/v1/stream   Hello, Beat, ... → StreamEvent, ...
//
// whose both directions stay open, one JSON text a line: the agent says Hello
// and then beats every heartbeat; the control service says what concerns the
// node, and answers each beat with its number. That is how each knows that the
// other is there. The agent sends beside it, naming the stream's number,
//
//	POST /agent/v1/claim          ClaimRequest → Dataset
//	POST /agent/v1/member         MemberRequest → MemberReply
//	POST /agent/v1/report         Report       → ReportReply
//	POST /agent/v1/inventory      Inventory    → InventoryReply
//	GET  /agent/v1/datasets/{id}               → DatasetDetail
//
// Failures are an Error with the status of its code.

// Hello opens a stream.
type Hello struct {
	Hostname string `json:"hostname"`
	Era      string `json:"era"`
	Agent    string `json:"agent"`
	Instance string `json:"instance"`
	Backend  string `json:"backend"`
	Version  string `json:"version"`
	Zone     string `json:"zone,omitempty"` // that the machine is in
	// AllocationUnit is the backend's, in bytes; Capabilities are of
	// CapabilityGrow and its like.
	AllocationUnit int64    `json:"allocation_unit,omitempty"`
	MaxSize        int64    `json:"max_size,omitempty"` // of a volume of the backend's, in bytes; 0 where that is not known
	Capabilities   []string `json:"capabilities,omitempty"`
	// CertificateExpires is when the agent's certificate, or its authority's, ends.
	CertificateExpires time.Time `json:"certificate_expires,omitzero"`
	// Log is the log that the agent has seen last, nil for none.
	Log *LogIdentity `json:"log,omitempty"`
}

// StreamEvent is one line of a stream. The first is Welcome with all datasets
// that concern the node, all its leases and all hints for it; each later one carries what has
// changed since, or answers a beat.
type StreamEvent struct {
	Welcome  *Welcome    `json:"welcome,omitempty"`
	Datasets []*Dataset  `json:"datasets,omitempty"` // new or changed
	Removed  []DatasetID `json:"removed,omitempty"`  // no longer of concern to this node
	Leases   []*Lease    `json:"leases,omitempty"`   // of this node, new or changed
	Unleased []DatasetID `json:"unleased,omitempty"` // whose leases are no longer this node's
	Hints    []*Hint     `json:"hints,omitempty"`    // for this node, new or changed
	Unhinted []DatasetID `json:"unhinted,omitempty"` // whose hints are no longer for this node
	Ending   *Ending     `json:"ending,omitempty"`   // the newest on this node, once
	Beat     uint64      `json:"beat,omitempty"`     // the newest that was heard of the agent
	Revision uint64      `json:"revision,omitempty"` // of the log, with the answer to a beat
}

// Empty reports whether the event says nothing new: it may answer a beat.
func (ev *StreamEvent) Empty() bool {
	return len(ev.Datasets)+len(ev.Removed)+len(ev.Leases)+len(ev.Unleased)+len(ev.Hints)+len(ev.Unhinted) == 0 && ev.Ending == nil
}

// Beat is the agent's sign of life.
type Beat struct {
	Beat uint64 `json:"beat"` // counts from 1 on each stream
}

// Welcome is the control service's answer to Hello.
type Welcome struct {
	Stream    uint64        `json:"stream"`
	Node      NodeID        `json:"node"`
	Cluster   string        `json:"cluster"`       // the certificate authority's cluster UUID
	Heartbeat time.Duration `json:"heartbeat"`     // nanoseconds between two beats; silence of three means dead
	Replica   string        `json:"replica"`       // that serves the stream
	Version   string        `json:"version"`       // of the control service
	Log       *LogIdentity  `json:"log,omitempty"` // nil from a version that does not tell
	// Incarnation names the log, and another one after a backup was restored. The
	// agent makes no volumes before that has taken in an Inventory; "" is that of
	// a control service that takes none.
	Incarnation string `json:"incarnation,omitempty"`
}

// ClaimRequest says that the node wants to use a dataset: the one with ID, or
// the live one with Find.Name, which is created when there is none. The answer
// shows who the holder is: this node, or one that it now waits for.
type ClaimRequest struct {
	Stream uint64       `json:"stream"`
	ID     DatasetID    `json:"dataset_id,omitempty"`
	Find   *DatasetSpec `json:"find,omitempty"`
	// Preempt asks a living holder to let go.
	Preempt bool `json:"preempt,omitempty"`
	// Ahead says that nobody on the node uses the dataset yet: it is claimed because
	// of a hint, and with ID. It is refused where the hint has ended.
	Ahead bool `json:"ahead,omitempty"`
	// Owner is for which the node acts: that of the consumer.
	Owner Owner `json:"owner,omitempty"`
}

// DatasetSpec is what a front door asks of a dataset.
type DatasetSpec struct {
	Name    string `json:"name"`
	Size    int64  `json:"size,omitempty"` // bytes, 0 for the default
	FS      string `json:"fs,omitempty"`   // "" for the default
	Profile string `json:"profile,omitempty"`
	// User and Permissions are as in Dataset.
	User        string `json:"user,omitempty"`
	Permissions string `json:"permissions,omitempty"`
	// App is the one whose id Name was made from, "" for a name that was given.
	App string `json:"app,omitempty"`
}

// Report carries what has changed on a node, as one commit.
type Report struct {
	Stream   uint64          `json:"stream"`
	Datasets []DatasetReport `json:"datasets,omitempty"`
	Mesos    *MesosReport    `json:"mesos,omitempty"` // nil where nothing has changed
}

// MesosReport is the state of a node's calls to its Mesos agent.
type MesosReport struct {
	Trouble *MesosTrouble `json:"trouble,omitempty"` // nil for none
}

// DatasetReport is what a node says about one dataset. The effects (Volume,
// Release, Destroyed) count only from the holder, with its epoch.
//
// An epoch is spent as soon as its Release has been sent: when no answer comes,
// the token may be another node's already. The node sends the Release again
// until it is answered, and attaches only under a later epoch, or after a new
// stream's Welcome still names it the holder: reports of the older stream that
// are under way are refused from then on.
type DatasetReport struct {
	State     DatasetState `json:"state"`
	Volume    *Volume      `json:"volume,omitempty"`    // registers the volume, once and for ever; later, that it has grown
	Release   bool         `json:"release,omitempty"`   // unmounted and, says the backend, detached: gives up the token
	Withdraw  bool         `json:"withdraw,omitempty"`  // no longer waits for the token
	Destroyed bool         `json:"destroyed,omitempty"` // the volume of the deleted dataset is gone
	// Free says that the member of a set is free, since the user on this node that got
	// it by this claim has ended. State then only names the dataset.
	Free uint64 `json:"free,omitempty"`
	// Fence comes from the node that fences the lost holder; State then only
	// names the dataset, and the epoch of the tenure that is to end.
	Fence *FenceReport `json:"fence,omitempty"`
}

// ReportReply tells which parts of a report were refused, and why; the others
// are committed.
type ReportReply struct {
	Refused map[DatasetID]*Error `json:"refused,omitempty"`
}

// DatasetDetail is a dataset in full, with the explanation of its state.
type DatasetDetail struct {
	Dataset *Dataset      `json:"dataset"`
	State   *DatasetState `json:"state,omitempty"` // as its holder, or else its last user, reported
	Holder  *Node         `json:"holder,omitempty"`
	Lease   *Lease        `json:"lease,omitempty"`
	// Status is one word for the state: mounted, waiting, ...; Why says in
	// sentences what is wanted, what is, since when, and what comes next.
	Status string `json:"status"`
	Why    string `json:"why"`
}
