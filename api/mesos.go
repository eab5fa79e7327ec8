package api

import "time"

// MesosAgent is what the masters of Mesos say of the Mesos agent on a node's
// machine. It is evidence for people, and decides nothing: an agent that is
// unreachable for Mesos may run containers that write, and one that Mesos lists
// may be dead for a minute and more.
type MesosAgent struct {
	ID       string     `json:"agent_id"`
	Hostname string     `json:"hostname,omitempty"` // as Mesos has it
	State    MesosState `json:"state"`
	// Since is when State began: as Mesos says or, where it does not, as it was
	// noticed. Zero where neither is known.
	Since time.Time `json:"since,omitzero"`
	// Tasks counts the agent's tasks by their states, such as TASK_UNREACHABLE.
	Tasks map[string]int `json:"tasks,omitempty"`
	// Heard is when the masters last answered, and Stale says that this is too
	// long ago to be relied upon.
	Heard time.Time `json:"heard"`
	Stale bool      `json:"stale,omitempty"`
}

// MesosState is one word for how a Mesos agent is, in the eyes of the leading
// master.
type MesosState string

// The states.
const (
	MesosRegistered   MesosState = "registered"
	MesosDraining     MesosState = "draining"     // registered; an operator has it emptied
	MesosDrained      MesosState = "drained"      // registered, and empty
	MesosDeactivated  MesosState = "deactivated"  // registered; an operator lets nothing new start there
	MesosDisconnected MesosState = "disconnected" // registered, but its connection is broken
	MesosRecovered    MesosState = "recovered"    // not heard of since another master leads
	MesosUnreachable  MesosState = "unreachable"  // given up; its containers may run on
	MesosGone         MesosState = "gone"         // an operator has told Mesos that it never comes back
	MesosRemoved      MesosState = "removed"      // it has taken leave
	MesosAbsent       MesosState = "absent"       // Mesos lists it no more, and does not say why
)

// Runs reports whether Mesos takes the agent to be well, and was asked a moment
// ago.
func (m *MesosAgent) Runs() bool {
	if m == nil || m.Stale {
		return false
	}
	switch m.State {
	case MesosRegistered, MesosDraining, MesosDrained, MesosDeactivated:
		return true
	default:
		return false
	}
}

// TaskCount returns how many tasks the agent has.
func (m *MesosAgent) TaskCount() int {
	count := 0
	for _, n := range m.Tasks {
		count += n
	}
	return count
}

// MesosMasters is how the control service gets on with the masters of Mesos.
type MesosMasters struct {
	Leader string    `json:"leader,omitempty"` // URL of the master that answered last
	Heard  time.Time `json:"heard,omitzero"`   // when it did, zero for never
	Agents int       `json:"agents"`           // that are registered
	Stream bool      `json:"stream"`           // it tells of changes as they come
	// Cause is why the last question was not answered, "" where it was.
	Cause string `json:"cause,omitempty"`
}

// MesosTrouble is why a flocker agent cannot tell which containers its machine's
// Mesos agent still runs. While that is so it releases no volume of a container
// whose end Mesos did not report.
type MesosTrouble struct {
	Kind  MesosTroubleKind `json:"kind"`
	Cause string           `json:"cause"` // with what to do about it
	Since time.Time        `json:"since"`
}

// MesosTroubleKind is one word for a MesosTrouble.
type MesosTroubleKind string

// The kinds.
const (
	MesosUnheard MesosTroubleKind = "unreachable" // the Mesos agent does not answer
	MesosDenied  MesosTroubleKind = "credentials" // it refuses the flocker agent
	MesosOdd     MesosTroubleKind = "answer"      // what answers is no Mesos agent
	MesosGroups  MesosTroubleKind = "cgroups"     // its control groups cannot be found
)

// MesosTroubleKinds are all kinds.
var MesosTroubleKinds = []MesosTroubleKind{MesosUnheard, MesosDenied, MesosOdd, MesosGroups}

// MesosInfo is what a flocker agent finds out about its Mesos agent.
type MesosInfo struct {
	URL string `json:"url"`
	// Flags are those of the Mesos agent that the doctor judges, nil where they
	// cannot be read.
	Flags map[string]string `json:"flags,omitempty"`
	// Groups are the control groups below which its containers have theirs.
	Groups []string `json:"groups,omitempty"`
	// Troubles are the calls that failed, by what they are for.
	Troubles map[string]*MesosTrouble `json:"troubles,omitempty"`
}

// What the calls to a Mesos agent are for, in the Troubles of a MesosInfo.
const (
	MesosCallFlags      = "flags"
	MesosCallGroups     = "control groups"
	MesosCallContainers = "containers"
	MesosCallTasks      = "tasks"
	MesosCallFrameworks = "frameworks"
)
