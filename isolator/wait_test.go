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
		{"there is no agent", nil, isolator.Target{Key: "data"}, "the last that was heard: the flocker agent does not answer on"},
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

// later returns a mounter that asks for what prepare could not.
func later(t *testing.T, socket string, l *isolator.Later) (*isolator.Mounter, *buffer) {
	t.Helper()
	m, log := mounter(socket)
	l.Acquire.Consumer, l.Acquire.Kind = "c1", api.ConsumerMesos
	m.Later = l
	return m, log
}

// answers is an agent that has the labels and hands a volume over.
func answers(t *testing.T, labels api.LocalReply) agenttest.Handler {
	volumes := handsOver(t)
	return func(req api.LocalRequest, conn *agenttest.Conn) {
		switch {
		case req.Labels != nil:
			labels.Done = true
			conn.Send(labels)
		case req.Acquire != nil:
			conn.Send(api.LocalReply{Done: true, WaitLimit: time.Second})
		default:
			volumes(req, conn)
		}
	}
}

func TestLaunchProcessAsksForWhatPrepareCouldNot(t *testing.T) {
	asking := []api.Label{{Key: "flocker.volume.data", Value: "path=data,name=db"}}
	none := []api.Label{{Key: "flocker", Value: "a"}}
	unavailable := api.LocalReply{Error: api.Errorf(api.CodeUnavailable, "Mesos does not answer")}
	known, unknown := time.Duration(0), 500*time.Millisecond
	tests := []struct {
		name    string
		handle  agenttest.Handler // nil: nothing listens
		ask     time.Duration
		sandbox bool
		volumes bool   // whether the task gets one
		err     string // else it starts without
		warning bool
	}{
		{"labels ask for volumes after all", answers(t, api.LocalReply{Labels: asking}), unknown, true, true, "", false},
		{"the same, of a framework that is known", answers(t, api.LocalReply{Labels: asking}), known, true, true, "", false},
		{"the same, in a sandbox that cannot be used", answers(t, api.LocalReply{Labels: asking}), unknown, false, false, "start the task again", false},
		{"labels have a mistake", answers(t, api.LocalReply{Labels: []api.Label{{Key: "flocker.volume.data.sise", Value: "1G"}}}), unknown, true, false, "did you mean size", false},
		{"a label is almost one", answers(t, api.LocalReply{Labels: []api.Label{{Key: "flocker.vol.a", Value: "a"}}}), unknown, true, false, "flocker.volume.a", false},
		{"they ask for none", answers(t, api.LocalReply{Labels: none}), known, true, false, "", false},
		{"no Mesos to ask", answers(t, api.LocalReply{Error: api.Errorf(api.CodeNotFound, "no Mesos")}), known, true, false, "", false},
		{"Mesos does not answer", answers(t, unavailable), unknown, true, false, "", true},
		{"Mesos does not answer, and the framework is known", answers(t, unavailable), known, true, false, "its framework has asked for volumes by labels before", false},
		{"nothing answers", nil, unknown, true, false, "", true},
		{"nothing answers, and the framework is known", nil, known, true, false, "its framework has asked for volumes by labels before", false},
		{"the agent hangs", func(_ api.LocalRequest, conn *agenttest.Conn) { <-conn.Closed }, unknown, true, false, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			socket := t.TempDir() + "/no.sock"
			if tt.handle != nil {
				socket = agenttest.Start(t, tt.handle).Socket
			}
			m, log := later(t, socket, &isolator.Later{Labels: &api.LabelsRequest{Container: "c2", Parent: "c1"}, AskLimit: tt.ask})
			m.Targets, m.Limit = nil, 2*time.Second
			if tt.sandbox {
				m.Space.Sandbox.Path = t.TempDir()
			}
			trees, err := m.Await(t.Context())
			switch {
			case tt.volumes:
				if err != nil {
					t.Fatal(err)
				}
				trees.Close()
			case tt.err == "":
				if !isolator.IsNoVolumes(err) {
					t.Errorf("got %v, want a start without volumes", err)
				}
			case err == nil || !strings.Contains(err.Error(), tt.err):
				t.Errorf("got %v, want %s", err, tt.err)
			}
			if strings.Contains(log.String(), "WARNING") != tt.warning {
				t.Errorf("got %q", log.String())
			}
		})
	}
}

// An agent that is away for most of a launch, with the control service away when it is
// back, costs the launch nothing but time.
func TestLaunchProcessOutlivesAnAgentAndAControlServiceThatAreAway(t *testing.T) {
	asked := make(chan bool)
	agent := agenttest.Start(t, func(_ api.LocalRequest, conn *agenttest.Conn) {
		asked <- true
		<-conn.Closed
	})
	m, log := later(t, agent.Socket, &isolator.Later{Acquire: api.AcquireRequest{Volumes: []api.VolumeRequest{{Key: "data", Name: "db"}}}})
	done := make(chan error, 1)
	go func() {
		trees, err := m.Await(context.Background())
		if err == nil {
			trees.Close()
		}
		done <- err
	}()
	<-asked
	agent.Stop()
	ready, refused := answers(t, api.LocalReply{}), false
	second := agenttest.StartAt(t, agent.Socket, func(req api.LocalRequest, conn *agenttest.Conn) {
		if req.Acquire != nil && !refused {
			refused = true
			conn.Send(api.LocalReply{Done: true, Error: api.Errorf(api.CodeUnavailable, "the control service cannot be reached")})
			return
		}
		ready(req, conn)
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the flocker agent does not answer on " + agent.Socket, "the control service cannot be reached; waiting for it since "} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %q", want, log.String())
		}
	}
	for _, req := range second.Requests() {
		if req.Acquire != nil && (req.Acquire.Since.IsZero() || req.Acquire.Hurry || req.Acquire.Consumer != "c1") {
			t.Errorf("got %+v, want the time since when the container waits, and an agent that may wait", req.Acquire)
		}
	}
}

func TestLaunchProcessIsRefusedWhatWaitingDoesNotMend(t *testing.T) {
	agent := agenttest.Start(t, func(_ api.LocalRequest, conn *agenttest.Conn) {
		conn.Send(api.LocalReply{Done: true, Error: api.Errorf(api.CodeConflict, "volume db has another file system")})
	})
	m, _ := later(t, agent.Socket, &isolator.Later{Acquire: api.AcquireRequest{Volumes: []api.VolumeRequest{{Key: "data", Name: "db"}}}})
	if _, err := m.Await(t.Context()); err == nil || !strings.Contains(err.Error(), "another file system") || len(agent.Requests()) != 1 {
		t.Errorf("got %v after %d requests", err, len(agent.Requests()))
	}
}
