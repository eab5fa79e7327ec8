package masters_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator/masters"
	"github.com/flocker-mesos/flocker/test/mesos/master"
)

// patience bounds every wait. It is reached only when something is wrong.
const patience = 30 * time.Second

// suite is what must hold of any masters, of which at least one agent is known.
func suite(t *testing.T, urls []string) {
	c, err := masters.New(masters.Options{URLs: urls})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	listing, err := c.Agents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(listing.Registered) == 0 {
		t.Fatal("no agent is registered: this suite needs one")
	}
	if c.Leader() == "" {
		t.Error("it is not known who leads")
	}
	for _, a := range listing.Registered {
		if a.ID == "" || a.Hostname == "" || a.Address == "" || !a.Active || a.Registered.IsZero() {
			t.Errorf("got agent %+v, want one that is known in full", a)
		}
	}
	tasks, err := c.Tasks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Registry(t.Context()); err != nil {
		t.Logf("the registry is not told: %v", err)
	}
	t.Run("the stream begins with what is listed", func(t *testing.T) {
		enough := errors.New("enough")
		err := c.Subscribe(t.Context(), func(ev masters.Event) error {
			if ev.Snapshot == nil {
				t.Errorf("the first event is %+v", ev)
				return enough
			}
			if got := ids(ev.Snapshot.Agents); !slices.Equal(got, ids(listing)) {
				t.Errorf("got agents %v, want %v", got, ids(listing))
			}
			if got := len(ev.Snapshot.Tasks); os.Getenv("MESOS_URL") == "" && got != len(tasks) {
				t.Errorf("got %d tasks, want %d", got, len(tasks))
			}
			return enough
		})
		if !errors.Is(err, enough) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nodes are found by name and by address", func(t *testing.T) {
		w := watch(t, masters.Options{URLs: urls})
		a := listing.Registered[0]
		for name, n := range map[string]*api.Node{
			"name": {ID: "n", Hostname: a.Hostname}, "address": {ID: "n", Hostname: "elsewhere", Address: a.Address},
		} {
			if strings.HasPrefix(a.Address, "127.") && name == "address" {
				continue // of which there are many
			}
			got := await(t, w, n, func(m *api.MesosAgent) bool { return m != nil })
			if got.ID != a.ID || !got.Runs() {
				t.Errorf("by %s: got %+v, want agent %s", name, got, a.ID)
			}
		}
	})
}

func ids(l masters.Listing) []string {
	var all []string
	for _, a := range l.Registered {
		all = append(all, a.ID)
	}
	slices.Sort(all)
	return all
}

func TestMastersTellOfTheirAgents(t *testing.T) {
	t.Run("played", func(t *testing.T) {
		w := newWorld(t, 3)
		w.Register(agent1)
		w.Register(agent2)
		w.Run("t1", agent1.ID)
		for name, urls := range map[string][]string{
			"the leader is named": {w.masters[0].URL}, "another one is named": {w.masters[2].URL + "/"},
			"a dead one is named first": {deadURL(t), w.masters[1].URL},
		} {
			t.Run(name, func(t *testing.T) { suite(t, urls) })
		}
	})
	t.Run("real", func(t *testing.T) {
		url := os.Getenv("MESOS_URL")
		if url == "" {
			t.Skip("MESOS_URL names no masters")
		}
		suite(t, strings.Split(url, ","))
	})
}

var (
	agent1 = master.Agent{ID: "6b2f-S0", Hostname: "node1.example.net", Address: "192.0.2.10"}
	agent2 = master.Agent{ID: "6b2f-S1", Hostname: "node2.example.net", Address: "192.0.2.11"}
	node1  = &api.Node{ID: "n1", Hostname: "node1.example.net", Address: "192.0.2.10"}
	node2  = &api.Node{ID: "n2", Hostname: "node2", Address: "198.51.100.7"}
)

// world is a cluster that is played.
type world struct {
	*master.Cluster
	masters []*master.Master
	urls    []string
}

func newWorld(t *testing.T, count int) *world {
	t.Helper()
	w := &world{Cluster: master.New()}
	for range count {
		m, err := w.Listen()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		w.masters = append(w.masters, m)
		w.urls = append(w.urls, m.URL)
	}
	return w
}

// watch runs a watcher to the end of the test.
func watch(t *testing.T, o masters.Options) *masters.Watcher {
	t.Helper()
	if o.Interval == 0 {
		o.Interval = 20 * time.Millisecond
	}
	c, err := masters.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w := masters.NewWatcher(c, slog.New(slog.NewTextHandler(t.Output(), nil)), nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the watcher ended: %v", err)
		}
	})
	return w
}

// await waits until what is known of a node is as it should be.
func await(t *testing.T, w *masters.Watcher, n *api.Node, fits func(*api.MesosAgent) bool) *api.MesosAgent {
	t.Helper()
	var got *api.MesosAgent
	until(t, "what is known of "+n.Hostname, func() bool {
		got = w.Agents([]*api.Node{n})[n.ID]
		return fits(got)
	}, func() any { return [2]any{got, w.Masters()} })
	return got
}

func until(t *testing.T, what string, condition func() bool, last func() any) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("%s: it came to nothing: %+v", what, last())
		}
	}
}

func is(state api.MesosState) func(*api.MesosAgent) bool {
	return func(m *api.MesosAgent) bool { return m != nil && m.State == state && !m.Stale }
}
