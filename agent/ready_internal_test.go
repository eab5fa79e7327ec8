package agent

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
)

// TestVolumeThatGrowsStaysReady has the worker at each step of growing, and a
// step fail.
func TestVolumeThatGrowsStaysReady(t *testing.T) {
	for _, c := range []struct {
		act  action
		seen sight
	}{
		{actGrow, sight{volume: backend.Volume{ID: "v", Size: 1 << 30}}},
		{actGrowFS, sight{volume: backend.Volume{ID: "v", Size: 2 << 30}}},
		{actRegister, sight{volume: backend.Volume{ID: "v", Size: 2 << 30}, filled: true}},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // no worker goes further than this test takes it
		e := &engine{
			node: "n", log: slog.New(slog.DiscardHandler), now: time.Now, datasets: map[api.DatasetID]*dataset{},
			names: map[string]int{}, stepper: &stepper{backend: growing{}, grower: growing{}, journal: &journal{}}, synced: true, closed: true, ctx: ctx,
		}
		d := e.track("d")
		d.record = &api.Dataset{ID: "d", Revision: 1, Epoch: 1, Holder: &api.Holder{Node: "n", Epoch: 1}, Size: 2 << 30,
			Volume: &api.Volume{ID: "v", Size: 1 << 30}}
		d.consumers["c"] = consumedVolume{Dataset: "d"}
		d.seen = c.seen
		d.seen.phase, d.seen.epoch = api.PhaseMounted, 1
		turn, ok := e.plan(d)
		if !ok || turn.act != c.act {
			t.Fatalf("got %q, want %q", turn.act, c.act)
		}
		if !e.look("d").serves(consumedVolume{}) {
			t.Errorf("not ready while the worker is to %s", c.act)
		}
		if e.finish(t.Context(), d, turn, turn.seen, errors.New("no room")) {
			t.Errorf("%s: goes on at once after a failure", c.act)
		}
		if now := e.look("d"); !now.serves(consumedVolume{}) || now.failure == nil {
			t.Errorf("after it failed to %s: got %+v, want it ready, with the failure", c.act, now)
		}
	}
}

// growing is a backend that can grow volumes.
type growing struct {
	backend.Backend
	backend.Grower
}

func (growing) Properties() backend.Properties { return backend.Properties{AllocationUnit: 4096} }

// TestVolumeThatIsBeingUnmountedIsNotReady has a consumer come while the worker
// is at the unmount that the last one's end has brought about.
func TestVolumeThatIsBeingUnmountedIsNotReady(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no worker goes further than this test takes it
	e := &engine{
		node: "n", log: slog.New(slog.DiscardHandler), now: time.Now, datasets: map[api.DatasetID]*dataset{},
		names: map[string]int{}, stepper: &stepper{journal: &journal{}}, synced: true, closed: true, ctx: ctx,
	}
	record := &api.Dataset{ID: "d", Revision: 1, Epoch: 1, Holder: &api.Holder{Node: "n", Epoch: 1}, Volume: &api.Volume{ID: "v"}}
	d := e.track("d")
	d.record, d.seen = record, sight{phase: api.PhaseMounted, epoch: 1}
	comes := &consumer{Consumer: api.Consumer{ID: "c"}, Volumes: []consumedVolume{{Dataset: "d"}}}

	first, ok := e.plan(d)
	if !ok || first.act != actUnmount {
		t.Fatalf("got %q, want %q: nobody uses it", first.act, actUnmount)
	}
	e.addConsumer(comes, time.Time{})
	if e.look("d").serves(consumedVolume{}) {
		t.Error("it is ready while it is being unmounted")
	}
	// The unmount is done, or has failed: the next turn makes it ready again.
	for _, phase := range []api.Phase{api.PhaseAttached, api.PhaseMounted} {
		d.seen.phase = phase
		if _, ok := e.plan(d); ok && e.look("d").serves(consumedVolume{}) != (phase == api.PhaseMounted) {
			t.Errorf("%s: ready is %v", phase, e.look("d").serves(consumedVolume{}))
		}
	}
}
