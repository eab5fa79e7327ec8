package agent_test

import (
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
)

func (n *node) asks(consumer, kind string, owner api.Owner, v api.VolumeRequest) error {
	n.t.Helper()
	req := request(consumer, v)
	req.Kind, req.Owner = kind, owner
	if _, err := n.agent.Volumes().Acquire(n.t.Context(), req); err != nil {
		return err
	}
	_, err := n.agent.Volumes().Await(n.t.Context(), consumer, func(string) {})
	return err
}

// own gives a volume to an owner and shares it, and waits until the agent has heard.
func (n *node) own(name string, owner api.Owner, shared ...api.Owner) {
	n.t.Helper()
	n.san.control.Change(n.san.control.Dataset(name).ID, func(d *api.Dataset) { d.Owner, d.Shared = owner, shared })
	// What is told on the stream comes in order: so has the change when this has.
	n.san.control.End(n.id, "marker-"+name+string(owner))
	select {
	case <-n.heard:
	case <-time.After(patience):
		n.t.Fatal("the agent has not heard of the change")
	}
}

// A node that holds a volume for one owner hands it to no other one, without asking
// the control service for those that may use it.
func TestVolumesThatAreHereAlreadyAreTheirOwners(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.heard = make(chan struct{}, 10)
	n.ending = func() { n.heard <- struct{}{} }
	n.start()
	if err := n.asks("own", api.ConsumerMesos, "role:a", volume("db")); err != nil {
		t.Fatal(err)
	}
	n.own("db", "role:a", "role:b")
	for name, by := range map[string]struct {
		kind  string
		owner api.Owner
	}{
		"another framework":     {api.ConsumerMesos, "role:c"},
		"a framework of role *": {api.ConsumerMesos, api.Anyone},
		"an unknown role":       {api.ConsumerMesos, api.OwnerUnknown},
		"an earlier hook":       {api.ConsumerMesos, ""},
		"CSI":                   {api.ConsumerCSI, ""},
		"a role in other case":  {api.ConsumerMesos, "role:A"},
		"a role below":          {api.ConsumerMesos, "role:a/b"},
		"a role above":          {api.ConsumerMesos, "role:"},
	} {
		if err := n.asks("c-"+name, by.kind, by.owner, volume("db")); api.CodeOf(err) != api.CodeForbidden {
			t.Errorf("%s: got %v, want %s", name, err, api.CodeForbidden)
		}
	}
	s.control.SetDown(true)
	if err := n.asks("second", api.ConsumerMesos, "role:a", volume("db")); err != nil {
		t.Errorf("the owner, without the control service: %v", err)
	}
	if err := n.asks("sharer", api.ConsumerMesos, "role:b", volume("db")); err != nil {
		t.Errorf("a sharer, without the control service: %v", err)
	}
	if err := n.asks("stranger", api.ConsumerMesos, "role:c", volume("db")); api.CodeOf(err) != api.CodeUnavailable {
		t.Errorf("a stranger, without the control service: got %v, want %s", err, api.CodeUnavailable)
	}
}

// CSI has one consumer for all containers of a machine. After the share has ended,
// a new container is refused though others have the volume; those keep it.
func TestSharesEndForWhoComesLater(t *testing.T) {
	for kind, consumer := range map[string]string{api.ConsumerCSI: "csi:db", api.ConsumerMesos: "waits"} {
		t.Run(kind, func(t *testing.T) {
			s := newSAN(t)
			n := s.node("node-1")
			n.heard = make(chan struct{}, 10)
			n.ending = func() { n.heard <- struct{}{} }
			n.start()
			if err := n.asks("own", api.ConsumerMesos, "role:a", volume("db")); err != nil {
				t.Fatal(err)
			}
			n.own("db", "role:a", api.Anyone)
			if err := n.asks(consumer, kind, "", volume("db")); err != nil {
				t.Fatal(err)
			}
			n.own("db", "role:a")
			if err := n.asks(consumer, kind, "", volume("db")); api.CodeOf(err) != api.CodeForbidden {
				t.Errorf("got %v, want %s", err, api.CodeForbidden)
			}
			n.stop()
			n.start()
			if err := n.asks(consumer, kind, "", volume("db")); api.CodeOf(err) != api.CodeForbidden {
				t.Errorf("after a restart of the agent: got %v, want %s", err, api.CodeForbidden)
			}
			if len(n.agent.Volumes().Consumers()) != 2 {
				t.Error("who has the volume lost it")
			}
			if !s.control.Dataset("db").HeldBy(n.id) {
				t.Error("the volume is gone")
			}
			s.await("volume is mounted", func(c *agenttest.Control) bool { return c.State(c.Dataset("db").ID).Phase == api.PhaseMounted })
		})
	}
}
