package api

import (
	"maps"
	"slices"
	"time"
)

// DatasetID is the lower-case UUID text of a dataset.
type DatasetID string

// NodeID is the lower-case UUID text of a node, from its certificate.
type NodeID string

// Limits of datasets, as in Flocker's REST API.
const (
	MinSize          = 64 << 20  // bytes
	MinXFSSize       = 300 << 20 // bytes, of a volume that is formatted with XFS
	SizeMultiple     = 1024      // bytes; sizes are multiples of it
	MaxNameLength    = 256       // Unicode characters; also of a metadata key and value
	MaxMetadata      = 16        // entries
	DefaultSizeBytes = 10 << 30  // of a dataset for which no size was asked, unless the control service is set otherwise
)

// Metadata keys with a meaning.
const (
	MetadataName      = "name"                      // the unique name that people and labels use
	MetadataProfile   = "clusterhq:flocker:profile" // the volume type: gold, silver, bronze, or the backend's own
	MetadataFlockerID = "FLOCKER_ID"                // the name that ClusterHQ's Mesos isolator gave
)

// File systems that a dataset can be formatted with.
const (
	FSExt4 = "ext4"
	FSXFS  = "xfs"
)

// Dataset is the whole record of a dataset: what is wanted, who holds it, and
// which volume carries it. The control service keeps it in its log and sends
// it to the agents that it concerns. A Dataset is a value: never change one
// that others can see, put a changed Clone in its place.
type Dataset struct {
	ID       DatasetID         `json:"dataset_id"`
	Revision uint64            `json:"revision"`         // of the log, at the record's last change; a higher one is newer
	Primary  NodeID            `json:"primary"`          // the node it should be on
	Pinned   bool              `json:"pinned,omitempty"` // a user put it on Primary: mounted there even while nothing uses it
	Metadata map[string]string `json:"metadata,omitempty"`
	// MaximumSize is the size that was asked for, 0 where none was. Size is
	// what the volume must at least have: MaximumSize or the default.
	MaximumSize int64  `json:"maximum_size,omitempty"`
	Size        int64  `json:"size"`
	FS          string `json:"fs"`
	// User owns the root directory of the volume when it is formatted: uid:gid, or
	// the name of a user of the machine that formats it. "" for the first consumer's
	// user. Permissions are the mode, such as 0750, "" for the default.
	User        string    `json:"user,omitempty"`
	Permissions string    `json:"permissions,omitempty"`
	Deleted     bool      `json:"deleted,omitempty"`
	Created     time.Time `json:"created"`

	// Holder is the one node that may have the volume attached, nil if none.
	Holder *Holder `json:"holder,omitempty"`
	// Epoch counts the hand-overs of the holder token; it never goes down.
	Epoch uint64 `json:"epoch"`
	// Waiting are the nodes that want the token, first come first.
	Waiting []Waiter `json:"waiting,omitempty"`
	// Fence is under way while the holder is lost and somebody wants the dataset.
	Fence *Fence `json:"fence,omitempty"`
	// Volume is the backend's volume, registered before the dataset was first
	// used. Once registered, another volume never takes its place; its size
	// rises when it is grown.
	Volume *Volume `json:"volume,omitempty"`
	// Member is set where the dataset is one of a volume set.
	Member *Member `json:"member,omitempty"`
	// Destroyed is set when a deleted dataset's volume is known to be gone.
	Destroyed   bool      `json:"destroyed,omitempty"`
	DestroyedAt time.Time `json:"destroyed_at,omitzero"`
	// Reclaim is there while the dataset is to be deleted at some time, since
	// the app that it was for is no more. Who asks for it again ends that.
	Reclaim *Reclaim `json:"reclaim,omitempty"`
	// Owner may do everything with the dataset; Shared may use it. See Tenancy for
	// whether that counts.
	Owner  Owner   `json:"owner,omitempty"`
	Shared []Owner `json:"shared,omitempty"`
	// App is the one whose id the default name was made from, "" for a name that was
	// given. Another app whose id becomes the same name does not get the dataset.
	App string `json:"app,omitempty"`
	// Blocked says why no volume may be made, "" where one may be: the storage
	// system has one of this name or id that the log does not know.
	Blocked string `json:"blocked,omitempty"`
	// Trim is the last request to trim the volume, nil for none.
	Trim *Trim `json:"trim,omitempty"`
}

