package api

import "time"

// App is what the control service remembers of an app or a pod of Marathon's
// that asks for volumes: as it was when Marathon last had it, so that it is
// still known when Marathon has not.
type App struct {
	ID        string `json:"id"` // Marathon's, such as /prod/orders-db
	Pod       bool   `json:"pod,omitempty"`
	Framework string `json:"framework"` // Mesos' id of the Marathon that had it
	Version   string `json:"version"`   // of its definition
	Wanted    int    `json:"wanted"`    // instances
	// Zone is the one that its constraints keep it in, "" where they do not.
	Zone     string `json:"zone,omitempty"`
	Owner    Owner  `json:"owner,omitempty"` // for which it asks for volumes
	Revision uint64 `json:"revision"`        // of the log, at the record's last change

	Volumes []AppVolume `json:"volumes"`
	// Mistake is why its definition does not tell all volumes, "" where it does.
	// Volumes are then those that it does tell, and those that it asked for before.
	Mistake   string        `json:"mistake,omitempty"`
	Instances []AppInstance `json:"instances,omitempty"`
	// Unlisted is how many further instances there are.
	Unlisted int `json:"unlisted,omitempty"`

	// Stopped is when Marathon said that it destroys the app, or has, zero
	// where it said nothing of the kind since it was last at rest.
	Stopped time.Time `json:"stopped,omitzero"`
	// Missing is since when Marathon, which was itself well, has not had it.
	Missing time.Time `json:"missing,omitzero"`
}

// Limits of what is kept of an app.
const (
	MaxAppVolumes   = 256
	MaxAppInstances = 256
)

// AppVolume is a volume that an app asks for.
type AppVolume struct {
	Key     string         `json:"key"`
	Name    string         `json:"name"`              // of the dataset
	Set     string         `json:"set,omitempty"`     // of which it is a member, "" for none
	Dataset DatasetID      `json:"dataset,omitempty"` // "" where there is none yet
	Reclaim ReclaimPolicy  `json:"reclaim,omitempty"` // "" for keep
	Grace   time.Duration  `json:"grace,omitempty"`   // nanoseconds, of ReclaimDelete
	Failure string         `json:"failure,omitempty"` // why the app cannot have it, "" where it can
	Spec    *VolumeRequest `json:"-"`                 // what is asked for; not kept
	// Anyone says that the volume is asked for through a door that tells no identity,
	// dvdcli or CSI, whatever the app's owner is.
	Anyone bool `json:"anyone,omitempty"`
}

// OwnerOf returns for which owner an app asks for one of its volumes.
func (a *App) OwnerOf(v *AppVolume) Owner {
	if v.Anyone {
		return Anyone
	}
	return a.Owner
}

// OwnerFor returns for which owner an app asks for the dataset with a name.
func (a *App) OwnerFor(name string) Owner {
	for i := range a.Volumes {
		if a.Volumes[i].Name == name {
			return a.OwnerOf(&a.Volumes[i])
		}
	}
	return a.Owner
}

// AppInstance is an instance of an app.
type AppInstance struct {
	ID    string    `json:"id"`             // of its newest task, or of the pod's instance
	State string    `json:"state"`          // Mesos' word: TASK_STAGING, TASK_RUNNING, ...
	Host  string    `json:"host,omitempty"` // as Marathon names it
	Node  NodeID    `json:"node,omitempty"` // that has this name, "" where none or several have
	Since time.Time `json:"since,omitzero"` // of the start, or of the launch where it has not started
}

// The states of instances that matter here.
const (
	TaskStaging     = "TASK_STAGING"
	TaskStarting    = "TASK_STARTING"
	TaskRunning     = "TASK_RUNNING"
	TaskKilling     = "TASK_KILLING"
	TaskUnreachable = "TASK_UNREACHABLE"
)

// Staged reports whether the instance is on its way to running.
func (i *AppInstance) Staged() bool { return i.State == TaskStaging || i.State == TaskStarting }

// Ending reports whether the instance has ended, or is on its way there.
func (i *AppInstance) Ending() bool { return i.State == TaskKilling || i.Ended() }

// Ended reports whether the instance runs no more, for all that Mesos knows. One
// on a machine that cannot be reached has not.
func (i *AppInstance) Ended() bool {
	switch i.State {
	case "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_DROPPED", "TASK_GONE", "TASK_GONE_BY_OPERATOR":
		return true
	default:
		return false
	}
}

