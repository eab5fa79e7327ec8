package agent

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// TestVolumeThatIsBeingUnmountedIsNotReady has a consumer come while the worker
// is at the unmount that the last one's end has brought about.
func TestVolumeThatIsBeingUnmountedIsNotReady(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no worker goes further than this test takes it
	e := &engine{
		node: "n", log: slog.New(slog.DiscardHandler), now: time.Now, datasets: map[api.DatasetID]*dataset{},
		names: map[string]int{}, stepper: &stepper{}, synced: true, closed: true, ctx: ctx,
	}
	record := &api.Dataset{ID: "d", Revision: 1, Epoch: 1, Holder: &api.Holder{Node: "n", Epoch: 1}, Volume: &api.Volume{ID: "v"}}
	d := e.track("d")
	d.record, d.seen = record, sight{phase: api.PhaseMounted, epoch: 1}
	comes := &consumer{Consumer: api.Consumer{ID: "c"}, Volumes: []consumedVolume{{Dataset: "d"}}}

	first, ok := e.plan(d)
	if !ok || first.act != actUnmount {
		t.Fatalf("got %q, want %q: nobody uses it", first.act, actUnmount)
	}
	e.addConsumer(comes)
	if e.look("d").serves(false) {
		t.Error("it is ready while it is being unmounted")
	}
	// The unmount is done, or has failed: the next turn makes it ready again.
	for _, phase := range []api.Phase{api.PhaseAttached, api.PhaseMounted} {
		d.seen.phase = phase
		if _, ok := e.plan(d); ok && e.look("d").serves(false) != (phase == api.PhaseMounted) {
			t.Errorf("%s: ready is %v", phase, e.look("d").serves(false))
		}
	}
}
