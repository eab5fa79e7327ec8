package agent_test

import (
	"reflect"
	"testing"

	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
)

// Every report is a commit of the control service, or at least a look at its
// log. So there is none that says what was said already, and none from who
// merely waits.
func TestNothingIsReportedThatTheControlServiceKnows(t *testing.T) {
	s := newSAN(t)
	last := map[api.NodeID]map[api.DatasetID]api.DatasetState{"node-a": {}, "node-b": {}}
	reports := 0
	s.control.Observe = func(node api.NodeID, d api.Dataset, r api.DatasetReport) {
		reports++
		effect := r.Volume != nil || r.Release || r.Withdraw
		if !effect && !d.HeldBy(node) {
			t.Errorf("node %s reports as one who does not hold it: %+v", node, r.State)
		}
		if old, ok := last[node][r.State.ID]; ok && !effect && reflect.DeepEqual(old, r.State) {
			t.Errorf("node %s reports a second time: %+v", node, r.State)
		}
		if (r.Volume != nil || r.Release) && r.State.Action != "" {
			t.Errorf("node %s reports that it is about to %s, by which it does", node, r.State.Action)
		}
		last[node][r.State.ID] = r.State
	}
	a, b := s.node("node-a"), s.node("node-b")
	a.start()
	b.start()
	a.use("first", volume("db"))
	if _, err := b.agent.Volumes().Acquire(t.Context(), request("second", volume("db"))); err != nil {
		t.Fatal(err)
	}
	s.await("node b waits", func(c *agenttest.Control) bool { return c.Dataset("db").AwaitedBy("node-b") })
	a.release("first")
	b.use("second", volume("db"))
	b.release("second")
	s.await("nobody holds it", func(c *agenttest.Control) bool { return c.Dataset("db").Holder == nil })
	a.stop()
	b.stop()
	if reports == 0 {
		t.Error("nothing was reported")
	}
}