// ReclaimPolicy is what becomes of an app's volume when the app is destroyed.
type ReclaimPolicy string

// The policies.
const (
	ReclaimKeep   ReclaimPolicy = "keep"
	ReclaimDelete ReclaimPolicy = "delete" // after a time of grace
)

// Reclaim says that a dataset is going to be deleted, and why.
type Reclaim struct {
	At    time.Time `json:"at"`
	App   string    `json:"app"`   // that was destroyed
	Since time.Time `json:"since"` // when that was known
}

// Hint tells a node's agent that a container which will ask for a dataset is
// about to start on the node. It is Marathon's word and moves nothing by itself:
// the agent may claim the dataset ahead of the container, until the hint ends.
type Hint struct {
	Dataset  DatasetID `json:"dataset_id"`
	Node     NodeID    `json:"node"`
	App      string    `json:"app"`
	Instance string    `json:"instance"` // "" for Make
	Until    time.Time `json:"until"`
	Revision uint64    `json:"revision"` // of the log, at the hint's last change
	// Make says that no container is expected yet: the node is to make the volume
	// ahead of the first one, and to give it back once it is registered.
	Make bool `json:"make,omitempty"`
	// Attempt counts the hints to make a volume that ended without one, from 0 on.
	Attempt int `json:"attempt,omitempty"`
}

// For reports whether h is a hint for node; nil is for nobody.
func (h *Hint) For(node NodeID) bool { return h != nil && h.Node == node }

// Live reports whether h has not ended at a time.
func (h *Hint) Live(at time.Time) bool { return h != nil && h.Until.After(at) }

// Ending tells a node's agent that an instance of an app has ended on the node, or
// is being killed there. It is Marathon's word and releases nothing: the agent asks
// Mesos at once which containers there are, since nobody may tell it.
type Ending struct {
	Node     NodeID `json:"node"`
	App      string `json:"app"`
	Instance string `json:"instance"`
	Revision uint64 `json:"revision"` // of the log, at the record's last change
}

// Job is something that one replica at a time does.
type Job struct {
	Name     string    `json:"name"`
	Owner    ReplicaID `json:"owner"`
	Since    time.Time `json:"since"` // of the owner's turn
	Revision uint64    `json:"revision"`
	// Marathon is how the owner of JobMarathon gets on.
	Marathon *MarathonStatus `json:"marathon,omitempty"`
}

// JobMarathon is the job of following Marathon.
const JobMarathon = "marathon"

// MarathonStatus is how well Marathon can be followed.
type MarathonStatus struct {
	Leader    string    `json:"leader,omitempty"` // as Marathon names it
	Version   string    `json:"version,omitempty"`
	Framework string    `json:"framework,omitempty"`
	Role      string    `json:"role,omitempty"`        // of apps that have none of their own
	Read      time.Time `json:"read,omitzero"`         // when all apps were last read
	Events    bool      `json:"events"`                // the event stream is there
	DownSince time.Time `json:"down_since,omitzero"`   // since when it cannot be read, zero where it can
	Cause     string    `json:"cause,omitempty"`       // why, or why there are no events
	Owner     string    `json:"followed_by,omitempty"` // name of the replica; not kept
}

// MarathonView is what the control service knows of Marathon's apps.
type MarathonView struct {
	// Marathon is nil where no replica follows Marathon.
	Marathon *MarathonStatus `json:"marathon,omitempty"`
	Apps     []*AppDetail    `json:"apps"`
}

// AppDetail is an app with how its volumes are.
type AppDetail struct {
	*App

	VolumeDetails []AppVolumeDetail `json:"volume_details"`
	// Why says in sentences what about the app keeps its volumes from being as
	// wanted, "" where nothing does.
	Why string `json:"why,omitempty"`
}

// AppVolumeDetail is how a volume of an app is.
type AppVolumeDetail struct {
	Key     string    `json:"key"`
	Name    string    `json:"name"`
	Dataset DatasetID `json:"dataset,omitempty"`
	Node    NodeID    `json:"node,omitempty"` // that has it
	Host    string    `json:"host,omitempty"` // the name of that node
	Status  string    `json:"status"`
	Why     string    `json:"why"`
	// Instance is which instance the volume is for, "" where it is for all.
	Instance string `json:"instance,omitempty"`
}
