package follow_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/marathon/client"
	"github.com/flocker-mesos/flocker/marathon/follow"
	"github.com/flocker-mesos/flocker/test/marathon/double"
)

// world is a Marathon that is played, a cluster, and who follows the one for the
// other.
type world struct {
	*double.Double
	*memory
	t      *testing.T
	client *client.Client
	urls   []string // that the follower has, none for the double's
}

// quick is a configuration for tests: the same rules, in less time.
func quick() follow.Config {
	cfg := follow.DefaultConfig()
	cfg.Confirm = 20 * time.Millisecond
	cfg.Interval, cfg.Coalesce, cfg.Look = 100*time.Millisecond, time.Millisecond, 10*time.Millisecond
	cfg.MinRetry, cfg.MaxRetry = 5*time.Millisecond, 50*time.Millisecond
	return cfg
}

func newWorld(t *testing.T, opts double.Options) *world {
	t.Helper()
	if opts.Hosts == nil {
		opts.Hosts = []string{"host1", "host2"}
	}
	w := &world{
		Double: double.Start(t, opts), t: t,
		memory: newMemory(t, host("host1", "10.0.0.1"), host("host2", "10.0.0.2")),
	}
	w.client = w.newClient()
	return w
}

func (w *world) newClient() *client.Client {
	w.t.Helper()
	urls := w.urls
	if urls == nil {
		urls = w.URLs()
	}
	c, err := client.New(client.Config{URLs: urls})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// follow has the cluster follow Marathon until the test ends, or stop is called.
func (w *world) follow(cfg follow.Config, c follow.Cluster) (stop func()) {
	w.t.Helper()
	f, err := follow.New(cfg, w.newClient(), c, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.Run(ctx); err != nil {
			w.t.Errorf("follower: %v", err)
		}
	})
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); running.Wait() }) }
	w.t.Cleanup(stop)
	return stop
}

// put deploys an app with one volume. Further labels come in pairs.
func (w *world) put(id, name string, labels ...string) {
	w.t.Helper()
	all := map[string]string{"flocker.volume.data": "/data", "flocker.volume.data.name": name}
	for i := 0; i < len(labels); i += 2 {
		all[labels[i]] = labels[i+1]
	}
	definition := map[string]any{"id": id, "cmd": "run", "labels": all, "instances": 1,
		"upgradeStrategy": map[string]any{"minimumHealthCapacity": 0, "maximumOverCapacity": 0}}
	if _, err := w.client.PutApp(w.t.Context(), id, definition, true); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) destroy(id string) {
	w.t.Helper()
	if _, err := w.client.DeleteApp(w.t.Context(), id, true); err != nil {
		w.t.Fatal(err)
	}
}

// snapshots waits until everything was read a few times more.
func (w *world) snapshots(n int) {
	w.t.Helper()
	for range n {
		was := readAt(w.state())
		w.await(w.t, "another snapshot", func(s *cluster.State) bool { return readAt(s).After(was) })
	}
}

func readAt(s *cluster.State) time.Time { return status(s).Read }

// status is how well Marathon is followed.
func status(s *cluster.State) api.MarathonStatus {
	if j := s.Job(api.JobMarathon); j != nil && j.Marathon != nil {
		return *j.Marathon
	}
	return api.MarathonStatus{}
}

func (w *world) awaitDataset(name string) *api.Dataset {
	w.t.Helper()
	w.await(w.t, "dataset "+name, func(s *cluster.State) bool { return s.DatasetByName(name) != nil })
	return w.state().DatasetByName(name)
}

const deleteLabel = "flocker.volume.data.reclaim"

func TestDatasetsAreMadeKnownBeforeTheirContainersCome(t *testing.T) {
	w := newWorld(t, double.Options{})
	w.follow(quick(), w.memory)
	w.put("/prod/db", "orders", "flocker.volume.data.size", "2GiB", "flocker.volume.data.profile", "gold")
	d := w.awaitDataset("orders")
	if d.Holder != nil || d.Pinned || d.Primary != "" || d.Size != 2<<30 || d.Profile() != "gold" || d.Epoch != 0 {
		t.Errorf("got %+v, want one of 2 GiB on no node", d)
	}
	w.put("/other", "orders", "flocker.volume.data.size", "3GiB")
	w.await(t, "that it is smaller is said", func(s *cluster.State) bool {
		a := s.App("/other")
		return a != nil && a.Volumes[0].Dataset == d.ID && a.Volumes[0].Failure != ""
	})
	w.put("/broken", "x", "flocker.volume.data.sise", "3GiB")
	w.await(t, "the mistake is said", func(s *cluster.State) bool { a := s.App("/broken"); return a != nil && a.Mistake != "" })
}

