package agent

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// liveEngine is an engine whose timers are armed and whose workers end at once.
func liveEngine(t testing.TB) *engine {
	t.Helper()
	journal, err := openJournal(t.TempDir(), "boot")
	if err != nil {
		t.Fatal(err)
	}
	e := idleEngine(t)
	e.closed = false
	e.stepper = &stepper{backend: growing{}, journal: journal, root: mountRootOf(t)}
	e.slots = semaphore.NewWeighted(0)
	e.reports = newReporter("n", nil)
	t.Cleanup(e.close)
	return e
}

// mountRootOf is a real mount root, which goes with the test.
func mountRootOf(t testing.TB) *host.MountRoot {
	t.Helper()
	dir := t.TempDir()
	root, err := host.OpenMountRoot(filepath.Join(dir, "mnt"), filepath.Join(dir, "flocker"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := root.Remove(); err != nil {
			t.Error(err)
		}
	})
	return root
}

// use makes a container a consumer of a dataset, in the journal and in memory.
func use(t *testing.T, e *engine, id string) *consumer {
	t.Helper()
	c := &consumer{Consumer: api.Consumer{ID: id}, Volumes: []consumedVolume{{Key: "data", Dataset: "d", Name: "db"}}}
	if err := e.stepper.journal.put(c); err != nil {
		t.Fatal(err)
	}
	e.addConsumer(c, time.Time{})
	return c
}

// held is a record of dataset d that this node holds.
func held(revision uint64) *api.Dataset {
	return &api.Dataset{ID: "d", Revision: revision, Epoch: 1, Holder: &api.Holder{Node: "n", Epoch: 1}, Volume: &api.Volume{ID: "v"}}
}

// TestNothingActsForAForgottenDataset plays what a chaos run met: a step fails
// while an input changes, the dataset is forgotten, a successor with a consumer is
// tracked, and everything that still holds the forgotten one fires.
func TestNothingActsForAForgottenDataset(t *testing.T) {
	e := liveEngine(t)
	e.mu.Lock()
	old := e.track("d")
	old.record, old.working = held(1), true
	old.seen = sight{phase: api.PhaseDetached}
	e.mu.Unlock()

	turn, ok := e.plan(old)
	if !ok {
		t.Fatal("the holder of a dataset without users has nothing to do")
	}
	e.mu.Lock()
	old.dirty = true
	e.mu.Unlock()
	if !e.finish(t.Context(), old, turn, turn.seen, errors.New("the control service is away")) {
		t.Fatal("the worker pauses although an input changed")
	}
	if old.retry != nil {
		t.Error("the worker goes on, and a retry is armed beside it")
	}
	e.mu.Lock()
	old.record, old.seen.doubt = nil, false
	e.mu.Unlock()
	if _, ok := e.plan(old); ok {
		t.Fatal("a dataset that is no concern of this node has something to do")
	}
	if e.datasets["d"] != nil {
		t.Fatal("the dataset was not forgotten")
	}

	c := use(t, e, "container")
	e.mu.Lock()
	successor := e.datasets["d"]
	successor.seen = sight{phase: api.PhaseMounted, mounted: 7, epoch: 1, volume: backend.Volume{ID: "v"}}
	e.wake(old)
	started := old.working
	e.mu.Unlock()
	if started {
		t.Error("a worker was started for the forgotten dataset")
	}
	for name, act := range map[string]func(){
		"its worker":  func() { e.plan(old) },
		"its removal": func() { e.mu.Lock(); e.forget(old); e.mu.Unlock() },
		"its hint":    func() { e.overtaken(old, api.Errorf(api.CodeNotFound, "gone")) },
	} {
		act()
		if e.datasets["d"] != successor || len(successor.consumers) != 1 {
			t.Fatalf("%s dropped the successor, which %s uses", name, c.ID)
		}
	}
}

// TestAnUnmountAsksTheJournal has memory lose the consumer of a mounted volume.
func TestAnUnmountAsksTheJournal(t *testing.T) {
	e := liveEngine(t)
	use(t, e, "container")
	e.mu.Lock()
	d := e.datasets["d"]
	d.record = held(1)
	d.seen = sight{phase: api.PhaseMounted, mounted: 7, epoch: 1, volume: backend.Volume{ID: "v"}}
	delete(d.consumers, "container")
	e.mu.Unlock()
	if turn, _ := e.plan(d); turn.act == actUnmount {
		t.Fatal("unmounts a volume whose consumer is in the journal")
	}
	if len(d.consumers) != 1 {
		t.Error("the consumer was not recalled")
	}
	if _, err := e.stepper.journal.remove("container"); err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	delete(d.consumers, "container")
	e.mu.Unlock()
	if turn, _ := e.plan(d); turn.act != actUnmount {
		t.Errorf("got %q for a volume without consumers, want %q", turn.act, actUnmount)
	}
}
