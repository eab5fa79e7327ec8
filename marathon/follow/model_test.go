package follow_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/marathon"
	"github.com/flocker-mesos/flocker/marathon/client"
	"github.com/flocker-mesos/flocker/marathon/follow"
)

// modelMarathon is a Marathon without a network: what it answers is decided in the
// model, step by step.
type modelMarathon struct {
	apps      map[string]*marathon.App
	framework string
	down      bool
	blind     bool // it answers, and has not read its records
}

func (m *modelMarathon) answer() error {
	if m.down {
		return &client.Error{Status: 503}
	}
	return nil
}

func (m *modelMarathon) Info(context.Context) (*client.Info, error) {
	return &client.Info{Elected: true, Leader: "leader", Framework: m.framework}, m.answer()
}

func (m *modelMarathon) Apps(context.Context) ([]*marathon.App, error) {
	if m.blind {
		return nil, m.answer()
	}
	return slices.Collect(maps.Values(m.apps)), m.answer()
}

func (m *modelMarathon) App(_ context.Context, id string) (*marathon.App, error) {
	if a, ok := m.apps[id]; ok && !m.blind {
		return a, m.answer()
	}
	if m.down {
		return nil, m.answer()
	}
	return nil, &client.Error{Status: 404}
}

func (m *modelMarathon) Pods(context.Context) ([]*client.PodStatus, error) { return nil, m.answer() }

func (m *modelMarathon) Pod(context.Context, string) (*client.PodStatus, error) {
	return nil, &client.Error{Status: 404}
}

func (m *modelMarathon) Deployments(context.Context) ([]*client.Deployment, error) {
	return nil, m.answer()
}

func (m *modelMarathon) Events(ctx context.Context, _ func(), _ func(client.Event)) error {
	<-ctx.Done()
	return ctx.Err()
}

// model is one world of the model test.
type model struct {
	*memory
	t        *rapid.T
	marathon *modelMarathon
	follower *follow.Follower
	events   []client.Event // not delivered yet
	backup   map[string]*marathon.App
	seen     map[string]int
	destroys map[string]bool // apps that a user has destroyed, and not created again since
}

var modelApps = []string{"/a", "/b", "/c"}

