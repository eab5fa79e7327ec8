// Package backend is the border to storage systems: what differs between them,
// and no more. Waiting, back-off, retries, caching and shared listings live
// once, in the agent. A driver is a plain translation; it may assume that its
// arguments are valid, must be safe for concurrent use, and passes the suite
// in backend/backendtest or it is not a driver.
package backend

import (
	"context"
	"errors"
	"fmt"
)

// Backend makes, attaches and lists volumes of one cluster.
//
// Every method may be called again after a crash at any instruction of itself:
// the second call finishes what the first began. A method whose context ends
// returns soon; whether its effect happened is then unknown.
type Backend interface {
	// Properties are constant for the life of the Backend.
	Properties() Properties

	// InstanceID returns what the storage system calls this machine.
	InstanceID(ctx context.Context) (string, error)

	// Create makes a volume for a dataset and returns it, or returns the one
	// that the dataset has already. Errors: ErrNoSpace, ErrThrottled.
	Create(ctx context.Context, req CreateRequest) (Volume, error)

	// Destroy deletes a volume with its data. A volume that does not exist is
	// no error. Errors: ErrInUse while it is attached anywhere.
	Destroy(ctx context.Context, volumeID string) error

	// Attach attaches a volume to an instance; being attached to it already
	// is no error. Two instances never both succeed. Errors:
	// ErrUnknownVolume, *AttachedElsewhereError, ErrNoSpace (no slot left),
	// ErrThrottled.
	Attach(ctx context.Context, volumeID, instanceID string) error

	// Detach detaches a volume from an instance and returns when the storage
	// system says that the instance can no longer write to it. A volume that
	// is attached nowhere, or to another instance, is no error. Forced, it
	// does not ask the instance. Errors: ErrUnknownVolume, ErrInUse while
	// the instance still uses the device (never silently forced).
	Detach(ctx context.Context, volumeID, instanceID string, mode DetachMode) error

	// List returns the volumes with the given ids, unknown ones left out, or
	// all volumes of this cluster when none is given.
	List(ctx context.Context, volumeIDs ...string) ([]Volume, error)

	// Device returns where this machine's kernel shows a volume that is
	// attached to it. Errors: ErrNotAttached; ErrNotReady while the kernel
	// has not shown it yet.
	Device(ctx context.Context, volumeID string) (Device, error)
}

// Surveyor is what a Backend may be as well: one that can tell everything that
// is attached to this machine at once, cheaper than List and Device for each.
// An agent that starts beside many volumes uses it.
type Surveyor interface {
	// Attached returns the devices of the volumes that are attached to this
	// machine and that its kernel shows, by the ids of the volumes.
	Attached(ctx context.Context) (map[string]Device, error)
}

// Witness is what a Backend may be as well: one that can tell whether a machine
// which has fallen silent can still write to a volume. Without it nobody can
// vouch for that, and a lost machine's volumes stay where they are until a
// person says so.
type Witness interface {
	// CanWrite reports whether an instance can still write to a volume, and how
	// that is known, in half a sentence. In doubt it is MayWrite, also beside an
	// error. No instance can write to a volume that does not exist.
	CanWrite(ctx context.Context, volumeID, instanceID string) (verdict Verdict, evidence string, err error)
}

// Verdict is what a Witness says of a machine and a volume.
type Verdict int

// The verdicts.
const (
	MayWrite    Verdict = iota // the storage system cannot tell
	CannotWrite                // the storage system is certain that the machine cannot write
	Writes                     // the storage system is certain that the machine has the volume in use
)

func (v Verdict) String() string { return [...]string{"may write", "cannot write", "writes"}[v] }

// Guard is what a Backend may be as well: one whose storage itself refuses who
// comes with a token of the past. It keeps out a machine that was paused between
// its last look at its token and its attach.
type Guard interface {
	// AttachUnder is Attach for a holder with an epoch. Errors beside those of
	// Attach: ErrStale where the storage has seen a higher epoch.
	AttachUnder(ctx context.Context, volumeID, instanceID string, epoch uint64) error
	// Seal has the storage refuse all epochs below one. Errors: ErrUnknownVolume,
	// ErrInUse while the volume is attached anywhere.
	Seal(ctx context.Context, volumeID string, epoch uint64) error
}

// Grower is what a Backend may be as well: one that can make a volume larger
// while it is in use.
type Grower interface {
	// Grow makes a volume at least as large as size, a multiple of the
	// allocation unit, and returns what List says of it from then on. It works
	// while the volume is attached to this machine, mounted or not, and while it
	// is attached nowhere. A volume that has the size already, or is larger,
	// stays as it is: none is ever made smaller. What is new reads as zeros.
	//
	// When it returns for a volume that is attached here, this machine's kernel
	// shows a device of the whole size, also where an earlier call was cut off
	// before that; or else the error is ErrNotReady, and the caller asks again.
	// A storage system that takes long says so too, instead of keeping the
	// caller waiting.
	//
	// Errors: ErrUnknownVolume, *AttachedElsewhereError, ErrNoSpace, ErrThrottled,
	// ErrNotReady; then the volume goes on to be used as it is.
	Grow(ctx context.Context, volumeID string, size int64) (Volume, error)
}

