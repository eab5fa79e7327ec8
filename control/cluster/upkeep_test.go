package cluster_test

import (
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func TestWhatAUserHasPutOnANodeComesBackToIt(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		change func(d *api.Dataset, n *api.Node)
		want   bool
	}{
		"its node is there":     {func(*api.Dataset, *api.Node) {}, true},
		"its node is lost":      {func(_ *api.Dataset, n *api.Node) { n.Connected = false }, false},
		"its node is drained":   {func(_ *api.Dataset, n *api.Node) { n.Draining = at }, false},
		"it is deleted":         {func(d *api.Dataset, _ *api.Node) { d.Deleted, d.Destroyed = true, true }, false},
		"nobody has put it":     {func(d *api.Dataset, _ *api.Node) { d.Pinned = false }, false},
		"it is put on a nobody": {func(d *api.Dataset, _ *api.Node) { d.Primary = "nobody" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := &api.Dataset{ID: "d", Primary: "a", Pinned: true, Epoch: 3}
			n := &api.Node{ID: "a", Connected: true}
			c.change(d, n)
			s := cluster.New()
			// In this order, so that it is the node that makes the difference.
			s.Put(cluster.Change{Key: cluster.DatasetKey("d"), Dataset: d}, cluster.Change{Key: cluster.NodeKey("a"), Node: n})
			if s.Due() != c.want {
				t.Errorf("due: got %v, want %v", s.Due(), c.want)
			}
			out, err := cluster.Upkeep{At: at, Limit: 10}.Apply(s)
			if err != nil {
				t.Fatal(err)
			}
			got := len(out.Changes) == 1 && out.Changes[0].Dataset.HeldBy("a") && out.Changes[0].Dataset.Epoch == 4
			if got != c.want {
				t.Errorf("got %+v", out.Changes)
			}
		})
	}
}

func TestWhatWasDeletedIsDestroyedOnceSomebodyCan(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	s := cluster.New()
	connect := func(id api.NodeID, zone string) {
		s.Put(cluster.Change{Key: cluster.NodeKey(id), Node: &api.Node{ID: id, Connected: true, Zone: zone}})
	}
	s.Put(cluster.Change{Key: cluster.DatasetKey("d"), Dataset: &api.Dataset{
		ID: "d", Primary: "gone", Deleted: true, Epoch: 3, Volume: &api.Volume{ID: "v", Zone: "east"},
	}})
	connect("w", "west")
	if s.Due() {
		t.Error("with a node of another zone: something is due")
	}
	connect("e", "east")
	if !s.Due() {
		t.Error("with a node of its zone: nothing is due")
	}
	out, err := cluster.Upkeep{At: at, Limit: 10}.Apply(s)
	if err != nil || len(out.Changes) != 1 || !out.Changes[0].Dataset.HeldBy("e") || out.Changes[0].Dataset.Epoch != 4 {
		t.Fatalf("got %+v, %v, want the node of its zone to get it", out.Changes, err)
	}
	s.Put(out.Changes...)
	if s.Due() {
		t.Error("once it has it: something is due")
	}
}
