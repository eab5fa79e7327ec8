package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

var fenceTime = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// story applies commands one after the other.
type story struct {
	*testing.T
	s *cluster.State
}

func newStory(t *testing.T, nodes ...api.NodeID) *story {
	t.Helper()
	st := &story{t, cluster.New()}
	st.s.Put(cluster.Change{Key: cluster.KeyMeta, Meta: &cluster.Meta{
		Cluster: "c", Created: fenceTime, Settings: api.Settings{OnLostNode: api.FenceWait},
	}})
	for _, n := range nodes {
		st.connect(n)
	}
	return st
}

func (st *story) do(cmd cluster.Command) cluster.Outcome {
	st.Helper()
	out, err := st.try(cmd)
	if err != nil {
		st.Fatalf("%T: %v", cmd, err)
	}
	return out
}

func (st *story) try(cmd cluster.Command) (cluster.Outcome, error) {
	st.Helper()
	out, err := cmd.Apply(st.s)
	next := st.s.Clone()
	next.Put(out.Changes...)
	next.SetRevision(st.s.Revision() + 1)
	if broken := checkStep(st.s, next); broken != nil {
		st.Fatalf("%T: %v", cmd, broken)
	}
	st.s = next
	if broken := checkState(st.s); broken != nil {
		st.Fatalf("%T: %v", cmd, broken)
	}
	return out, err
}

func (st *story) connect(node api.NodeID) {
	st.Helper()
	st.do(cluster.NodeConnect{At: fenceTime, Node: node, Hello: api.Hello{
		Agent: "agent-" + string(node), Era: "era", Instance: "i-" + string(node), Backend: "model", Hostname: string(node),
	}})
}

func (st *story) lose(node api.NodeID) {
	st.Helper()
	st.do(cluster.NodeDisconnect{At: fenceTime, Node: node, Stream: st.s.Node(node).Stream})
}

func (st *story) claim(node api.NodeID, preempt bool) *api.Dataset {
	st.Helper()
	return st.do(cluster.Claim{At: fenceTime, Node: node, Stream: st.s.Node(node).Stream, NewID: "d", DefaultSize: api.MinSize,
		Find: &api.DatasetSpec{Name: "db"}, Preempt: preempt}).Dataset
}

func (st *story) fence(node api.NodeID, epoch uint64, r api.FenceReport) *api.Error {
	st.Helper()
	out := st.do(cluster.Report{At: fenceTime, Node: node, Stream: st.s.Node(node).Stream, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: "d", Epoch: epoch}, Fence: &r},
	}})
	return out.Refused["d"]
}

// mustFence is fence for what may not be refused.
func (st *story) mustFence(node api.NodeID, epoch uint64, r api.FenceReport) {
	st.Helper()
	if refused := st.fence(node, epoch, r); refused != nil {
		st.Fatalf("fence %+v by %s: %v", r, node, refused)
	}
}

func (st *story) dataset() *api.Dataset { return st.s.Dataset("d") }

func TestLostHolderIsFencedByWhoWantsTheDataset(t *testing.T) {
	st := newStory(t, "a", "b", "c")
	st.claim("a", false)
	st.lose("a")
	if st.dataset().Fence != nil || st.s.Due() {
		t.Fatalf("nobody wants it: got fence %+v, upkeep due %t", st.dataset().Fence, st.s.Due())
	}
	st.claim("b", false)
	f := st.dataset().Fence
	if f == nil || f.Node != "b" || f.Holder != "a" || f.Instance != "i-a" || f.Policy != api.FenceWait || f.Begun {
		t.Fatalf("got fence %+v, want b to fence a", f)
	}
	if refused := st.fence("c", 1, api.FenceReport{Begin: true}); refused == nil || refused.Code != api.CodeStale {
		t.Errorf("another node begins: got %v, want it refused", refused)
	}
	if refused := st.fence("b", 1, api.FenceReport{Done: true}); refused == nil {
		t.Error("done without being begun: got no refusal")
	}
	st.mustFence("b", 1, api.FenceReport{Finding: "it is running"})
	if got := st.dataset().Fence.Finding; got != "it is running" {
		t.Errorf("finding: got %q", got)
	}
	if refused := st.fence("b", 1, api.FenceReport{Begin: true}); refused != nil {
		t.Fatalf("begin: %v", refused)
	}
	if refused := st.fence("b", 1, api.FenceReport{Done: true}); refused != nil {
		t.Fatalf("done: %v", refused)
	}
	if d := st.dataset(); !d.HeldBy("b") || d.Epoch != 2 || d.Fence != nil || len(d.Waiting) > 0 {
		t.Errorf("got %+v, want b to hold it with epoch 2", d)
	}
}

