package agent_test

import (
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
)

// mounted waits until a node's agent has reported that a dataset is mounted.
func (s *san) mounted(id api.DatasetID, node api.NodeID) {
	s.t.Helper()
	s.await("it is mounted on "+string(node), func(c *agenttest.Control) bool {
		st := c.State(id)
		return st.Phase == api.PhaseMounted && st.Node == node && c.Get(id).HeldBy(node)
	})
}

func (s *san) released(id api.DatasetID) {
	s.t.Helper()
	s.await("it is given back", func(c *agenttest.Control) bool { return c.Get(id).Holder == nil && c.Get(id).Epoch > 0 })
}

func TestAHintBringsTheVolumeBeforeTheContainerComes(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-a")
	n.start()
	id := s.control.Make("db")
	s.control.Hint(id, "node-a", "db.instance-1._app.1", time.Hour)
	s.mounted(id, "node-a")
	s.await("who is expected is told", func(c *agenttest.Control) bool {
		users := c.State(id).Consumers
		return len(users) == 1 && users[0].Kind == api.ConsumerHint && users[0].App == "/test"
	})
	if got := len(n.agent.Volumes().Consumers()); got != 0 {
		t.Errorf("%d consumers are kept, want none before the container has come", got)
	}
	epoch := s.control.Get(id).Epoch
	n.use("c1", volume("db"))
	if got := s.control.Get(id).Epoch; got != epoch {
		t.Errorf("the container took the volume under epoch %d, want that of the hint, %d", got, epoch)
	}
	// The hint is still in the log, and has had its effect.
	s.control.SetDown(true)
	s.control.SetDown(false)
	n.hears()
	n.release("c1")
	s.released(id)
}

func TestAHintEndsByItselfAndWithoutAContainer(t *testing.T) {
	for name, end := range map[string]func(s *san, id api.DatasetID){
		"its time is over":       func(s *san, id api.DatasetID) { s.control.Hint(id, "node-a", "second", time.Millisecond) },
		"it is taken back":       func(s *san, id api.DatasetID) { s.control.Unhint(id) },
		"it is for another node": func(s *san, id api.DatasetID) { s.control.Hint(id, "node-z", "first", time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSAN(t)
			n := s.node("node-a")
			n.start()
			id := s.control.Make("db")
			s.control.Hint(id, "node-a", "first", time.Hour)
			s.mounted(id, "node-a")
			end(s, id)
			s.released(id)
		})
	}
}

func TestAHintYieldsToWhoeverElseWantsTheVolume(t *testing.T) {
	s := newSAN(t)
	a, b := s.node("node-a"), s.node("node-b")
	a.start()
	b.start()
	id := s.control.Make("db")
	s.control.Hint(id, "node-a", "first", time.Hour)
	s.mounted(id, "node-a")
	b.use("c1", volume("db"))
	// It has yielded for good: it does not come back when the volume is free.
	b.release("c1")
	s.released(id)
	a.hears()
	if d := s.control.Get(id); d.Holder != nil || len(d.Waiting) > 0 {
		t.Errorf("got the holder %+v and %v waiting, want none: the hint had yielded", d.Holder, d.Waiting)
	}
}

func TestAHintWaitsForWhoHasTheVolumeAndTakesNothing(t *testing.T) {
	s := newSAN(t)
	a, b := s.node("node-a"), s.node("node-b")
	a.start()
	b.start()
	a.use("c1", volume("db"))
	id := s.control.Dataset("db").ID
	s.control.Hint(id, "node-b", "first", time.Hour)
	s.await("it waits", func(c *agenttest.Control) bool { return c.Get(id).AwaitedBy("node-b") })
	a.hears()
	if !s.control.Get(id).HeldBy("node-a") {
		t.Fatal("the hint has taken the volume from who uses it")
	}
	a.release("c1")
	s.mounted(id, "node-b")
	s.control.Unhint(id)
	s.released(id)
}

func TestAHintOutlivesTheAgent(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-a")
	n.start()
	id := s.control.Make("db")
	s.control.Hint(id, "node-a", "first", time.Hour)
	s.mounted(id, "node-a")
	epoch := s.control.Get(id).Epoch
	n.stop()
	n.start()
	n.hears()
	if d := s.control.Get(id); !d.HeldBy("node-a") || d.Epoch != epoch {
		t.Errorf("got %+v, want that a restarted agent keeps what is expected to be used", d)
	}
	s.control.Unhint(id)
	s.released(id)
}

func TestAMemberOfASetIsBroughtAheadOfItsInstanceAndIsNobodysUntilThen(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-a")
	n.start()
	id := s.control.Make("kafka.0")
	s.control.Change(id, func(d *api.Dataset) { d.Member = &api.Member{Set: "kafka", Index: 0} })
	s.control.Hint(id, "node-a", "kafka.instance-1._app.1", time.Hour)
	s.mounted(id, "node-a")
	if u := s.control.Get(id).Member.User; u != nil {
		t.Fatalf("it is in use by %+v before the instance has come", u)
	}
	epoch := s.control.Get(id).Epoch
	if m := n.use("c1", each("kafka", 3))[0]; m.DatasetID != id {
		t.Errorf("the instance has %+v, want what was brought for it", m)
	}
	if d := s.control.Get(id); d.Epoch != epoch || d.UserOn("node-a") == nil {
		t.Errorf("got %+v, want that it stayed where it was", d)
	}
	n.release("c1")
	s.free("kafka.0")
	s.released(id)
}

func TestAMemberThatAnotherInstanceTookIsNotBroughtAhead(t *testing.T) {
	s := newSAN(t)
	a, b := s.node("node-a"), s.node("node-b")
	a.start()
	b.start()
	a.use("c1", each("kafka", 1))
	id := s.control.Dataset("kafka.0").ID
	s.control.Hint(id, "node-b", "kafka.instance-2._app.1", time.Hour)
	b.hears()
	if d := s.control.Get(id); len(d.Waiting) > 0 || !d.HeldBy("node-a") {
		t.Errorf("got %+v, want that node-b does not wait for it", d)
	}
}

func TestWhoAsksMesosIsToldOfEnds(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-a")
	told := make(chan struct{}, 1)
	n.ending = func() {
		select {
		case told <- struct{}{}:
		default:
		}
	}
	n.start()
	n.use("c1", volume("db"))
	s.control.End("node-a", "db.instance-1._app.1")
	select {
	case <-told:
	case <-time.After(patience):
		t.Fatal("nobody is told")
	}
	n.hears()
	if d := s.control.Dataset("db"); !d.HeldBy("node-a") || len(n.agent.Volumes().Consumers()) != 1 {
		t.Errorf("got %+v, want that nothing is released because of that", d)
	}
}
