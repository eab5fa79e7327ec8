package cluster_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// remove removes a node as the control service does: until nothing is left to do.
func (st *story) remove(node api.NodeID, leftovers bool) {
	st.Helper()
	for range 100 {
		if !st.do(cluster.RemoveNode{At: fenceTime, Node: node, Leftovers: leftovers}).More {
			return
		}
	}
	st.Fatalf("removing %s does not come to an end", node)
}

// refuseRemoval checks that a node cannot be removed, and what the error tells.
func (st *story) refuseRemoval(node api.NodeID, leftovers bool, want ...string) {
	st.Helper()
	_, err := st.try(cluster.RemoveNode{At: fenceTime, Node: node, Leftovers: leftovers})
	if api.CodeOf(err) != api.CodeConflict {
		st.Fatalf("got %v, want a conflict", err)
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			st.Errorf("got %v, want %q", err, text)
		}
	}
	if st.s.Node(node) == nil {
		st.Error("the node is gone")
	}
}

func TestRemovedNodeIsForgottenWithWhatRefersToIt(t *testing.T) {
	st := newStory(t, "a", "b")
	st.do(cluster.Create{At: fenceTime, ID: "p", Primary: "a", DefaultSize: api.MinSize, By: cluster.Actor{Operator: true}})
	st.claim("b", false)
	st.claim("a", false) // waits
	st.do(cluster.AcquireLease{At: fenceTime, Dataset: "d", Node: "a"})
	st.do(cluster.AcquireLease{At: fenceTime, Dataset: "x", Node: "b"})
	st.member("b", "1", "i1")
	st.member("b", "2", "i2")
	st.member("a", "3", "i3") // waits
	st.lose("a")
	if d := st.s.Dataset("p"); !d.HeldBy("a") {
		t.Fatalf("got holder %+v", d.Holder)
	}
	st.refuseRemoval("a", false, "holds p", "flocker nodes lost a", "flocker volumes move")
	st.do(cluster.GiveUpNode{At: fenceTime, Node: "a"})
	st.refuseRemoval("a", false, "holds p", "flocker volumes move", "flocker volumes show says what is in the way")

	st.do(cluster.Move{At: fenceTime, ID: "p", Primary: "b", By: cluster.Actor{Operator: true}})
	st.do(cluster.Upkeep{At: fenceTime, Limit: 100})
	p := st.s.Dataset("p")
	for _, r := range []api.FenceReport{{Begin: true}, {Done: true}} {
		out := st.do(cluster.Report{At: fenceTime, Node: "b", Stream: st.s.Node("b").Stream, Datasets: []api.DatasetReport{
			{State: api.DatasetState{ID: "p", Epoch: p.Epoch}, Fence: &r},
		}})
		if len(out.Refused) > 0 {
			t.Fatal(out.Refused)
		}
	}
	st.remove("a", false)
	if n := st.s.Node("a"); n != nil {
		t.Errorf("got %+v", n)
	}
	if st.dataset().AwaitedBy("a") || st.s.Lease("d") != nil || st.s.Lease("x") == nil {
		t.Errorf("got %+v, leases %v and %v", st.dataset(), st.s.Lease("d"), st.s.Lease("x"))
	}
	if set := st.s.Set("kafka"); set != nil && slices.ContainsFunc(set.Waiting, func(w api.SetWaiter) bool { return w.Node == "a" }) {
		t.Errorf("got %+v", set)
	}
	if _, err := st.try(cluster.RemoveNode{At: fenceTime, Node: "a"}); api.CodeOf(err) != api.CodeNotFound {
		t.Errorf("again: got %v", err)
	}
}

func TestConnectedNodeIsNotRemoved(t *testing.T) {
	st := newStory(t, "a")
	st.refuseRemoval("a", false, "the agent of node a is connected since")
}

func TestNodeThatComesBackRegistersAnew(t *testing.T) {
	st := newStory(t, "a", "b")
	st.do(cluster.DrainNode{At: fenceTime, Node: "a"})
	st.do(cluster.DrainNode{At: fenceTime, Node: "a", End: true})
	st.lose("a")
	st.connect("a")
	before := st.s.Node("a").Stream
	st.lose("a")
	st.do(cluster.DrainNode{At: fenceTime, Node: "a"})
	st.remove("a", false)
	if err := st.s.CheckStream("a", before); api.CodeOf(err) != api.CodeStale {
		t.Errorf("got %v for a stream of a removed node", err)
	}
	st.connect("a")
	n := st.s.Node("a")
	if !n.Connected || !n.Draining.IsZero() || n.Stream <= before {
		t.Errorf("got %+v, want a new node with a stream above %d", n, before)
	}
	if err := st.s.CheckStream("a", before); api.CodeOf(err) != api.CodeStale {
		t.Errorf("got %v for an earlier stream", err)
	}
	// Its instance is free for another node while it is removed.
	st.lose("a")
	st.remove("a", false)
	st.do(cluster.NodeConnect{At: fenceTime, Node: "c", Hello: api.Hello{Agent: "c", Era: "e", Instance: "i-a", Backend: "model"}})
}

