package isolator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// defaultWaitLimit is how long a container waits for its volumes where no agent has
// ever said: less than the minute after which Mesos takes a silent executor for dead.
const defaultWaitLimit = 45 * time.Second

// Prepare returns how to launch a container, nil where it asks for no volume.
// It takes milliseconds: it hands the request to the agent and leaves the
// waiting to the container's own launch process. Where the agent or the control
// service is away, the launch process makes the request too, so no launch fails because
// of a restart. The text of an error reaches the framework.
func (h *Hook) Prepare(ctx context.Context, in *Input) (*LaunchInfo, error) {
	demand, err := in.Demand()
	if err != nil {
		return nil, err
	}
	view := cmp.Or(h.Sandbox, api.SandboxPath)
	if demand.AskMesos {
		var later *LaunchInfo
		if demand, later, err = h.askMesos(ctx, in, view); err != nil || later != nil {
			return later, err
		}
	}
	for _, note := range demand.Notes {
		h.logf("container %s: %s", in.ContainerID, note)
	}
	if len(demand.Volumes) == 0 {
		return nil, nil
	}
	targets, err := Place(&in.Config, view, demand.Volumes)
	if err != nil {
		return nil, err
	}
	space, err := findSpace(&in.Config, view)
	if err != nil {
		return nil, err
	}
	w, err := h.waiting(in)
	if err != nil {
		return nil, err
	}
	req := in.request(demand.Volumes)
	reply, err := h.acquire(ctx, req)
	switch {
	case err != nil && awaited(err):
		h.logf("container %s asks for its volumes in its launch process: %v", in.ContainerID, err)
		w.Limit = newMemory(h.Socket).agent().WaitLimit
		return PlanLater(space, targets, &Later{Acquire: req}, w)
	case err != nil:
		return nil, fmt.Errorf("get volumes: %w", err)
	}
	w.Limit = cmp.Or(reply.WaitLimit, defaultWaitLimit)
	return Plan(space, targets, reply.Mounts, w)
}

// waiting returns what a command in a launch process needs: the path of the
// stored program, and the mount namespace that it must not touch.
func (h *Hook) waiting(in *Input) (Waiting, error) {
	w := Waiting{Socket: h.Socket, Consumer: in.ContainerID.String()}
	var err error
	if w.Program, err = h.Store(); err != nil {
		return w, err
	}
	w.Namespace, err = MountNamespace()
	return w, err
}

func (h *Hook) acquire(ctx context.Context, req api.AcquireRequest) (*api.LocalReply, error) {
	ctx, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	req.Hurry = true
	return h.client().Acquire(ctx, req)
}

// request returns what the agent is asked for.
func (in *Input) request(volumes []api.VolumeRequest) api.AcquireRequest {
	env := in.Config.variables()
	return api.AcquireRequest{
		Consumer: in.ContainerID.String(),
		Kind:     api.ConsumerMesos,
		App:      last(env, marathonAppID),
		Instance: api.InstanceOf(last(env, mesosTaskID)),
		Volumes:  volumes,
		User:     in.Config.User,

		Framework: in.framework(), Role: in.role(),
	}
}

// askMesos finds out, through the agent, whether Mesos knows of labels that
// ask for volumes.
//
// Without an answer, most such containers have nothing to do with Flocker, and
// holding them up would be holding Mesos up; but a database that starts without
// its volume writes beside it. So the container is launched with a command that asks
// again in its own launch process, and gets the volumes there if there are any. Where
// its framework has asked for volumes in this way before, that waits as long as for a
// volume, and then fails. For any other it waits for a few seconds, long enough for an
// agent that is just being restarted, and then starts the task, with a warning in its
// log. Where the agent has no Mesos agent to ask, there is nothing to wait for.
func (h *Hook) askMesos(ctx context.Context, in *Input, view string) (Demand, *LaunchInfo, error) {
	parent := in.ContainerID.Parent.String()
	known := newMemory(h.Socket)
	ctx, cancel := context.WithTimeout(ctx, labelsTimeout)
	defer cancel()
	labels, err := h.client().Labels(ctx, in.ContainerID.Value, parent)
	switch {
	case err == nil:
	case api.CodeOf(err) == api.CodeNotFound:
		// The agent was not told of a Mesos agent: its operator has decided
		// that labels of task groups are not read.
		return Demand{}, nil, nil
	default:
		info, err := h.askLater(in, view, known)
		return Demand{}, info, err
	}
	if hasVolumeLabels(labels) {
		if err := known.remember(in.framework()); err != nil {
			h.logf("remember framework %s: %v", in.framework(), err)
		}
	}
	volumes, notes, err := api.ParseVolumes("", labels, in.Config.variables())
	return Demand{Volumes: volumes, Notes: notes}, nil, err
}

// askLater returns the launch info of a container whose labels are asked for in its
// launch process, nil where no agent of this machine reads labels.
func (h *Hook) askLater(in *Input, view string, known memory) (*LaunchInfo, error) {
	facts := known.agent()
	if !facts.Labels {
		return nil, nil
	}
	w, err := h.waiting(in)
	if err != nil {
		return nil, err
	}
	w.Limit = facts.WaitLimit
	later := &Later{
		Acquire: in.request(nil), Environment: api.VolumeVariables(in.Config.variables()),
		Labels: &api.LabelsRequest{Container: in.ContainerID.Value, Parent: in.ContainerID.Parent.String()},
	}
	if !known.knows(in.framework()) {
		later.AskLimit = askAgainLimit
	}
	// Most such containers ask for no volume, so a file tree in which none can be mounted
	// is no mistake yet.
	space, err := findSpace(&in.Config, view)
	if err != nil {
		space = Space{}
	}
	return PlanLater(space, nil, later, w)
}

func hasVolumeLabels(labels []api.Label) bool {
	return slices.ContainsFunc(labels, func(l api.Label) bool { return api.AsksForVolume(l.Key) })
}

// role returns the Mesos role that the container acts for, "" where its config does not
// say. The executor's resources come from the Mesos master, which gives each the role of
// the offer. The resources of a nested container do not count: its executor names them.
func (in *Input) role() string {
	if e := in.Config.Executor; e != nil && len(e.Resources) > 0 {
		return e.Resources.role()
	}
	if in.ContainerID.Parent == nil {
		return in.Config.Resources.role()
	}
	return ""
}

func (in *Input) framework() string {
	if in.Config.Executor == nil {
		return ""
	}
	return in.Config.Executor.FrameworkID.Value
}
