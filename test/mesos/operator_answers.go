package mesos

import (
	"context"
	"slices"
	"time"

	mesosapi "github.com/mesos/mesos-go/api/v1/lib"
	agentapi "github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/google/uuid"
)

// getContainers lists the containers. Without any the answer has no list, as the real
// agent's.
func (a *Agent) getContainers(ctx context.Context, l *life, nested bool) (*agentapi.Response, func(map[string]any), error) {
	if err := l.turn(ctx); err != nil {
		return nil, nil, err
	}
	answer := &agentapi.Response{Type: agentapi.Response_GET_CONTAINERS}
	var statistics []map[string]any
	for _, c := range a.known() {
		if c.parent != nil && !nested {
			continue
		}
		entry := agentapi.Response_GetContainers_Container{
			ContainerID:     mesosapi.ContainerID{Value: c.id.container.Value}, // without its parent
			ContainerStatus: c.status(),
		}
		if c.parent == nil {
			entry.FrameworkID = &mesosapi.FrameworkID{Value: a.Framework}
			entry.ExecutorID = &mesosapi.ExecutorID{Value: c.config.ExecutorInfo.ExecutorID.Value}
			entry.ExecutorName = &c.config.ExecutorInfo.Name
		}
		if answer.GetContainers == nil {
			answer.GetContainers = &agentapi.Response_GetContainers{}
		}
		answer.GetContainers.Containers = append(answer.GetContainers.Containers, entry)
		statistics = append(statistics, c.statistics())
	}
	return answer, func(tree map[string]any) {
		if list, ok := tree["get_containers"].(map[string]any); ok {
			for i, c := range list["containers"].([]any) {
				c.(map[string]any)["resource_statistics"] = statistics[i]
			}
		}
	}, nil
}

// oldContainers is what GET /containers lists: no nested ones.
func (a *Agent) oldContainers(ctx context.Context, l *life) ([]map[string]any, error) {
	if err := l.turn(ctx); err != nil {
		return nil, err
	}
	list := []map[string]any{}
	for _, c := range a.known() {
		if c.parent != nil {
			continue
		}
		executor := c.config.ExecutorInfo
		status := map[string]any{"container_id": c.id.container}
		if p := c.proc(); p != nil {
			status["executor_pid"] = p.innerPid()
		}
		list = append(list, map[string]any{
			"container_id": c.id.container.Value, "executor_id": executor.ExecutorID.Value, "executor_name": executor.Name,
			"framework_id": a.Framework, "source": executor.Source, "statistics": c.statistics(), "status": status,
		})
	}
	return list, nil
}

// statistics are made up, but for the time.
func (c *container) statistics() map[string]any {
	all := map[string]any{
		"timestamp": float64(time.Now().UnixMicro()) / 1e6, "cpus_user_time_secs": 0.2, "cpus_system_time_secs": 0.06, "cpus_soft_limit": 0.2,
	}
	for _, name := range []string{
		"mem_total_bytes", "mem_kmem_usage_bytes", "mem_kmem_tcp_usage_bytes", "mem_limit_bytes", "mem_soft_limit_bytes", "mem_file_bytes", "mem_anon_bytes",
		"mem_cache_bytes", "mem_rss_bytes", "mem_mapped_file_bytes", "mem_swap_bytes", "mem_unevictable_bytes", "mem_low_pressure_counter",
		"mem_medium_pressure_counter", "mem_critical_pressure_counter",
	} {
		all[name] = 0
	}
	return all
}

func wireID(id containerID) mesosapi.ContainerID {
	wire := mesosapi.ContainerID{Value: id.Value}
	if id.Parent != nil {
		parent := wireID(*id.Parent)
		wire.Parent = &parent
	}
	return wire
}

func (c *container) status() *mesosapi.ContainerStatus {
	id := wireID(c.id.container)
	s := &mesosapi.ContainerStatus{ContainerID: &id}
	if p := c.proc(); p != nil {
		pid := uint32(p.innerPid()) //nolint:gosec // a pid is small
		s.ExecutorPID = &pid
	}
	return s
}

