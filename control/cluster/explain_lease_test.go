package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func TestExplanationTellsWhatALeaseHoldsUp(t *testing.T) {
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	nodes := map[api.NodeID]*api.Node{
		"a": {ID: "a", Hostname: "node-a", Connected: true}, "b": {ID: "b", Hostname: "node-b", Connected: true}, "x": {ID: "x", Hostname: "node-x", Since: now},
	}
	user := api.Consumer{ID: "web.4711", Kind: api.ConsumerMesos, Since: now}
	for _, tc := range []struct {
		name    string
		node    api.NodeID // of the lease
		expires time.Time
		change  func(*api.Dataset, *api.DatasetState)
		status  cluster.Status
		why     string // the end of it
	}{
		{"nothing", "a", now.Add(25 * time.Second), func(*api.Dataset, *api.DatasetState) {}, cluster.StatusMounted,
			"/flocker/d since 2026-03-01T10:00:00Z (0s). A lease of node-a until 2026-03-01T10:00:25Z (in 25s) keeps it there."},
		{"a move", "a", now.Add(25 * time.Second), func(d *api.Dataset, _ *api.DatasetState) { d.Primary, d.Pinned = "b", true }, cluster.StatusWaiting,
			"A lease of node-a until 2026-03-01T10:00:25Z (in 25s) keeps it there. A user has moved it to node-b. " +
				"node-b gets it as soon as the lease has ended and the volume is unmounted and detached. Release it: flocker leases release db."},
		{"a node that waits", "a", time.Time{}, func(d *api.Dataset, st *api.DatasetState) {
			d.Waiting, st.Consumers = []api.Waiter{{Node: "b", Since: now}}, []api.Consumer{user}
		}, cluster.StatusWaiting,
			"A lease of node-a that does not expire keeps it there. It is waited for by node-b since 2026-03-01T10:00:00Z (0s). " +
				"node-b gets it as soon as the lease and the last of its users there have ended and the volume is unmounted and detached. " +
				"Release it: flocker leases release db."},
		{"a pre-emption", "a", time.Time{}, func(d *api.Dataset, st *api.DatasetState) {
			d.Waiting, st.Consumers = []api.Waiter{{Node: "b", Since: now, Preempt: true}}, []api.Consumer{user}
		}, cluster.StatusWaiting,
			"It is waited for by node-b since 2026-03-01T10:00:00Z (0s). " +
				"node-b gets it as soon as the lease and the last of its users there have ended and the volume is unmounted and detached. " +
				"Release it: flocker leases release db."},
		{"the deletion", "a", time.Time{}, func(d *api.Dataset, _ *api.DatasetState) { d.Deleted = true }, cluster.StatusDeleting,
			"A lease of node-a that does not expire keeps it there. node-a destroys the volume when the lease has ended. Release it: flocker leases release d."},
		{"nothing, since another node has it", "b", time.Time{}, func(*api.Dataset, *api.DatasetState) {}, cluster.StatusMounted,
			"Nothing uses it there any more. A lease of node-b that does not expire has no effect: it is not mounted there. " +
				"node-a is about to unmount and detach it."},
		{"nothing, since it is not mounted", "a", time.Time{}, func(_ *api.Dataset, st *api.DatasetState) { st.Phase = api.PhaseAttached }, cluster.StatusReleasing,
			"A lease of node-a that does not expire has no effect: it is not mounted there."},
		{"nothing, since nobody holds it", "a", time.Time{}, func(d *api.Dataset, _ *api.DatasetState) { d.Holder = nil }, cluster.StatusDetached,
			"A lease of node-a that does not expire has no effect: it is not mounted there. The first node that asks for it gets it."},
		{"no fence", "x", time.Time{}, func(d *api.Dataset, st *api.DatasetState) {
			d.Holder.Node, st.Node, d.Waiting = "x", "x", []api.Waiter{{Node: "b", Since: now}}
			d.Fence = &api.Fence{Node: "b", Holder: "x", Epoch: 3, Since: now}
		}, cluster.StatusFencing,
			"A lease of node-x that does not expire keeps no other node from fencing it. It is waited for by node-b since 2026-03-01T10:00:00Z (0s). " +
				"node-b checks whether node-x can still write to it, since 2026-03-01T10:00:00Z (0s). Then node-b gets it."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := &api.Dataset{
				ID: "d", Primary: "a", Metadata: map[string]string{"name": "db"}, Holder: &api.Holder{Node: "a", Epoch: 3}, Epoch: 3,
				Volume: &api.Volume{ID: "vol-1"},
			}
			st := &api.DatasetState{ID: "d", Node: "a", Epoch: 3, Phase: api.PhaseMounted, Since: now, Path: "/flocker/d"}
			tc.change(d, st)
			lease := &api.Lease{Dataset: "d", Node: tc.node, Expires: tc.expires}
			status, why := cluster.Explain(d, st, lease, func(id api.NodeID) *api.Node { return nodes[id] }, nil, now)
			if status != tc.status {
				t.Errorf("status: got %s, want %s", status, tc.status)
			}
			if !strings.HasSuffix(why, tc.why) {
				t.Errorf("got  %s\nwant ... %s", why, tc.why)
			}
		})
	}
}
