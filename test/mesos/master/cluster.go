package master

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
)

// Framework is the one framework of the cluster.
const Framework = "f0000000-0000-4000-8000-000000000000-0000"

// Agent is an agent that registers.
type Agent struct {
	ID       string
	Hostname string
	Address  string
}

// agent is an agent that the cluster knows.
type agent struct {
	Agent

	registered  time.Time // for the first time
	back        time.Time // the last time that it has come back, zero for never
	recovered   bool      // and not heard of since
	inactive    bool
	deactivated bool
	drain       mesos.DrainState
	unreachable time.Time // zero while it is not
	gone        time.Time
	left        bool
}

func (a *agent) present() bool {
	return !a.recovered && a.unreachable.IsZero() && a.gone.IsZero() && !a.left
}

// task is a task of an agent.
type task struct {
	id, agent  string
	executor   string   // of a task group, "" for a command
	containers []string // its container's id and, before it, its executor's
	hidden     bool     // its agent has not come back to the master that leads now
	state      mesos.TaskState
	status     mesos.TaskStatus   // the last one
	told       []mesos.TaskStatus // by its executor
}

// Cluster is what all masters of a cluster know, or would know if they led.
type Cluster struct {
	// Heartbeat is how often a stream shows that it is alive, 0 for 15 s. It is
	// set before a master is served.
	Heartbeat time.Duration

	mu          sync.Mutex
	masters     []*Master
	leader      *Master
	named       *Master // that followers name: the leader, or the last one
	agents      []*agent
	tasks       []*task
	subscribers map[*subscriber]bool
	subscribed  int // how many streams there have been
	noStream    bool
	lost        bool // an agent has been unreachable
	mute        bool
	noRegistry  bool
	padding     int
	user        string
	password    string
}

// New returns a cluster without masters and agents.
func New() *Cluster { return &Cluster{subscribers: map[*subscriber]bool{}} }

// Register has an agent register, or come back: then the master tells of every task
// that it still has, and of the agent after that.
func (c *Cluster) Register(a Agent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.agents, func(other *agent) bool { return other.ID == a.ID })
	if i < 0 {
		c.agents = append(c.agents, nil)
		i = len(c.agents) - 1
	}
	first := time.Now()
	back := c.agents[i] != nil
	if back {
		first = c.agents[i].registered
	}
	c.agents[i] = &agent{Agent: a, registered: first}
	if back {
		c.agents[i].back = time.Now()
	}
	for _, t := range c.tasks {
		if t.agent != a.ID || !t.hidden && t.state != mesos.TASK_UNREACHABLE {
			continue
		}
		t.hidden, t.state = false, mesos.TASK_RUNNING
		t.status = c.runs(t)
		c.tell(&master.Event{Type: master.Event_TASK_ADDED, TaskAdded: &master.Event_TaskAdded{Task: c.wireTask(t)}})
	}
	wire := c.agents[i].wire()
	c.tell(&master.Event{Type: master.Event_AGENT_ADDED, AgentAdded: &master.Event_AgentAdded{Agent: wire}})
}

// Run has an agent run a task.
func (c *Cluster) Run(id, agentID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run(&task{id: id, agent: agentID, containers: []string{uuid.NewString()}})
}

// RunGroup has an agent run a task group, whose tasks have one executor.
func (c *Cluster) RunGroup(executor, agentID string, tasks ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	parent := uuid.NewString()
	for _, id := range tasks {
		c.run(&task{id: id, agent: agentID, executor: executor, containers: []string{parent, uuid.NewString()}})
	}
}

func (c *Cluster) run(t *task) {
	t.state = mesos.TASK_STAGING
	c.tasks = append(c.tasks, t)
	c.tell(&master.Event{Type: master.Event_TASK_ADDED, TaskAdded: &master.Event_TaskAdded{Task: c.wireTask(t)}})
	c.executes(t, mesos.TASK_STARTING, mesos.TASK_RUNNING)
}

