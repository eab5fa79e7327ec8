package masters

import (
	"net"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
)

// Listing is what the leading master lists of agents at one moment. One that is
// unreachable or gone is missing from it.
type Listing struct {
	Registered []Agent
	// Recovered are those that another master knew, and that have not been heard
	// of since this one leads.
	Recovered []Agent
}

// Agent is an agent as a master lists it.
type Agent struct {
	ID       string
	Hostname string
	Address  string // its IP address, "" where the master does not say
	// Active is false once the connection to a registered agent is broken.
	Active      bool
	Deactivated bool // by an operator
	Draining    bool
	Drained     bool
	Registered  time.Time // the last time
}

// Task is a task as a master lists it.
type Task struct {
	ID      string // with its framework's
	Agent   string // the agent's id
	Address string // the IP address that the agent says the task has, "" for none
	State   string // as TASK_RUNNING
	// Lost says that Mesos has lost the task with its agent, Since when.
	Lost  bool
	Since time.Time
}

func listingOf(m *master.Response_GetAgents) Listing {
	var l Listing
	for i := range m.Agents {
		l.Registered = append(l.Registered, registered(&m.Agents[i]))
	}
	for i := range m.RecoveredAgents {
		info := &m.RecoveredAgents[i]
		l.Recovered = append(l.Recovered, Agent{ID: info.GetID().GetValue(), Hostname: info.Hostname})
	}
	return l
}

func registered(m *master.Response_GetAgents_Agent) Agent {
	a := Agent{
		ID: m.AgentInfo.GetID().GetValue(), Hostname: m.AgentInfo.Hostname, Address: addressOf(m.GetPID()),
		Active: m.Active, Deactivated: m.GetDeactivated(), Registered: timeOf(m.ReregisteredTime),
	}
	if a.Registered.IsZero() {
		a.Registered = timeOf(m.RegisteredTime)
	}
	if m.DrainInfo != nil {
		a.Draining = m.DrainInfo.State == mesos.DrainState_DRAINING
		a.Drained = m.DrainInfo.State == mesos.DrainState_DRAINED
	}
	return a
}

// addressOf returns the address in libprocess' name of an agent, such as
// slave(1)@10.0.0.11:5051.
func addressOf(pid string) string {
	_, address, _ := strings.Cut(pid, "@")
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return host
}

func timeOf(t *mesos.TimeInfo) time.Time {
	if t == nil || t.Nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, t.Nanoseconds).UTC()
}

// secondsOf reads the time of a status, in seconds since 1970.
func secondsOf(seconds float64) time.Time {
	if seconds <= 0 || seconds > 1<<40 {
		return time.Time{}
	}
	return time.Unix(0, int64(seconds*1e9)).UTC()
}

// tasksOf returns the tasks that have not ended, and those that were lost with
// their agent.
func tasksOf(m *master.Response_GetTasks) []Task {
	var tasks []Task
	add := func(list []mesos.Task, lost bool) {
		for i := range list {
			t := taskOf(&list[i])
			t.Lost = t.Lost || lost
			if !t.over() {
				tasks = append(tasks, t)
			}
		}
	}
	add(m.Tasks, false)
	add(m.UnreachableTasks, true)
	add(m.CompletedTasks, false)
	return tasks
}

func taskOf(m *mesos.Task) Task {
	t := Task{ID: taskID(m.FrameworkID.Value, m.TaskID.Value), Agent: m.AgentID.Value, State: m.GetState().String()}
	for i := range m.Statuses {
		t.learn(&m.Statuses[i])
	}
	return t
}

// learn takes over what a status says beside the task's state.
func (t *Task) learn(s *mesos.TaskStatus) {
	for _, network := range s.GetContainerStatus().GetNetworkInfos() {
		for _, a := range network.GetIPAddresses() {
			if text := a.GetIPAddress(); text != "" {
				t.Address = text
			}
		}
	}
	if s.GetState().String() != t.State || !lost(s) {
		return
	}
	t.Lost, t.Since = true, timeOf(s.UnreachableTime)
	if t.Since.IsZero() {
		t.Since = secondsOf(s.GetTimestamp())
	}
}

func taskID(framework, task string) string { return framework + "/" + task }

// stateGone is what tasks are whose agent an operator has marked gone.
const stateGone = "TASK_GONE_BY_OPERATOR"

// lost reports whether a status says that a task was lost with its agent. Mesos
// calls that TASK_LOST where the framework does not know of partitions.
func lost(s *mesos.TaskStatus) bool {
	switch s.GetState() {
	case mesos.TASK_UNREACHABLE, mesos.TASK_GONE_BY_OPERATOR:
		return true
	case mesos.TASK_LOST:
		return s.GetReason() == mesos.REASON_AGENT_REMOVED || s.GetReason() == mesos.REASON_AGENT_REMOVED_BY_OPERATOR
	default:
		return false
	}
}

// over reports whether a task is of no interest any more.
func (t *Task) over() bool {
	if t.Lost {
		return false
	}
	switch t.State {
	case "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_DROPPED", "TASK_GONE", "TASK_LOST", "TASK_UNKNOWN":
		return true
	default:
		return false
	}
}