// Holder is the token of a dataset.
type Holder struct {
	Node  NodeID    `json:"node"`
	Epoch uint64    `json:"epoch"` // equals the dataset's
	Since time.Time `json:"since"`
}

// Waiter is a node that wants a dataset which another node holds.
type Waiter struct {
	Node  NodeID    `json:"node"`
	Since time.Time `json:"since"`
	// Preempt asks the holder to let go though it still uses the dataset. Who
	// preempts goes before who does not.
	Preempt bool `json:"preempt,omitempty"`
	// Owner is the one for which the node asked, empty for Anyone. It may lose the
	// right to use the dataset while it waits.
	Owner Owner `json:"owner,omitempty"`
}

// Actions of an agent that others tell apart: steps of making a volume larger.
const (
	ActionGrow   = "grow the volume"
	ActionGrowFS = "grow the file system"
)

// Volume identifies what a backend made for a dataset.
type Volume struct {
	ID      string `json:"id"`
	Backend string `json:"backend"`
	Size    int64  `json:"size"` // as made or grown, after rounding up to the allocation unit
	// Zone is the one whose nodes alone can attach it, "" where it can be attached
	// everywhere, or that is not known.
	Zone string `json:"zone,omitempty"`
}

// Name returns the name that people use, "" if the dataset has none.
func (d *Dataset) Name() string {
	if name := d.Metadata[MetadataName]; name != "" {
		return name
	}
	return d.Metadata[MetadataFlockerID]
}

// Profile returns the profile that was asked for, "" if none was.
func (d *Dataset) Profile() string { return d.Metadata[MetadataProfile] }

// HeldBy reports whether node is the holder.
func (d *Dataset) HeldBy(node NodeID) bool { return d.Holder != nil && d.Holder.Node == node }

// FencedBy reports whether node has to see to it that the lost holder can no
// longer write.
func (d *Dataset) FencedBy(node NodeID) bool { return d.Fence != nil && d.Fence.Node == node }

// Revoked reports whether the holder's tenure is over though it has not given
// the token up: it must take down what it has, and nothing else.
func (d *Dataset) Revoked() bool { return d.Fence != nil && d.Fence.Begun }

// Preempted reports whether the holder is asked to let go of what it uses.
func (d *Dataset) Preempted() bool { return len(d.Waiting) > 0 && d.Waiting[0].Preempt }

// AwaitedBy reports whether node waits for the token.
func (d *Dataset) AwaitedBy(node NodeID) bool {
	for _, w := range d.Waiting {
		if w.Node == node {
			return true
		}
	}
	return false
}

// Concerns reports whether node must be told of the dataset: it holds it,
// waits for it, fences its holder, is where it should be, or has who has it as
// the member of a set. One whose volume is gone concerns nobody.
func (d *Dataset) Concerns(node NodeID) bool {
	return !d.Destroyed && (d.Primary == node || d.HeldBy(node) || d.AwaitedBy(node) || d.FencedBy(node) || d.UserOn(node) != nil)
}

// Clone returns a copy that shares nothing with d.
func (d *Dataset) Clone() *Dataset {
	c := *d
	c.Metadata = maps.Clone(d.Metadata)
	if d.Holder != nil {
		h := *d.Holder
		c.Holder = &h
	}
	if d.Volume != nil {
		v := *d.Volume
		c.Volume = &v
	}
	c.Waiting = append([]Waiter(nil), d.Waiting...)
	if d.Fence != nil {
		f := *d.Fence
		c.Fence = &f
	}
	if d.Trim != nil {
		t := *d.Trim
		c.Trim = &t
	}
	c.Shared = slices.Clone(d.Shared)
	if d.Reclaim != nil {
		r := *d.Reclaim
		c.Reclaim = &r
	}
	if d.Member != nil {
		m := *d.Member
		if m.User != nil {
			u := *m.User
			m.User = &u
		}
		c.Member = &m
	}
	return &c
}

// Phase is how far a dataset is on a node, as its agent sees it.
type Phase string

// The phases. Between them stand the actions of the agent's table.
const (
	PhaseUnknown     Phase = "unknown"     // not looked at yet
	PhaseNonExistent Phase = "nonexistent" // there is no volume yet
	PhaseVanished    Phase = "vanished"    // a volume is registered but the backend does not know it
	PhaseDetached    Phase = "detached"    // there is a volume, attached nowhere
	PhaseElsewhere   Phase = "elsewhere"   // the volume is attached to another machine
	PhaseAttaching   Phase = "attaching"   // attached here, the device has not shown up yet
	PhaseBlank       Phase = "blank"       // attached here, nothing on the device
	PhaseForeign     Phase = "foreign"     // attached here, the device is not what it should be
	PhaseAttached    Phase = "attached"    // attached here, formatted, not mounted
	PhaseMounted     Phase = "mounted"
	PhaseCut         Phase = "cut" // mounted here, but the storage system has taken the volume away
)

