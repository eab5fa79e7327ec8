package control_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/embedded"
)

const (
	nodeA = "4b2f6f0e-5d8f-4a4a-9a52-0d7ad9e0a111"
	nodeB = "9c1d2e3f-7a6b-4c5d-8e9f-102132435465"
)

// world is a control service over TLS, for one test.
type world struct {
	testing.TB
	ca    *authority
	cfg   control.Config
	store store.Log     // used instead of the file's, if not nil
	mesos control.Mesos // nil for none

	service *control.Service
	stop    func()
}

// newWorld starts a control service in a new directory.
func newWorld(tb testing.TB, change ...func(*control.Config)) *world {
	tb.Helper()
	w := &world{TB: tb, ca: newAuthority(tb), cfg: control.DefaultConfig()}
	w.cfg.Listen, w.cfg.AgentListen, w.cfg.MetricsListen = "127.0.0.1:0", "127.0.0.1:0", ""
	w.cfg.Store = "file:" + tb.TempDir()
	for _, c := range change {
		c(&w.cfg)
	}
	w.start()
	return w
}

// quiet drops what the service logs, unless a test is being looked into.
func quiet() *slog.Logger {
	if os.Getenv("FLOCKER_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (w *world) open() (*control.Service, error) {
	return control.New(w.cfg, control.Deps{
		Cluster: clusterID, UserTLS: w.ca.server(), AgentTLS: w.ca.server(), Version: "1.2.3", Log: quiet(), Store: w.store,
		Mesos: w.mesos,
	})
}

func (w *world) start() {
	w.Helper()
	s, err := w.open()
	if err != nil {
		w.Fatalf("open service: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	w.service = s
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Errorf("service ended: %v", err)
		}
	})
	w.Cleanup(w.stop)
	// A service that is started again serves where it did before.
	w.cfg.Listen, w.cfg.AgentListen = s.UserAddr().String(), s.AgentAddr().String()
}

func (w *world) user() *client.Client {
	w.Helper()
	c, err := client.New(client.Config{Endpoints: []string{w.cfg.Listen}, TLS: w.ca.client("user-alice")})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(c.Close)
	return c
}

func hello(node string) api.Hello {
	return api.Hello{Hostname: "host-" + node[:4], Agent: "agent-" + node[:4], Instance: "i-" + node[:4],
		Era: "56780f44-0499-4153-9352-" + node[24:], Backend: "loopback", Version: "1.2.3"}
}

func (w *world) dial(node string, h api.Hello, endpoints ...string) (*client.Session, error) {
	w.Helper()
	a, err := client.NewAgent(client.Config{Endpoints: append(endpoints, w.cfg.AgentListen), TLS: w.ca.client("node-" + node)})
	if err != nil {
		w.Fatal(err)
	}
	return a.Connect(w.Context(), h)
}

// connect opens a node's stream and takes its first event.
func (w *world) connect(node string) (*client.Session, api.StreamEvent) {
	w.Helper()
	s, err := w.dial(node, hello(node))
	if err != nil {
		w.Fatalf("connect: %v", err)
	}
	w.Cleanup(func() { _ = s.Close() })
	return s, w.next(s)
}

func (w *world) next(s *client.Session) api.StreamEvent {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	ev, err := s.Next(ctx)
	if err != nil {
		w.Fatalf("next event: %v", err)
	}
	return ev
}

// eventually waits for a condition.
func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			tb.Fatalf("still not: %s", what)
		}
	}
}

// ended waits for the end of a session.
func (w *world) ended(s *client.Session) {
	w.Helper()
	for {
		if _, err := s.Next(w.Context()); err != nil {
			if w.Context().Err() != nil {
				w.Fatal("the session goes on")
			}
			return
		}
	}
}

// await takes events until one has the dataset as wanted, and returns it.
func (w *world) await(s *client.Session, id api.DatasetID, want func(*api.Dataset) bool) *api.Dataset {
	w.Helper()
	for {
		for _, d := range w.next(s).Datasets {
			if d.ID == id && want(d) {
				return d
			}
		}
	}
}

