package mesos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	mesosapi "github.com/mesos/mesos-go/api/v1/lib"
	agentapi "github.com/mesos/mesos-go/api/v1/lib/agent"
	"github.com/mesos/mesos-go/api/v1/lib/encoding"
	"github.com/mesos/mesos-go/api/v1/lib/encoding/codecs"
)

// serve answers the agent's v1 operator API for the length of a life.
func (a *Agent) serve(l *life) error {
	listener, err := a.host.Listen(context.Background(), "tcp", a.config.Address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1", func(w http.ResponseWriter, r *http.Request) { a.operate(l, w, r) })
	mux.HandleFunc("GET /flags", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"flags": a.flags()})
	})
	l.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	l.served = make(chan struct{})
	go func() {
		defer close(l.served)
		_ = l.server.Serve(listener)
	}()
	return nil
}

func (a *Agent) operate(l *life, w http.ResponseWriter, r *http.Request) {
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	codec, ok := codecs.ByMediaType[encoding.MediaType(contentType)]
	if !ok {
		http.Error(w, "Expecting 'Content-Type' of application/json or application/x-protobuf", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var call agentapi.Call
	if contentType == string(codecs.MediaTypeProtobuf) {
		err = call.Unmarshal(body)
	} else {
		err = json.Unmarshal(body, &call)
	}
	if err != nil {
		http.Error(w, "Failed to parse body into Call: "+err.Error(), http.StatusBadRequest)
		return
	}
	response, err := a.answer(r, l, &call)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	accept := r.Header.Get("Accept")
	if strings.Contains(accept, string(codecs.MediaTypeProtobuf)) {
		codec = codecs.ByMediaType[codecs.MediaTypeProtobuf]
	} else if accept != "" {
		codec = codecs.ByMediaType[codecs.MediaTypeJSON]
	}
	var out []byte
	if codec.Type == codecs.MediaTypeProtobuf {
		out, err = response.Marshal()
	} else {
		out, err = asMesosJSON(response)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", string(codec.Type))
	_, _ = w.Write(out)
}

func (a *Agent) answer(r *http.Request, l *life, call *agentapi.Call) (*agentapi.Response, error) {
	switch call.Type {
	case agentapi.Call_GET_HEALTH:
		return &agentapi.Response{
			Type: agentapi.Response_GET_HEALTH, GetHealth: &agentapi.Response_GetHealth{Healthy: true},
		}, nil
	case agentapi.Call_GET_CONTAINERS:
		nested := call.GetContainers != nil && call.GetContainers.GetShowNested()
		return a.getContainers(r, l, nested)
	case agentapi.Call_GET_TASKS:
		return a.getTasks(), nil
	case agentapi.Call_GET_FRAMEWORKS:
		return a.getFrameworks(), nil
	case agentapi.Call_GET_AGENT:
		return a.getAgent(), nil
	default:
		return nil, errors.ErrUnsupported
	}
}

// getContainers waits in the line of the module's actor first: Mesos asks it
// for the usage of every container, and it blocks while a command runs.
func (a *Agent) getContainers(r *http.Request, l *life, nested bool) (*agentapi.Response, error) {
	turn := make(chan struct{})
	l.actor.send(func() { close(turn) })
	select {
	case <-turn:
	case <-l.killed:
		return nil, errKilled
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	a.mu.Lock()
	known := slices.Clone(a.containers)
	a.mu.Unlock()
	answer := &agentapi.Response_GetContainers{}
	for _, c := range known {
		if c.parent != nil && !nested {
			continue
		}
		id := wireID(c.id.container)
		entry := agentapi.Response_GetContainers_Container{
			ContainerID:     mesosapi.ContainerID{Value: id.Value}, // without its parent
			ContainerStatus: c.status(),
		}
		if c.parent == nil {
			entry.FrameworkID = &mesosapi.FrameworkID{Value: a.Framework}
			entry.ExecutorID = &mesosapi.ExecutorID{Value: c.config.ExecutorInfo.ExecutorID.Value}
			entry.ExecutorName = &c.config.ExecutorInfo.Name
		}
		answer.Containers = append(answer.Containers, entry)
	}
	if len(answer.Containers) == 0 {
		answer = nil // as the real one
	}
	return &agentapi.Response{Type: agentapi.Response_GET_CONTAINERS, GetContainers: answer}, nil
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

// getFrameworks answers with the one framework of the agent.
func (a *Agent) getFrameworks() *agentapi.Response {
	a.mu.Lock()
	defer a.mu.Unlock()
	info := mesosapi.FrameworkInfo{User: "root", Name: "framework", ID: &mesosapi.FrameworkID{Value: a.Framework}, Roles: a.roles}
	return &agentapi.Response{
		Type: agentapi.Response_GET_FRAMEWORKS,
		GetFrameworks: &agentapi.Response_GetFrameworks{
			Frameworks:          []agentapi.Response_GetFrameworks_Framework{{FrameworkInfo: info}},
			CompletedFrameworks: []agentapi.Response_GetFrameworks_Framework{},
		},
	}
}

func (a *Agent) getAgent() *agentapi.Response {
	port := int32(5051)
	return &agentapi.Response{
		Type: agentapi.Response_GET_AGENT,
		GetAgent: &agentapi.Response_GetAgent{AgentInfo: &mesosapi.AgentInfo{
			Hostname: a.host.Name, Port: &port, ID: &mesosapi.AgentID{Value: a.ID},
		}},
	}
}

func (a *Agent) getTasks() *agentapi.Response {
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
	return &agentapi.Response{Type: agentapi.Response_GET_TASKS, GetTasks: tasks}
}

func (r *Run) wire() mesosapi.Task {
	t := mesosapi.Task{
		Name:        r.Task.name(),
		TaskID:      mesosapi.TaskID{Value: r.Task.ID},
		FrameworkID: mesosapi.FrameworkID{Value: r.agent.Framework},
		AgentID:     mesosapi.AgentID{Value: r.agent.ID},
		State:       wireState(r.Last().State),
	}
	c := r.at()
	if r.executor != r.Task.ID {
		t.ExecutorID = &mesosapi.ExecutorID{Value: r.executor}
	}
	for _, u := range r.Updates()[1:] {
		at := float64(u.Time.UnixMicro()) / 1e6
		source := mesosapi.TaskStatus_Source(mesosapi.TaskStatus_Source_value[u.Source])
		s := mesosapi.TaskStatus{
			TaskID: t.TaskID, State: wireState(u.State), Source: &source,
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
		}
		t.Statuses = append(t.Statuses, s)
	}
	if len(r.Task.Labels) > 0 {
		t.Labels = new(mesosapi.Labels)
		for _, l := range r.Task.Labels {
			t.Labels.Labels = append(t.Labels.Labels, mesosapi.Label{Key: l.Key, Value: &l.Value})
		}
	}
	return t
}

func wireState(name string) *mesosapi.TaskState {
	s := mesosapi.TaskState(mesosapi.TaskState_value[name])
	return &s
}

// asMesosJSON writes a message as Mesos does: what is not set is absent,
// where mesos-go writes null.
func asMesosJSON(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	return json.Marshal(withoutNulls(tree))
}

func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, field := range v {
			if field == nil {
				delete(v, key)
				continue
			}
			v[key] = withoutNulls(field)
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return v
}