// DatasetState is what a node last reported about a dataset.
type DatasetState struct {
	ID        DatasetID  `json:"dataset_id"`
	Node      NodeID     `json:"node"`
	Epoch     uint64     `json:"epoch"` // under which it was seen
	Phase     Phase      `json:"phase"`
	Since     time.Time  `json:"since"`            // of Phase
	Action    string     `json:"action,omitempty"` // what the agent does now or tries next, "" when it is done
	Path      string     `json:"path,omitempty"`   // where it is mounted
	Device    string     `json:"device,omitempty"`
	Size      int64      `json:"size,omitempty"` // of the volume
	Consumers []Consumer `json:"consumers,omitempty"`
	Failure   *Failure   `json:"failure,omitempty"`
	Trim      *TrimState `json:"trim,omitempty"`   // the last one, nil for none that is known
	Health    *Health    `json:"health,omitempty"` // nil while the mounted file system is healthy, or none is mounted
}

// Health is what is wrong with a mounted file system.
type Health struct {
	Kind   HealthKind `json:"kind"`
	Cause  string     `json:"cause"`
	Remedy string     `json:"remedy"` // what happens next, and what a person can do
	Since  time.Time  `json:"since"`  // of Kind
}

// HealthKind is what can be wrong with a mounted file system.
type HealthKind string

// The kinds.
const (
	HealthDeviceGone HealthKind = "device-gone" // its device is no longer there
	HealthShutDown   HealthKind = "shut-down"   // the kernel has shut it down
	HealthAborted    HealthKind = "aborted"     // the kernel has made it read-only after an error
	HealthUnmounted  HealthKind = "unmounted"   // it was unmounted behind the agent's back
	HealthCovered    HealthKind = "covered"     // something else is mounted over it
	HealthReadOnly   HealthKind = "read-only"   // it was remounted read-only
	HealthIOErrors   HealthKind = "io-errors"   // it is usable, but an access to its device has just failed
	HealthHung       HealthKind = "hung"        // a look at it does not return
)

// HealthKinds are all kinds.
var HealthKinds = []HealthKind{
	HealthDeviceGone, HealthShutDown, HealthAborted, HealthUnmounted, HealthCovered, HealthReadOnly, HealthIOErrors, HealthHung,
}

// Failure is why a dataset is not as wanted.
type Failure struct {
	Action   string    `json:"action"` // what was tried
	Cause    string    `json:"cause"`
	Since    time.Time `json:"since"`    // of the first attempt that failed this way
	Attempts int       `json:"attempts"` // without success until now
	NextTry  time.Time `json:"next_try"` // zero: not before something changes
	// Lasting says that waiting alone does not mend it: an operator has to act.
	Lasting bool `json:"lasting,omitempty"`
}

// Consumer is who uses a dataset on a node.
type Consumer struct {
	ID       string    `json:"id"`   // unique on the node: a container id (parent.child), or which front door and volume
	Kind     string    `json:"kind"` // ConsumerMesos, ...
	App      string    `json:"app,omitempty"`
	Key      string    `json:"key,omitempty"` // of the label
	ReadOnly bool      `json:"read_only,omitempty"`
	Since    time.Time `json:"since"`
	// SetAside is where the agent has put the consumer's file, which it cannot read.
	SetAside string `json:"set_aside,omitempty"`
	Owner    Owner  `json:"owner,omitempty"` // for which it uses the dataset
}

// Kinds of consumers.
const (
	ConsumerMesos  = "mesos"  // a Mesos container, through the isolator
	ConsumerDVDCLI = "dvdcli" // Mesos' docker/volume isolator, one for all its containers
	ConsumerCSI    = "csi"    // who speaks CSI, such as Mesos' volume/csi isolator, one for all its containers
	ConsumerHint   = "hint"   // nobody yet: a container that is expected; it yields to whoever else wants the dataset
	// ConsumerUnreadable is a consumer of which nothing but its name is known.
	ConsumerUnreadable = "unreadable"
	ConsumerMake       = "make" // likewise: the volume is made for an app ahead of its first container
)