func (w *world) claim(s *client.Session, name string) *api.Dataset {
	w.Helper()
	d, err := s.Claim(w.Context(), api.ClaimRequest{Find: &api.DatasetSpec{Name: name}})
	if err != nil {
		w.Fatalf("claim %s: %v", name, err)
	}
	return d
}

func (w *world) report(s *client.Session, r api.DatasetReport) {
	w.Helper()
	reply, err := s.Report(w.Context(), api.Report{Datasets: []api.DatasetReport{r}})
	if err != nil {
		w.Fatalf("report: %v", err)
	}
	if refused := reply.Refused[r.State.ID]; refused != nil {
		w.Fatalf("report: %v", refused)
	}
}

func wantCode(t testing.TB, err error, code api.Code, text string) {
	t.Helper()
	e, ok := errors.AsType[*api.Error](err)
	if !ok || e.Code != code || !strings.Contains(e.Message, text) {
		t.Errorf("got %v (code %q), want %q with code %q", err, api.CodeOf(err), text, code)
	}
}

func TestVolumeFollowsItsUsers(t *testing.T) {
	w := newWorld(t)
	a, welcome := w.connect(nodeA)
	if got := welcome.Welcome; got.Node != nodeA || got.Cluster != clusterID || got.Stream != 1 || len(welcome.Datasets) != 0 {
		t.Fatalf("got welcome %+v", welcome)
	}
	b, _ := w.connect(nodeB)

	// Node a makes it and mounts it.
	d := w.claim(a, "db")
	if !d.HeldBy(nodeA) || d.Pinned || d.Name() != "db" || d.Size != api.DefaultSizeBytes || d.FS != api.FSExt4 {
		t.Fatalf("got %+v, want it granted to node a, on demand", *d)
	}
	w.await(a, d.ID, func(d *api.Dataset) bool { return d.HeldBy(nodeA) })
	mounted := api.DatasetReport{
		State: api.DatasetState{ID: d.ID, Epoch: d.Epoch, Phase: api.PhaseMounted, Path: "/flocker/" + string(d.ID), Since: time.Now(),
			Consumers: []api.Consumer{{ID: "web.1", Kind: api.ConsumerMesos, App: "/web", Since: time.Now()}}},
		Volume: &api.Volume{ID: "vol-1", Backend: "loopback", Size: 10 << 30},
	}
	w.report(a, mounted)
	states, err := w.user().DatasetStates(t.Context())
	want := []client.DatasetState{{ID: d.ID, Primary: nodeA, Path: "/flocker/" + string(d.ID), MaximumSize: 10 << 30}}
	if err != nil || !slices.Equal(states, want) {
		t.Errorf("state: got %+v, %v, want %+v", states, err, want)
	}

	// Node b asks for it, waits, and is told why.
	if got := w.claim(b, "db"); got.ID != d.ID || !got.AwaitedBy(nodeB) || !got.HeldBy(nodeA) {
		t.Fatalf("got %+v, want node b to wait", *got)
	}
	detail, err := b.Detail(t.Context(), d.ID)
	if err != nil || detail.Status != "waiting" || !strings.Contains(detail.Why, "container web.1 of app /web") ||
		!strings.Contains(detail.Why, "host-9c1d gets it as soon as") {
		t.Errorf("got %+v, %v, want it explained", detail, err)
	}
	w.await(a, d.ID, func(d *api.Dataset) bool { return d.AwaitedBy(nodeB) })

	// Node a gives it up; node b has it in the same commit.
	release := api.DatasetReport{State: api.DatasetState{ID: d.ID, Epoch: d.Epoch, Phase: api.PhaseDetached}, Release: true}
	w.report(a, release)
	got := w.await(b, d.ID, func(d *api.Dataset) bool { return d.HeldBy(nodeB) })
	if got.Epoch != 2 || got.Primary != nodeB || got.Volume.ID != "vol-1" {
		t.Errorf("got %+v, want epoch 2, primary b, the same volume", *got)
	}
	if ev := w.next(a); len(ev.Removed) != 1 || ev.Removed[0] != d.ID {
		t.Errorf("node a: got %+v, want it told that the dataset is no concern of it any more", ev)
	}
	reply, err := a.Report(t.Context(), api.Report{Datasets: []api.DatasetReport{release}})
	if err != nil || reply.Refused[d.ID] == nil || reply.Refused[d.ID].Code != api.CodeStale {
		t.Errorf("release again: got %+v, %v, want it refused as stale", reply, err)
	}

	// A user deletes it; node b destroys the volume.
	if _, err := w.user().Delete(t.Context(), d.ID, ""); err != nil {
		t.Fatal(err)
	}
	w.await(b, d.ID, func(d *api.Dataset) bool { return d.Deleted })
	w.report(b, api.DatasetReport{State: api.DatasetState{ID: d.ID, Epoch: 2, Phase: api.PhaseNonExistent}, Release: true, Destroyed: true})
	if ev := w.next(b); !slices.Contains(ev.Removed, d.ID) {
		t.Errorf("node b: got %+v, want it told that the dataset is gone", ev)
	}
	_, err = b.Claim(t.Context(), api.ClaimRequest{ID: d.ID})
	wantCode(t, err, api.CodeDeleted, "The dataset has been deleted.")
}

