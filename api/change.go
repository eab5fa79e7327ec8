package api

import "strings"

// VolumeChange is what should become of a dataset: a JSON merge patch
// (RFC 7396) of what of it can be changed. What is not named stays.
type VolumeChange struct {
	// Size is what the volume must at least have from now on, in bytes. It is
	// never less than the volume has; a growth that has not happened can be taken back.
	Size int64 `json:"size,omitempty"`
	// Metadata has new values for keys, nil for one that goes away.
	Metadata map[string]*string `json:"metadata,omitempty"`
}

// VolumeQuery chooses datasets. The zero value stands for all whose volumes are
// not gone.
type VolumeQuery struct {
	Gone     bool              // those as well whose volumes are gone
	Name     string            // the one with the name
	ID       string            // those whose ids begin with it
	Status   string            // those of the status
	Node     NodeID            // those that the node holds or should hold
	Metadata map[string]string // those with all of these values
	Set      string            // the members of the volume set
}

// Chooses reports whether a dataset is one of those that q chooses, but for its
// status, which is not in its record.
func (q VolumeQuery) Chooses(d *Dataset) bool {
	for key, value := range q.Metadata {
		if got, ok := d.Metadata[key]; !ok || got != value {
			return false
		}
	}
	return (q.Gone || !d.Destroyed) &&
		(q.Name == "" || d.Name() == q.Name) &&
		strings.HasPrefix(string(d.ID), q.ID) &&
		(q.Set == "" || d.Member != nil && d.Member.Set == q.Set) &&
		(q.Node == "" || d.HeldBy(q.Node) || d.Primary == q.Node)
}

// BackendDetail is a storage system that agents of the cluster drive.
type BackendDetail struct {
	Name           string   `json:"name"`
	AllocationUnit int64    `json:"allocation_unit"` // bytes
	Capabilities   []string `json:"capabilities"`    // of CapabilityGrow, ...
	Nodes          []NodeID `json:"nodes"`           // whose agents drive it
	Volumes        int      `json:"volumes"`         // registered
	Bytes          int64    `json:"bytes"`           // of these
}

// What a storage system can do beyond making, attaching and destroying volumes,
// as far as a node's agent can have it done.
const (
	CapabilityGrow    = "grow"    // make a volume larger
	CapabilityWitness = "witness" // tell whether a silent machine can still write
	CapabilityGuard   = "guard"   // refuse who comes with a token of the past
	CapabilityStop    = "stop"    // stop machines
	CapabilityTrim    = "trim"    // give the free blocks of a mounted volume back
	CapabilityZones   = "zones"   // none, but a bound: attach volumes in their zone alone
)
