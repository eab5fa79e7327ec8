package sim

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// Agents come back as the real ones do.
const (
	minReconnect = 100 * time.Millisecond
	maxReconnect = 10 * time.Second
)

// volumeBackend is what played volumes are made by.
const volumeBackend = "loopback"

// agent plays one node's agent.
type agent struct {
	node  api.NodeID
	hello api.Hello
	dial  *client.Agent
	fleet *Fleet

	mu       sync.Mutex
	session  *client.Session // nil while there is none
	attached time.Time       // when the session began

	reported map[api.DatasetID]uint64 // the epoch under which a dataset was reported as mounted
}

func newAgent(f *Fleet, node api.NodeID, number int, tls *tls.Config) (*agent, error) {
	dial, err := client.NewAgent(client.Config{Endpoints: f.opts.Endpoints, TLS: tls})
	if err != nil {
		return nil, err
	}
	return &agent{
		node: node, fleet: f, dial: dial, reported: map[api.DatasetID]uint64{},
		hello: api.Hello{
			Hostname: fmt.Sprintf("sim-%04d", number), Era: uuid.NewString(), Agent: uuid.NewString(),
			Instance: string(node), Backend: volumeBackend, Version: "sim",
		},
	}, nil
}

// run keeps a stream open until ctx ends.
func (a *agent) run(ctx context.Context) {
	retry := &backoff.ExponentialBackOff{
		InitialInterval: minReconnect, Multiplier: 2, MaxInterval: maxReconnect, RandomizationFactor: 0.5,
	}
	retry.Reset()
	for ctx.Err() == nil {
		err := a.follow(ctx, retry.Reset)
		if ctx.Err() != nil {
			return
		}
		wait := retry.NextBackOff()
		a.fleet.log(slog.LevelDebug, "no stream", "node", a.node, "cause", err, "next_try", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// follow plays along with one stream until it ends.
func (a *agent) follow(ctx context.Context, connected func()) error {
	s, err := a.dial.Connect(ctx, a.hello)
	if err != nil {
		return err
	}
	defer func() {
		a.set(nil)
		_ = s.Close()
	}()
	for first := true; ; first = false {
		ev, err := s.Next(ctx)
		if err != nil {
			return err
		}
		if first {
			connected()
			a.set(s)
		}
		a.fleet.told(a.node, ev)
		if err := a.play(ctx, s, ev); err != nil {
			return err
		}
	}
}

func (a *agent) set(s *client.Session) {
	a.mu.Lock()
	a.session = s
	if s != nil {
		a.attached = time.Now()
	}
	a.mu.Unlock()
	a.fleet.changed()
}

// attachedSince reports whether the agent has a stream that began after a time.
func (a *agent) attachedSince(t time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.session != nil && a.attached.After(t)
}

// partsAtOnce is how many datasets go into one report. More would be decided
// as several commands anyway.
const partsAtOnce = 64

// play reports as done what an event asks for.
func (a *agent) play(ctx context.Context, s *client.Session, ev api.StreamEvent) error {
	var parts []api.DatasetReport
	for _, d := range ev.Datasets {
		if part, ok := a.answer(d); ok {
			parts = append(parts, part)
		}
	}
	for _, id := range ev.Removed {
		delete(a.reported, id)
	}
	for len(parts) > 0 {
		n := min(partsAtOnce, len(parts))
		reply, err := s.Report(ctx, api.Report{Datasets: parts[:n]})
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		for _, part := range parts[:n] {
			if refused := reply.Refused[part.State.ID]; refused == nil {
				a.fleet.accepted(a.node, part.State)
			} else {
				// It crossed with another change, which the stream brings.
				a.fleet.log(slog.LevelDebug, "report refused", "node", a.node, "dataset", part.State.ID, "cause", refused)
			}
		}
		parts = parts[n:]
	}
	return nil
}

// answer returns what the node says about a dataset, if anything is left to say.
func (a *agent) answer(d *api.Dataset) (api.DatasetReport, bool) {
	if !d.HeldBy(a.node) {
		delete(a.reported, d.ID)
		return api.DatasetReport{}, false
	}
	part := api.DatasetReport{State: api.DatasetState{ID: d.ID, Node: a.node, Epoch: d.Epoch, Since: time.Now().UTC()}}
	switch {
	case d.Deleted:
		part.State.Phase, part.Destroyed = api.PhaseNonExistent, true
	case d.Primary != a.node || len(d.Waiting) > 0:
		part.State.Phase, part.Release = api.PhaseDetached, true
	case a.reported[d.ID] == d.Epoch:
		return api.DatasetReport{}, false
	default:
		a.reported[d.ID] = d.Epoch
		a.mounted(d, &part)
	}
	return part, true
}

// mounted reports what a container that uses a dataset would have reported.
func (a *agent) mounted(d *api.Dataset, part *api.DatasetReport) {
	part.State.Phase, part.State.Path, part.State.Device = api.PhaseMounted, "/flocker/"+string(d.ID), "/dev/loop7"
	part.State.Size = d.Size
	part.State.Consumers = []api.Consumer{{
		ID: "container-of-" + string(d.ID), Kind: api.ConsumerMesos, App: "/sim/" + d.Name(), Key: "data", Since: part.State.Since,
	}}
	if d.Volume == nil {
		part.Volume = &api.Volume{ID: "volume-" + string(d.ID), Backend: volumeBackend, Size: d.Size}
	}
}
