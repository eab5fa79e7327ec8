package master

import (
	"encoding/json"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
)

// getAgents lists what leads to somebody: who is unreachable, gone or has left is
// missing.
func (c *Cluster) getAgents() *master.Response_GetAgents {
	list := new(master.Response_GetAgents)
	for _, a := range c.agents {
		switch {
		case a.present():
			list.Agents = append(list.Agents, a.wire())
		case a.recovered:
			list.RecoveredAgents = append(list.RecoveredAgents, a.info())
		}
	}
	return list
}

func (a *agent) info() mesos.AgentInfo {
	return mesos.AgentInfo{Hostname: a.Hostname, ID: &mesos.AgentID{Value: a.ID}}
}

func (a *agent) wire() master.Response_GetAgents_Agent {
	pid, deactivated := "slave(1)@"+a.Address+":5051", a.deactivated // what is answered may be written later than what is known changes
	m := master.Response_GetAgents_Agent{
		AgentInfo: a.info(), Active: !a.inactive, Deactivated: &deactivated, Version: "1.11.0", PID: &pid,
		RegisteredTime: &mesos.TimeInfo{Nanoseconds: a.registered.UnixNano()},
	}
	if a.drain != mesos.DrainState_UNKNOWN {
		m.DrainInfo = &mesos.DrainInfo{State: a.drain}
	}
	return m
}

func (c *Cluster) getTasks() *master.Response_GetTasks {
	list := new(master.Response_GetTasks)
	for _, t := range c.tasks {
		switch t.state {
		case mesos.TASK_RUNNING:
			list.Tasks = append(list.Tasks, c.wireTask(t))
		case mesos.TASK_UNREACHABLE:
			list.UnreachableTasks = append(list.UnreachableTasks, c.wireTask(t))
		default:
			list.CompletedTasks = append(list.CompletedTasks, c.wireTask(t))
		}
	}
	return list
}

// wireTask shows a task with the statuses that it had: the first one has the
// address, as with a real master.
func (c *Cluster) wireTask(t *task) mesos.Task {
	m := mesos.Task{
		Name: t.id, TaskID: mesos.TaskID{Value: t.id}, FrameworkID: mesos.FrameworkID{Value: Framework},
		AgentID: mesos.AgentID{Value: t.agent}, State: t.state.Enum(),
	}
	if t.state != mesos.TASK_RUNNING {
		m.Statuses = append(m.Statuses, c.runs(t))
	}
	m.Statuses = append(m.Statuses, t.status)
	if c.padding > 0 {
		filling := strings.Repeat("x", c.padding)
		m.Labels = &mesos.Labels{Labels: []mesos.Label{{Key: "filling", Value: &filling}}}
	}
	return m
}

// registry is what the registrar tells.
func (c *Cluster) registry() ([]byte, error) {
	type entry = map[string]any
	list := func(since func(*agent) time.Time) entry {
		slaves := []entry{}
		for _, a := range c.agents {
			if at := since(a); !at.IsZero() {
				slaves = append(slaves, entry{"id": entry{"value": a.ID}, "timestamp": entry{"nanoseconds": at.UnixNano()}})
			}
		}
		return entry{"slaves": slaves}
	}
	return json.Marshal(entry{
		"unreachable": list(func(a *agent) time.Time { return a.unreachable }),
		"gone":        list(func(a *agent) time.Time { return a.gone }),
	})
}
