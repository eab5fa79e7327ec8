package api

import (
	"path/filepath"
	"time"
)

// The local protocol: on the agent's unix socket a client writes one
// LocalRequest as a line of JSON and reads LocalReply lines until one is Done.
// It is not HTTP because Mesos starts the isolator for every container, and
// net/http alone would double the start-up time of so small a program.

// DefaultSocket is where the agent listens for local clients.
const DefaultSocket = "/run/flocker/agent.sock"

// memoryDir is where the memory of a machine with an installed agent is. It
// outlives a reboot, after which Mesos may be there before the agent.
const memoryDir = "/var/lib/flocker/isolator"

// MemoryDir returns the directory of what the isolator has to know while the agent that
// listens on a socket is away.
func MemoryDir(socket string) string {
	if socket == DefaultSocket {
		return memoryDir
	}
	return filepath.Join(filepath.Dir(socket), "isolator")
}

// AgentFactsFile is the file in MemoryDir that has the AgentFacts.
const AgentFactsFile = "agent.json"

// AgentFacts is what an agent notes about itself when it starts.
type AgentFacts struct {
	WaitLimit time.Duration `json:"wait_limit"` // in nanoseconds
	// Labels says that the agent asks Mesos for the labels of task groups.
	Labels bool `json:"labels"`
}

// MaxLocalLine bounds a line of the local protocol, in bytes.
const MaxLocalLine = 1 << 20

// LocalRequest has exactly one part set.
type LocalRequest struct {
	Acquire *AcquireRequest `json:"acquire,omitempty"`
	Await   *AwaitRequest   `json:"await,omitempty"`
	Release *ReleaseRequest `json:"release,omitempty"`
	Labels  *LabelsRequest  `json:"labels,omitempty"`
	Status  *StatusRequest  `json:"status,omitempty"`

	Marathon *MarathonRequest `json:"marathon,omitempty"`
	Mesos    *MesosRequest    `json:"mesos,omitempty"`
}

// AcquireRequest records a consumer and starts bringing its volumes. It is
// answered within milliseconds; Await tells when the volumes are there. The
// same consumer asking again gets the same answer. CodeUnavailable says that the
// agent cannot claim a volume yet: nothing is recorded, and the client asks again.
type AcquireRequest struct {
	Consumer string          `json:"consumer"`
	Kind     string          `json:"kind"`
	App      string          `json:"app,omitempty"`
	Instance string          `json:"instance,omitempty"` // of the app; see InstanceOf
	Volumes  []VolumeRequest `json:"volumes"`
	// User is the name of the user that the container runs as, "" where that is
	// not known.
	User string `json:"user,omitempty"`
	// Framework is Mesos' id of the framework that launched a container, and Role the
	// role to which the container's resources are allocated, "" where Mesos does not
	// say. Neither comes from what the task can write.
	Framework string `json:"framework,omitempty"`
	Role      string `json:"role,omitempty"`
	// Hurry is set by a caller that holds Mesos up: the agent answers CodeUnavailable
	// at once where it needs the control service and has no stream to it.
	Hurry bool `json:"hurry,omitempty"`
	// Since is when the container began to wait, where it could not ask at that time;
	// the agent's wait limit counts from then.
	Since time.Time `json:"since,omitzero"`
	// Owner is for which owner the volumes are asked; the agent says it, not the client.
	Owner Owner `json:"-"`
	// Alive reports whether the client is still there, nil where the agent cannot tell.
	// A request whose client is gone is dropped: Mesos may have cleaned up already.
	Alive func() bool `json:"-"`
}

// AwaitRequest waits until all volumes of a consumer are mounted. Progress
// comes as replies that are not Done. The agent ends it with CodeUnavailable
// and the reason when its wait limit has passed.
type AwaitRequest struct {
	Consumer string `json:"consumer"`
	// Trees asks for the volumes themselves: with the last line of the answer
	// comes a descriptor for each of Mounts, in their order, of a detached
	// clone of the volume's mount (open_tree(2)).
	Trees bool `json:"trees,omitempty"`
}