// getFrameworks answers with the one framework of the agent: it is there while it has
// a task, and completed afterwards.
func (a *Agent) getFrameworks() *agentapi.Response_GetFrameworks {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := &agentapi.Response_GetFrameworks{
		Frameworks:          []agentapi.Response_GetFrameworks_Framework{},
		CompletedFrameworks: []agentapi.Response_GetFrameworks_Framework{},
	}
	roles := a.roles
	if len(roles) == 0 {
		roles = []string{"*"}
	}
	checkpoint, failover, hostname := !a.config.NoCheckpoint, 604800.0, a.host.Name
	info := agentapi.Response_GetFrameworks_Framework{FrameworkInfo: mesosapi.FrameworkInfo{
		User: "root", Name: "framework", ID: &mesosapi.FrameworkID{Value: a.Framework}, Roles: roles,
		Checkpoint: &checkpoint, FailoverTimeout: &failover, Hostname: &hostname,
	}}
	switch {
	case len(a.containers) > 0 || slices.ContainsFunc(a.runs, func(r *Run) bool { return !r.isGone() }):
		list.Frameworks = append(list.Frameworks, info)
	case len(a.runs) > 0:
		list.CompletedFrameworks = append(list.CompletedFrameworks, info)
	}
	return list
}

func (r *Run) isGone() bool { return isClosed(r.gone) }

func (a *Agent) getAgent() *agentapi.Response_GetAgent {
	port := int32(5051)
	scalar, ranges := mesosapi.SCALAR, mesosapi.RANGES
	info := &mesosapi.AgentInfo{Hostname: a.host.Name, Port: &port, ID: &mesosapi.AgentID{Value: a.ID}}
	for _, r := range resources("", 16, 16000, 20000) {
		info.Resources = append(info.Resources, mesosapi.Resource{Name: r.Name, Type: &scalar, Scalar: &mesosapi.Value_Scalar{Value: r.Scalar.Value}})
	}
	info.Resources = append(info.Resources, mesosapi.Resource{Name: "ports", Type: &ranges, Ranges: &mesosapi.Value_Ranges{
		Range: []mesosapi.Value_Range{{Begin: 31000, End: 32000}},
	}})
	return &agentapi.Response_GetAgent{AgentInfo: info}
}

// getExecutors lists the executors that have containers.
func (a *Agent) getExecutors() *agentapi.Response_GetExecutors {
	list := &agentapi.Response_GetExecutors{
		Executors: []agentapi.Response_GetExecutors_Executor{}, CompletedExecutors: []agentapi.Response_GetExecutors_Executor{},
	}
	for _, c := range a.known() {
		if c.parent == nil {
			list.Executors = append(list.Executors, a.wireExecutor(c))
		}
	}
	a.mu.Lock()
	ended := slices.Clone(a.ended)
	a.mu.Unlock()
	for _, c := range ended {
		list.CompletedExecutors = append(list.CompletedExecutors, a.wireExecutor(c))
	}
	return list
}

func (a *Agent) wireExecutor(c *container) agentapi.Response_GetExecutors_Executor {
	e := c.config.ExecutorInfo
	info := mesosapi.ExecutorInfo{
		ExecutorID: mesosapi.ExecutorID{Value: e.ExecutorID.Value}, FrameworkID: &mesosapi.FrameworkID{Value: a.Framework}, Resources: wireResources(e.Resources),
	}
	if e.Name != "" {
		info.Name, info.Source = &e.Name, &e.Source
	}
	if e.Type != "" {
		info.Type = mesosapi.ExecutorInfo_DEFAULT
	}
	return agentapi.Response_GetExecutors_Executor{ExecutorInfo: info}
}

// withoutUnknown removes the words that mesos-go has for types that are not set.
func withoutUnknown(tree map[string]any) {
	for key, field := range tree {
		switch field := field.(type) {
		case string:
			if key == "type" && field == "UNKNOWN" {
				delete(tree, key)
			}
		case map[string]any:
			withoutUnknown(field)
		case []any:
			for _, v := range field {
				if v, ok := v.(map[string]any); ok {
					withoutUnknown(v)
				}
			}
		}
	}
}

