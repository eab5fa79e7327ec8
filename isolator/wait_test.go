package isolator_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
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

func mounter(socket string) (*isolator.Mounter, *buffer) {
	log := new(buffer)
	return &isolator.Mounter{
		Client: &isolator.Client{Socket: socket}, Consumer: "c1", Targets: []isolator.Target{{Key: "data", Path: "data"}},
		Limit: 20 * time.Second, Log: log,
	}, log
}

// handsOver answers with a directory in the place of a volume.
func handsOver(t *testing.T) agenttest.Handler {
	source := t.TempDir()
	return func(_ api.LocalRequest, conn *agenttest.Conn) {
		conn.SendTrees(t, api.LocalReply{Mounts: []api.Mount{{Key: "data", Name: "db", Source: source, Ready: true}}})
	}
}

func TestAwaitPassesProgressOnAndEndsWhenAllIsThere(t *testing.T) {
	done := handsOver(t)
	agent := agenttest.Start(t, func(req api.LocalRequest, conn *agenttest.Conn) {
		conn.Send(api.LocalReply{Progress: "volume db: held by node-2,\nwaiting"})
		conn.Send(api.LocalReply{Progress: "volume db: held by node-2,\nwaiting"})
		conn.Send(api.LocalReply{Progress: "volume db: attaching"})
		done(req, conn)
	})
	m, log := mounter(agent.Socket)
	trees, err := m.Await(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trees.Close()
	want := "flocker: volume db: held by node-2, waiting\nflocker: volume db: attaching\n"
	if log.String() != want {
		t.Errorf("got %q, want %q", log.String(), want)
	}
}

func TestAwaitOutlivesAnAgentThatRestarts(t *testing.T) {
	asked := make(chan bool)
	agent := agenttest.Start(t, func(_ api.LocalRequest, conn *agenttest.Conn) {
		asked <- true
		<-conn.Closed
	})
	m, log := mounter(agent.Socket)
	done := make(chan error, 1)
	go func() {
		trees, err := m.Await(t.Context())
		if err == nil {
			trees.Close()
		}
		done <- err
	}()
	<-asked
	agent.Stop()
	agenttest.StartAt(t, agent.Socket, handsOver(t))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "waiting for it") {
		t.Errorf("got %q", log.String())
	}
}

func TestAwaitFails(t *testing.T) {
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
	handed := handsOver(t)
	tests := []struct {
		name   string
		handle agenttest.Handler // nil: nothing listens
		target isolator.Target
		want   string
	}{
		{"the agent's limit has passed", answer(api.LocalReply{Done: true, Error: api.Errorf(api.CodeUnavailable, "node-2 still holds db")}),
			isolator.Target{Key: "data"}, "node-2 still holds db"},
		{"the consumer was released", answer(api.LocalReply{Done: true, Error: api.Errorf(api.CodeNotFound, "no consumer c1")}),
			isolator.Target{Key: "data"}, "no consumer c1"},
		{"a volume is missing", handed, isolator.Target{Key: "log"}, "without this one"},
		{"a read-only volume can be written", handed, isolator.Target{Key: "data", ReadOnly: true}, "asked for a read-only one"},
		{"the agent is older and hands nothing over", answer(api.LocalReply{Done: true, Mounts: []api.Mount{{Key: "data"}}}),
			isolator.Target{Key: "data"}, "restart it with the same version"},
		{"the agent hangs", hang, isolator.Target{Key: "data"}, "did not come in time; the last that was heard: volume db: attaching"},
		{"there is no agent", nil, isolator.Target{Key: "data"}, "the last that was heard: the agent does not answer on"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			socket := t.TempDir() + "/no.sock"
			if tt.handle != nil {
				socket = agenttest.Start(t, tt.handle).Socket
			}
			m, _ := mounter(socket)
			m.Limit = -4 * time.Second // with its margin, a second
			m.Targets = []isolator.Target{tt.target}
			if _, err := m.Await(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestAnotherUsersAgentIsRefused(t *testing.T) {
	dir, err := os.MkdirTemp("", "flocker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "agent.sock")
	listener := make(chan net.Listener)
	go func() {
		runtime.LockOSThread() // and ends with the thread, whose user changes
		_, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534)
		l, err := net.Listen("unix", socket)
		if err != nil || errno != 0 {
			t.Error(err, errno)
		}
		listener <- l
	}()
	l := <-listener
	if l == nil {
		return
	}
	defer l.Close()
	_, err = (&isolator.Client{Socket: socket}).Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "user 65534 listens there, not root") {
		t.Errorf("got %v", err)
	}
}

func TestLabelWait(t *testing.T) {
	reply := func(r api.LocalReply) agenttest.Handler {
		return func(_ api.LocalRequest, conn *agenttest.Conn) { r.Done = true; conn.Send(r) }
	}
	tests := []struct {
		name    string
		handle  agenttest.Handler // nil: nothing listens
		err     string
		warning bool
	}{
		{"labels ask for volumes after all", reply(api.LocalReply{Labels: []api.Label{{Key: "flocker.volume.a", Value: "a"}}}), "start the task again", false},
		{"a label is almost one", reply(api.LocalReply{Labels: []api.Label{{Key: "flocker.vol.a", Value: "a"}}}), "start the task again", false},
		{"they do not", reply(api.LocalReply{Labels: []api.Label{{Key: "flocker", Value: "a"}}}), "", false},
		{"no Mesos to ask", reply(api.LocalReply{Error: api.Errorf(api.CodeNotFound, "no Mesos")}), "", false},
		{"Mesos does not answer", reply(api.LocalReply{Error: api.Errorf(api.CodeUnavailable, "no answer")}), "", true},
		{"nothing answers", nil, "", true},
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
