package isolator

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// defaultWaitLimit is how long a container waits for its volumes where the
// agent did not say: less than the minute after which Mesos takes a silent
// executor for dead.
const defaultWaitLimit = 45 * time.Second

// Prepare returns how to launch a container, nil where it asks for no volume.
// It takes milliseconds: it hands the request to the agent and leaves the
// waiting to the container's own launch process. The text of an error reaches
// the framework.
func (h *Hook) Prepare(ctx context.Context, in *Input) (*LaunchInfo, error) {
	demand, err := in.Demand()
	if err != nil {
		return nil, err
	}
	if demand.AskMesos {
		var later *LaunchInfo
		if demand, later, err = h.askMesos(ctx, in); err != nil || later != nil {
			return later, err
		}
	}
	for _, note := range demand.Notes {
		h.logf("container %s: %s", in.ContainerID, note)
	}
	if len(demand.Volumes) == 0 {
		return nil, nil
	}
	view := cmp.Or(h.Sandbox, api.SandboxPath)
	targets, err := Place(&in.Config, view, demand.Volumes)
	if err != nil {
		return nil, err
	}
	space, err := findSpace(&in.Config, view)
	if err != nil {
		return nil, err
	}
	program, namespace, err := h.launchable()
	if err != nil {
		return nil, err
	}
	reply, err := h.acquire(ctx, in, demand.Volumes)
	if err != nil {
		return nil, fmt.Errorf("get volumes: %w", err)
	}
	return Plan(space, targets, reply.Mounts, Waiting{
		Program: program, Socket: h.Socket, Consumer: in.ContainerID.String(),
		Limit: cmp.Or(reply.WaitLimit, defaultWaitLimit), Namespace: namespace,
	})
}

// launchable returns what a command in a launch process needs: the path of the
// stored program, and the mount namespace that it must not touch.
func (h *Hook) launchable() (program string, namespace uint64, err error) {
	if program, err = h.Store(); err != nil {
		return "", 0, err
	}
	namespace, err = MountNamespace()
	return program, namespace, err
}

func (h *Hook) acquire(ctx context.Context, in *Input, volumes []api.VolumeRequest) (*api.LocalReply, error) {
	ctx, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	env := in.Config.variables()
	return h.client().Acquire(ctx, api.AcquireRequest{
		Consumer: in.ContainerID.String(),
		Kind:     api.ConsumerMesos,
		App:      last(env, marathonAppID),
		Instance: api.InstanceOf(last(env, mesosTaskID)),
		Volumes:  volumes,
		User:     in.Config.User,

		Framework: in.framework(), Role: in.role(),
	})
}

// askMesos finds out, through the agent, whether Mesos knows of labels that
// ask for volumes.
//
// Without an answer, most such containers have nothing to do with Flocker, and
// holding them up would be holding Mesos up; but a database that starts without
// its volume writes beside it. So: a framework that has asked for volumes in
// this way before is refused until the agent is back. Any other container is
// launched, with a command that asks again in its own launch process for a few
// seconds, long enough for an agent that is just being restarted. If that finds
// labels after all the container ends, to be started anew; if no agent answers,
// the task starts, with a warning in its log.
func (h *Hook) askMesos(ctx context.Context, in *Input) (Demand, *LaunchInfo, error) {
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
	case known.knows(in.framework()):
		return Demand{}, nil, fmt.Errorf("framework %s has asked for volumes by labels before, and whether this task "+
			"does can't be found out: %w", in.framework(), err)
	default:
		program, namespace, err := h.launchable()
		if err != nil {
			return Demand{}, nil, err
		}
		return Demand{}, launch(program, "wait", "--socket", h.Socket, "--limit", askAgainLimit.String(),
			"--outside", strconv.FormatUint(namespace, 10), "--labels", in.ContainerID.Value, "--parent", parent), nil
	}
	if hasVolumeLabels(labels) {
		if err := known.remember(in.framework()); err != nil {
			h.logf("remember framework %s: %v", in.framework(), err)
		}
	}
	volumes, notes, err := api.ParseVolumes("", labels, in.Config.variables())
	return Demand{Volumes: volumes, Notes: notes}, nil, err
}

func hasVolumeLabels(labels []api.Label) bool {
	for _, l := range labels {
		if api.AsksForVolume(l.Key) {
			return true
		}
	}
	return false
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