func TestAStagedInstanceIsHintedAndAHintMovesNoToken(t *testing.T) {
	w := newWorld(t, double.Options{Hosts: []string{"10.0.0.2"}})
	w.follow(quick(), w.memory)
	w.put("/db", "db")
	w.await(t, "a hint for the node with that address", func(s *cluster.State) bool {
		d := s.DatasetByName("db")
		return d != nil && s.Hint(d.ID).For("node-host2")
	})
	task := w.Tasks("/db")[0].ID
	w.Update(task, "TASK_RUNNING")
	w.await(t, "the hint has ended", func(s *cluster.State) bool { return s.Hint(s.DatasetByName("db").ID) == nil })
	w.await(t, "that it runs is known", func(s *cluster.State) bool { return s.App("/db").Instances[0].State == api.TaskRunning })
	if d := w.state().DatasetByName("db"); d.Holder != nil || d.Epoch != 0 || len(d.Waiting) > 0 {
		t.Errorf("Marathon's word alone has moved the token: %+v", d)
	}
	w.Update(task, "TASK_UNREACHABLE") // which has Marathon forget the task at once
	w.await(t, "another instance is known in its place", func(s *cluster.State) bool {
		a := s.App("/db")
		return len(a.Instances) == 1 && a.Instances[0].ID != task
	})
	w.Update(task, "TASK_RUNNING")
	w.Update(task, "TASK_KILLED")
	w.snapshots(1)
	if a := w.state().App("/db"); len(a.Instances) != 1 || a.Instances[0].ID == task {
		t.Errorf("the task that came back is among %+v", a.Instances)
	}
}

func TestAnInstanceThatMarathonKeepsWhileItIsUnreachableIsSuspected(t *testing.T) {
	w := newWorld(t, double.Options{})
	w.follow(quick(), w.memory)
	definition := map[string]any{
		"id": "/db", "cmd": "run", "instances": 1, "unreachableStrategy": "disabled", "labels": map[string]string{"flocker.volume.data": "/data"},
		"upgradeStrategy": map[string]any{"minimumHealthCapacity": 0, "maximumOverCapacity": 0},
	}
	if _, err := w.client.PutApp(t.Context(), "/db", definition, true); err != nil {
		t.Fatal(err)
	}
	w.await(t, "it is known", func(s *cluster.State) bool { a := s.App("/db"); return a != nil && len(a.Instances) == 1 })
	task := w.Tasks("/db")[0].ID
	w.Update(task, "TASK_RUNNING")
	w.Update(task, "TASK_UNREACHABLE")
	w.await(t, "the suspicion is told", func(s *cluster.State) bool {
		return strings.Contains(cluster.ExplainApp(s.App("/db"), w.Now()), "cannot reach")
	})
	w.Update(task, "TASK_RUNNING")
	w.await(t, "it is back", func(s *cluster.State) bool { return s.App("/db").Instances[0].State == api.TaskRunning })
}

func TestAHostOfTwoNamesakesGetsNoHint(t *testing.T) {
	w := newWorld(t, double.Options{Hosts: []string{"twin"}})
	for i := range 2 {
		n := host("twin", fmt.Sprintf("10.0.1.%d", i))
		n.ID += api.NodeID(fmt.Sprint(i))
		if _, err := w.do(put{cluster.Change{Key: cluster.NodeKey(n.ID), Node: n}}); err != nil {
			t.Fatal(err)
		}
	}
	w.follow(quick(), w.memory)
	w.put("/db", "db")
	w.await(t, "the instance is known", func(s *cluster.State) bool { a := s.App("/db"); return a != nil && len(a.Instances) == 1 })
	if w.state().Hint(w.state().DatasetByName("db").ID) != nil {
		t.Error("there is a hint, and two nodes that it may be for")
	}
}

// put is a command that puts a change.
type put struct{ c cluster.Change }

func (p put) Apply(*cluster.State) (cluster.Outcome, error) {
	return cluster.Outcome{Changes: []cluster.Change{p.c}}, nil
}

