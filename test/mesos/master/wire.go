package master

import (
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
)

// getAgents lists the agents: one that is unreachable, gone or has left is missing.
func (c *Cluster) getAgents() *master.Response_GetAgents {
	list := &master.Response_GetAgents{Agents: []master.Response_GetAgents_Agent{}, RecoveredAgents: []mesos.AgentInfo{}}
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
	port := int32(5051)
	return mesos.AgentInfo{Hostname: a.Hostname, Port: &port, ID: &mesos.AgentID{Value: a.ID}, Resources: resources(nil)}
}

// resources are what every agent has, for a role or none.
func resources(role *string) []mesos.Resource {
	scalar, ranges := mesos.SCALAR, mesos.RANGES
	var all []mesos.Resource
	for _, r := range []struct {
		name  string
		value float64
	}{{"cpus", 16}, {"mem", 16000}, {"disk", 20000}} {
		all = append(all, mesos.Resource{Name: r.name, Type: &scalar, Scalar: &mesos.Value_Scalar{Value: r.value}, Role: role})
	}
	return append(all, mesos.Resource{Name: "ports", Type: &ranges, Role: role, Ranges: &mesos.Value_Ranges{
		Range: []mesos.Value_Range{{Begin: 31000, End: 32000}},
	}})
}

func (a *agent) wire() master.Response_GetAgents_Agent {
	pid, deactivated, role := "slave(1)@"+a.Address+":5051", a.deactivated, "*" // what is answered may be written later than what is known changes
	m := master.Response_GetAgents_Agent{
		AgentInfo: a.info(), Active: !a.inactive, Deactivated: &deactivated, Version: "1.12.0", PID: &pid,
		RegisteredTime: &mesos.TimeInfo{Nanoseconds: a.registered.UnixNano()}, TotalResources: resources(&role),
		Capabilities: []mesos.AgentInfo_Capability{{Type: mesos.AgentInfo_Capability_MULTI_ROLE}},
	}
	if !a.back.IsZero() {
		m.ReregisteredTime = &mesos.TimeInfo{Nanoseconds: a.back.UnixNano()}
	}
	if a.drain != mesos.DrainState_UNKNOWN {
		m.DrainInfo = &mesos.DrainInfo{State: a.drain}
	}
	return m
}

func (c *Cluster) getTasks() *master.Response_GetTasks {
	list := &master.Response_GetTasks{Tasks: []mesos.Task{}, UnreachableTasks: []mesos.Task{}, CompletedTasks: []mesos.Task{}}
	for _, t := range c.tasks {
		switch {
		case t.hidden:
		case t.state == mesos.TASK_RUNNING:
			list.Tasks = append(list.Tasks, c.wireTask(t))
		case t.state == mesos.TASK_UNREACHABLE:
			list.UnreachableTasks = append(list.UnreachableTasks, c.wireTask(t))
		default:
			list.CompletedTasks = append(list.CompletedTasks, c.wireTask(t))
		}
	}
	return list
}

// getExecutors lists the executors of task groups: those of commands are none of the
// master's.
func (c *Cluster) getExecutors() *master.Response_GetExecutors {
	list := &master.Response_GetExecutors{Executors: []master.Response_GetExecutors_Executor{}}
	listed := map[string]bool{}
	for _, t := range c.tasks {
		if t.executor == "" || t.hidden || t.state != mesos.TASK_RUNNING || listed[t.executor] {
			continue
		}
		listed[t.executor] = true
		list.Executors = append(list.Executors, master.Response_GetExecutors_Executor{
			AgentID: mesos.AgentID{Value: t.agent},
			ExecutorInfo: mesos.ExecutorInfo{
				Type: mesos.ExecutorInfo_DEFAULT, ExecutorID: mesos.ExecutorID{Value: t.executor}, FrameworkID: &mesos.FrameworkID{Value: Framework},
				Resources: allocated(map[string]float64{"cpus": 0.1, "mem": 32, "disk": 10}),
			},
		})
	}
	return list
}

// allocated are resources that a framework has taken.
func allocated(amounts map[string]float64) []mesos.Resource {
	role, scalar := "*", mesos.SCALAR
	var all []mesos.Resource
	for _, name := range []string{"cpus", "mem", "disk"} {
		if amount, ok := amounts[name]; ok {
			all = append(all, mesos.Resource{Name: name, Type: &scalar, Scalar: &mesos.Value_Scalar{Value: amount}, AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role}})
		}
	}
	return all
}

// wireTask shows a task with the statuses that its executor told, and one of its loss
// or its end that the master made.
func (c *Cluster) wireTask(t *task) mesos.Task {
	m := mesos.Task{
		Name: t.id, TaskID: mesos.TaskID{Value: t.id}, FrameworkID: mesos.FrameworkID{Value: Framework},
		AgentID: mesos.AgentID{Value: t.agent}, State: t.state.Enum(), Statuses: slices.Clone(t.told),
		Resources: allocated(map[string]float64{"cpus": 0.1, "mem": 32}),
	}
	if t.executor != "" {
		m.ExecutorID = &mesos.ExecutorID{Value: t.executor}
	}
	if last := len(t.told) - 1; last >= 0 {
		m.StatusUpdateState, m.StatusUpdateUUID = t.told[last].State, t.told[last].UUID
	}
	if t.status.GetSource() == mesos.SOURCE_MASTER && t.state != mesos.TASK_RUNNING && t.state != mesos.TASK_STAGING {
		m.Statuses = append(m.Statuses, t.status)
	}
	if c.padding > 0 {
		filling := strings.Repeat("x", c.padding)
		m.Labels = &mesos.Labels{Labels: []mesos.Label{{Key: "filling", Value: &filling}}}
	}
	return m
}

// registry is what the registrar tells. The lists of agents that are not there are
// missing while they are empty, and that of the unreachable stays once there was one.
func (c *Cluster) registry(m *Master) map[string]any {
	type entry = map[string]any
	registry := entry{"master": entry{"info": m.info()["master_info"]}}
	present := []entry{}
	for _, a := range c.agents {
		if a.present() || a.recovered {
			present = append(present, entry{"deactivated": a.deactivated, "info": entry{
				"checkpoint": true, "hostname": a.Hostname, "id": entry{"value": a.ID}, "port": 5051, "resources": resources(new("*")),
			}})
		}
	}
	registry["slaves"] = entry{"slaves": present}
	for name, since := range map[string]func(*agent) time.Time{
		"unreachable": func(a *agent) time.Time { return a.unreachable }, "gone": func(a *agent) time.Time { return a.gone },
	} {
		slaves := []entry{}
		for _, a := range c.agents {
			if at := since(a); !at.IsZero() {
				slaves = append(slaves, entry{"id": entry{"value": a.ID}, "timestamp": entry{"nanoseconds": at.UnixNano()}})
			}
		}
		switch {
		case len(slaves) > 0:
			registry[name] = entry{"slaves": slaves}
		case name == "unreachable" && c.lost:
			registry[name] = entry{}
		}
	}
	return registry
}
