package api

import "time"

// Node is the record of a machine with an agent.
type Node struct {
	ID       NodeID `json:"uuid"`
	Hostname string `json:"hostname"`
	Address  string `json:"host"`     // the IP address its agent calls from
	Era      string `json:"era"`      // the kernel's boot id
	Agent    string `json:"agent"`    // identity of the agent's state directory; tells a restarted agent from a second one
	Instance string `json:"instance"` // what the backend calls the machine
	Backend  string `json:"backend"`
	Version  string `json:"version"`
	// Stream counts the node's streams to any replica; a report of an older
	// stream is refused.
	Stream    uint64    `json:"stream"`
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"` // of Connected's last change
}

// Name returns what people call the node.
func (n *Node) Name() string {
	if n.Hostname != "" {
		return n.Hostname
	}
	return string(n.ID)
}
