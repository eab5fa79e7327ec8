package cluster_test

import (
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func TestExplanationsTellTheCauseSinceWhenAndWhatComesNext(t *testing.T) {
	var (
		now    = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
		before = func(d time.Duration) time.Time { return now.Add(-d) }
		nodes  = map[api.NodeID]*api.Node{
			"m": {ID: "m", Hostname: "node-m", Connected: true, Since: before(time.Hour), Stream: 1,
				MesosTrouble: &api.MesosTrouble{Kind: api.MesosUnheard, Cause: "the Mesos agent does not answer", Since: before(5 * time.Minute)}},
			"a": {ID: "a", Hostname: "node-a", Address: "192.0.2.10", Connected: true, Since: before(time.Hour), Stream: 1,
				Backend: "ebs", Capabilities: []string{api.CapabilityGrow}},
			"old": {ID: "old", Hostname: "node-old", Address: "192.0.2.13", Connected: true, Since: before(time.Hour), Stream: 1, Backend: "ebs"},
			"b":   {ID: "b", Hostname: "node-b", Address: "192.0.2.11", Connected: true, Since: before(time.Hour)},
			"c":   {ID: "c", Hostname: "node-c", Address: "192.0.2.12", Connected: true, Since: before(time.Hour)},
			"x":   {ID: "x", Hostname: "node-x", Address: "192.0.2.99", Since: before(5 * time.Minute)},
		}
		user = api.Consumer{ID: "web.4711", Kind: api.ConsumerMesos, App: "/postgres", Since: before(3 * time.Minute)}
	)
	dataset := func(change ...func(*api.Dataset)) *api.Dataset {
		d := &api.Dataset{
			ID: "d1", Primary: "a", Metadata: map[string]string{"name": "db"}, Size: 10 << 30,
			Holder: &api.Holder{Node: "a", Epoch: 3, Since: before(4 * time.Minute)}, Epoch: 3,
			Volume: &api.Volume{ID: "vol-1", Backend: "ebs"},
		}
		for _, c := range change {
			c(d)
		}
		return d
	}
	state := func(phase api.Phase, change ...func(*api.DatasetState)) *api.DatasetState {
		st := &api.DatasetState{ID: "d1", Node: "a", Epoch: 3, Phase: phase, Since: before(190 * time.Second)}
		if phase == api.PhaseMounted {
			st.Path = "/flocker/d1"
		}
		for _, c := range change {
			c(st)
		}
		return st
	}
	used := func(st *api.DatasetState) { st.Consumers = []api.Consumer{user} }
	failed := func(st *api.DatasetState) {
		st.Failure = &api.Failure{Action: "attach the volume", Cause: "no slot left on i-0abc.", Since: before(2 * time.Minute),
			Attempts: 5, NextTry: now.Add(8 * time.Second)}
	}
	held := func(by api.NodeID) func(*api.Dataset) {
		return func(d *api.Dataset) { d.Holder.Node, d.Primary = by, by }
	}
	larger := func(d *api.Dataset) { d.Volume.Size = 1 << 30 }
	doing := func(act string) func(*api.DatasetState) { return func(st *api.DatasetState) { st.Action = act } }
	unheld := func(d *api.Dataset) { d.Holder = nil }
	deleted := func(d *api.Dataset) { d.Deleted = true }
	awaited := func(by ...api.NodeID) func(*api.Dataset) {
		return func(d *api.Dataset) {
			for i, n := range by {
				d.Waiting = append(d.Waiting, api.Waiter{Node: n, Since: before(time.Duration(10-i) * time.Second)})
			}
		}
	}
	fencedBy := func(n api.NodeID, f api.Fence) func(*api.Dataset) {
		return func(d *api.Dataset) {
			f.Node, f.Holder, f.Epoch, f.Since = n, d.Holder.Node, d.Epoch, before(time.Minute)
			d.Fence = &f
		}
	}
	movedTo := func(n api.NodeID) func(*api.Dataset) { return func(d *api.Dataset) { d.Primary, d.Pinned = n, true } }

	for _, tc := range []struct {
		name   string
		d      *api.Dataset
		st     *api.DatasetState
		status cluster.Status
		why    string
	}{
		{"mounted and used", dataset(), state(api.PhaseMounted, used), cluster.StatusMounted,
			"Dataset db is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s)."},
		{"used on a node that does not know what Mesos runs", dataset(held("m")), state(api.PhaseMounted, used, func(st *api.DatasetState) { st.Node = "m" }), cluster.StatusMounted,
			"Dataset db is mounted on node-m at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s). " +
				"The agent of node-m cannot tell which containers Mesos still runs: the Mesos agent does not answer, since 2026-03-01T09:55:00Z (5m0s). " +
				"It keeps the volume even if they have ended without a cleanup."},
		{"shut down while it is used", dataset(), state(api.PhaseMounted, used, func(st *api.DatasetState) {
			st.Health = &api.Health{Kind: api.HealthShutDown, Cause: "the kernel has shut its file system down: XFS (loop3): Log I/O Error.",
				Remedy: "It is mounted anew as soon as nothing uses it: end its containers", Since: before(2 * time.Second)}
		}), cluster.StatusFailing,
			"The kernel has shut its file system down: XFS (loop3): Log I/O Error, since 2026-03-01T09:59:58Z (2s). " +
				"It is mounted anew as soon as nothing uses it: end its containers. " +
				"Dataset db is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s)."},
		{"unwell in a way that only a newer agent knows", dataset(), state(api.PhaseMounted, used, func(st *api.DatasetState) {
			st.Health = &api.Health{Kind: "melting", Since: before(2 * time.Second)}
		}), cluster.StatusFailing,
			"Its file system is melting, since 2026-03-01T09:59:58Z (2s). " +
				"Dataset db is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s)."},
		{"mounted for a user who put it there", dataset(movedTo("a")), state(api.PhaseMounted), cluster.StatusMounted,
			"Dataset db is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s)."},
		{"no longer used", dataset(), state(api.PhaseMounted), cluster.StatusMounted,
			"Dataset db is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"Nothing uses it there any more. node-a is about to unmount and detach it."},
		{"used while another node waits", dataset(awaited("b")), state(api.PhaseMounted, used), cluster.StatusWaiting,
			"Dataset db is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s). " +
				"It is waited for by node-b since 2026-03-01T09:59:50Z (10s). " +
				"node-b gets it as soon as the last of its users there has ended and the volume is unmounted and detached."},
		{"handed over to the first of two", dataset(awaited("b", "c")), state(api.PhaseAttached), cluster.StatusWaiting,
			"Dataset db is attached to node-a (192.0.2.10) but not mounted since 2026-03-01T09:56:50Z (3m10s). " +
				"It is waited for by node-b since 2026-03-01T09:59:50Z (10s), node-c since 2026-03-01T09:59:51Z (9s), in this order. " +
				"node-b gets it as soon as node-a has unmounted and detached the volume, which it is about to do."},
		{"moved by a user while used", dataset(movedTo("b")), state(api.PhaseMounted, used), cluster.StatusWaiting,
			"Dataset db is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s). " +
				"A user has moved it to node-b. " +
				"node-b gets it as soon as the last of its users there has ended and the volume is unmounted and detached."},
		{"held by a node that is silent", dataset(held("x"), awaited("b")), state(api.PhaseMounted, used, func(st *api.DatasetState) { st.Node = "x" }),
			cluster.StatusUnreachable,
			"The agent of node-x has not been heard since 2026-03-01T09:55:00Z (5m0s). " +
				"Dataset db is mounted on node-x (192.0.2.99) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s). " +
				"It is waited for by node-b since 2026-03-01T09:59:50Z (10s). " +
				"No other node with the same storage system is connected to keep node-x from writing. Until one is, " +
				"its containers may still be running and writing, so no other node gets the volume."},
		{"held by a node that is silent and wanted by no other node", dataset(held("x")), state(api.PhaseMounted, func(st *api.DatasetState) { st.Node = "x" }),
			cluster.StatusUnreachable,
			"The agent of node-x has not been heard since 2026-03-01T09:55:00Z (5m0s). " +
				"Dataset db is mounted on node-x (192.0.2.99) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"Nothing uses it there any more. " +
				"While node-x is silent, its containers may still be running and writing, so no other node gets the volume. " +
				"It goes on when the agent is back: start it, or check the machine. A node that asks for the volume fences node-x first."},
		{"silent node that may be writing", dataset(held("x"), awaited("b"), fencedBy("b", api.Fence{Policy: api.FenceWait, Finding: "its image is locked"})),
			nil, cluster.StatusFencing,
			"The agent of node-x has not been heard since 2026-03-01T09:55:00Z (5m0s). " +
				"Dataset db was given to node-x (192.0.2.99) at 2026-03-01T09:56:00Z (4m0s ago), which has not reported about it yet. " +
				"It is waited for by node-b since 2026-03-01T09:59:50Z (10s). " +
				"node-x may still be writing: its image is locked, since 2026-03-01T09:59:00Z (1m0s). " +
				"node-b does not take the volume before that ends: check the machine. If it is off, declare it lost: flocker nodes lost node-x. Then node-b gets it."},
		{"lost node that is certainly writing", dataset(held("x"), awaited("b"), fencedBy("b", api.Fence{Policy: api.FenceWait, Vouched: true, Finding: "its image is locked"})),
			nil, cluster.StatusFencing,
			"The agent of node-x has not been heard since 2026-03-01T09:55:00Z (5m0s). " +
				"Dataset db was given to node-x (192.0.2.99) at 2026-03-01T09:56:00Z (4m0s ago), which has not reported about it yet. " +
				"It is waited for by node-b since 2026-03-01T09:59:50Z (10s). " +
				"node-x may still be writing: its image is locked, since 2026-03-01T09:59:00Z (1m0s). " +
				"node-b does not take the volume before that ends: check the machine. Then node-b gets it."},
		{"silent node that is being fenced", dataset(held("x"), awaited("b"), fencedBy("b", api.Fence{Begun: true})), nil, cluster.StatusFencing,
			"The agent of node-x has not been heard since 2026-03-01T09:55:00Z (5m0s). " +
				"Dataset db was given to node-x (192.0.2.99) at 2026-03-01T09:56:00Z (4m0s ago), which has not reported about it yet. " +
				"It is waited for by node-b since 2026-03-01T09:59:50Z (10s). " +
				"node-b takes the volume away from node-x, whose tenure has ended, since 2026-03-01T09:59:00Z (1m0s). Then node-b gets it."},
		{"preempted", dataset(awaited("b"), func(d *api.Dataset) { d.Waiting[0].Preempt = true }), state(api.PhaseMounted, used), cluster.StatusWaiting,
			"Dataset db is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s). " +
				"It is waited for by node-b since 2026-03-01T09:59:50Z (10s). " +
				"node-b preempts: the users on node-a are asked to end, and are killed when they take too long. " +
				"node-b gets it as soon as the last of its users there has ended and the volume is unmounted and detached."},
		{"to grow while used", dataset(larger), state(api.PhaseMounted, used), cluster.StatusMounted,
			"Dataset db is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s). " +
				"It is to grow from 1GiB to 10GiB: node-a is about to do that."},
		{"growing", dataset(larger), state(api.PhaseMounted, used, doing(api.ActionGrow)), cluster.StatusMounted,
			"Dataset db is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s). " +
				"It is to grow from 1GiB to 10GiB: its volume is next, and then its file system."},
		{"growing its file system", dataset(larger), state(api.PhaseMounted, used, doing(api.ActionGrowFS)), cluster.StatusMounted,
			"Dataset db is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s). " +
				"It is to grow from 1GiB to 10GiB: its volume has grown, and its file system is next."},
		{"growing its file system alone", dataset(), state(api.PhaseMounted, used, doing(api.ActionGrowFS)), cluster.StatusMounted,
			"Dataset db is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s). " +
				"It is to grow to 10GiB: its volume has grown, and its file system is next."},
		{"cannot grow", dataset(larger), state(api.PhaseMounted, used, doing(api.ActionGrow), func(st *api.DatasetState) {
			st.Failure = &api.Failure{Action: api.ActionGrow, Cause: "no space or quota left", Since: before(2 * time.Minute), Attempts: 5, NextTry: now.Add(8 * time.Second)}
		}), cluster.StatusFailing,
			"node-a cannot grow the volume: no space or quota left. This has failed 5 times since 2026-03-01T09:58:00Z (2m0s). " +
				"The next try is at 2026-03-01T10:00:08Z (in 8s). " +
				"Dataset db is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s). " +
				"It is to grow from 1GiB to 10GiB: its volume is next, and then its file system."},
		{"to grow where the backend cannot", dataset(larger, held("old")), state(api.PhaseMounted, used, func(st *api.DatasetState) { st.Node = "old" }),
			cluster.StatusMounted,
			"Dataset db is mounted on node-old (192.0.2.13) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s). " +
				"It is to grow from 1GiB to 10GiB, but the backend ebs of node-old, as its agent says, cannot make volumes larger."},
		{"to grow while detached", dataset(larger, unheld), state(api.PhaseDetached), cluster.StatusDetached,
			"Dataset db is not in use: its volume vol-1 is attached nowhere. node-a used it last and gave it up at 2026-03-01T09:56:50Z (3m10s ago). " +
				"It is to grow from 1GiB to 10GiB: that is done when it is mounted next. " +
				"The first node that asks for it gets it."},
		{"deleted while it was to grow", dataset(larger, deleted), state(api.PhaseMounted, used), cluster.StatusDeleting,
			"Dataset db was deleted. It is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s). " +
				"node-a destroys the volume when the last of its users there has ended."},
		{"failing", dataset(), state(api.PhaseDetached, failed, used), cluster.StatusFailing,
			"node-a cannot attach the volume: no slot left on i-0abc. This has failed 5 times since 2026-03-01T09:58:00Z (2m0s). " +
				"The next try is at 2026-03-01T10:00:08Z (in 8s). " +
				"Dataset db belongs to node-a (192.0.2.10) since 2026-03-01T09:56:00Z (4m0s); its volume vol-1 is not attached. " +
				"It is wanted there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s)."},
		{"just granted", dataset(held("b")), state(api.PhaseDetached), cluster.StatusPreparing,
			"Dataset db was given to node-b (192.0.2.11) at 2026-03-01T09:56:00Z (4m0s ago), which has not reported about it yet."},
		{"being made", dataset(func(d *api.Dataset) { d.Volume = nil }),
			state(api.PhaseNonExistent, used, func(st *api.DatasetState) { st.Action = "create the volume" }), cluster.StatusPreparing,
			"Dataset db belongs to node-a (192.0.2.10) since 2026-03-01T09:56:00Z (4m0s); its volume does not exist yet. " +
				"It is wanted there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s). " +
				"node-a is about to create the volume."},
		{"put on a node that was never there", dataset(held("never")), nil, cluster.StatusWaiting,
			"Dataset db was put on node never at 2026-03-01T09:56:00Z (4m0s ago), but no agent has ever connected as that node. " +
				"It gets there when the agent with the certificate of node never connects; " +
				"until then any other node gets it at once if it asks for it or it is moved there."},
		{"given up", dataset(unheld), state(api.PhaseDetached), cluster.StatusDetached,
			"Dataset db is not in use: its volume vol-1 is attached nowhere. node-a used it last and gave it up at 2026-03-01T09:56:50Z (3m10s ago). " +
				"The first node that asks for it gets it."},
		{"never used", dataset(unheld, func(d *api.Dataset) { d.Volume = nil }), nil, cluster.StatusDetached,
			"Dataset db is not in use and has no volume yet: one of 10GiB is made at its first use at the latest. The first node that asks for it gets it."},
		{"deleted while used", dataset(deleted), state(api.PhaseMounted, used), cluster.StatusDeleting,
			"Dataset db was deleted. It is mounted on node-a (192.0.2.10) at /flocker/d1 since 2026-03-01T09:56:50Z (3m10s). " +
				"It is used there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s). " +
				"node-a destroys the volume when the last of its users there has ended."},
		{"deleted and on its way", dataset(deleted), state(api.PhaseDetached), cluster.StatusDeleting,
			"Dataset db was deleted. It belongs to node-a (192.0.2.10) since 2026-03-01T09:56:00Z (4m0s); its volume vol-1 is not attached. " +
				"node-a is about to unmount, detach and destroy the volume."},
		{"deleted and gone", dataset(unheld, deleted, func(d *api.Dataset) { d.Destroyed, d.DestroyedAt = true, before(50*time.Hour) }), nil,
			cluster.StatusDestroyed,
			"Dataset db was deleted and its volume was destroyed at 2026-02-27T08:00:00Z (2d2h ago). Its name is free again."},
		{"vanished", dataset(), state(api.PhaseVanished, used), cluster.StatusFailing,
			"Dataset db belongs to node-a (192.0.2.10) since 2026-03-01T09:56:00Z (4m0s), but its storage system does not know its volume vol-1 any more. " +
				"It is not made anew, since its data would be missing: check the storage system. " +
				"It is wanted there by container web.4711 of app /postgres since 2026-03-01T09:57:00Z (3m0s)."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, why := cluster.Explain(tc.d, tc.st, nil, func(id api.NodeID) *api.Node { return nodes[id] }, nil, now)
			if status != tc.status {
				t.Errorf("status: got %s, want %s", status, tc.status)
			}
			if why != tc.why {
				t.Errorf("got  %s\nwant %s", why, tc.why)
			}
		})
	}
}
