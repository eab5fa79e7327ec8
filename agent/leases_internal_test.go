package agent

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// TestLeaseKeepsWhatIsMountedAndChangesNothingElse has every combination of what
// a dataset's record can say with every use of it here.
func TestLeaseKeepsWhatIsMountedAndChangesNothingElse(t *testing.T) {
	const here, there = api.NodeID("here"), api.NodeID("there")
	holders := []api.NodeID{"", here, there}
	queues := [][]api.Waiter{nil, {{Node: there}}, {{Node: there, Preempt: true}}}
	fences := []*api.Fence{nil, {Node: there, Holder: here}, {Node: there, Holder: here, Begun: true}, {Node: here, Holder: there}}
	bools := []bool{false, true}
	var wants []want
	for _, holder := range holders {
		for _, queue := range queues {
			for _, fence := range fences {
				for flags := range 8 {
					d := &api.Dataset{
						Primary: here, Waiting: queue, Fence: fence, Epoch: 1,
						Deleted: flags&1 != 0, Pinned: flags&2 != 0, Destroyed: flags&4 != 0,
					}
					if holder != "" {
						d.Holder = &api.Holder{Node: holder, Epoch: 1}
					}
					moved := d.Clone()
					moved.Primary = there
					wants = append(wants, want{record: d}, want{record: moved})
				}
			}
		}
	}
	wants = append(wants, want{})
	for _, w := range wants {
		for _, w.synced = range bools {
			for _, w.consumers = range []int{0, 2} {
				for _, w.acquiring = range bools {
					for _, w.spent = range bools {
						for _, w.mounted = range bools {
							expected := decide(here, w)
							leased := w
							leased.leased = true
							if d := w.record; d != nil && d.HeldBy(here) && !d.Destroyed && !d.Revoked() && !d.FencedBy(here) &&
								w.mounted && !w.spent && expected != goalLeave {
								expected = goalMounted
							}
							if got := decide(here, leased); got != expected {
								t.Fatalf("%+v of %+v: decide = %s, want %s", leased, w.record, got, expected)
							}
						}
					}
				}
			}
		}
	}
}

// idleEngine is an engine whose workers go no further than a test takes them.
func idleEngine(t testing.TB) *engine {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return &engine{
		node: "n", log: slog.New(slog.DiscardHandler), now: time.Now, datasets: map[api.DatasetID]*dataset{}, leases: map[api.DatasetID]*api.Lease{},
		names: map[string]int{}, memberCame: func() {}, stepper: &stepper{journal: &journal{}}, synced: true, closed: true, ctx: ctx,
	}
}

// leaseOf is a lease of dataset d.
func leaseOf(node api.NodeID, revision uint64) []*api.Lease {
	return []*api.Lease{{Dataset: "d", Node: node, Revision: revision}}
}

func TestLeaseHoldsFromWhenItIsHeardUntilItIsHeardToBeOver(t *testing.T) {
	record := func(revision uint64) []*api.Dataset {
		return []*api.Dataset{{ID: "d", Revision: revision, Epoch: 1, Primary: "other", Pinned: true, Holder: &api.Holder{Node: "n", Epoch: 1}}}
	}
	for _, c := range []struct {
		name   string
		events []api.StreamEvent // a welcome where there is one
		kept   bool
	}{
		{"no lease", []api.StreamEvent{{Datasets: record(1)}}, false},
		{"a lease that comes later", []api.StreamEvent{{Datasets: record(1)}, {Leases: leaseOf("n", 2)}}, true},
		{"a lease that comes before the dataset", []api.StreamEvent{{Leases: leaseOf("n", 1)}, {Datasets: record(2)}}, true},
		{"a lease that is there from the beginning", []api.StreamEvent{{Welcome: &api.Welcome{}, Datasets: record(1), Leases: leaseOf("n", 2)}}, true},
		{"another node's lease", []api.StreamEvent{{Datasets: record(1), Leases: leaseOf("other", 2)}}, false},
		{"an end", []api.StreamEvent{{Datasets: record(1), Leases: leaseOf("n", 2)}, {Unleased: []api.DatasetID{"d"}}}, false},
		{"an end of another", []api.StreamEvent{{Datasets: record(1), Leases: leaseOf("n", 2)}, {Unleased: []api.DatasetID{"e"}}}, true},
		{"a renewal", []api.StreamEvent{{Datasets: record(1), Leases: leaseOf("n", 2)}, {Leases: leaseOf("n", 3)}}, true},
		{"what is older", []api.StreamEvent{{Datasets: record(1), Leases: leaseOf("n", 2)}, {Leases: leaseOf("other", 1)}}, true},
		{"an end after which it is acquired again", []api.StreamEvent{
			{Datasets: record(1), Leases: leaseOf("n", 2)}, {Unleased: []api.DatasetID{"d"}}, {Leases: leaseOf("n", 3)},
		}, true},
		{"a dataset that was no concern in between", []api.StreamEvent{
			{Datasets: record(1), Leases: leaseOf("n", 2)}, {Removed: []api.DatasetID{"d"}}, {Datasets: record(3)},
		}, true},
		{"a new stream that knows it", []api.StreamEvent{
			{Datasets: record(1), Leases: leaseOf("n", 2)}, {Welcome: &api.Welcome{}, Datasets: record(3), Leases: leaseOf("n", 2)},
		}, true},
		{"a new stream that knows of its end", []api.StreamEvent{
			{Datasets: record(1), Leases: leaseOf("n", 2)}, {Welcome: &api.Welcome{}, Datasets: record(3)},
		}, false},
		{"a new stream that knows it again, with lower numbers", []api.StreamEvent{
			{Datasets: record(1), Leases: leaseOf("n", 9)}, {Welcome: &api.Welcome{}, Datasets: record(3), Leases: leaseOf("n", 2)},
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := idleEngine(t)
			e.track("d").seen = sight{phase: api.PhaseMounted, epoch: 1}
			for _, ev := range c.events {
				if ev.Welcome != nil {
					e.sync(ev.Datasets, ev.Leases, nil)
				} else {
					e.apply(ev)
				}
			}
			d := e.datasets["d"]
			want := actUnmount
			if c.kept {
				want = actRegister // as for what is to stay mounted
			}
			if got, _ := e.plan(d); got.act != want {
				t.Errorf("got %q, want %q", got.act, want)
			}
			d.seen.phase = api.PhaseAttached
			if got, _ := e.plan(d); got.act != actDetach {
				t.Errorf("not mounted: got %q, want %q whatever leases there are", got.act, actDetach)
			}
		})
	}
}

func TestEndOfALeaseWakesItsDatasetAlone(t *testing.T) {
	e := idleEngine(t)
	e.apply(api.StreamEvent{Leases: leaseOf("n", 1)}) // of what is not known at all
	if len(e.datasets) > 0 {
		t.Errorf("got datasets %v, want none: a lease brings nothing up", fmt.Sprint(e.datasets))
	}
	d, other := e.track("d"), e.track("other")
	for _, ev := range []api.StreamEvent{{Unleased: []api.DatasetID{"d"}}, {Leases: leaseOf("n", 2)}} {
		d.dirty, other.dirty = false, false
		e.apply(ev)
		if !d.dirty || other.dirty {
			t.Errorf("%+v: woken are d: %t, another: %t", ev, d.dirty, other.dirty)
		}
	}
}
