package api

import "time"

// VolumeRequest is one volume that a container asks for: by labels, by
// environment variables, through dvdcli, or by CSI.
type VolumeRequest struct {
	Key     string `json:"key"`            // of the label; names the volume within its app
	Path    string `json:"path,omitempty"` // in the container; relative = below the sandbox
	Name    string `json:"name"`           // of the dataset
	Size    int64  `json:"size,omitempty"` // bytes, a multiple of SizeMultiple; 0 for the default
	Profile string `json:"profile,omitempty"`
	FS      string `json:"fs,omitempty"`
	// User is the owner of the volume's root directory, as uid:gid, and Permissions
	// its mode, such as 0750: they count when the volume is formatted. "" for none.
	User        string `json:"user,omitempty"`
	Permissions string `json:"permissions,omitempty"`
	// Options are those of MountOptions that the consumer asks for, in order, with
	// commas between them.
	Options  string `json:"options,omitempty"`
	ReadOnly bool   `json:"read_only,omitempty"`
	Preempt  bool   `json:"preempt,omitempty"` // ask a live holder to let go
	// Each gives every instance of the app a volume of its own, a member of the
	// volume set Name: Name.0, Name.1, and so on, as many as Each says, or as the
	// app has instances where it is EachInstance. 0 is one volume for all.
	Each int `json:"each,omitempty"`
	// Reclaim is what becomes of the dataset when the app is destroyed, "" for
	// ReclaimKeep; Grace how long it is then kept all the same, 0 for as long as
	// the control service is set to. Only who follows Marathon heeds them.
	Reclaim ReclaimPolicy `json:"reclaim,omitempty"`
	Grace   time.Duration `json:"grace,omitempty"`
}

// EachInstance stands for as many members of a volume set as the app has
// instances, which only Marathon can say.
const EachInstance = -1