// Kill has a framework kill a task.
func (c *Cluster) Kill(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.tasks {
		if t.id == id {
			c.executes(t, mesos.TASK_KILLING, mesos.TASK_KILLED)
		}
	}
}

// executes has a task's executor tell of its states. The caller has the mutex.
func (c *Cluster) executes(t *task, states ...mesos.TaskState) {
	for _, state := range states {
		id := uuid.New()
		t.state = state
		t.status = c.runs(t)
		t.status.State, t.status.Source, t.status.UUID = &state, mesos.SOURCE_EXECUTOR.Enum(), id[:]
		if t.executor != "" && state == mesos.TASK_STARTING { // its container is asked for after that
			t.status.ContainerStatus = &mesos.ContainerStatus{ContainerID: t.status.ContainerStatus.ContainerID}
		}
		t.told = append(t.told, t.status)
		c.tellUpdate(t)
	}
}

// Finish ends a task.
func (c *Cluster) Finish(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.tasks {
		if t.id == id {
			c.executes(t, mesos.TASK_FINISHED)
		}
	}
}

// Unreachable has the master give an agent up that it does not hear.
func (c *Cluster) Unreachable(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.agent(id)
	a.unreachable, c.lost = time.Now(), true
	c.lose(id, mesos.TASK_UNREACHABLE, mesos.REASON_AGENT_REMOVED, a.unreachable)
}

// Gone has an operator mark an agent gone.
func (c *Cluster) Gone(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.agent(id)
	a.gone, a.unreachable = time.Now(), time.Time{}
	c.lose(id, mesos.TASK_GONE_BY_OPERATOR, mesos.REASON_AGENT_REMOVED_BY_OPERATOR, time.Time{})
}

// Leave has an agent unregister itself, which alone is told by AGENT_REMOVED.
func (c *Cluster) Leave(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agent(id).left = true
	c.lose(id, mesos.TASK_LOST, mesos.REASON_AGENT_REMOVED, time.Time{})
	c.tell(&master.Event{Type: master.Event_AGENT_REMOVED, AgentRemoved: &master.Event_AgentRemoved{AgentID: mesos.AgentID{Value: id}}})
}

// Disconnect breaks the connection of an agent, or mends it.
func (c *Cluster) Disconnect(id string, broken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agent(id).inactive = broken
}

// Deactivate has an operator let nothing new start on an agent.
func (c *Cluster) Deactivate(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agent(id).deactivated = true
}

// Drain has an operator empty an agent; done says that it is empty.
func (c *Cluster) Drain(id string, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.agent(id)
	a.deactivated, a.drain = true, mesos.DrainState_DRAINING
	if done {
		a.drain = mesos.DrainState_DRAINED
	}
}

// Lead makes a master the leader, or none of them if it is nil. The new leader knows the
// agents from the registry: registered ones are recovered, until they register anew. It
// knows their tasks only from then on, and never again those of unreachable agents.
// Without a leader the masters go on naming the last one.
func (c *Cluster) Lead(m *Master) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader == m {
		return
	}
	c.leader = m
	if m != nil {
		c.named = m
	}
	for s := range c.subscribers {
		s.end()
	}
	for _, a := range c.agents {
		a.recovered = a.present() || a.recovered
	}
	if m == nil {
		return
	}
	c.tasks = slices.DeleteFunc(c.tasks, func(t *task) bool { return t.state != mesos.TASK_RUNNING })
	for _, t := range c.tasks {
		t.hidden = true
	}
}

// NoStream refuses subscribers, and ends all streams.
func (c *Cluster) NoStream(refuse bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noStream = refuse
	if refuse {
		for s := range c.subscribers {
			s.end()
		}
	}
}

// NoRegistry refuses callers the registry, as access control does.
func (c *Cluster) NoRegistry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noRegistry = true
}

