package control_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/memory"
)

// breakable is a log that can be made to hang or fail, as Consul does while it
// has no leader or a cable is cut.
type breakable struct {
	store.Log

	mu   sync.Mutex
	down chan struct{} // open while it is down, nil while it is up
}

var errDown = errors.New("the log is down")

func (b *breakable) set(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case down && b.down == nil:
		b.down = make(chan struct{})
	case !down && b.down != nil:
		close(b.down)
		b.down = nil
	}
}

func (b *breakable) state() chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.down
}

func (b *breakable) Commit(ctx context.Context, batch store.Batch) (uint64, error) {
	if b.state() != nil {
		return 0, errDown
	}
	return b.Log.Commit(ctx, batch)
}

// Follow of a log that is down fails after a moment, and does not show what was
// committed meanwhile.
func (b *breakable) Follow(ctx context.Context, after uint64) (store.Update, error) {
	if b.state() != nil {
		select {
		case <-time.After(10 * time.Millisecond):
			return store.Update{}, errDown
		case <-ctx.Done():
			return store.Update{}, ctx.Err()
		}
	}
	up, err := b.Log.Follow(ctx, after)
	if b.state() != nil {
		return store.Update{}, errDown
	}
	return up, err
}

// newReplicas starts control services that share a log.
func newReplicas(t *testing.T, n int, change ...func(*control.Config)) ([]*world, []*breakable) {
	t.Helper()
	shared, ca := &memory.Store{}, newAuthority(t)
	var worlds []*world
	var logs []*breakable
	for range n {
		log := &breakable{Log: shared.Open()}
		w := &world{TB: t, ca: ca, cfg: control.DefaultConfig(), store: log}
		w.cfg.Listen, w.cfg.AgentListen, w.cfg.Heartbeat = "127.0.0.1:0", "127.0.0.1:0", 100*time.Millisecond
		for _, c := range change {
			c(&w.cfg)
		}
		w.start()
		worlds, logs = append(worlds, w), append(logs, log)
	}
	return worlds, logs
}

func (w *world) status() *api.ClusterStatus {
	w.Helper()
	s, err := w.user().Status(context.Background())
	if err != nil {
		w.Fatalf("status: %v", err)
	}
	return s
}

func (w *world) replicas() (alive, lost int) {
	w.Helper()
	for _, r := range w.status().Replicas {
		if r.Lost.IsZero() {
			alive++
		} else {
			lost++
		}
	}
	return alive, lost
}

func TestReplicasKnowEachOther(t *testing.T) {
	worlds, _ := newReplicas(t, 3)
	for _, w := range worlds {
		eventually(t, "three replicas are known", func() bool { alive, lost := w.replicas(); return alive == 3 && lost == 0 })
	}
	worlds[1].stop()
	eventually(t, "who said farewell is not missed", func() bool { alive, lost := worlds[0].replicas(); return alive == 2 && lost == 0 })
}

func TestReplicaThatCannotReachTheLogIsLostAndComesBack(t *testing.T) {
	worlds, logs := newReplicas(t, 2)
	one, two := worlds[0], worlds[1]
	s, _ := one.connect(nodeA)
	logs[0].set(true)
	eventually(t, "the other one misses it", func() bool { alive, lost := two.replicas(); return alive == 1 && lost == 1 })
	// It lets its agents go: they would believe to be in contact.
	one.ended(s)
	status := one.status()
	if status.StaleSince.IsZero() || status.StaleCause != errDown.Error() {
		t.Errorf("got it stale since %s because of %q, want it said", status.StaleSince, status.StaleCause)
	}
	logs[0].set(false)
	eventually(t, "it is back", func() bool { alive, lost := two.replicas(); return alive == 2 && lost == 0 })
	eventually(t, "it is not stale any more", func() bool { return one.status().StaleSince.IsZero() })
}

func TestNodesOfALostReplicaAreLostUnlessTheyComeBackElsewhere(t *testing.T) {
	// A busy machine must not miss three heartbeats of the node that has come back.
	worlds, logs := newReplicas(t, 2, func(c *control.Config) { c.Heartbeat = 500 * time.Millisecond })
	one, two := worlds[0], worlds[1]
	a, _ := one.connect(nodeA)
	b, _ := one.connect(nodeB)
	logs[0].set(true)
	one.ended(a)
	one.ended(b)
	if _, ev := two.connect(nodeB); ev.Welcome.Stream != 2 {
		t.Fatalf("got stream %d, want 2", ev.Welcome.Stream)
	}
	eventually(t, "who stays away is lost", func() bool { return !two.node(nodeA).Connected })
	if !two.node(nodeB).Connected {
		t.Error("who has come back is lost too")
	}
}

