package api

import "time"

// FencePolicy says what becomes of a node that has fallen silent but, as far
// as the storage system can tell, can still write to its volumes.
type FencePolicy string

// The policies.
const (
	// FenceWait leaves the volumes where they are until the storage system
	// vouches that the node can no longer write: its machine is stopped or gone.
	FenceWait FencePolicy = "wait"
	// FenceStop has the machine stopped first.
	FenceStop FencePolicy = "stop-instance"
	// FenceForce has the volumes detached by force, which cuts live file
	// systems: what the node had not written yet is lost.
	FenceForce FencePolicy = "force-detach"
)

// Fence is what is done about a dataset whose holder has fallen silent while
// somebody else wants it: another node sees to it that the holder can no longer
// write, and only then the token moves.
type Fence struct {
	Node     NodeID      `json:"node"`     // who does it
	Holder   NodeID      `json:"holder"`   // whom it is about
	Epoch    uint64      `json:"epoch"`    // of the tenure that it is to end
	Instance string      `json:"instance"` // what the backend calls the holder's machine
	Policy   FencePolicy `json:"policy"`
	// Vouched says that an operator has declared the holder lost: its machine
	// is off, and need not be asked about.
	Vouched bool `json:"vouched,omitempty"`
	// Forced says that the operator's word counts also where the storage system
	// is certain that the holder has the volume in use.
	Forced bool      `json:"forced,omitempty"`
	Since  time.Time `json:"since"`
	// Begun ends the holder's tenure, whether it comes back or not: from now
	// on it may only take down what it has and give the token up.
	Begun   bool   `json:"begun,omitempty"`
	Finding string `json:"finding,omitempty"` // what it waits for, as the node has found out
}

// FenceReport is what the node that fences says about it.
type FenceReport struct {
	// Begin says that the holder can't write any more, or is about to be kept
	// from it as the policy has it. The node goes on only once this is
	// committed.
	Begin bool `json:"begin,omitempty"`
	// Done says that the volume is attached nowhere: the token is free.
	Done    bool   `json:"done,omitempty"`
	Finding string `json:"finding,omitempty"` // instead: what stands in the way
}
