package reconcile_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator/reconcile"
)

// volumes are consumers that can be released.
type volumes struct {
	mu        sync.Mutex
	consumers []api.Consumer
	refuse    error
	released  []string
}

func (v *volumes) Consumers() []api.Consumer {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.consumers)
}

func (v *volumes) Release(_ context.Context, id string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.refuse != nil {
		return v.refuse
	}
	v.released = append(v.released, id)
	v.consumers = slices.DeleteFunc(v.consumers, func(c api.Consumer) bool { return c.ID == id })
	return nil
}

// listing is what a Mesos agent answers.
type listing struct {
	mu    sync.Mutex
	live  reconcile.Live
	err   error
	hang  bool
	times int

	flags    reconcile.Flags // nil for those of played groups
	flagsErr error
	told     []*api.MesosTrouble
}

func (l *listing) tell(trouble *api.MesosTrouble) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, trouble)
}

// emptyGroups are the flags of a Mesos agent without containers.
func emptyGroups(t *testing.T) reconcile.Flags {
	t.Helper()
	hierarchy := t.TempDir()
	if err := os.MkdirAll(filepath.Join(hierarchy, "freezer/mesos"), 0o755); err != nil {
		t.Fatal(err)
	}
	return reconcile.Flags{"launcher": "linux", "cgroups_root": "mesos", "cgroups_hierarchy": hierarchy}
}