func TestNobodyIsLostBecauseTheLogWasDown(t *testing.T) {
	worlds, logs := newReplicas(t, 2)
	one, two := worlds[0], worlds[1]
	_, _ = one.connect(nodeA)
	for _, l := range logs {
		l.set(true)
	}
	for _, w := range worlds {
		eventually(t, "all know that it is down", func() bool { return !w.status().StaleSince.IsZero() })
	}
	for _, l := range logs {
		l.set(false)
	}
	for _, w := range worlds {
		eventually(t, "all are back", func() bool { return w.status().StaleSince.IsZero() })
	}
	if alive, lost := two.replicas(); alive != 2 || lost != 0 {
		t.Errorf("%d replicas are there and %d lost, want 2 and 0", alive, lost)
	}
	if !two.node(nodeA).Connected {
		t.Error("the node is lost")
	}
}

func TestWritesAreRefusedAndReadsMarkedWhileTheLogIsDown(t *testing.T) {
	worlds, logs := newReplicas(t, 1)
	w := worlds[0]
	logs[0].set(true)
	user := w.user()
	_, err := user.Create(t.Context(), client.CreateRequest{Primary: nodeA, MaximumSize: api.MinSize}, "")
	wantCode(t, err, api.CodeUnavailable, "nothing was changed")
	if _, _, err := user.Datasets(t.Context()); err != nil {
		t.Errorf("read: %v", err)
	}
	raw := w.raw()
	if resp, _ := raw.do(http.MethodGet, "/v1/configuration/datasets", ""); resp.Header.Get("X-Flocker-Stale-Since") == "" {
		t.Error("the read is not marked as what was known last")
	}
	resp, _ := raw.do(http.MethodPost, "/v1/configuration/datasets", `{"primary": "`+nodeA+`"}`)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("write: got %s with Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
}

func TestReplicaWithOtherSettingsIsRefused(t *testing.T) {
	shared := &memory.Store{}
	w := &world{TB: t, ca: newAuthority(t), cfg: control.DefaultConfig(), store: shared.Open()}
	w.cfg.Listen, w.cfg.AgentListen = "127.0.0.1:0", "127.0.0.1:0"
	w.start()
	other := &world{TB: t, ca: w.ca, cfg: w.cfg, store: shared.Open()}
	other.cfg.Listen, other.cfg.AgentListen = "127.0.0.1:0", "127.0.0.1:0"
	other.cfg.OnLostNode = string(api.FenceForce)
	_, err := other.open()
	wantCode(t, err, api.CodeConflict, "on-lost-node is wait there and force-detach here")
}

func TestLostNodeIsFencedThroughAnyReplica(t *testing.T) {
	worlds, _ := newReplicas(t, 2)
	one, two := worlds[0], worlds[1]
	a, _ := one.connect(nodeA)
	b, _ := two.connect(nodeB)
	d := one.claim(a, "db")
	one.report(a, api.DatasetReport{State: api.DatasetState{ID: d.ID, Epoch: 1, Phase: api.PhaseMounted, Path: "/flocker/x"},
		Volume: &api.Volume{ID: "vol-1", Backend: "loopback", Size: 10 << 30}})
	_ = a.Close()
	eventually(t, "the node is lost", func() bool { return !two.node(nodeA).Connected })
	two.claim(b, "db")
	fenced := two.await(b, d.ID, func(d *api.Dataset) bool { return d.FencedBy(nodeB) })
	if fenced.Fence.Instance != "i-"+nodeA[:4] || fenced.Fence.Epoch != 1 {
		t.Fatalf("got fence %+v", fenced.Fence)
	}
	for i, r := range []api.FenceReport{{Begin: true}, {Done: true}} {
		reply, err := b.Report(t.Context(), api.Report{Datasets: []api.DatasetReport{{State: api.DatasetState{ID: d.ID, Epoch: 1}, Fence: &r}}})
		if err != nil || len(reply.Refused) > 0 {
			t.Fatalf("step %d: %+v, %v", i, reply, err)
		}
	}
	got := two.await(b, d.ID, func(d *api.Dataset) bool { return d.HeldBy(nodeB) })
	if got.Epoch != 2 || got.Fence != nil || got.Volume.ID != "vol-1" {
		t.Errorf("got %+v", *got)
	}
	eventually(t, "the other replica shows it", func() bool {
		n, err := one.user().Node(t.Context(), nodeB)
		return err == nil && n.Held == 1
	})
}