func TestDestroyedAppsKeepTheirVolumesUnlessTheirLabelsSayOtherwise(t *testing.T) {
	w := newWorld(t, double.Options{Auto: true})
	w.follow(quick(), w.memory)
	w.put("/keeps", "kept")
	w.put("/deletes", "deleted", deleteLabel, "delete")
	w.put("/shares", "shared", deleteLabel, "delete")
	w.put("/shares-too", "shared")
	kept, deleted, shared := w.awaitDataset("kept"), w.awaitDataset("deleted"), w.awaitDataset("shared")
	w.await(t, "all four are known", func(s *cluster.State) bool { return s.CountApps() == 4 })
	for _, app := range []string{"/keeps", "/deletes", "/shares"} {
		w.destroy(app)
	}
	w.await(t, "they are gone", func(s *cluster.State) bool { return s.CountApps() == 1 })
	if d := w.state().Dataset(kept.ID); d.Reclaim != nil || d.Deleted {
		t.Errorf("kept: got %+v", d)
	}
	if d := w.state().Dataset(shared.ID); d.Reclaim != nil || d.Deleted {
		t.Errorf("another app asks for it: got %+v", d)
	}
	mark := w.state().Dataset(deleted.ID).Reclaim
	if mark == nil || mark.App != "/deletes" || mark.At.Sub(mark.Since) != follow.DefaultGrace {
		t.Fatalf("got the mark %+v, want one for in a day", mark)
	}
	w.snapshots(2)
	if w.state().Dataset(deleted.ID).Deleted {
		t.Fatal("it was deleted before its time")
	}
	w.leap(follow.DefaultGrace + time.Second)
	w.await(t, "it is deleted", func(s *cluster.State) bool { return s.Dataset(deleted.ID).Deleted })
	if d := w.state().Dataset(kept.ID); d.Deleted {
		t.Error("what is to be kept was deleted")
	}
}

// putExternal deploys an app with an external volume.
func (w *world) putExternal(id, name, provider string, options map[string]any) {
	w.t.Helper()
	definition := map[string]any{
		"id": id, "cmd": "run", "instances": 1, "upgradeStrategy": map[string]any{"minimumHealthCapacity": 0, "maximumOverCapacity": 0},
		"container": map[string]any{"type": "MESOS", "volumes": []any{map[string]any{
			"containerPath": "data", "mode": "RW", "external": map[string]any{"provider": provider, "name": name, "options": options},
		}}},
	}
	if _, err := w.client.PutApp(w.t.Context(), id, definition, true); err != nil {
		w.t.Fatal(err)
	}
}

func TestExternalVolumesAreDeletedWithTheirAppsWhereTheseSaySo(t *testing.T) {
	w := newWorld(t, double.Options{Auto: true})
	w.follow(quick(), w.memory)
	mount := map[string]any{"accessMode": "SINGLE_NODE_WRITER", "accessType": "mount", "fsType": "ext4"}
	w.putExternal("/dvdi", "by-dvdi", "dvdi", map[string]any{"dvdi/driver": "flocker", "dvdi/reclaim": "delete", "dvdi/grace": "2h"})
	w.putExternal("/csi", "by-csi", "csi", map[string]any{
		"pluginName": "csi.flocker.mesos", "capability": mount, "volumeContext": map[string]any{"reclaim": "delete", "grace": "2h"},
	})
	w.putExternal("/keeps", "kept", "dvdi", map[string]any{"dvdi/driver": "flocker"})
	ids := map[string]api.DatasetID{}
	for app, name := range map[string]string{"/dvdi": "by-dvdi", "/csi": "by-csi", "/keeps": "kept"} {
		ids[name] = w.awaitDataset(name).ID
		w.destroy(app)
	}
	w.await(t, "they are gone", func(s *cluster.State) bool { return s.CountApps() == 0 })
	for _, name := range []string{"by-dvdi", "by-csi"} {
		if r := w.state().Dataset(ids[name]).Reclaim; r == nil || r.At.Sub(r.Since) != 2*time.Hour {
			t.Errorf("%s: got the mark %+v, want one for in two hours", name, r)
		}
	}
	w.leap(2*time.Hour + time.Second)
	w.await(t, "they are deleted", func(s *cluster.State) bool {
		return s.Dataset(ids["by-dvdi"]).Deleted && s.Dataset(ids["by-csi"]).Deleted
	})
	if d := w.state().Dataset(ids["kept"]); d.Deleted || d.Reclaim != nil {
		t.Errorf("got %+v, want what says nothing to stay", d)
	}
}