func TestEverythingSurvivesARestart(t *testing.T) {
	w := newWorld(t)
	a, _ := w.connect(nodeA)
	d := w.claim(a, "db")
	w.report(a, api.DatasetReport{State: api.DatasetState{ID: d.ID, Epoch: 1, Phase: api.PhaseMounted, Path: "/flocker/x"},
		Volume: &api.Volume{ID: "vol-1", Backend: "loopback", Size: 10 << 30}})
	user := w.user()
	before, tag, err := user.Datasets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	w.ended(a)
	w.start()
	after, tagAfter, err := user.Datasets(t.Context())
	if err != nil || tag != tagAfter || len(after) != 1 || after[0].ID != before[0].ID {
		t.Errorf("got %+v with tag %s, %v, want %+v with tag %s", after, tagAfter, err, before, tag)
	}
	states, err := user.DatasetStates(t.Context())
	if err != nil || len(states) != 1 || states[0].Primary != nodeA {
		t.Errorf("state: got %+v, %v, want the last that was known", states, err)
	}
	_, ev := w.connect(nodeA)
	if ev.Welcome.Stream != 2 || len(ev.Datasets) != 1 || !ev.Datasets[0].HeldBy(nodeA) {
		t.Errorf("got %+v, want stream 2 with the dataset", ev)
	}
}

func TestNewerStreamOfAnAgentEndsTheOlder(t *testing.T) {
	w := newWorld(t)
	old, _ := w.connect(nodeA)
	newer, ev := w.connect(nodeA)
	if ev.Welcome.Stream != 2 {
		t.Errorf("got stream %d, want 2", ev.Welcome.Stream)
	}
	w.ended(old)
	if _, err := newer.Claim(t.Context(), api.ClaimRequest{Find: &api.DatasetSpec{Name: "db"}}); err != nil {
		t.Errorf("claim on the newer stream: %v", err)
	}
}

func TestSecondAgentOfANodeIsRefused(t *testing.T) {
	w := newWorld(t)
	w.connect(nodeA)
	h := hello(nodeA)
	h.Agent = "another state directory"
	_, err := w.dial(nodeA, h)
	wantCode(t, err, api.CodeConflict, "host-4b2f, connected from 127.0.0.1 since ")
}

func TestSilentNodeIsDisconnected(t *testing.T) {
	for name, fallSilent := range map[string]func(w *world, s *client.Session){
		"whose stream has ended": func(_ *world, s *client.Session) { _ = s.Close() },
		"that was not there when the service started": func(w *world, s *client.Session) {
			w.stop()
			_ = s.Close()
			w.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *control.Config) { c.Heartbeat = 50 * time.Millisecond })
			s, _ := w.connect(nodeA)
			fallSilent(w, s)
			eventually(t, "node a is disconnected", func() bool { return !w.node(nodeA).Connected })
			if _, ev := w.connect(nodeA); ev.Welcome.Stream != 2 {
				t.Errorf("got stream %d, want 2", ev.Welcome.Stream)
			}
			if !w.node(nodeA).Connected {
				t.Error("the node came back and is not connected")
			}
		})
	}
}

