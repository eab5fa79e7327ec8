package follow_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// memory is a cluster of the real model, without a log, as a replica sees it.
type memory struct {
	*shared

	self api.ReplicaID
}

// shared is what all replicas see.
type shared struct {
	mu      sync.Mutex
	s       *cluster.State
	ahead   time.Duration // of the clock
	history []cluster.Change
	changed chan struct{}
	apply   func(cluster.Command) error // refuses, where it is set
}

const self = api.ReplicaID("replica-1")

func newMemory(t testing.TB, nodes ...*api.Node) *memory {
	t.Helper()
	m := &memory{&shared{s: cluster.New(), changed: make(chan struct{})}, self}
	changes := []cluster.Change{{Key: cluster.KeyMeta, Meta: &cluster.Meta{Cluster: "c"}}}
	for _, id := range []api.ReplicaID{self, "replica-2"} {
		changes = append(changes, cluster.Change{Key: cluster.ReplicaKey(id), Replica: &api.Replica{ID: id, Name: string(id)}})
	}
	for _, n := range nodes {
		changes = append(changes, cluster.Change{Key: cluster.NodeKey(n.ID), Node: n})
	}
	m.s = m.s.Clone()
	m.s.Put(changes...)
	m.s.SetRevision(1)
	return m
}

// host is a node whose agent is there.
func host(name, address string) *api.Node {
	return &api.Node{ID: api.NodeID("node-" + name), Hostname: name, Address: address, Era: "era-" + name, Connected: true, Stream: 1}
}

func (m *shared) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Add(m.ahead).UTC()
}

// leap sets the clock ahead.
func (m *shared) leap(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ahead += d
}

func (m *shared) do(cmd cluster.Command) (cluster.Outcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.apply != nil {
		if err := m.apply(cmd); err != nil {
			return cluster.Outcome{}, err
		}
	}
	out, err := cmd.Apply(m.s)
	if err != nil || len(out.Changes) == 0 {
		return out, err
	}
	for _, c := range out.Changes { // what cannot be stored does not count
		value, err := cluster.Encode(c)
		if err != nil {
			return out, err
		}
		if len(value) > 0 {
			if _, err := cluster.Decode(c.Key, value); err != nil {
				return out, err
			}
		}
	}
	next := m.s.Clone()
	next.Put(out.Changes...)
	next.SetRevision(m.s.Revision() + 1)
	m.s = next
	m.history = append(m.history, out.Changes...)
	close(m.changed)
	m.changed = make(chan struct{})
	return out, nil
}

func (m *shared) state() *cluster.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.s
}

// await waits until a condition holds of the cluster.
func (m *shared) await(t testing.TB, what string, cond func(s *cluster.State) bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		m.mu.Lock()
		s, changed := m.s, m.changed
		m.mu.Unlock()
		if cond(s) {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("%s: it has not come to that", what)
		}
	}
}

func (m *memory) Take(context.Context) (bool, error) {
	out, err := m.do(cluster.TakeJob{At: m.Now(), Name: api.JobMarathon, Replica: m.self})
	if err != nil {
		return false, err
	}
	return out.Job.Owner == m.self, nil
}

func (m *memory) App(id string) *api.App { return m.state().App(id) }
func (m *memory) Apps() []*api.App       { return slices.Collect(m.state().Apps()) }
func (m *memory) Nodes() []*api.Node     { return slices.Collect(m.state().Nodes()) }

func (m *memory) FollowApp(_ context.Context, app api.App, hints map[string]api.Hint, coming []api.Hint) (*api.App, error) {
	out, err := m.do(cluster.FollowApp{
		At: m.Now(), Replica: m.self, App: app, Hints: hints, Coming: coming, DefaultSize: api.DefaultSizeBytes,
		NewID: func() api.DatasetID { return api.DatasetID(uuid.NewString()) },
	})
	return out.App, err
}

func (m *memory) SetMembers(_ context.Context, set string, owner api.Owner, count int) error {
	_, err := m.do(cluster.SetMembers{At: m.Now(), Name: set, Owner: owner, Count: count})
	return err
}

func (m *memory) ForgetApp(_ context.Context, id string, revision uint64, reclaim bool, grace time.Duration) error {
	_, err := m.do(cluster.ForgetApp{At: m.Now(), Replica: m.self, ID: id, Revision: revision, Reclaim: reclaim, Grace: grace})
	return err
}

func (m *memory) Reclaimable() []*api.Dataset { return slices.Collect(m.state().Reclaimable(m.Now())) }

func (m *memory) NextReclaim(after time.Time) (time.Time, bool) { return m.state().NextReclaim(after) }

func (m *memory) Reclaim(_ context.Context, id api.DatasetID) (bool, error) {
	out, err := m.do(cluster.Reclaim{At: m.Now(), Replica: m.self, ID: id})
	return len(out.Changes) > 0, err
}

func (m *memory) Note(_ context.Context, status api.MarathonStatus) error {
	_, err := m.do(cluster.NoteMarathon{Replica: m.self, Status: status})
	return err
}

// as is the same cluster, as another replica sees it.
func (m *memory) as(id api.ReplicaID) *memory { return &memory{m.shared, id} }
