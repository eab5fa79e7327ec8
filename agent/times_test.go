package agent_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/agent"
	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
)

// status asks the node's agent about itself.
func (n *node) status() *api.AgentStatus {
	n.t.Helper()
	conn, err := net.Dial("unix", n.config.Socket)
	if err != nil {
		n.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		n.t.Fatal(err)
	}
	var reply api.LocalReply
	if _, err = conn.Write([]byte(`{"status":{}}` + "\n")); err == nil {
		err = json.NewDecoder(conn).Decode(&reply)
	}
	if err != nil || reply.Status == nil {
		n.t.Fatalf("got %+v, %v", reply, err)
	}
	return reply.Status
}

// ways counts the volumes that were ready, by their ways.
func (n *node) ways() map[api.VolumeWay]uint64 {
	n.t.Helper()
	counted := map[api.VolumeWay]uint64{}
	for _, v := range n.status().Times {
		counted[v.Way] += v.Count
		if v.Count > 0 && (v.Max <= 0 || v.Max > patience || v.P99 > v.Max) {
			n.t.Errorf("got %+v", v)
		}
	}
	return counted
}

func TestHowLongVolumesTakeIsCountedByTheirWays(t *testing.T) {
	s := newSAN(t)
	one, two := s.node("n1"), s.node("n2")
	onOne, onTwo := one.start(), two.start()
	use := func(consumer string, v *agent.Volumes, readOnly bool) error {
		_, err := v.Acquire(t.Context(), api.AcquireRequest{
			Consumer: consumer, Kind: api.ConsumerMesos, Volumes: []api.VolumeRequest{{Key: "data", Name: "db", Size: 64 << 20, ReadOnly: readOnly}},
		})
		if err == nil {
			_, err = v.Await(t.Context(), consumer, func(string) {})
		}
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(use("first", onOne, false))
	must(use("second", onOne, true))
	waited := make(chan error, 1)
	go func() { waited <- use("third", onTwo, false) }()
	s.await("the second node waits", func(c *agenttest.Control) bool { return c.Dataset("db").AwaitedBy("n2") })
	must(onOne.Release(t.Context(), "first"))
	must(onOne.Release(t.Context(), "second"))
	must(<-waited)
	must(onTwo.Release(t.Context(), "third"))
	s.await("nobody holds it", func(c *agenttest.Control) bool { return !c.HasHolder("n2") })
	must(use("fourth", onTwo, false))

	if got := one.ways(); got[api.WayCreate] != 1 || got[api.WayHere] != 1 || len(got) != 2 {
		t.Errorf("on the first node: got %v", got)
	}
	if got := two.ways(); got[api.WayMove] != 1 || got[api.WayAttach] != 1 || len(got) != 2 {
		t.Errorf("on the second node: got %v", got)
	}
	// An agent that is started again knows what it knew, and counts nobody twice.
	two.stop()
	if _, err := os.Stat(filepath.Join(two.config.StateDir, "times.json")); err != nil {
		t.Error(err)
	}
	_, err := two.start().Await(t.Context(), "fourth", func(string) {})
	must(err)
	if got := two.ways(); got[api.WayMove] != 1 || got[api.WayAttach] != 1 || len(got) != 2 {
		t.Errorf("started again: got %v", got)
	}
}

func TestContainerThatGaveUpIsCounted(t *testing.T) {
	s := newSAN(t)
	one, two := s.node("n1"), s.node("n2")
	two.config.WaitLimit = 50 * time.Millisecond
	onOne, onTwo := one.start(), two.start()
	request := func(consumer string) api.AcquireRequest {
		return api.AcquireRequest{Consumer: consumer, Kind: api.ConsumerMesos, Volumes: []api.VolumeRequest{{Key: "data", Name: "db", Size: 64 << 20}}}
	}
	if _, err := onOne.Acquire(t.Context(), request("first")); err != nil {
		t.Fatal(err)
	}
	if _, err := onOne.Await(t.Context(), "first", func(string) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := onTwo.Acquire(t.Context(), request("second")); err != nil {
		t.Fatal(err)
	}
	if _, err := onTwo.Await(t.Context(), "second", func(string) {}); api.CodeOf(err) != api.CodeUnavailable {
		t.Fatalf("got %v, want that the wait was too long", err)
	}
	if err := onTwo.Release(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	times := two.status().Times
	if len(times) != 1 || times[0].Way != api.WayMove || times[0].GaveUp != 1 || times[0].Count != 0 {
		t.Errorf("got %+v", times)
	}
}
