package masters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/master/calls"
)

// Event is what a master tells on its stream. Exactly one part is set.
type Event struct {
	Snapshot *Snapshot // the first one
	Task     *Task     // it is new, or has another state
	Listed   bool      // with Task: the master has added it anew
	// Agents says that an agent has come or gone. Not all that go are told of, so
	// they are to be listed anew.
	Agents bool
	// Added is the id of an agent that has come, with Agents. The events of all its
	// remaining tasks come before.
	Added string
	// Removed is the id of an agent that has taken leave, with Agents.
	Removed string
}

// Snapshot is all that a master knows when its stream begins.
type Snapshot struct {
	Agents Listing
	Tasks  []Task
}

// Bounds of how long a stream may be silent: three of the heartbeats that the
// master promises.
const (
	defaultBeat = 15 * time.Second
	minSilence  = time.Second
	maxSilence  = 5 * time.Minute
)

var errSilent = errors.New("the stream is silent")

// Subscribe tells what changes at the leading master until the context ends, the
// stream breaks or handle returns an error, and returns why.
func (c *Client) Subscribe(ctx context.Context, handle func(Event) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	body, err := calls.Subscribe().Marshal()
	if err != nil {
		return fmt.Errorf("encode the call: %w", err)
	}
	resp, err := c.send(ctx, body)
	if err != nil {
		return fmt.Errorf("subscribe to the events of Mesos: %w", err)
	}
	defer resp.Body.Close()
	silence := time.AfterFunc(3*defaultBeat, func() { cancel(errSilent) })
	defer silence.Stop()
	err = read(resp.Body, c.options.MaxAnswer, silence, handle)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("follow the events of Mesos: %w", err)
}

// read reads a stream to its end, which is an error. The timer is set anew with
// every record, a heartbeat included.
func read(r io.Reader, limit int64, silence *time.Timer, handle func(Event) error) error {
	allowed := 3 * defaultBeat
	records := newFrames(r, limit)
	for {
		record, err := records.next()
		if err != nil {
			return err
		}
		m := new(master.Event)
		if err := decode(m, record); err != nil {
			return err
		}
		if beat := m.GetSubscribed().GetHeartbeatIntervalSeconds(); beat > 0 {
			allowed = time.Duration(min(max(3*beat, minSilence.Seconds()), maxSilence.Seconds()) * float64(time.Second))
		}
		silence.Reset(allowed)
		ev, ok := eventOf(m)
		if !ok {
			continue
		}
		if err := handle(ev); err != nil {
			return err
		}
	}
}

// eventOf translates an event, and returns false for one that tells nothing of
// agents and tasks.
func eventOf(m *master.Event) (Event, bool) {
	switch {
	case m.Subscribed != nil:
		state := m.Subscribed.GetState
		if state == nil {
			state = &master.Response_GetState{}
		}
		snapshot := new(Snapshot)
		if state.GetAgents != nil {
			snapshot.Agents = listingOf(state.GetAgents)
		}
		if state.GetTasks != nil {
			snapshot.Tasks = tasksOf(state.GetTasks)
		}
		return Event{Snapshot: snapshot}, true
	case m.TaskAdded != nil:
		t := taskOf(&m.TaskAdded.Task)
		return Event{Task: &t, Listed: true}, true
	case m.TaskUpdated != nil:
		u := m.TaskUpdated
		t := Task{
			ID:    taskID(u.FrameworkID.Value, u.Status.TaskID.Value),
			Agent: u.Status.GetAgentID().GetValue(), State: u.GetState().String(),
		}
		t.learn(&u.Status)
		return Event{Task: &t}, true
	case m.AgentAdded != nil:
		return Event{Agents: true, Added: m.AgentAdded.Agent.AgentInfo.GetID().GetValue()}, true
	case m.AgentRemoved != nil:
		return Event{Agents: true, Removed: m.AgentRemoved.AgentID.Value}, true
	default:
		return Event{}, false
	}
}