// ReleaseRequest ends a consumer. Unknown ones are no error.
type ReleaseRequest struct {
	Consumer string `json:"consumer"`
}

// LabelsRequest asks which labels Mesos knows for a nested container. An agent
// that is not told of a Mesos agent answers CodeNotFound, one whose Mesos agent
// does not answer CodeUnavailable.
type LabelsRequest struct {
	Container string `json:"container"`
	Parent    string `json:"parent"` // its parents' ids, joined by dots
}

// StatusRequest asks the agent about itself, for the doctor.
type StatusRequest struct{}

// MarathonRequest asks the agent to ask a Marathon about itself, for the doctor,
// which speaks no HTTP. CodeUnavailable is that Marathon does not answer.
type MarathonRequest struct {
	URL string `json:"url"` // such as http://marathon.example.net:8080
}

// MesosRequest asks the agent to examine its Mesos agent, for the doctor. An agent
// that is not told of one answers CodeNotFound.
type MesosRequest struct{}

// LocalReply is one line of the answer.
type LocalReply struct {
	Done     bool    `json:"done"`
	Error    *Error  `json:"error,omitempty"`    // with Done
	Mounts   []Mount `json:"mounts,omitempty"`   // of Acquire and Await, with Done
	Progress string  `json:"progress,omitempty"` // a sentence for the task's log
	// MountRoot, with Trees, is the directory below which all volumes of the
	// node are mounted.
	MountRoot string       `json:"mount_root,omitempty"`
	Labels    []Label      `json:"labels,omitempty"`
	Status    *AgentStatus `json:"status,omitempty"`

	Marathon *MarathonInfo `json:"marathon,omitempty"`
	Mesos    *MesosInfo    `json:"mesos,omitempty"`
	// WaitLimit, with the answer to Acquire, is how long an Await can take, in
	// nanoseconds: a client that cannot reach the agent gives up after it too.
	WaitLimit time.Duration `json:"wait_limit,omitempty"`
}

// Mount tells a consumer where one of its volumes is, or will be.
type Mount struct {
	Key       string    `json:"key"`
	DatasetID DatasetID `json:"dataset_id"` // "" where it has yet to be found out which member of a set it is
	Name      string    `json:"name"`
	Set       string    `json:"set,omitempty"` // of which it is a member
	Source    string    `json:"source"`        // on the host; an empty, unwritable directory until Ready
	ReadOnly  bool      `json:"read_only,omitempty"`
	Ready     bool      `json:"ready"`
	// Device is the mounted file system's st_dev, once Ready: who sees it at
	// the target sees the volume.
	Device uint64 `json:"device,omitempty"`
}

// Label is a Mesos label.
type Label struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// AgentStatus is what the agent says about itself.
type AgentStatus struct {
	Version   string        `json:"version"`
	Node      NodeID        `json:"node"`
	MountRoot string        `json:"mount_root"`
	WaitLimit time.Duration `json:"wait_limit"`
	Control   string        `json:"control"` // "connected to ... since ...", or why not
	Connected bool          `json:"connected"`
	// Log is the control service's log, and how far it was last.
	Log   *LogIdentity `json:"log,omitempty"`
	Mesos string       `json:"mesos,omitempty"` // the Mesos agent's URL, "" where none is set
	// MesosTrouble is why it does not know which containers Mesos still runs, nil for none.
	MesosTrouble *MesosTrouble `json:"mesos_trouble,omitempty"`
	// Mounts are the volumes that are mounted on the node or on their way.
	Mounts []Mount `json:"mounts,omitempty"`
	// Times are how long volumes took to be ready, since TimesSince.
	Times      []VolumeTimes `json:"times,omitempty"`
	TimesSince time.Time     `json:"times_since,omitzero"`
}

// MarathonInfo is what a Marathon says about itself.
type MarathonInfo struct {
	Version string `json:"version"`
	// TaskLaunchTimeout is how long a task may take to run, 0 where it does not
	// say.
	TaskLaunchTimeout time.Duration `json:"task_launch_timeout,omitempty"`
}
