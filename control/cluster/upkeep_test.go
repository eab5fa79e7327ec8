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
		"it is deleted":         {func(d *api.Dataset, _ *api.Node) { d.Deleted = true }, false},
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
