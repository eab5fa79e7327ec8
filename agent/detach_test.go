package agent_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// careless counts the attempts to detach a volume. As many clouds do, it takes a
// volume away whether or not it is in use.
type careless struct {
	backend.Backend
	detaches atomic.Int32
}

func (c *careless) Detach(ctx context.Context, volumeID, instanceID string, mode backend.DetachMode) error {
	c.detaches.Add(1)
	return c.Backend.Detach(ctx, volumeID, instanceID, mode)
}

// A consumer may be released while its container still runs, with a mount of its
// own.
func TestVolumeInUseIsNotTakenAway(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	storage := new(careless)
	n.wrap = func(b backend.Backend) backend.Backend { storage.Backend = b; return storage }
	n.start()
	m := n.use("c", volume("db"))[0]
	id := s.control.Dataset("db").ID
	clone, err := host.CloneMount(m.Source, m.Device)
	if err != nil {
		t.Fatal(err)
	}
	n.release("c")
	s.await("the agent says who uses the volume, again and again", func(c *agenttest.Control) bool {
		f := c.State(id).Failure
		return f != nil && f.Attempts > 1 && strings.Contains(f.Cause, "(agent.test, user root) has / open")
	})
	if got := storage.detaches.Load(); got > 0 {
		t.Errorf("the storage was asked %d times to detach a volume in use", got)
	}
	// Another agent goes on in the same way.
	n.stop()
	n.start()
	if got := s.control.Dataset("db").Holder; got == nil {
		t.Error("the token was given up")
	}
	if err := clone.Close(); err != nil {
		t.Fatal(err)
	}
	s.released(id)
	if got := storage.detaches.Load(); got != 1 {
		t.Errorf("the storage was asked %d times to detach the volume", got)
	}
}
