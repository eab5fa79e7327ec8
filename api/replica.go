package api

import "time"

// ReplicaID names one run of a control service. A control service that is
// started again is another replica.
type ReplicaID string

// Replica is the record of a running control service. It beats: its record
// changes every heartbeat, and the other replicas take one whose record does
// not for lost, whatever it may think of itself.
type Replica struct {
	ID      ReplicaID `json:"id"`
	Name    string    `json:"name"`    // of its machine, for people
	Users   string    `json:"users"`   // host:port where users reach it
	Agents  string    `json:"agents"`  // host:port where agents reach it
	Version string    `json:"version"` // of the program
	Started time.Time `json:"started"`
	Beat    uint64    `json:"beat"` // how often it has beaten
	// CertificateExpires is when its certificate, or its authority's, ends.
	CertificateExpires time.Time `json:"certificate_expires,omitzero"`
	// Lost is since when the others miss its beats, zero while it is there. It
	// is no loss of data: its agents and users go to the others.
	Lost time.Time `json:"lost,omitzero"`
}

// Settings are what all replicas of a cluster must agree on: each decides on
// behalf of all.
type Settings struct {
	DefaultSize int64 `json:"default_size"` // bytes, of datasets for which no size was asked
	// MaxSize is the largest size of a dataset in bytes, 0 for DefaultMaxSize:
	// replicas of before have no such setting.
	MaxSize     int64         `json:"max_size,omitempty"`
	Heartbeat   time.Duration `json:"heartbeat"`    // nanoseconds
	KeepDeleted time.Duration `json:"keep_deleted"` // nanoseconds
	OnLostNode  FencePolicy   `json:"on_lost_node"`
}

// DefaultMaxSize is the largest size of a dataset in bytes, unless the control
// service is set otherwise.
const DefaultMaxSize = 64 << 40

// Largest returns the largest size of a dataset in bytes.
func (s Settings) Largest() int64 {
	if s.MaxSize == 0 {
		return DefaultMaxSize
	}
	return s.MaxSize
}