func (w *world) node(id api.NodeID) *api.Node {
	w.Helper()
	nodes, err := w.user().Nodes(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	for _, n := range nodes {
		if n.ID == id {
			return n
		}
	}
	w.Fatalf("no node %s among %v", id, nodes)
	return nil
}

func TestIdleAgentStaysConnected(t *testing.T) {
	w := newWorld(t, func(c *control.Config) { c.Heartbeat = 200 * time.Millisecond })
	s, _ := w.connect(nodeA)
	// Several grace periods without anything to say.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if ev, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %+v, %v, want nothing to happen", ev, err)
	}
	if n := w.node(nodeA); !n.Connected || n.Stream != 1 {
		t.Errorf("got %+v, want it connected by its first stream", *n)
	}
}

func TestConnectGoesToTheEndpointThatAnswers(t *testing.T) {
	w := newWorld(t)
	s, err := w.dial(nodeA, hello(nodeA), "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	w.stop()
	_, err = w.dial(nodeA, hello(nodeA), "127.0.0.1:1")
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1: ") || !strings.Contains(err.Error(), w.cfg.AgentListen) {
		t.Errorf("got %v, want both endpoints named", err)
	}
}

func TestCertificatesOpenOnlyWhatTheirRoleAllows(t *testing.T) {
	w := newWorld(t)
	asNode, err := client.New(client.Config{Endpoints: []string{w.cfg.Listen}, TLS: w.ca.client("node-" + nodeA)})
	if err != nil {
		t.Fatal(err)
	}
	defer asNode.Close()
	_, err = asNode.Version(t.Context())
	wantCode(t, err, api.CodeForbidden, `role "user" or "reader" or "tenant", not "node"`)

	asUser, err := client.NewAgent(client.Config{Endpoints: []string{w.cfg.AgentListen}, TLS: w.ca.client("user-alice")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = asUser.Connect(t.Context(), hello(nodeA))
	wantCode(t, err, api.CodeForbidden, `role "node", not "user"`)

	stranger, err := client.New(client.Config{Endpoints: []string{w.cfg.Listen}, TLS: newAuthority(t).client("user-alice")})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.Version(t.Context()); err == nil {
		t.Error("a certificate of another authority was let in")
	}
}

func TestServiceRefusesToStart(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(w *world)
		text  string
	}{
		"on the log of another cluster": {func(w *world) {
			w.stop()
			w.changeMeta()
		}, "belongs to the cluster another"},
		"while another uses the log": {func(*world) {}, "another control service uses"},
		"without its log": {func(w *world) {
			w.stop()
			dir := strings.TrimPrefix(w.cfg.Store, "file:")
			if err := os.Remove(filepath.Join(dir, "control.db")); err != nil {
				w.Fatal(err)
			}
		}, "control.db is missing"},
		"with mistakes in its configuration": {func(w *world) {
			w.cfg.Store, w.cfg.DefaultSize, w.cfg.MetricsListen, w.cfg.Heartbeat = "http://x", "12", "0.0.0.0:80", 0
		}, "default-size"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tc.spoil(w)
			s, err := w.open()
			if err == nil {
				_ = s.Close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want it to say %q", err, tc.text)
			}
		})
	}
}

// changeMeta gives the log to another cluster.
func (w *world) changeMeta() {
	w.Helper()
	log, err := embedded.Open(strings.TrimPrefix(w.cfg.Store, "file:"))
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	snap, err := log.Load(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	_, err = log.Commit(w.Context(), store.Batch{ID: "x", After: snap.Revision, Changes: []store.Record{
		{Key: "meta", Value: []byte(`{"schema":1,"record":{"cluster":"another"}}`)}}})
	if err != nil {
		w.Fatal(err)
	}
}
