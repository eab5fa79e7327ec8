package api

import "time"

// ClusterStatus is how a cluster is, as one replica knows it.
type ClusterStatus struct {
	Cluster  string    `json:"cluster"` // UUID
	Replica  ReplicaID `json:"replica"` // that answers
	Version  string    `json:"version"` // of that replica
	Store    string    `json:"store"`   // where the log is
	Revision uint64    `json:"revision"`
	// Log is the log's id, and when it was begun or restored last.
	Log LogIdentity `json:"log"`
	// OtherLogs are the nodes that were refused lately because they know another log.
	OtherLogs []OtherLog `json:"other_logs,omitempty"`
	// Damaged are records that another program changed, at most MaxTroubles.
	Damaged []DamagedRecord `json:"damaged,omitempty"`
	// AllDamaged is how many such records there are.
	AllDamaged int `json:"all_damaged,omitempty"`
	// Warnings are what an operator should change in the replica's settings.
	Warnings []string  `json:"warnings,omitempty"`
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
	// Orphans is how many volumes storage systems have that the log does not know.
	Orphans int `json:"orphans,omitempty"`
	// Marathon is how well Marathon is followed, nil where no replica does that.
	Marathon *MarathonStatus `json:"marathon,omitempty"`
	// Newer are the keys of records that only a newer version understands.
	Newer []string `json:"newer,omitempty"`
}

// DamagedRecord is a record of the log that another program has changed. It is
// set aside, and so is the dataset that it is about.
type DamagedRecord struct {
	Key      string    `json:"key"`
	Dataset  DatasetID `json:"dataset,omitempty"` // for which nothing is done
	What     string    `json:"what"`              // a sentence's end
	Since    time.Time `json:"since"`
	Mendable bool      `json:"mendable"` // its value is known
}

// OtherLog is a node that knows another log than the one of this control service.
type OtherLog struct {
	Node  NodeID      `json:"node"`
	Log   LogIdentity `json:"log"` // that the node knows
	Why   string      `json:"why"`
	Since time.Time   `json:"since"` // when it was refused last
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
