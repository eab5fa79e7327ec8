package isolator_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator"
	"github.com/flocker-mesos/flocker/isolator/agenttest"
)

// buffer is a log that several goroutines may write.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func waiter(t *testing.T, socket, target string) (*isolator.Waiter, *buffer) {
	t.Helper()
	log := new(buffer)
	return &isolator.Waiter{
		Client: &isolator.Client{Socket: socket}, Consumer: "c1", Targets: map[string]string{"data": target},
		Limit: 20 * time.Second, Log: log,
	}, log
}

func mounted(t *testing.T, target string) api.LocalReply {
	return api.LocalReply{Done: true, Mounts: []api.Mount{
		{Key: "data", Name: "db", Source: "/flocker/1", Ready: true, Device: agenttest.Device(t, target)},
	}}
}

func TestWaitPassesProgressOnAndEndsWhenAllIsThere(t *testing.T) {
	target := t.TempDir()
	agent := agenttest.Start(t, func(_ api.LocalRequest, conn *agenttest.Conn) {
		conn.Send(api.LocalReply{Progress: "volume db: held by node-2,\nwaiting"})
		conn.Send(api.LocalReply{Progress: "volume db: held by node-2,\nwaiting"})
		conn.Send(api.LocalReply{Progress: "volume db: attaching"})
		conn.Send(mounted(t, target))
	})
	w, log := waiter(t, agent.Socket, target)
	if err := w.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := "flocker: volume db: held by node-2, waiting\nflocker: volume db: attaching\n"
	if log.String() != want {
		t.Errorf("got %q, want %q", log.String(), want)
	}
}

func TestWaitOutlivesAnAgentThatRestarts(t *testing.T) {
	target := t.TempDir()
	asked := make(chan bool)
	agent := agenttest.Start(t, func(_ api.LocalRequest, conn *agenttest.Conn) {
		asked <- true
		<-conn.Closed
	})
	w, log := waiter(t, agent.Socket, target)
	done := make(chan error, 1)
	go func() { done <- w.Wait(t.Context()) }()
	<-asked
	agent.Stop()
	agenttest.StartAt(t, agent.Socket, func(_ api.LocalRequest, conn *agenttest.Conn) { conn.Send(mounted(t, target)) })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "waiting for it") {
		t.Errorf("got %q", log.String())
	}
}

func TestWaitFails(t *testing.T) {
	target := t.TempDir()
	answer := func(r api.LocalReply) agenttest.Handler {
		return func(_ api.LocalRequest, conn *agenttest.Conn) {
			conn.Send(api.LocalReply{Progress: "volume db: attaching"})
			conn.Send(r)
		}
	}
	hang := func(_ api.LocalRequest, conn *agenttest.Conn) {
		conn.Send(api.LocalReply{Progress: "volume db: attaching"})
		<-conn.Closed
	}
	wrong := mounted(t, target)
	wrong.Mounts[0].Device++
	tests := []struct {
		name   string
		handle agenttest.Handler // nil: nobody listens
		target string
		want   string
	}{
		{"the agent's limit has passed", answer(api.LocalReply{Done: true, Error: api.Errorf(api.CodeUnavailable, "node-2 still holds db")}),
			target, "node-2 still holds db"},
		{"the consumer was released", answer(api.LocalReply{Done: true, Error: api.Errorf(api.CodeNotFound, "no consumer c1")}),
			target, "no consumer c1"},
		{"a volume is missing", answer(api.LocalReply{Done: true}), target, "without volume data"},
		{"a volume is not ready", answer(api.LocalReply{Done: true, Mounts: []api.Mount{{Key: "data"}}}), target, "without volume data"},
		{"mounts do not propagate", answer(wrong), target, "mounts of the host do not reach the containers"},
		{"the target is gone", answer(mounted(t, target)), "/nowhere", "does not show in the container: stat /nowhere"},
		{"the agent hangs", hang, target, "did not come in time; the last that was heard: volume db: attaching"},
		{"there is no agent", nil, target, "the last that was heard: the agent does not answer on"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			socket := t.TempDir() + "/no.sock"
			if tt.handle != nil {
				socket = agenttest.Start(t, tt.handle).Socket
			}
			w, _ := waiter(t, socket, tt.target)
			w.Limit = -4 * time.Second // with its margin, a second
			if err := w.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestLabelWait(t *testing.T) {
	reply := func(r api.LocalReply) agenttest.Handler {
		return func(_ api.LocalRequest, conn *agenttest.Conn) { r.Done = true; conn.Send(r) }
	}
	tests := []struct {
		name    string
		handle  agenttest.Handler // nil: nobody listens
		err     string
		warning bool
	}{
		{"labels ask for volumes after all", reply(api.LocalReply{Labels: []api.Label{{Key: "flocker.volume.a", Value: "a"}}}), "start the task again", false},
		{"they do not", reply(api.LocalReply{Labels: []api.Label{{Key: "flocker", Value: "a"}}}), "", false},
		{"no Mesos to ask", reply(api.LocalReply{Error: api.Errorf(api.CodeNotFound, "no Mesos")}), "", false},
		{"Mesos does not answer", reply(api.LocalReply{Error: api.Errorf(api.CodeUnavailable, "no answer")}), "", true},
		{"nobody answers", nil, "", true},
		{"the agent hangs", func(_ api.LocalRequest, conn *agenttest.Conn) { <-conn.Closed }, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			socket := t.TempDir() + "/no.sock"
			if tt.handle != nil {
				socket = agenttest.Start(t, tt.handle).Socket
			}
			log := new(buffer)
			w := isolator.LabelWaiter{Client: &isolator.Client{Socket: socket}, Container: "c2", Parent: "c1", Limit: 500 * time.Millisecond, Log: log}
			err := w.Wait(t.Context())
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
			if strings.Contains(log.String(), "WARNING") != tt.warning {
				t.Errorf("got %q", log.String())
			}
		})
	}
}

func TestLabelWaitOutlivesAnAgentThatRestarts(t *testing.T) {
	asked := make(chan bool)
	agent := agenttest.Start(t, func(_ api.LocalRequest, conn *agenttest.Conn) {
		asked <- true
		<-conn.Closed
	})
	log := new(buffer)
	w := isolator.LabelWaiter{Client: &isolator.Client{Socket: agent.Socket}, Container: "c2", Parent: "c1", Limit: 20 * time.Second, Log: log}
	done := make(chan error, 1)
	go func() { done <- w.Wait(context.Background()) }()
	<-asked
	agent.Stop()
	agenttest.StartAt(t, agent.Socket, func(_ api.LocalRequest, conn *agenttest.Conn) { conn.Send(api.LocalReply{Done: true}) })
	if err := <-done; err != nil || log.String() != "" {
		t.Errorf("got %v, %q", err, log.String())
	}
}