// Pad makes every task larger by so many bytes.
func (c *Cluster) Pad(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.padding = bytes
}

// Want wants a user and a password of callers.
func (c *Cluster) Want(user, password string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.user, c.password = user, password
}

// Mute has streams neither beat nor tell of anything, after what they begin with.
func (c *Cluster) Mute(mute bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mute = mute
}

// Subscriptions returns how many streams there have been.
func (c *Cluster) Subscriptions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subscribed
}

// agent returns an agent. The caller has the mutex.
func (c *Cluster) agent(id string) *agent {
	for _, a := range c.agents {
		if a.ID == id {
			return a
		}
	}
	panic(fmt.Sprintf("no agent %s has ever registered", id))
}

// lose gives the tasks of an agent another state. The caller has the mutex.
func (c *Cluster) lose(id string, state mesos.TaskState, reason mesos.TaskStatus_Reason, at time.Time) {
	for _, t := range c.tasks {
		if t.agent == id && (t.state == mesos.TASK_RUNNING || t.state == mesos.TASK_UNREACHABLE) {
			c.update(t, state, reason, at)
		}
	}
}

// update gives a task another state, for a reason, and tells. The caller has the
// mutex.
func (c *Cluster) update(t *task, state mesos.TaskState, reason mesos.TaskStatus_Reason, unreachable time.Time) {
	t.state = state
	t.status = t.newStatus(state)
	if state == mesos.TASK_RUNNING {
		t.status = c.runs(t)
	}
	t.status.Reason = &reason
	if !unreachable.IsZero() {
		message := "health check timed out"
		t.status.Message = &message
		t.status.UnreachableTime = &mesos.TimeInfo{Nanoseconds: unreachable.UnixNano()}
	}
	c.tellUpdate(t)
}

func (c *Cluster) tellUpdate(t *task) {
	c.tell(&master.Event{Type: master.Event_TASK_UPDATED, TaskUpdated: &master.Event_TaskUpdated{
		FrameworkID: mesos.FrameworkID{Value: Framework}, Status: t.status, State: t.state.Enum(),
	}})
}

// runs is the status of a task that runs: it has the address of its agent.
func (c *Cluster) runs(t *task) mesos.TaskStatus {
	s, a := t.newStatus(mesos.TASK_RUNNING), c.agent(t.agent)
	pid, protocol := uint32(100), mesos.IPv4
	var id *mesos.ContainerID
	for _, value := range t.containers {
		id = &mesos.ContainerID{Value: value, Parent: id}
	}
	s.ExecutorID = &mesos.ExecutorID{Value: cmp.Or(t.executor, t.id)}
	s.ContainerStatus = &mesos.ContainerStatus{ContainerID: id, ExecutorPID: &pid, NetworkInfos: []mesos.NetworkInfo{
		{IPAddresses: []mesos.NetworkInfo_IPAddress{{IPAddress: &a.Address, Protocol: &protocol}}},
	}}
	return s
}

func (t *task) newStatus(state mesos.TaskState) mesos.TaskStatus {
	seconds, source := float64(time.Now().UnixMicro())/1e6, mesos.SOURCE_MASTER
	return mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: t.id}, State: &state, Source: &source, AgentID: &mesos.AgentID{Value: t.agent}, Timestamp: &seconds,
	}
}

// tell sends an event to all subscribers. The caller has the mutex.
func (c *Cluster) tell(ev *master.Event) {
	if c.mute {
		return
	}
	for s := range c.subscribers {
		s.send(ev)
	}
}

// tellBeat tells one subscriber that the stream is alive.
func (c *Cluster) tellBeat(s *subscriber) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mute {
		s.send(&master.Event{Type: master.Event_HEARTBEAT})
	}
}

// beat returns how often a stream shows that it is alive.
func (c *Cluster) beat() time.Duration { return cmp.Or(c.Heartbeat, 15*time.Second) }
