package mesos

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	agentapi "github.com/mesos/mesos-go/api/v1/lib/agent"

	v1 "github.com/flocker-mesos/flocker/test/mesos/v1"
)

// serve answers the agent's operator API for the length of a life.
func (a *Agent) serve(l *life) error {
	listener, err := a.host.Listen(context.Background(), "tcp", a.config.Address)
	if err != nil {
		return err
	}
	o := &operator{agent: a, life: l, door: v1.Door{Kind: "agent", Types: agentapi.Call_Type_value, Username: a.config.Username, Password: a.config.Password}}
	l.server = &http.Server{Handler: o, ReadHeaderTimeout: 10 * time.Second}
	l.served = make(chan struct{})
	go func() {
		defer close(l.served)
		_ = l.server.Serve(listener)
	}()
	return nil
}

// operator answers callers of an agent.
type operator struct {
	agent *Agent
	life  *life
	door  v1.Door
}

// ServeHTTP implements http.Handler.
func (o *operator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/slave(1)")
	switch path {
	case "/api/v1":
		if !o.door.Allowed(w, r, "readwrite") {
			return
		}
		if call := o.door.Read(w, r); call != nil {
			o.call(w, r, call)
		}
	case "/health":
	case "/version":
		v1.Reply(w, &v1.Version)
	case "/flags", "/containers":
		if !o.door.Allowed(w, r, "readonly") {
			return
		}
		if path == "/flags" {
			v1.Reply(w, map[string]any{"flags": o.agent.flags()})
			return
		}
		if list, err := o.agent.oldContainers(r.Context(), o.life); err == nil {
			v1.Reply(w, list)
		}
	default:
		v1.NotFound(w)
	}
}

func (o *operator) call(w http.ResponseWriter, r *http.Request, c *v1.Call) {
	call := new(agentapi.Call)
	if !c.Decode(w, call) {
		return
	}
	response, extend, err := o.answer(r, call)
	switch {
	case errors.Is(err, errors.ErrUnsupported) && call.WaitContainer != nil:
		v1.Refuse(w, http.StatusNotFound, "Container "+call.WaitContainer.ContainerID.Value+" cannot be found")
	case errors.Is(err, errors.ErrUnsupported):
		v1.Refuse(w, http.StatusNotImplemented, "501 Not Implemented.")
	case err != nil:
		v1.Refuse(w, http.StatusInternalServerError, err.Error())
	default:
		_ = c.Answer(w, response, extend) // the caller may have gone
	}
}

func (o *operator) answer(r *http.Request, call *agentapi.Call) (*agentapi.Response, func(map[string]any), error) {
	a := o.agent
	answer := &agentapi.Response{Type: agentapi.Response_Type(agentapi.Response_Type_value[call.Type.String()])}
	switch call.Type {
	case agentapi.Call_GET_HEALTH:
		answer.GetHealth = &agentapi.Response_GetHealth{Healthy: true}
	case agentapi.Call_GET_VERSION:
		answer.GetVersion = &agentapi.Response_GetVersion{VersionInfo: v1.Version}
	case agentapi.Call_GET_FLAGS:
		answer.GetFlags = &agentapi.Response_GetFlags{Flags: v1.Flags(a.flags())}
	case agentapi.Call_GET_LOGGING_LEVEL:
		answer.GetLoggingLevel = &agentapi.Response_GetLoggingLevel{}
	case agentapi.Call_GET_OPERATIONS:
		answer.GetOperations = &agentapi.Response_GetOperations{}
	case agentapi.Call_GET_RESOURCE_PROVIDERS:
		answer.GetResourceProviders = &agentapi.Response_GetResourceProviders{}
	case agentapi.Call_GET_CONTAINERS:
		return a.getContainers(r.Context(), o.life, call.GetGetContainers().GetShowNested())
	case agentapi.Call_GET_TASKS:
		answer.GetTasks = a.getTasks()
	case agentapi.Call_GET_EXECUTORS:
		answer.GetExecutors = a.getExecutors()
	case agentapi.Call_GET_FRAMEWORKS:
		answer.GetFrameworks = a.getFrameworks()
	case agentapi.Call_GET_STATE:
		answer.GetState = &agentapi.Response_GetState{GetTasks: a.getTasks(), GetExecutors: a.getExecutors(), GetFrameworks: a.getFrameworks()}
	case agentapi.Call_GET_AGENT:
		answer.GetAgent = a.getAgent()
	default:
		return nil, nil, errors.ErrUnsupported
	}
	return answer, withoutUnknown, nil
}

// turn waits for the module's actor: Mesos asks it for the usage of every container, and
// it blocks while a command runs.
func (l *life) turn(ctx context.Context) error {
	turn := make(chan struct{})
	l.actor.send(func() { close(turn) })
	select {
	case <-turn:
		return nil
	case <-l.killed:
		return errKilled
	case <-ctx.Done():
		return ctx.Err()
	}
}

// known returns the containers that the agent knows, oldest first.
func (a *Agent) known() []*container {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.containers)
}
