package agent

import (
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

func TestTreat(t *testing.T) {
	for _, c := range []struct {
		kind           api.HealthKind
		idle, awaited  action
		used           action
		halts          bool
		writer, reader bool // whether a new one may have it
	}{
		{"", actNone, actNone, actNone, false, true, true},
		{api.HealthDeviceGone, actRenew, actRenew, actNone, true, false, false},
		{api.HealthShutDown, actRenew, actRenew, actNone, true, false, false},
		{api.HealthAborted, actRenew, actRenew, actNone, true, false, false},
		{api.HealthUnmounted, actRestore, actRestore, actRestore, true, false, false},
		{api.HealthCovered, actNone, actNone, actNone, true, false, false},
		{api.HealthReadOnly, actNone, actRenew, actNone, false, false, true},
		{api.HealthIOErrors, actNone, actNone, actNone, false, true, true},
		{api.HealthHung, actNone, actNone, actNone, true, false, false},
	} {
		for has, want := range map[need]action{needNone: c.idle, needAwaited: c.awaited, needUsed: c.used} {
			got := treat(c.kind, has, "/flocker/d")
			if got.act != want || (got.halt || got.act != actNone) != (c.halts || want != actNone) {
				t.Errorf("treat(%q, need %v) = %+v, want %q, halt %v", c.kind, has, got, want, c.halts)
			}
			if c.kind != "" && (got.cause == "" || got.remedy == "") {
				t.Errorf("treat(%q, need %v) says nothing: %+v", c.kind, has, got)
			}
			if act := mounted(facts{care: got}); (c.halts || want != actNone) && act != want || !c.halts && want == actNone && act != actRegister {
				t.Errorf("mounted in health %q, need %v: next = %q", c.kind, has, act)
			}
		}
		for readOnly, want := range map[bool]bool{false: c.writer, true: c.reader} {
			if got := usable(c.kind, readOnly); got != want {
				t.Errorf("usable(%q, read-only %v) = %v, want %v", c.kind, readOnly, got, want)
			}
		}
	}
	for _, kind := range api.HealthKinds {
		if treat(kind, needUsed, "").cause == "" {
			t.Errorf("there is no care for %q", kind)
		}
		if act := treat(kind, needUsed, "").act; act == actRenew || act == actUnmount {
			t.Errorf("treat(%q) unmounts under a user: %q", kind, act)
		}
	}
}

// watchedEngine has dataset d mounted, with a worker that rests.
func watchedEngine(t testing.TB) (*engine, *dataset) {
	t.Helper()
	e := liveEngine(t)
	e.closed = true // wakes start no worker
	e.stepper.log = e.log
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.track("d")
	d.record = held(1)
	d.seen = sight{phase: api.PhaseMounted, mounted: 7, epoch: 1}
	return e, d
}

func TestAFindingCountsOnlyForWhatWasLookedAt(t *testing.T) {
	shut := host.Diagnosis{Condition: host.ShutDown}
	for name, between := range map[string]func(*engine, *dataset){
		"the worker took a step":          func(_ *engine, d *dataset) { d.turns++ },
		"another mount is watched":        func(_ *engine, d *dataset) { d.vigil = host.NewVigil("/elsewhere", 8) },
		"the dataset was forgotten":       func(e *engine, _ *dataset) { delete(e.datasets, "d") },
		"another dataset is in its place": func(e *engine, _ *dataset) { delete(e.datasets, "d"); e.track("d") },
	} {
		e, d := watchedEngine(t)
		w := e.wards()[0]
		e.mu.Lock()
		between(e, d)
		e.mu.Unlock()
		e.observe(w, shut, false)
		if d.health != nil {
			t.Errorf("%s, and an old look counts: %+v", name, d.health)
		}
	}
	e, d := watchedEngine(t)
	d.working, d.doing = true, actUnmount
	e.observe(e.wards()[0], shut, false)
	if d.health != nil {
		t.Errorf("a look during an unmount counts: %+v", d.health)
	}
	d.doing = actRegister
	e.observe(e.wards()[0], shut, false)
	if d.condition() != api.HealthShutDown {
		t.Errorf("a look at what is mounted does not count: %+v", d.health)
	}
	if st, _ := e.state("d"); st.Health == nil || st.Health.Remedy == "" || st.Health.Since.IsZero() {
		t.Errorf("reported: %+v", st.Health)
	}
}

func TestHealthKeepsItsBeginningAndGoesWithTheMount(t *testing.T) {
	e, d := watchedEngine(t)
	start := time.Now()
	e.now = func() time.Time { return start }
	e.observe(e.wards()[0], host.Diagnosis{Condition: host.ShutDown}, false)
	e.now = func() time.Time { return start.Add(time.Hour) }
	e.observe(e.wards()[0], host.Diagnosis{Condition: host.ShutDown, Detail: "the kernel's words"}, false)
	if !d.health.Since.Equal(start) || d.health.Cause != causeOf(api.HealthShutDown, "the kernel's words") {
		t.Errorf("got %+v, want the new cause since %s", d.health, start)
	}
	e.observe(e.wards()[0], host.Diagnosis{}, false)
	if d.health != nil {
		t.Errorf("got %+v after it is healthy again", d.health)
	}
	e.observe(e.wards()[0], host.Diagnosis{Condition: host.ShutDown}, false)
	d.dirty = true
	e.finish(t.Context(), d, task{act: actRenew, seen: d.seen}, sight{phase: api.PhaseUnknown}, nil)
	if d.health != nil || len(e.wards()) != 0 {
		t.Errorf("got %+v, %d wards of what is not mounted", d.health, len(e.wards()))
	}
}

// TestNoFailedMountIsTakenFromItsUsers goes through the users that a mount can have.
func TestNoFailedMountIsTakenFromItsUsers(t *testing.T) {
	e, d := watchedEngine(t)
	act := func() action {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.turn(d).act
	}
	fail := func() { e.observe(e.wards()[0], host.Diagnosis{Condition: host.ShutDown}, false) }
	c := use(t, e, "container")
	fail()
	e.mu.Lock()
	delete(d.served, c.ID)
	e.mu.Unlock()
	if got := act(); got != actRenew {
		t.Errorf("with a consumer that waits: %q, want %q", got, actRenew)
	}
	e.mu.Lock()
	d.serve("container")
	e.mu.Unlock()
	if got := act(); got != actNone {
		t.Errorf("with a consumer that has it: %q, want nothing", got)
	}
	e.mu.Lock()
	delete(d.consumers, c.ID)
	delete(d.served, c.ID)
	e.mu.Unlock()
	e.mu.Lock()
	again := e.recall(d)
	e.mu.Unlock()
	if got := act(); !again || got != actNone {
		t.Errorf("with a consumer that only the journal knows: %q, want nothing", got)
	}
	e.removeConsumer(c)
	e.mu.Lock()
	e.leases["d"] = &api.Lease{Node: "n"}
	e.mu.Unlock()
	if got := act(); got != actNone {
		t.Errorf("with a lease: %q, want nothing", got)
	}
}

func TestAServedConsumerIsOneOfAnEarlierAgent(t *testing.T) {
	e, d := watchedEngine(t)
	e.addConsumer(&consumer{Consumer: api.Consumer{ID: "old"}, Volumes: []consumedVolume{{Dataset: "d"}}}, time.Time{})
	if e.need(d) != needUsed {
		t.Error("a consumer of an earlier agent does not count as a user")
	}
	e.removeConsumer(&consumer{Consumer: api.Consumer{ID: "old"}, Volumes: []consumedVolume{{Dataset: "d"}}})
	d.seen.phase = api.PhaseAttached
	e.addConsumer(&consumer{Consumer: api.Consumer{ID: "new"}, Volumes: []consumedVolume{{Dataset: "d"}}}, time.Now())
	if e.need(d) == needUsed {
		t.Error("a consumer that waits counts as a user")
	}
}
