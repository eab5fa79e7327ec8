package cluster

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"maps"

	"github.com/flocker-mesos/flocker/api"
)

// Configuration is what is wanted of a dataset, as Flocker's REST API shows it.
type Configuration struct {
	ID          api.DatasetID     `json:"dataset_id"`
	Primary     api.NodeID        `json:"primary"`
	Deleted     bool              `json:"deleted"`
	Metadata    map[string]string `json:"metadata"`
	MaximumSize int64             `json:"maximum_size,omitempty"`
}

// ConfigurationOf returns what is wanted of d.
func ConfigurationOf(d *api.Dataset) Configuration {
	c := Configuration{
		ID: d.ID, Primary: d.Primary, Deleted: d.Deleted, Metadata: d.Metadata, MaximumSize: d.MaximumSize,
	}
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	return c
}

// Tag identifies the configuration of all datasets: it changes whenever one is
// created, changed, moved, deleted or dropped, and with nothing else. It is the sum
// (exclusive or) of a hash of each, so a change costs the same whatever their
// number, and every replica has the same tag without any record of it.
type Tag [16]byte

// String returns the tag as Flocker writes it: 32 lower-case hex digits.
func (t Tag) String() string { return hex.EncodeToString(t[:]) }

// change turns the tag of a configuration with old into that with d; either
// may be nil.
func (t *Tag) change(old, d *api.Dataset) {
	if old != nil && d != nil && sameConfiguration(old, d) {
		return
	}
	for _, record := range []*api.Dataset{old, d} {
		if record != nil {
			h := hashConfiguration(record)
			subtle.XORBytes(t[:], t[:], h[:len(t)])
		}
	}
}

func sameConfiguration(a, b *api.Dataset) bool {
	return a.ID == b.ID && a.Primary == b.Primary && a.Deleted == b.Deleted &&
		a.MaximumSize == b.MaximumSize && maps.Equal(a.Metadata, b.Metadata)
}

func hashConfiguration(d *api.Dataset) [sha256.Size]byte {
	var text bytes.Buffer
	// Strings, numbers and maps of strings always encode.
	_ = json.NewEncoder(&text).Encode(ConfigurationOf(d))
	return sha256.Sum256(text.Bytes())
}
