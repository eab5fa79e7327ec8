package cluster_test

import (
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func TestTrimIsRefusedWhereItCannotBe(t *testing.T) {
	mounted := &api.DatasetState{ID: "d", Node: "n", Phase: api.PhaseMounted}
	able := &api.Node{ID: "n", Connected: true, Capabilities: []string{api.CapabilityTrim}}
	held := func() *api.Dataset { return &api.Dataset{ID: "d", Holder: &api.Holder{Node: "n"}} }
	cases := map[string]struct {
		dataset *api.Dataset
		state   *api.DatasetState
		node    *api.Node
		want    api.Code
	}{
		"mounted":         {held(), mounted, able, ""},
		"not mounted":     {held(), &api.DatasetState{ID: "d", Node: "n", Phase: api.PhaseAttached}, able, api.CodeConflict},
		"no holder":       {&api.Dataset{ID: "d"}, mounted, able, api.CodeConflict},
		"deleted":         {&api.Dataset{ID: "d", Deleted: true}, mounted, able, api.CodeDeleted},
		"another's state": {held(), &api.DatasetState{ID: "d", Node: "other", Phase: api.PhaseMounted}, able, api.CodeConflict},
		"silent agent":    {held(), mounted, &api.Node{ID: "n"}, api.CodeUnavailable},
		"older agent":     {held(), mounted, &api.Node{ID: "n", Connected: true}, api.CodeConflict},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := cluster.New()
			for _, change := range []cluster.Change{
				{Key: cluster.DatasetKey("d"), Dataset: c.dataset}, {Key: cluster.StateKey("d"), State: c.state}, {Key: cluster.NodeKey("n"), Node: c.node},
			} {
				s.Put(change)
			}
			out, err := cluster.Trim{At: time.Unix(1, 0), ID: "d"}.Apply(s)
			if api.CodeOf(err) != c.want {
				t.Fatalf("Trim = %v, want %q", err, c.want)
			}
			if err == nil && (out.Dataset.Trim == nil || out.Dataset.Trim.Number == 0) {
				t.Errorf("the request is %+v", out.Dataset.Trim)
			}
		})
	}
}

func TestStrangersDoNotTrim(t *testing.T) {
	w := newTenants(t, api.TenancyOwners)
	d := w.must(w.find("n1", roleA, "db")).Dataset
	for owner, want := range map[api.Owner]api.Code{roleB: api.CodeForbidden, roleA: api.CodeConflict} { // it is not mounted
		if _, err := w.do(cluster.Trim{At: w.now, By: cluster.Actor{Owner: owner}, ID: d.ID}); api.CodeOf(err) != want {
			t.Errorf("trim by %s: got %v, want %s", owner, err, want)
		}
	}
}
