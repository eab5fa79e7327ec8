package api

import "time"

// Node is the record of a machine with an agent.
type Node struct {
	ID       NodeID `json:"uuid"`
	Hostname string `json:"hostname"`
	Address  string `json:"host"` // the IP address its agent calls from
	Era      string `json:"era"`  // the kernel's boot id
	// Agent is the hash of the identity of the agent's state directory: it tells a
	// restarted agent from a second one. Only records have it, no answer shows it.
	Agent    string `json:"agent,omitempty"`
	Instance string `json:"instance"` // what the backend calls the machine
	Backend  string `json:"backend"`
	Version  string `json:"version"`
	// AllowedInstance is the instance that the node's next stream may announce in
	// place of Instance, on an operator's word; "" for none.
	AllowedInstance string `json:"allowed_instance,omitempty"`
	Zone            string `json:"zone,omitempty"` // that the machine is in, "" where that is not known
	// AllocationUnit is the backend's, in bytes; Capabilities are of
	// CapabilityGrow and its like.
	AllocationUnit int64    `json:"allocation_unit,omitempty"`
	MaxSize        int64    `json:"max_size,omitempty"` // of a volume of the backend's, in bytes; 0 where that is not known
	Capabilities   []string `json:"capabilities,omitempty"`
	// CertificateExpires is when the agent's certificate, or its authority's,
	// ends, zero where it does not say.
	CertificateExpires time.Time `json:"certificate_expires,omitzero"`
	// Stream counts the node's streams to any replica; a report of an older
	// stream is refused.
	Stream    uint64    `json:"stream"`
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"` // of Connected's last change
	// Replica has the newest stream, or had it.
	Replica ReplicaID `json:"replica,omitempty"`
	// GivenUp is when an operator declared the silent node lost, zero while
	// nobody has: its machine is off, so its volumes may go to others. It ends
	// when the node is back.
	GivenUp time.Time `json:"given_up,omitzero"`
	// Forced says that the operator's word counts also where the storage system
	// is certain that the node has a volume in use.
	Forced bool `json:"forced,omitempty"`
	// Draining is since when the node is being emptied, zero while it is not:
	// it gets no further volumes and gives up what nothing uses.
	Draining time.Time `json:"draining,omitzero"`
	// MesosTrouble is why the agent does not know which containers Mesos still
	// runs there, nil for none that was reported on this stream.
	MesosTrouble *MesosTrouble `json:"mesos_trouble,omitempty"`
}

// Lost reports whether the node has fallen silent: for all that is known, its
// containers may be running and writing.
func (n *Node) Lost() bool { return !n.Connected }

// NeverCame reports whether no agent has ever connected as the node: it was
// taken over from elsewhere, and nothing is known of its machine.
func (n *Node) NeverCame() bool { return n.Stream == 0 }

// Name returns what people call the node.
func (n *Node) Name() string {
	if n.Hostname != "" {
		return n.Hostname
	}
	return string(n.ID)
}