// put has a user create or change an app, which asks for one of two datasets that
// apps may share.
func (w *model) put(t *rapid.T) {
	if w.marathon.blind {
		t.Skip("who has not read its records takes no apps")
	}
	id := rapid.SampledFrom(modelApps).Draw(t, "app")
	labels := map[string]string{"flocker.volume.v": "/v", "flocker.volume.v.name": rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name")}
	if rapid.Bool().Draw(t, "deletes") {
		labels["flocker.volume.v.reclaim"] = "delete"
		labels["flocker.volume.v.grace"] = "60s"
	}
	if rapid.IntRange(0, 9).Draw(t, "typo") == 0 {
		labels["flocker.volume.v.sise"] = "1GiB"
	}
	w.marathon.apps[id] = &marathon.App{ID: id, Labels: labels, Tasks: w.tasks(t, id)}
	delete(w.destroys, id)
	w.tell(client.Event{Type: "api_post_event", Apps: []string{id}, Puts: []string{id}})
}

func (w *model) destroy(t *rapid.T) {
	id := rapid.SampledFrom(modelApps).Draw(t, "app")
	if w.marathon.apps[id] == nil {
		t.Skip("there is none")
	}
	delete(w.marathon.apps, id)
	w.destroys[id] = true
	w.tell(client.Event{Type: "app_terminated_event", Apps: []string{id}, Stops: []string{id}})
}

func (w *model) tasks(t *rapid.T, id string) []marathon.Task {
	state := rapid.SampledFrom([]string{"", api.TaskStaging, api.TaskRunning, api.TaskUnreachable, api.TaskKilling}).Draw(t, "state")
	if state == "" {
		return nil
	}
	host := rapid.SampledFrom([]string{"host1", "host2", "elsewhere"}).Draw(t, "host")
	return []marathon.Task{{ID: fmt.Sprintf("%s.%d", id, w.state().Revision()), AppID: id, Host: host, State: state}}
}

func (w *model) tell(ev client.Event) { w.events = append(w.events, ev) }

// asked returns the names of the datasets that Marathon's apps ask for, in truth.
func (w *model) asked() map[string]bool {
	names := map[string]bool{}
	for _, a := range w.marathon.apps {
		names[a.Labels["flocker.volume.v.name"]] = true
	}
	return names
}

// read has the follower read: everything, or what one event is about. What it does
// about that may fail in the middle, as when its replica dies.
func (w *model) read(t *rapid.T, full bool) {
	before := w.state()
	limit := 100
	if rapid.IntRange(0, 4).Draw(t, "dies") == 0 {
		limit = rapid.IntRange(0, 2).Draw(t, "after")
	}
	w.apply = func(cluster.Command) error {
		if limit--; limit < 0 {
			return api.Errorf(api.CodeUnavailable, "the log cannot be reached")
		}
		return nil
	}
	var ev client.Event
	if n := len(w.events); n > 0 && !full {
		i := rapid.IntRange(0, n-1).Draw(t, "event")
		ev = w.events[i]
		if rapid.IntRange(0, 3).Draw(t, "again") > 0 { // else it comes once more
			w.events = slices.Delete(w.events, i, i+1)
		}
	}
	follow.Round(w.t.Context(), w.follower, ev, full)
	w.apply = nil
	w.check(before)
}

// check reports what may not have happened in a reading.
func (w *model) check(before *cluster.State) {
	asked, now := w.asked(), w.state()
	for d := range now.Datasets() {
		was := before.Dataset(d.ID)
		if d.Holder != nil && (was == nil || was.Holder == nil || *was.Holder != *d.Holder) || was != nil && d.Epoch != was.Epoch {
			w.t.Fatalf("Marathon's word has moved the token of %s: %+v", d.Name(), d.Holder)
		}
		if d.Deleted && (was == nil || !was.Deleted) {
			w.seen["deleted"]++
			if asked[d.Name()] {
				w.t.Fatalf("%s was deleted while an app asks for it", d.Name())
			}
			if app := was.Reclaim.App; !w.destroys[app] && w.marathon.apps[app] == nil {
				w.t.Fatalf("%s was deleted for %s, which no user has destroyed", d.Name(), app)
			}
			if st := before.DatasetState(d.ID); d.Holder != nil && st != nil && len(st.Consumers) > 0 {
				w.t.Fatalf("%s was deleted while it is used", d.Name())
			}
		}
		if d.Reclaim != nil && (was == nil || was.Reclaim == nil) {
			w.seen["marked"]++
			if !w.destroys[d.Reclaim.App] {
				w.t.Fatalf("%s is to be deleted for %s, which no user has destroyed", d.Name(), d.Reclaim.App)
			}
		}
		if d.Reclaim == nil && was != nil && was.Reclaim != nil {
			w.seen["kept after all"]++
		}
		if h := now.Hint(d.ID); h != nil && before.Hint(d.ID) == nil {
			w.seen["hinted"]++
		}
	}
	for a := range before.Apps() {
		if now.App(a.ID) == nil && w.marathon.apps[a.ID] != nil {
			w.t.Fatalf("app %s is forgotten, and Marathon has it", a.ID)
		}
	}
}

// skipUnlessSeen spares the follower what is one fault too many: that an app was
// destroyed and put again, or changed, and never seen since, when nothing more is
// shown of it. That is taken for gone, or for what it was.
func (w *model) skipUnlessSeen(t *rapid.T) {
	if slices.ContainsFunc(w.events, func(ev client.Event) bool { return len(ev.Stops) > 0 }) {
		t.Skip("an end has not been heard of yet")
	}
	for id, app := range w.marathon.apps {
		a := w.state().App(id)
		if a == nil || !a.Stopped.IsZero() || !slices.ContainsFunc(a.Volumes, func(v api.AppVolume) bool {
			return v.Name == app.Labels["flocker.volume.v.name"]
		}) {
			t.Skip("an app has not been seen as it is yet")
		}
	}
}

func (w *model) actions() map[string]func(*rapid.T) {
	full := func(t *rapid.T) { w.read(t, true) }
	return map[string]func(*rapid.T){
		"user puts an app":     w.put,
		"user puts an app2":    w.put,
		"user destroys an app": w.destroy,
		"user destroys an app, and everything goes well": func(t *rapid.T) { // for a while: else that is rare
			w.destroy(t)
			w.marathon.down, w.marathon.blind = false, false
			for range 4 {
				w.read(t, false)
				w.leap(40 * time.Second)
				w.read(t, true)
			}
		},
		"a task is another": func(t *rapid.T) {
			id := rapid.SampledFrom(modelApps).Draw(t, "app")
			if a := w.marathon.apps[id]; a != nil {
				changed := *a
				changed.Tasks = w.tasks(t, id)
				w.marathon.apps[id] = &changed
				w.tell(client.Event{Type: "status_update_event", Apps: []string{id}, Tasks: true})
			}
		},
		"event is read":    func(t *rapid.T) { w.read(t, false) },
		"event is read2":   func(t *rapid.T) { w.read(t, false) },
		"event is read3":   func(t *rapid.T) { w.read(t, false) },
		"all is read":      full,
		"all is read2":     full,
		"all is read3":     full,
		"events are lost":  func(*rapid.T) { w.events = nil },
		"time passes":      func(t *rapid.T) { w.leap(time.Duration(rapid.IntRange(1, 30).Draw(t, "seconds")) * time.Second) },
		"much time passes": func(*rapid.T) { w.leap(2 * time.Minute) },
		"Marathon is down, or up": func(*rapid.T) {
			w.marathon.down = !w.marathon.down
		},
		"Marathon is blind, or sees": func(t *rapid.T) {
			if !w.marathon.blind {
				w.skipUnlessSeen(t)
			}
			w.marathon.blind = !w.marathon.blind
			w.seen["blind"]++
		},
		"Marathon's records are saved": func(*rapid.T) { w.backup = maps.Clone(w.marathon.apps) },
		"Marathon's records are lost": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 || w.marathon.blind {
				t.Skip("not now")
			}
			w.skipUnlessSeen(t)
			w.events = nil // it is another process, and other streams
			w.marathon.apps = map[string]*marathon.App{}
			if w.backup != nil && rapid.Bool().Draw(t, "restored") {
				w.marathon.apps = maps.Clone(w.backup)
				for id := range w.marathon.apps {
					delete(w.destroys, id)
				}
			}
			if rapid.Bool().Draw(t, "another framework") {
				w.marathon.framework += "x"
			}
		},
		"an agent claims": func(t *rapid.T) {
			name := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name")
			if d := w.state().DatasetByName(name); d != nil {
				_, _ = w.do(cluster.Claim{At: w.Now(), Node: "node-host1", Stream: 1, ID: d.ID})
				if w.state().Dataset(d.ID).Reclaim != nil {
					w.t.Fatalf("%s was claimed and is to be deleted all the same", name)
				}
			}
		},
		"an agent is used, or gives up": func(t *rapid.T) {
			name := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name")
			d := w.state().DatasetByName(name)
			if d == nil || !d.HeldBy("node-host1") {
				t.Skip("it holds nothing")
			}
			st := api.DatasetState{ID: d.ID, Epoch: d.Epoch, Phase: api.PhaseMounted, Consumers: []api.Consumer{{ID: "c", Kind: api.ConsumerMesos}}}
			release := rapid.Bool().Draw(t, "release")
			if release {
				st.Phase, st.Consumers = api.PhaseNonExistent, nil
			}
			_, _ = w.do(cluster.Report{At: w.Now(), Node: "node-host1", Stream: 1, Datasets: []api.DatasetReport{{State: st, Release: release}}})
		},
		"volumes are made ahead": func(*rapid.T) {
			before := w.state()
			_, _ = w.do(cluster.MakeAhead{At: w.Now(), Replica: w.self, Limit: 10})
			w.check(before)
		},
		"an agent claims ahead": func(t *rapid.T) {
			d := w.state().DatasetByName(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name"))
			if d == nil || !w.state().Hint(d.ID).For("node-host1") {
				t.Skip("there is no hint for it")
			}
			_, err := w.do(cluster.Claim{At: w.Now(), Node: "node-host1", Stream: 1, ID: d.ID, Ahead: true})
			now := w.state().Dataset(d.ID)
			if err == nil {
				w.seen["claimed ahead"]++
			}
			if d.Holder != nil && *now.Holder != *d.Holder {
				w.t.Fatalf("%s was taken from %+v ahead of a container", d.Name(), d.Holder)
			}
		},
		"a user takes it back": func(t *rapid.T) {
			if d := w.state().DatasetByName(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name")); d != nil {
				_, _ = w.do(cluster.Undelete{At: w.Now(), ID: d.ID})
			}
		},
	}
}

func TestNothingIsDeletedThatAnAppAsksForAndNoTokenMoves(t *testing.T) {
	seen := map[string]int{}
	missing := func() []string {
		return slices.DeleteFunc([]string{"marked", "deleted", "hinted", "kept after all", "claimed ahead"}, func(e string) bool { return seen[e] > 0 })
	}
	for rounds := 0; rounds == 0 || rounds < 100 && len(missing()) > 0; rounds++ {
		rapid.Check(t, func(rt *rapid.T) {
			w := &model{
				memory: newMemory(t, host("host1", "10.0.0.1"), host("host2", "10.0.0.2")), t: rt, seen: seen,
				marathon: &modelMarathon{apps: map[string]*marathon.App{}, framework: "f"}, destroys: map[string]bool{},
			}
			if _, err := w.Take(t.Context()); err != nil {
				rt.Fatal(err)
			}
			f, err := follow.New(follow.DefaultConfig(), w.marathon, w.memory, slog.New(slog.DiscardHandler), nil)
			if err != nil {
				rt.Fatal(err)
			}
			w.follower = f
			for range 3 {
				rt.Repeat(w.actions())
			}
		})
	}
	t.Logf("in all worlds: %v", seen)
	if m := missing(); len(m) > 0 {
		t.Errorf("it was never %v: the model gets nowhere", m)
	}
}