func TestNodeThatIsBackKeepsWhatWasNotTakenYet(t *testing.T) {
	st := newStory(t, "a", "b")
	st.claim("a", false)
	st.lose("a")
	st.claim("b", false)
	st.connect("a")
	if refused := st.fence("b", 1, api.FenceReport{Begin: true}); refused == nil {
		t.Fatal("a is back and b begins to fence it: got no refusal")
	}
	st.do(cluster.Upkeep{At: fenceTime, Limit: 10})
	if d := st.dataset(); !d.HeldBy("a") || d.Fence != nil || !d.AwaitedBy("b") {
		t.Errorf("got %+v, want a to hold it, and b to wait", d)
	}
}

func TestTenureThatWasEndedStaysEndedWhenTheNodeIsBack(t *testing.T) {
	st := newStory(t, "a", "b", "c")
	st.claim("a", false)
	st.lose("a")
	st.claim("b", false)
	st.mustFence("b", 1, api.FenceReport{Begin: true})
	st.connect("a")
	st.lose("b") // in the middle of it
	st.do(cluster.Upkeep{At: fenceTime, Limit: 10})
	if d := st.dataset(); !d.Revoked() || !d.FencedBy("c") {
		t.Fatalf("got %+v, want c to go on", d)
	}
	st.do(cluster.Report{At: fenceTime, Node: "a", Stream: st.s.Node("a").Stream, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: "d", Epoch: 1, Phase: api.PhaseDetached}, Release: true},
	}})
	if d := st.dataset(); d.HeldBy("a") || d.Fence != nil {
		t.Errorf("a gave it up: got %+v", d)
	}
	if refused := st.fence("c", 1, api.FenceReport{Done: true}); refused == nil || refused.Code != api.CodeStale {
		t.Errorf("c comes late: got %v, want it refused", refused)
	}
}

func TestDeletedDatasetOfALostNodeIsFencedAndDestroyed(t *testing.T) {
	st := newStory(t, "a", "b")
	st.claim("a", false)
	st.do(cluster.Report{At: fenceTime, Node: "a", Stream: 1, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: "d", Epoch: 1, Phase: api.PhaseMounted}, Volume: &api.Volume{ID: "v", Backend: "model", Size: api.MinSize}},
	}})
	st.lose("a")
	st.do(cluster.Delete{At: fenceTime, ID: "d"})
	st.do(cluster.Upkeep{At: fenceTime, Limit: 10})
	st.mustFence("b", 1, api.FenceReport{Begin: true})
	st.mustFence("b", 1, api.FenceReport{Done: true})
	if d := st.dataset(); !d.HeldBy("b") || !d.Deleted {
		t.Errorf("got %+v, want b to hold and destroy it", d)
	}
}

func TestOperatorsWordIsPassedToWhoFences(t *testing.T) {
	st := newStory(t, "a", "b")
	st.claim("a", false)
	if _, err := st.try(cluster.GiveUpNode{At: fenceTime, Node: "a"}); api.CodeOf(err) != api.CodeConflict {
		t.Errorf("give up a node that is there: got %v, want a conflict", err)
	}
	st.lose("a")
	st.claim("b", false)
	st.mustFence("b", 1, api.FenceReport{Finding: "it is running"})
	st.do(cluster.GiveUpNode{At: fenceTime, Node: "a"})
	if f := st.dataset().Fence; !f.Vouched || f.Finding != "" {
		t.Errorf("got fence %+v, want it vouched for, and the finding gone", f)
	}
	if f := st.dataset().Fence; f.Forced {
		t.Errorf("got fence %+v, forced by a word that was not", f)
	}
	st.mustFence("b", 1, api.FenceReport{Finding: "it is running all the same"})
	st.do(cluster.GiveUpNode{At: fenceTime, Node: "a", Force: true})
	if f := st.dataset().Fence; !f.Vouched || !f.Forced || f.Finding != "" {
		t.Errorf("got fence %+v, want it forced, and the finding gone", f)
	}
	st.do(cluster.GiveUpNode{At: fenceTime, Node: "a"})
	if n := st.s.Node("a"); !n.Forced {
		t.Error("a weaker word takes the stronger one back")
	}
	st.connect("a")
	if n := st.s.Node("a"); !n.GivenUp.IsZero() || n.Forced {
		t.Errorf("a is back: got given up at %s, forced %t", n.GivenUp, n.Forced)
	}
}

