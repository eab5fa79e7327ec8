package api

import "time"

// Orphan is a volume that a storage system has and whose dataset no record knows:
// the log was lost, or is older than the volume. No volume is made under its name.
type Orphan struct {
	Dataset    DatasetID `json:"dataset_id"`     // that the volume carries
	Name       string    `json:"name,omitempty"` // likewise; "" for a volume of before names were kept
	Volume     Volume    `json:"volume"`
	AttachedTo string    `json:"attached_to,omitempty"` // instance, as it was found
	Node       NodeID    `json:"node"`                  // whose agent has found it
	Found      time.Time `json:"found"`
	Revision   uint64    `json:"revision"`
}

// Adoption says how an orphan is to be taken into the log.
type Adoption struct {
	// Name is what the dataset is to be called, "" for the name that the volume carries.
	Name string `json:"name,omitempty"`
	// Owner is the dataset's new owner, "" for the operator that adopts it where owners
	// are kept apart, else for every caller.
	Owner Owner `json:"owner,omitempty"`
}

// Inventory is all that an agent's storage system has. Incarnation is that of the
// log, by the welcome on the same stream.
type Inventory struct {
	Stream      uint64            `json:"stream"`
	Incarnation string            `json:"incarnation"`
	Volumes     []InventoryVolume `json:"volumes"`
}

// InventoryVolume is one volume of an Inventory.
type InventoryVolume struct {
	ID         string    `json:"id"`
	Dataset    DatasetID `json:"dataset_id"`
	Name       string    `json:"name,omitempty"`
	Size       int64     `json:"size"`
	Zone       string    `json:"zone,omitempty"`
	AttachedTo string    `json:"attached_to,omitempty"`
}

// InventoryReply has the datasets of the node for which no volume may be made, as
// they are with the inventory taken in.
type InventoryReply struct {
	Datasets []*Dataset `json:"datasets,omitempty"`
}

// MaxInventory is how many volumes an inventory may have, and MaxInventoryBytes how
// long it may be.
const (
	MaxInventory      = 50_000
	MaxInventoryBytes = 16 << 20
)