// Namer is what a Backend may be as well: one that can give a volume, attached or
// not, another name than it was made with.
type Namer interface {
	// SetName has List say another Name. Errors: ErrUnknownVolume, ErrThrottled.
	SetName(ctx context.Context, volumeID, name string) error
}

// Overseer is a Backend that notices when the storage loses a volume that is attached to
// this machine.
type Overseer interface {
	// Oversee calls changed with the id of each volume attached here about which List
	// may say something new, of its Lost above all, until ctx ends.
	Oversee(ctx context.Context, changed func(volumeID string))
}

// Stopper can stop machines: a Backend may, by its cloud, or a program of the
// operator's.
type Stopper interface {
	// StopInstance returns when the machine is known to be off.
	StopInstance(ctx context.Context, instanceID string) error
}

// Zoner is what a Backend may be as well: one that binds volumes to zones, such as a
// cloud's availability zones. It knows the zone of this machine, by itself or since an
// operator has said so, and says with each Volume in which zone that is.
type Zoner interface {
	// Zone returns the zone of this machine, "" where volumes are bound to none. It
	// is constant for the life of the Backend.
	Zone(ctx context.Context) (string, error)
}

// Properties describe a backend.
type Properties struct {
	Name           string // as in agent.yml
	AllocationUnit int64  // bytes; sizes are rounded up to a multiple of it
	MaxSize        int64  // bytes of the largest volume, 0 where that is not known
	// Thin says that a volume takes room in the storage only for what was written to it,
	// and gives it back when blocks are discarded.
	Thin bool
}

// CreateRequest is what a new volume must be.
type CreateRequest struct {
	DatasetID string
	Size      int64  // bytes, a multiple of the allocation unit
	Profile   string // "" for the backend's default
	// Name is the dataset's, "" where it has none. The volume carries it from the
	// moment at which it exists.
	Name string
}

// Volume is what the storage system says of a volume.
type Volume struct {
	ID         string
	DatasetID  string
	Name       string // of the dataset when the volume was made or SetName last called; "" where none is known
	Size       int64  // bytes
	AttachedTo string // instance id, "" where it is attached nowhere
	Zone       string // whose machines alone can attach it, "" for all
	// Lost says why the data of a volume that is attached to this machine ends with its
	// device: the storage system no longer has it, or has it under another name. It
	// begins a sentence, and names the remedy; "" for a volume that is not lost.
	Lost string
}

// Device is a block device of this machine.
type Device struct {
	Path string // such as /dev/loop7
	Size int64  // bytes, as the kernel says
	// Image is the regular file behind the device, "" where there is none:
	// a hint for who looks at what is on it.
	Image string
}

// DetachMode says how insistent a detach is.
type DetachMode int

// The modes of Detach.
const (
	DetachNormal DetachMode = iota
	// DetachForced cuts a live file system if there is one; used only when
	// the instance is known to be dead, or a policy says so.
	DetachForced
)

// What went wrong, for callers to tell apart with errors.Is and errors.As.
// Anything else is worth trying again later.
var (
	ErrUnknownVolume = errors.New("no such volume")
	ErrNotAttached   = errors.New("volume is not attached to this machine")
	ErrNotReady      = errors.New("device has not shown up yet")
	ErrInUse         = errors.New("volume is in use")
	ErrNoSpace       = errors.New("no space or quota left")
	ErrThrottled     = errors.New("too many requests")
	ErrDamaged       = errors.New("volume is damaged")
	ErrStale         = errors.New("the token is of the past: another node has had the volume since")
)

// InUseError is an ErrInUse whose cause is on this machine.
type InUseError struct {
	Device string // the block device that is in use
	Why    string
}

func (e *InUseError) Error() string { return ErrInUse.Error() + ": " + e.Why }

// Is reports whether target is ErrInUse.
func (e *InUseError) Is(target error) bool { return target == ErrInUse }

// ForeignVolumeError says that a volume belongs to another dataset than the one it
// was looked up for. Such a volume is never acted on.
type ForeignVolumeError struct {
	VolumeID string
	Backend  string
	Wanted   string // the dataset that the volume was looked up for
	Owner    string // the dataset that it belongs to by the storage system, "" for none
}

func (e *ForeignVolumeError) Error() string {
	owner := "to no dataset"
	if e.Owner != "" {
		owner = "to dataset " + e.Owner
	}
	return fmt.Sprintf("volume %s belongs %s by %s, and is registered for dataset %s: it is neither attached, changed nor destroyed; "+
		"look at the node that registered it", e.VolumeID, owner, e.Backend, e.Wanted)
}

// AttachedElsewhereError says which instance has the volume.
type AttachedElsewhereError struct {
	VolumeID string
	Instance string // "" where the storage system does not say
}

func (e *AttachedElsewhereError) Error() string {
	if e.Instance == "" {
		return fmt.Sprintf("volume %s is attached to another machine", e.VolumeID)
	}
	return fmt.Sprintf("volume %s is attached to %s", e.VolumeID, e.Instance)
}
