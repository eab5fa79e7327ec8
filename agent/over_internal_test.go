package agent

import (
	"errors"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

// TestAReportThatEndsAFailureDoesNotTellOfIt has a step fail that is a report itself,
// and that report come through at last.
func TestAReportThatEndsAFailureDoesNotTellOfIt(t *testing.T) {
	for name, c := range map[string]struct {
		effects effects
		over    bool
	}{
		"the release":      {effects: effects{epoch: 1, release: true}, over: true},
		"the registration": {effects: effects{epoch: 1, volume: &api.Volume{ID: "v"}}, over: true},
		"its state alone":  {},
	} {
		t.Run(name, func(t *testing.T) {
			e := liveEngine(t)
			e.mu.Lock()
			d := e.track("d")
			d.record, d.seen = held(1), sight{phase: api.PhaseDetached}
			e.fail(d, actRelease, errors.New("the control service is away"))
			e.mu.Unlock()
			e.reports.state = e.state
			part, ok := e.reports.part("d", &pendingReport{effects: c.effects, waiting: []chan<- error{nil}})
			if !ok {
				t.Fatal("nothing is reported")
			}
			if got := part.State.Failure == nil; got != c.over {
				t.Errorf("got failure %+v, want none: %t", part.State.Failure, c.over)
			}
		})
	}
}

// TestAFailureEndsWithWhatWasTried changes what is wanted after a step has failed.
func TestAFailureEndsWithWhatWasTried(t *testing.T) {
	for name, c := range map[string]struct {
		failed action
		phase  api.Phase
		used   bool
		change func(*dataset)
		want   action
		shown  bool
	}{
		"it is tried again":               {failed: actMount, phase: api.PhaseAttached, used: true, want: actMount, shown: true},
		"its user has ended":              {failed: actMount, phase: api.PhaseAttached, want: actDetach},
		"a user came":                     {failed: actDetach, phase: api.PhaseAttached, used: true, want: actMount},
		"it is done already":              {failed: actMount, phase: api.PhaseMounted, used: true, want: actNone},
		"its tenure is over":              {failed: actMount, phase: api.PhaseAttached, used: true, change: revoked, want: actDetach},
		"a look comes before the attempt": {failed: actMount, phase: api.PhaseUnknown, used: true, want: actLook, shown: true},
	} {
		t.Run(name, func(t *testing.T) {
			e := liveEngine(t)
			if c.used {
				use(t, e, "container")
			}
			e.mu.Lock()
			d := e.track("d")
			d.working = true
			d.record = held(1)
			d.record.Waiting = nil
			d.seen = sight{phase: c.phase, epoch: 1}
			d.seen.volume.ID = "v"
			if c.change != nil {
				c.change(d)
			}
			e.fail(d, c.failed, errors.New("x"))
			e.mu.Unlock()
			turn, _ := e.plan(d)
			if turn.act != c.want {
				t.Fatalf("got %q, want %q", turn.act, c.want)
			}
			if got := d.failure != nil; got != c.shown {
				t.Errorf("got failure %+v, want it shown: %t", d.failure, c.shown)
			}
		})
	}
}

func revoked(d *dataset) {
	d.record.Fence = &api.Fence{Node: "other", Holder: "n", Epoch: 1, Begun: true}
}