// emptyProc is a proc file system without processes and mounts.
func emptyProc(t *testing.T) string {
	t.Helper()
	proc := t.TempDir()
	if err := os.Mkdir(filepath.Join(proc, "self"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(proc, "self/mountinfo"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return proc
}

func (l *listing) Flags(context.Context) (reconcile.Flags, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flags, l.flagsErr
}

func (l *listing) Containers(ctx context.Context) (reconcile.Live, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times++
	if l.hang {
		l.mu.Unlock()
		<-ctx.Done()
		l.mu.Lock()
		return reconcile.Live{}, ctx.Err()
	}
	return l.live, l.err
}

// run starts a reconciler in a bubble of its own time. A step waits for some
// intervals; between steps do has the volumes and the listing to itself.
func run(t *testing.T, v *volumes, l *listing, log io.Writer, do func(step func(n int))) {
	t.Helper()
	hurried(t, v, l, log, func(_ chan<- struct{}, wait func(time.Duration)) {
		do(func(n int) { wait(time.Duration(n) * reconcile.DefaultInterval) })
	})
}

// hurried is run with one that can be hurried, and steps of any time.
func hurried(t *testing.T, v *volumes, l *listing, log io.Writer, do func(hurry chan<- struct{}, wait func(time.Duration))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		hurry := make(chan struct{}, 1)
		if l.flags == nil {
			l.flags = emptyGroups(t)
		}
		r := reconcile.Reconciler{
			Volumes: v, Containers: l, Log: slog.New(slog.NewTextHandler(log, nil)), Hurry: hurry, Told: l.tell,
			Cgroups: reconcile.Cgroups{Proc: emptyProc(t)},
		}
		var done sync.WaitGroup
		done.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		v.mu.Lock()
		l.mu.Lock()
		do(hurry, func(d time.Duration) {
			v.mu.Unlock()
			l.mu.Unlock()
			<-time.After(d) // the bubble's time, not ours
			synctest.Wait()
			v.mu.Lock()
			l.mu.Lock()
		})
		v.mu.Unlock()
		l.mu.Unlock()
		cancel()
		done.Wait()
	})
}

func old(id string) api.Consumer { return api.Consumer{ID: id, Kind: api.ConsumerMesos} }

func TestReconcilerReleasesWhatMesosNoLongerRuns(t *testing.T) {
	v := &volumes{consumers: []api.Consumer{old("a"), old("p.c"), {ID: "dvdcli:db", Kind: api.ConsumerDVDCLI}}}
	l := &listing{live: reconcile.NewLive("a", "p", "p.c")}
	hurried(t, v, l, io.Discard, func(_ chan<- struct{}, wait func(time.Duration)) {
		step := func(n int) { wait(time.Duration(n) * reconcile.DefaultInterval) }
		step(3)
		if l.times != 4 || v.released != nil {
			t.Errorf("all running: got %d listings, %v", l.times, v.released)
		}
		l.live = reconcile.NewLive("a", "p")
		wait(reconcile.DefaultInterval)
		if v.released != nil {
			t.Errorf("missing once: got %v", v.released)
		}
		wait(reconcile.DefaultPause)
		if !slices.Equal(v.released, []string{"p.c"}) {
			t.Errorf("missing twice: got %v", v.released)
		}
		l.live = reconcile.NewLive()
		step(4)
		if !slices.Equal(v.released, []string{"p.c", "a"}) {
			t.Errorf("all missing: got %v", v.released)
		}
	})
}

func TestReconcilerReleasesNothingWhileMesosDoesNotAnswer(t *testing.T) {
	v := &volumes{consumers: []api.Consumer{old("a")}}
	l := &listing{live: reconcile.NewLive()}
	var log strings.Builder
	hurried(t, v, l, &log, func(_ chan<- struct{}, wait func(time.Duration)) {
		step := func(n int) { wait(time.Duration(n) * reconcile.DefaultInterval) }
		l.err = errors.New("connection refused")
		step(10)
		l.err = nil
		l.times = 0
		for l.times == 0 {
			wait(reconcile.DefaultPause)
		}
		if v.released != nil {
			t.Errorf("missing before and after a silence: got %v", v.released)
		}
		step(1)
		if !slices.Equal(v.released, []string{"a"}) {
			t.Errorf("missing twice: got %v", v.released)
		}
	})
	if got := strings.Count(log.String(), "connection refused"); got != 1 {
		t.Errorf("got %d warnings about one silence:\n%s", got, log.String())
	}
}

func TestReconcilerGivesUpAListingThatHangs(t *testing.T) {
	v := &volumes{consumers: []api.Consumer{old("a")}}
	l := &listing{live: reconcile.NewLive(), hang: true}
	run(t, v, l, io.Discard, func(step func(int)) {
		step(5)
		if l.times < 2 || v.released != nil {
			t.Errorf("got %d listings, %v", l.times, v.released)
		}
	})
}

func TestReconcilerListsNothingWhereNothingIsUsed(t *testing.T) {
	v := &volumes{consumers: []api.Consumer{{ID: "dvdcli:db", Kind: api.ConsumerDVDCLI}}}
	l := &listing{}
	run(t, v, l, io.Discard, func(step func(int)) { step(3) })
	if l.times != 0 {
		t.Errorf("got %d listings", l.times)
	}
	t.Run("but tells of a trouble all the same", func(t *testing.T) {
		l := &listing{flagsErr: errors.New("strange")}
		run(t, v, l, io.Discard, func(step func(int)) { step(3) })
		if len(l.told) != 1 {
			t.Errorf("told %v", l.told)
		}
	})
}

func TestReconcilerTriesARefusedReleaseAgain(t *testing.T) {
	v := &volumes{consumers: []api.Consumer{old("a")}, refuse: errors.New("disk full")}
	l := &listing{live: reconcile.NewLive()}
	run(t, v, l, io.Discard, func(step func(int)) {
		step(3)
		v.refuse = nil
		step(1)
	})
	if !slices.Equal(v.released, []string{"a"}) {
		t.Errorf("got %v", v.released)
	}
}

func TestReconcilerAgainstTheAgentAPI(t *testing.T) {
	a := serve(t, recorded(t, "agent-GET_CONTAINERS.json"))
	a.flags = emptyGroups(t)
	running := "e0b12b7e-44d0-4562-82cd-dd9c9cb64fba.65c1b3b3-3310-45c2-bdcd-b2048c6fdfa1"
	ctx, cancel := context.WithCancel(t.Context())
	v := &stopping{volumes: volumes{consumers: []api.Consumer{old(running), old("ended")}}, stop: cancel}
	r := reconcile.Reconciler{
		Volumes: v, Containers: connect(t, a.URL), Log: slog.New(slog.DiscardHandler),
		Interval: time.Millisecond, Now: func() time.Time { return time.Unix(1e9, 0) },
	}
	if err := r.Run(ctx); err != nil || !slices.Equal(v.released, []string{"ended"}) {
		t.Errorf("got %v, %v", v.released, err)
	}
}

// TestAnIdleMesosAgentLosesNoCleanup plays what a real one answers when nothing runs.
func TestAnIdleMesosAgentLosesNoCleanup(t *testing.T) {
	a := serve(t, &agent.Response{Type: agent.Response_GET_CONTAINERS})
	a.flags = emptyGroups(t)
	ctx, cancel := context.WithCancel(t.Context())
	v := &stopping{volumes: volumes{consumers: []api.Consumer{old("ended")}}, stop: cancel}
	r := reconcile.Reconciler{
		Volumes: v, Containers: connect(t, a.URL), Log: slog.New(slog.DiscardHandler), Interval: time.Millisecond,
		Told: func(trouble *api.MesosTrouble) { t.Errorf("got trouble %+v", trouble); cancel() },
	}
	if err := r.Run(ctx); err != nil || !slices.Equal(v.released, []string{"ended"}) {
		t.Errorf("got %v, %v", v.released, err)
	}
}

func TestReconcilerNoticesALostCleanupWithinAnInterval(t *testing.T) {
	v := &volumes{consumers: []api.Consumer{old("a")}}
	l := &listing{live: reconcile.NewLive("a")}
	hurried(t, v, l, io.Discard, func(_ chan<- struct{}, wait func(time.Duration)) {
		wait(3*reconcile.DefaultInterval + 1)
		l.live = reconcile.NewLive()
		wait(reconcile.DefaultInterval + reconcile.DefaultPause)
		if !slices.Equal(v.released, []string{"a"}) {
			t.Errorf("got %v", v.released)
		}
	})
}

func TestReconcilerTellsWhyItCannotTellAndReleasesNothing(t *testing.T) {
	unheard := &reconcile.Trouble{Kind: api.MesosUnheard, Cause: "connection refused"}
	denied := &reconcile.Trouble{Kind: api.MesosDenied, Cause: "refuses the password of flocker"}
	for name, tt := range map[string]struct {
		change func(*listing)
		kind   api.MesosTroubleKind
		says   string
	}{
		"Mesos agent away":             {func(l *listing) { l.err, l.flagsErr = unheard, unheard }, api.MesosUnheard, "connection refused"},
		"credentials wrong":            {func(l *listing) { l.err, l.flagsErr = denied, denied }, api.MesosDenied, "password of flocker"},
		"flags unreadable":             {func(l *listing) { l.flagsErr = denied }, api.MesosDenied, "password of flocker"},
		"an error of another kind":     {func(l *listing) { l.err = errors.New("strange") }, api.MesosOdd, "strange"},
		"another root than there is":   {func(l *listing) { l.flags["cgroups_root"] = "other" }, api.MesosGroups, "--cgroups_root=other"},
		"no root":                      {func(l *listing) { delete(l.flags, "cgroups_root") }, api.MesosGroups, "no cgroups_root"},
		"another hierarchy than there": {func(l *listing) { l.flags["cgroups_hierarchy"] = "/cgroups" }, api.MesosGroups, "--cgroups_hierarchy=/cgroups"},
		"a launcher without groups":    {func(l *listing) { l.flags["launcher"] = "posix" }, api.MesosGroups, "--launcher is posix"},
	} {
		t.Run(name, func(t *testing.T) {
			v := &volumes{consumers: []api.Consumer{old("a")}}
			right := emptyGroups(t)
			l := &listing{live: reconcile.NewLive(), flags: maps.Clone(right)}
			tt.change(l)
			var log strings.Builder
			run(t, v, l, &log, func(step func(int)) {
				step(8)
				if v.released != nil {
					t.Errorf("released %v on a guess", v.released)
				}
				if len(l.told) != 1 || l.told[0] == nil || l.told[0].Kind != tt.kind || !strings.Contains(l.told[0].Cause, tt.says) || l.told[0].Since.IsZero() {
					t.Errorf("told %+v, want once %s: %s", l.told, tt.kind, tt.says)
				}
				if n := strings.Count(log.String(), "cannot tell which containers Mesos still runs"); n != 1 {
					t.Errorf("got %d warnings:\n%s", n, log.String())
				}
				l.err, l.flagsErr, l.flags = nil, nil, right
				step(2)
				if !slices.Equal(v.released, []string{"a"}) || len(l.told) != 2 || l.told[1] != nil {
					t.Errorf("mended: released %v, told %+v", v.released, l.told)
				}
			})
		})
	}
}

// stopping ends its test with the first release.
type stopping struct {
	volumes
	stop func()
}

func (s *stopping) Release(ctx context.Context, id string) error {
	s.stop()
	return s.volumes.Release(ctx, id)
}

func TestReconcilerLooksAtOnceWhenThereIsReasonTo(t *testing.T) {
	v := &volumes{consumers: []api.Consumer{old("a")}}
	l := &listing{live: reconcile.NewLive("a")}
	hurried(t, v, l, io.Discard, func(hurry chan<- struct{}, wait func(time.Duration)) {
		wait(reconcile.DefaultPause + 1)
		l.times = 0
		hurry <- struct{}{}
		wait(1)
		if l.times != 1 || v.released != nil {
			t.Errorf("at once: got %d listings, %v, want one that finds it running", l.times, v.released)
		}
		l.live = reconcile.NewLive() // it is gone a moment later, and nobody says so
		wait(3 * reconcile.DefaultPause)
		if !slices.Equal(v.released, []string{"a"}) {
			t.Errorf("after two more: got %v, want it released long before the interval is over", v.released)
		}
	})
}

func TestReconcilerDoesNotReleaseWhatRunsHoweverItIsHurried(t *testing.T) {
	v := &volumes{consumers: []api.Consumer{old("a")}}
	l := &listing{live: reconcile.NewLive("a")}
	hurried(t, v, l, io.Discard, func(hurry chan<- struct{}, wait func(time.Duration)) {
		const seconds = 10
		for range seconds * 100 {
			select {
			case hurry <- struct{}{}:
			default:
			}
			wait(10 * time.Millisecond)
		}
		if l.times < seconds/2 || l.times > seconds+2 || v.released != nil {
			t.Errorf("got %d listings in %d s, %v, want about one a second, and nothing released", l.times, seconds, v.released)
		}
		l.times = 0
		wait(10 * reconcile.DefaultInterval)
		if l.times < 10 || l.times > 15 {
			t.Errorf("once nobody hurries it: got %d listings in ten intervals", l.times)
		}
	})
}
