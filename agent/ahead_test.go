package agent_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
)

// impossible is a size that no file can have.
const impossible = 1 << 62

func TestAVolumeIsMadeAheadAndGivenBack(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-a")
	var users []api.Consumer
	s.control.Observe = func(_ api.NodeID, _ api.Dataset, r api.DatasetReport) {
		if r.Volume != nil {
			users = r.State.Consumers
		}
	}
	n.start()
	id := s.control.Make("db")
	s.control.MakeAhead(id, "node-a", 0, time.Hour)
	s.await("it is made and given back", func(c *agenttest.Control) bool {
		d := c.Get(id)
		return d.Volume != nil && d.Holder == nil
	})
	if len(users) != 1 || users[0].Kind != api.ConsumerMake || users[0].App != "/test" {
		t.Errorf("who wanted it when it was registered: got %+v, want the app for which it was made", users)
	}
	epoch := s.control.Get(id).Epoch
	n.hears()
	if d := s.control.Get(id); d.Epoch != epoch || d.Holder != nil {
		t.Errorf("after that: got %+v, want that it is left alone", d)
	}
	m := n.use("c1", volume("db"))[0]
	write(t, filepath.Join(m.Source, "row"), "hello")
}

func TestAHintToMakeAVolumeDoesNotWaitForWhoHasTheDataset(t *testing.T) {
	s := newSAN(t)
	a, b := s.node("node-a"), s.node("node-b")
	a.start()
	b.start()
	a.use("c1", volume("db"))
	id := s.control.Dataset("db").ID
	s.control.MakeAhead(id, "node-b", 0, time.Hour)
	b.hears()
	if d := s.control.Get(id); !d.HeldBy("node-a") || len(d.Waiting) > 0 {
		t.Errorf("got %+v, want that nobody waits for what another node has", d)
	}
	a.release("c1")
	s.released(id)
	b.hears()
	if d := s.control.Get(id); d.Holder != nil {
		t.Errorf("once it is free: got %+v, want that the hint is over", d)
	}
}

func TestWhatCannotBeMadeAheadIsSaidAndYieldsToWhoComes(t *testing.T) {
	s := newSAN(t)
	a, b := s.node("node-a"), s.node("node-b")
	a.start()
	b.start()
	id := s.control.Make("db")
	s.control.Change(id, func(d *api.Dataset) { d.Size = impossible })
	s.control.MakeAhead(id, "node-a", 0, time.Hour)
	s.await("it is said why it cannot be made, and tried again", func(c *agenttest.Control) bool {
		f := c.State(id).Failure
		return f != nil && f.Cause != "" && f.Attempts > 1 && !f.NextTry.IsZero()
	})
	s.control.Change(id, func(d *api.Dataset) { d.Size = api.MinSize })
	b.use("c1", volume("db"))
	b.release("c1")
	s.released(id)
}

func TestAVolumeThatCouldNotBeMadeIsGivenBackAndTriedAgainOnTheSameNode(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-a")
	n.start()
	id := s.control.Make("db")
	s.control.Change(id, func(d *api.Dataset) { d.Size = impossible })
	s.control.MakeAhead(id, "node-a", 0, time.Hour)
	s.await("it fails", func(c *agenttest.Control) bool { return c.State(id).Failure != nil })
	s.control.MakeAhead(id, "node-a", 1, time.Millisecond)
	s.released(id)
	if d := s.control.Get(id); d.Volume != nil {
		t.Fatalf("got %+v, want no volume", d)
	}
	s.control.Change(id, func(d *api.Dataset) { d.Size = api.MinSize })
	s.control.MakeAhead(id, "node-a", 2, time.Hour)
	s.await("it is made after all", func(c *agenttest.Control) bool { return c.Get(id).Volume != nil })
	s.released(id)
}