// A dataset that a user has put on the node is for every node then.
func TestRemovedNodeIsNoLongerAPlaceForDatasets(t *testing.T) {
	st := newStory(t, "a", "b")
	st.claim("b", false)
	st.register("b", "")
	st.release("b")
	st.lose("a")
	st.do(cluster.Move{At: fenceTime, ID: "d", Primary: "a", By: cluster.Actor{Operator: true}})
	if d := st.dataset(); !d.Pinned || d.Primary != "a" {
		t.Fatalf("got %+v", d)
	}
	if st.dataset().HeldBy("a") {
		st.refuseRemoval("a", false, "holds db")
		st.claim("b", false)
		st.do(cluster.Upkeep{At: fenceTime, Limit: 9})
		st.mustFence("b", st.dataset().Epoch, api.FenceReport{Begin: true})
		st.mustFence("b", st.dataset().Epoch, api.FenceReport{Done: true})
		st.release("b")
	}
	st.remove("a", false)
	if d := st.dataset(); d.Pinned && d.Primary == "a" || d.Destroyed {
		t.Errorf("got %+v", d)
	}
	if why := st.why(); strings.Contains(why, "no agent has ever connected") {
		t.Errorf("got %s", why)
	}
}

func TestFenceOfARemovedNodeGoesToAnother(t *testing.T) {
	st := newStory(t, "a", "b", "c")
	st.claim("a", false)
	st.lose("a")
	st.claim("b", false)
	st.mustFence("b", st.dataset().Epoch, api.FenceReport{Begin: true})
	st.lose("c")
	st.lose("b")
	st.refuseRemoval("b", false, "has begun to fence the holder of db")
	st.connect("c")
	st.remove("b", false)
	if f := st.dataset().Fence; f == nil || f.Node != "c" || !f.Begun {
		t.Errorf("got fence %+v, want one that c has begun", f)
	}
}

func TestLastNodeOfAZoneTakesItsVolumesAlong(t *testing.T) {
	st := newStory(t)
	st.connectIn("east", "a")
	st.connectIn("west", "b")
	st.claim("a", false)
	st.register("a", "east")
	st.lose("a")
	st.refuseRemoval("a", false, "db in zone east, which has no other node", "nodes lost a", "--leftovers")
	st.refuseRemoval("a", true, "nodes lost a")
	st.do(cluster.GiveUpNode{At: fenceTime, Node: "a"})
	st.refuseRemoval("a", false, "--leftovers")
	st.remove("a", true)
	if d := st.dataset(); !d.Destroyed || !d.Deleted || d.Holder != nil || st.s.DatasetState("d") != nil {
		t.Errorf("got %+v", d)
	}
	// Its name is free.
	if d := st.do(cluster.Claim{At: fenceTime, Node: "b", Stream: st.s.Node("b").Stream, NewID: "e", DefaultSize: api.MinSize,
		Find: &api.DatasetSpec{Name: "db"}}).Dataset; d.ID != "e" || !d.HeldBy("b") {
		t.Errorf("got %+v", d)
	}
}

func TestVolumesThatAnotherNodeReachesAreNoLeftovers(t *testing.T) {
	st := newStory(t)
	st.connectIn("east", "a", "a2")
	st.claim("a", false)
	st.register("a", "east")
	st.release("a")
	st.lose("a")
	st.lose("a2")
	st.remove("a", true)
	if d := st.dataset(); d.Deleted || d.Destroyed {
		t.Errorf("got %+v, want it kept for a2", d)
	}
	st.refuseNothing("a2")
}

// refuseNothing removes the last node of a zone that holds nothing: the volumes stay.
func (st *story) refuseNothing(node api.NodeID) {
	st.Helper()
	st.remove(node, false)
	if d := st.dataset(); d.Deleted || d.Destroyed {
		st.Errorf("got %+v, want it kept without --leftovers", d)
	}
}

func TestNodeWithManyDatasetsIsRemovedInSeveralCommits(t *testing.T) {
	st := newStory(t, "a", "b")
	for i := range 100 {
		st.do(cluster.AcquireLease{At: fenceTime, Dataset: api.DatasetID(string(rune('a'+i%26)) + strings.Repeat("x", i)), Node: "a"})
	}
	st.lose("a")
	st.remove("a", false)
	for l := range st.s.LeasesOf("a") {
		t.Errorf("got %+v", l)
	}
	if st.s.Node("a") != nil {
		t.Error("the node is there")
	}
}