func TestDrainedNodeGetsNothingAndGivesUpWhatNobodyUses(t *testing.T) {
	st := newStory(t, "a", "b")
	st.do(cluster.Create{At: fenceTime, ID: "d", Primary: "a", DefaultSize: api.MinSize, Metadata: map[string]string{"name": "db"}})
	st.do(cluster.DrainNode{At: fenceTime, Node: "a"})
	if d := st.dataset(); d.Pinned {
		t.Error("the dataset is still to stay on the node that is drained")
	}
	for what, cmd := range map[string]cluster.Command{
		"create": cluster.Create{At: fenceTime, ID: "e", Primary: "a", DefaultSize: api.MinSize},
		"move":   cluster.Move{At: fenceTime, ID: "d", Primary: "a"},
		"claim": cluster.Claim{At: fenceTime, Node: "a", Stream: 1, NewID: "e", DefaultSize: api.MinSize,
			Find: &api.DatasetSpec{Name: "other"}},
	} {
		if _, err := st.try(cmd); api.CodeOf(err) != api.CodeUnavailable || !strings.Contains(err.Error(), "drained") {
			t.Errorf("%s: got %v, want it refused", what, err)
		}
	}
	st.do(cluster.DrainNode{At: fenceTime, Node: "a", End: true})
	st.do(cluster.Create{At: fenceTime, ID: "e", Primary: "a", DefaultSize: api.MinSize})
}

func TestWhoPreemptsGoesBeforeWhoDoesNot(t *testing.T) {
	st := newStory(t, "a", "b", "c", "d")
	st.claim("a", false)
	st.claim("b", false)
	st.claim("c", true)
	st.claim("d", true)
	st.claim("b", true)
	var got []string
	for _, w := range st.dataset().Waiting {
		got = append(got, string(w.Node))
	}
	if want := "c d b"; strings.Join(got, " ") != want {
		t.Errorf("got the queue %v, want %s", got, want)
	}
	if !st.dataset().Preempted() {
		t.Error("the holder is not asked to let go")
	}
}

func TestTokenPassesOverWhoIsLost(t *testing.T) {
	st := newStory(t, "a", "b", "c")
	st.claim("a", false)
	st.claim("b", false)
	st.claim("c", false)
	st.lose("b")
	st.do(cluster.Report{At: fenceTime, Node: "a", Stream: 1, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: "d", Epoch: 1, Phase: api.PhaseDetached}, Release: true},
	}})
	if d := st.dataset(); !d.HeldBy("c") || len(d.Waiting) > 0 {
		t.Errorf("got %+v, want c to hold it", d)
	}
}

func TestReplicasWithOtherSettingsAreRefused(t *testing.T) {
	st := newStory(t)
	settings := api.Settings{DefaultSize: 1 << 30, Heartbeat: 5 * time.Second, OnLostNode: api.FenceWait}
	replica := func(id api.ReplicaID) api.Replica {
		return api.Replica{ID: id, Name: string(id), Users: string(id) + ":4523"}
	}
	st.do(cluster.StartReplica{At: fenceTime, Replica: replica("one"), Settings: settings})
	other := settings
	other.OnLostNode = api.FenceForce
	_, err := st.try(cluster.StartReplica{At: fenceTime, Replica: replica("two"), Settings: other})
	if api.CodeOf(err) != api.CodeConflict || !strings.Contains(err.Error(), "on-lost-node is wait there and force-detach here") {
		t.Errorf("got %v, want a conflict that names the setting and both values", err)
	}
	st.do(cluster.StartReplica{At: fenceTime, Replica: replica("two"), Settings: settings})
	st.do(cluster.StopReplica{ID: "two"})
	again := replica("one")
	again.ID = "one again"
	st.do(cluster.StartReplica{At: fenceTime, Replica: again, Settings: other}) // the last run of the same has ended
	if st.s.Replica("one") != nil || st.s.Meta().Settings != other {
		t.Errorf("got replica %v, settings %+v", st.s.Replica("one"), st.s.Meta().Settings)
	}
}

func TestReplicaThatBeatsIsNotLost(t *testing.T) {
	st := newStory(t)
	r := api.Replica{ID: "one", Name: "one"}
	st.do(cluster.StartReplica{At: fenceTime, Replica: r})
	st.do(cluster.BeatReplica{Replica: r})
	st.do(cluster.LoseReplica{At: fenceTime, ID: "one", Beat: 0})
	if got := st.s.Replica("one"); !got.Lost.IsZero() || got.Beat != 1 {
		t.Errorf("it has beaten since: got %+v", got)
	}
	st.do(cluster.LoseReplica{At: fenceTime, ID: "one", Beat: 1})
	if st.s.Replica("one").Lost.IsZero() {
		t.Error("it has not beaten since: got it alive")
	}
	st.do(cluster.BeatReplica{Replica: r})
	if got := st.s.Replica("one"); !got.Lost.IsZero() || got.Beat != 2 {
		t.Errorf("it is back: got %+v", got)
	}
}
