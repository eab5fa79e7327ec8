package api

import "time"

// ClusterStatus is how a cluster is, as one replica knows it.
type ClusterStatus struct {
	Cluster  string    `json:"cluster"` // UUID
	Replica  ReplicaID `json:"replica"` // that answers
	Version  string    `json:"version"` // of that replica
	Store    string    `json:"store"`   // where the log is
	Revision uint64    `json:"revision"`
	Now      time.Time `json:"now"` // at the replica
	// StaleSince is since when the replica cannot reach the log, zero where it
	// can: all of this is as it was then.
	StaleSince time.Time     `json:"stale_since,omitzero"`
	StaleCause string        `json:"stale_cause,omitempty"`
	Settings   Settings      `json:"settings"`
	Replicas   []*Replica    `json:"replicas"`
	Nodes      []*NodeDetail `json:"nodes"`
	// Mesos is how the replica gets on with the masters of Mesos, nil where it is
	// not told of any.
	Mesos    *MesosMasters `json:"mesos,omitempty"`
	Datasets int           `json:"datasets"` // whose volumes are not gone
	// Troubles are the datasets that are not as wanted, at most MaxTroubles.
	Troubles    []*DatasetDetail `json:"troubles"`
	AllTroubles int              `json:"all_troubles"` // how many there are
	// Marathon is how well Marathon is followed, nil where no replica does that.
	Marathon *MarathonStatus `json:"marathon,omitempty"`
	// Newer are the keys of records that only a newer version understands.
	Newer []string `json:"newer,omitempty"`
}

// MaxTroubles bounds the troubles that a status shows.
const MaxTroubles = 100

// NodeDetail is a node with what it has.
type NodeDetail struct {
	*Node

	Held    int `json:"held"`    // datasets whose token it holds
	Waiting int `json:"waiting"` // datasets that it waits for
	// Mesos is what Mesos says of the node's machine, nil for nothing.
	Mesos *MesosAgent `json:"mesos,omitempty"`
}