func wireResources(list []resource) []mesosapi.Resource {
	scalar := mesosapi.SCALAR
	var all []mesosapi.Resource
	for _, r := range list {
		wire := mesosapi.Resource{Name: r.Name, Type: &scalar, Scalar: &mesosapi.Value_Scalar{Value: r.Scalar.Value}}
		if r.AllocationInfo != nil {
			wire.AllocationInfo = &mesosapi.Resource_AllocationInfo{Role: &r.AllocationInfo.Role}
		}
		all = append(all, wire)
	}
	return all
}

func (a *Agent) getTasks() *agentapi.Response_GetTasks {
	a.mu.Lock()
	runs := slices.Clone(a.runs)
	a.mu.Unlock()
	tasks := &agentapi.Response_GetTasks{
		PendingTasks: []mesosapi.Task{}, QueuedTasks: []mesosapi.Task{}, LaunchedTasks: []mesosapi.Task{},
		TerminatedTasks: []mesosapi.Task{}, CompletedTasks: []mesosapi.Task{},
	}
	for _, r := range runs {
		t := r.wire()
		switch last := r.Last(); {
		case last.State == StateStaging: // its executor has not registered
			tasks.QueuedTasks = append(tasks.QueuedTasks, t)
		case last.terminal():
			tasks.CompletedTasks = append(tasks.CompletedTasks, t)
		default:
			tasks.LaunchedTasks = append(tasks.LaunchedTasks, t)
		}
	}
	return tasks
}

func (r *Run) wire() mesosapi.Task {
	t := mesosapi.Task{
		Name:        r.Task.name(),
		TaskID:      mesosapi.TaskID{Value: r.Task.ID},
		FrameworkID: mesosapi.FrameworkID{Value: r.agent.Framework},
		AgentID:     mesosapi.AgentID{Value: r.agent.ID},
		State:       wireState(r.Last().State),
		Resources:   wireResources(resources(r.Task.Role, r.Task.CPUs, r.Task.Mem, 0)),
	}
	c := r.at()
	if r.executor != r.Task.ID {
		t.ExecutorID = &mesosapi.ExecutorID{Value: r.executor}
	}
	for i, u := range r.Updates()[1:] {
		at := float64(u.Time.UnixMicro()) / 1e6
		source := mesosapi.TaskStatus_Source(mesosapi.TaskStatus_Source_value[u.Source])
		id := uuid.NewSHA1(uuid.Nil, []byte(r.Task.ID+string(rune(i)))) // the same at every call
		s := mesosapi.TaskStatus{
			TaskID: t.TaskID, State: wireState(u.State), Source: &source, UUID: id[:],
			AgentID: &t.AgentID, ExecutorID: &mesosapi.ExecutorID{Value: r.executor}, Timestamp: &at,
		}
		if u.Message != "" {
			s.Message = &u.Message
		}
		if u.Reason != "" {
			reason := mesosapi.TaskStatus_Reason(mesosapi.TaskStatus_Reason_value[u.Reason])
			s.Reason = &reason
		}
		if c != nil {
			s.ContainerStatus = c.status()
			if c.parent != nil && u.State == StateStarting {
				s.ContainerStatus.ExecutorPID = nil // it is asked for after that
			} else {
				s.ContainerStatus.NetworkInfos = r.agent.network()
			}
		}
		t.Statuses = append(t.Statuses, s)
		t.StatusUpdateState, t.StatusUpdateUUID = s.State, s.UUID
	}
	if len(r.Task.Labels) > 0 {
		t.Labels = new(mesosapi.Labels)
		for _, l := range r.Task.Labels {
			t.Labels.Labels = append(t.Labels.Labels, mesosapi.Label{Key: l.Key, Value: &l.Value})
		}
	}
	return t
}

// network is that of a container without one of its own: the agent's.
func (a *Agent) network() []mesosapi.NetworkInfo {
	protocol := mesosapi.IPv4
	return []mesosapi.NetworkInfo{{IPAddresses: []mesosapi.NetworkInfo_IPAddress{{Protocol: &protocol, IPAddress: &a.host.Address}}}}
}

func wireState(name string) *mesosapi.TaskState {
	s := mesosapi.TaskState(mesosapi.TaskState_value[name])
	return &s
}