func TestWhatIsAskedForAgainOrTakenBackIsNotDeleted(t *testing.T) {
	w := newWorld(t, double.Options{Auto: true})
	w.follow(quick(), w.memory)
	for _, app := range []string{"again", "back", "claimed"} {
		w.put("/"+app, app, deleteLabel, "delete", "flocker.volume.data.grace", "1h")
	}
	w.await(t, "all are known", func(s *cluster.State) bool { return s.CountApps() == 3 })
	ids := map[string]api.DatasetID{}
	for _, app := range []string{"again", "back", "claimed"} {
		ids[app] = w.awaitDataset(app).ID
		w.destroy("/" + app)
	}
	w.await(t, "all are marked", func(s *cluster.State) bool {
		for _, id := range ids {
			if r := s.Dataset(id).Reclaim; r == nil || r.At.Sub(r.Since) != time.Hour {
				return false
			}
		}
		return true
	})
	w.put("/again", "again")
	w.await(t, "the mark is gone", func(s *cluster.State) bool { return s.Dataset(ids["again"]).Reclaim == nil })
	if _, err := w.do(cluster.Undelete{At: w.Now(), ID: ids["back"]}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.do(cluster.Claim{At: w.Now(), Node: "node-host1", Stream: 1, ID: ids["claimed"]}); err != nil {
		t.Fatal(err)
	}
	w.leap(2 * time.Hour)
	w.snapshots(3)
	for app, id := range ids {
		if d := w.state().Dataset(id); d.Deleted || d.Reclaim != nil {
			t.Errorf("%s: got %+v, want that it stays", app, d)
		}
	}
}

// An app that is missing has not been destroyed: what was said of it decides.
func TestNothingIsDeletedWithoutProof(t *testing.T) {
	for name, happens := range map[string]func(w *world){
		"Marathon loses its records":                func(w *world) { w.Lose(false) },
		"Marathon is another one":                   func(w *world) { w.Lose(true) },
		"Marathon shows no apps":                    func(w *world) { w.Hide(true) },
		"nobody hears that the app was destroyed":   func(w *world) { w.Filter(func(string) int { return 0 }); w.destroy("/db") },
		"another Marathon is elected, with nothing": func(w *world) { w.Lose(false); w.SetLeader(1) },
		"it is heard, and Marathon is another one": func(w *world) {
			w.Tell("app_terminated_event", map[string]any{"appId": "/db"})
			w.Lose(true)
		},
		"another Marathon destroys its own app of that name": func(w *world) {
			w.Lose(true)
			w.await(w.t, "it is gone", func(s *cluster.State) bool { return !s.App("/db").Missing.IsZero() })
			w.Tell("app_terminated_event", map[string]any{"appId": "/db"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, double.Options{Auto: true, Marathons: 2})
			w.follow(quick(), w.memory)
			w.put("/db", "db", deleteLabel, "delete", "flocker.volume.data.grace", "1s")
			id := w.awaitDataset("db").ID
			w.await(t, "it runs", func(s *cluster.State) bool {
				a := s.App("/db")
				return len(a.Instances) == 1 && a.Instances[0].State == api.TaskRunning
			})
			w.snapshots(1)
			happens(w)
			w.snapshots(4)
			w.leap(time.Hour)
			w.snapshots(4)
			if d := w.state().Dataset(id); d.Reclaim != nil || d.Deleted {
				t.Errorf("got %+v, want that it is kept", d)
			}
			if w.state().App("/db") == nil {
				t.Error("the app is forgotten, and with it what its labels say")
			}
		})
	}
}

func TestWhileMarathonIsDownNothingChanges(t *testing.T) {
	w := newWorld(t, double.Options{Auto: true})
	w.follow(quick(), w.memory)
	w.put("/db", "db", deleteLabel, "delete")
	w.await(t, "it runs", func(s *cluster.State) bool {
		a := s.App("/db")
		return a != nil && len(a.Instances) == 1 && a.Instances[0].State == api.TaskRunning
	})
	before := *w.state().App("/db")
	w.Fail(func(*http.Request) int { return http.StatusServiceUnavailable })
	w.CutStreams()
	w.await(t, "that it is down is known", func(s *cluster.State) bool { return !status(s).DownSince.IsZero() })
	w.leap(time.Hour)
	tries := w.Requests("GET /v2/info")
	w.Await(t, "it was tried again", func() bool { return w.Requests("GET /v2/info") > tries+3 })
	if got := w.state().App("/db"); got.Revision != before.Revision || w.state().Dataset(before.Volumes[0].Dataset).Reclaim != nil {
		t.Errorf("got %+v, want %+v", got, before)
	}
	w.Fail(nil)
	w.await(t, "it is followed again", func(s *cluster.State) bool {
		m := status(s)
		return m.DownSince.IsZero() && m.Events
	})
}

func TestLostAndRepeatedEventsAndChangesOfTheLeaderAreMadeUpFor(t *testing.T) {
	w := newWorld(t, double.Options{Auto: true, Marathons: 3})
	w.follow(quick(), w.memory)
	n := 0
	w.Filter(func(string) int { n++; return n % 3 })
	for i := range 12 {
		w.put(fmt.Sprintf("/app%d", i), fmt.Sprintf("data%d", i), deleteLabel, "delete")
		switch i % 4 {
		case 1:
			w.CutStreams() // as of who was too slow
		case 3:
			w.SetLeader(i / 4 % 3)
		}
	}
	w.await(t, "all apps run, as Marathon has them", func(s *cluster.State) bool {
		for i := range 12 {
			a := s.App(fmt.Sprintf("/app%d", i))
			if a == nil || len(a.Instances) != 1 || a.Instances[0].State != api.TaskRunning {
				return false
			}
		}
		return true
	})
	w.Filter(func(string) int { return 2 })
	w.await(t, "the events are followed", func(s *cluster.State) bool { return status(s).Events })
	w.Await(t, "the events are followed", func() bool { return w.Streams() == 1 })
	w.destroy("/app3")
	w.await(t, "the one that was destroyed is gone", func(s *cluster.State) bool { return s.App("/app3") == nil })
	if got := w.state().CountApps(); got != 11 {
		t.Errorf("%d apps are known, want 11", got)
	}
	for i := range 12 {
		if d := w.state().DatasetByName(fmt.Sprintf("data%d", i)); (d.Reclaim != nil) != (i == 3) {
			t.Errorf("data%d: got the mark %+v", i, d.Reclaim)
		}
	}
}

func TestPodsAreFollowed(t *testing.T) {
	w := newWorld(t, double.Options{Auto: true})
	w.follow(quick(), w.memory)
	pod := map[string]any{"id": "/pod", "scaling": map[string]any{"kind": "fixed", "instances": 1}, "containers": []any{
		map[string]any{"name": "c", "labels": map[string]string{"flocker.volume.data": "/data", deleteLabel: "delete"}}}}
	if err := w.client.CreatePod(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	w.await(t, "it runs", func(s *cluster.State) bool {
		a := s.App("/pod")
		return a != nil && a.Pod && len(a.Instances) == 1 && a.Instances[0].State == api.TaskRunning && a.Instances[0].Node != ""
	})
	d := w.awaitDataset("pod.data")
	if err := w.client.DeletePod(t.Context(), "/pod", true); err != nil {
		t.Fatal(err)
	}
	w.await(t, "its volume is marked", func(s *cluster.State) bool { return s.Dataset(d.ID).Reclaim != nil })
}

func TestOneReplicaFollowsAndAnotherTakesOver(t *testing.T) {
	w := newWorld(t, double.Options{Auto: true})
	stop := w.follow(quick(), w.memory)
	w.put("/db", "db", deleteLabel, "delete")
	w.awaitDataset("db")
	w.follow(quick(), w.as("replica-2"))
	w.snapshots(2)
	if got := w.state().Job(api.JobMarathon).Owner; got != self {
		t.Fatalf("%s follows, want %s", got, self)
	}
	stop()
	if _, err := w.do(cluster.StopReplica{ID: self}); err != nil {
		t.Fatal(err)
	}
	w.await(t, "the other one follows", func(s *cluster.State) bool { return s.Job(api.JobMarathon).Owner == "replica-2" })
	w.put("/new", "new")
	w.awaitDataset("new")
	if _, err := w.FollowApp(t.Context(), api.App{ID: "/late"}, nil, nil); api.CodeOf(err) != api.CodeStale {
		t.Errorf("who had the job before: got %v, want a refusal", err)
	}
}
