package agent

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// mountMany has the engine track volumes that are mounted.
func mountMany(t testing.TB, e *engine, n int) {
	t.Helper()
	for i := range n {
		id := api.DatasetID(fmt.Sprintf("d%d", i))
		target, err := e.stepper.root.MakeMountPoint(string(id))
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("volume", target, "tmpfs", 0, "size=64k"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = host.Unmount(target) })
		at, _, err := host.Mounted(target)
		if err != nil {
			t.Fatal(err)
		}
		e.mu.Lock()
		d := e.track(id)
		d.record = held(1)
		d.seen = sight{phase: api.PhaseMounted, mounted: at.Device, epoch: 1}
		e.mu.Unlock()
	}
}

// TestALookThatHangsHoldsUpNoOther leaves one look behind and takes it up when it has
// ended.
func TestALookThatHangsHoldsUpNoOther(t *testing.T) {
	e, _ := watchedEngine(t)
	delete(e.datasets, "d")
	mountMany(t, e, 3)
	w := newWatcher(e.log, e)
	hang := make(chan struct{})
	w.lookAt = func(v ward, _ bool) result {
		if v.id == "d1" {
			<-hang
		}
		return result{found: host.Diagnosis{Condition: host.ReadOnly}}
	}
	w.limit = lookLimit / 20
	w.look(t.Context(), e.wards(), func(ward) bool { return false })
	for id, want := range map[api.DatasetID]api.HealthKind{"d0": api.HealthReadOnly, "d1": api.HealthHung, "d2": api.HealthReadOnly} {
		if got := e.datasets[id].condition(); got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
	w.look(t.Context(), e.wards(), func(v ward) bool {
		if v.id == "d1" {
			t.Error("the volume that hangs is looked at once more")
		}
		return false
	})
	ended := w.hung["d1"]
	close(hang)
	for !ended.Load() {
		runtime.Gosched()
	}
	w.look(t.Context(), e.wards(), func(ward) bool { return false })
	if got := e.datasets["d1"].condition(); got != api.HealthReadOnly {
		t.Errorf("afterwards it is %q", got)
	}
}

// BenchmarkWatch is one round of the watcher over 200 mounted volumes, which it makes
// once a second.
func BenchmarkWatch(b *testing.B) {
	e, _ := watchedEngine(b)
	delete(e.datasets, "d")
	mountMany(b, e, 200)
	w := newWatcher(e.log, e)
	for b.Loop() {
		w.look(b.Context(), e.wards(), func(ward) bool { return false })
	}
	if n := e.unwell(); len(n) > 0 {
		b.Errorf("%v", n)
	}
}
