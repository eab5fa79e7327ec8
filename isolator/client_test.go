package isolator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator"
	"github.com/flocker-mesos/flocker/isolator/agenttest"
)

func TestClientReturnsTheAgentsAnswer(t *testing.T) {
	agent := agenttest.Start(t, func(req api.LocalRequest, conn *agenttest.Conn) {
		switch {
		case req.Acquire != nil:
			conn.Send(api.LocalReply{Done: true, Mounts: []api.Mount{{Key: "data"}}, WaitLimit: time.Second})
		case req.Await != nil:
			conn.Send(api.LocalReply{Progress: "attaching"})
			conn.Send(api.LocalReply{})
			conn.Send(api.LocalReply{Progress: strings.Repeat("x", 100_000)})
			conn.Send(api.LocalReply{Done: true, Mounts: []api.Mount{{Key: "data", Ready: true}}})
		case req.Release != nil:
			conn.Send(api.LocalReply{Done: true})
		case req.Labels != nil:
			conn.Send(api.LocalReply{Done: true, Labels: []api.Label{{Key: "a", Value: req.Labels.Parent}}})
		case req.Status != nil:
			conn.Send(api.LocalReply{Done: true, Status: &api.AgentStatus{Version: "1"}})
		}
	})
	c := &isolator.Client{Socket: agent.Socket}
	ctx := t.Context()
	if reply, err := c.Acquire(ctx, api.AcquireRequest{Consumer: "a"}); err != nil || reply.WaitLimit != time.Second {
		t.Errorf("acquire: got %+v, %v", reply, err)
	}
	var progress []int
	mounts, err := c.Await(ctx, "a", func(s string) { progress = append(progress, len(s)) })
	if err != nil || len(mounts) != 1 || !mounts[0].Ready || fmt.Sprint(progress) != "[9 100000]" {
		t.Errorf("await: got %+v, %v, %v", mounts, progress, err)
	}
	if err := c.Release(ctx, "a"); err != nil {
		t.Errorf("release: %v", err)
	}
	if labels, err := c.Labels(ctx, "c", "p"); err != nil || len(labels) != 1 || labels[0].Value != "p" {
		t.Errorf("labels: got %v, %v", labels, err)
	}
	if status, err := c.Status(ctx); err != nil || status.Version != "1" {
		t.Errorf("status: got %v, %v", status, err)
	}
}

func TestClientReturnsTheAgentsRefusal(t *testing.T) {
	agent := agenttest.Start(t, func(_ api.LocalRequest, conn *agenttest.Conn) {
		conn.Send(api.LocalReply{Done: true, Error: api.Errorf(api.CodeDeleted, "dataset x has been deleted")})
	})
	err := (&isolator.Client{Socket: agent.Socket}).Release(t.Context(), "a")
	if api.CodeOf(err) != api.CodeDeleted || err.Error() != "dataset x has been deleted" {
		t.Errorf("got %v", err)
	}
}

func TestClientSaysWhyNoAnswerCame(t *testing.T) {
	write := func(text string) agenttest.Handler {
		return func(_ api.LocalRequest, conn *agenttest.Conn) { _, _ = io.WriteString(conn, text) }
	}
	dead := func(t *testing.T) string {
		agent := agenttest.Start(t, write(""))
		// A socket file stays behind when an agent is killed.
		if err := os.Link(agent.Socket, agent.Socket+"-dead"); err != nil {
			t.Fatal(err)
		}
		agent.Stop()
		return agent.Socket + "-dead"
	}
	live := func(h agenttest.Handler) func(*testing.T) string {
		return func(t *testing.T) string { return agenttest.Start(t, h).Socket }
	}
	tests := []struct {
		name   string
		socket func(*testing.T) string
		cause  error
		want   string
	}{
		{"no socket", func(t *testing.T) string { return filepath.Join(t.TempDir(), "no.sock") }, syscall.ENOENT, "no such file"},
		{"nobody listens", dead, syscall.ECONNREFUSED, "connection refused"},
		{"not a socket", func(*testing.T) string { return "/etc/passwd" }, syscall.ECONNREFUSED, "connection refused"},
		{"path too long", func(*testing.T) string { return "/" + strings.Repeat("x", 200) }, syscall.EINVAL, "invalid argument"},
		{"hangs", live(func(_ api.LocalRequest, conn *agenttest.Conn) { <-conn.Closed }), context.DeadlineExceeded, "no answer in time"},
		{"hangs after progress", live(func(_ api.LocalRequest, conn *agenttest.Conn) {
			conn.Send(api.LocalReply{Progress: "soon"})
			<-conn.Closed
		}), context.DeadlineExceeded, "no answer in time"},
		{"dies before its answer", live(write("")), io.ErrUnexpectedEOF, "ended before its answer"},
		{"dies in the middle of a line", live(write(`{"done":true,"mou`)), io.ErrUnexpectedEOF, "ended before its answer"},
		{"dies after progress", live(write(`{"progress":"soon"}` + "\n")), io.ErrUnexpectedEOF, "ended before its answer"},
		{"answers no JSON", live(write("HTTP/1.1 400 Bad Request\r\n")), nil, "invalid character"},
		{"answers the wrong JSON", live(write(`{"done":"yes"}` + "\n")), nil, "cannot unmarshal"},
		{"answers a line without end", live(func(_ api.LocalRequest, conn *agenttest.Conn) {
			for {
				if _, err := conn.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}), nil, "longer than 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			socket := tt.socket(t)
			_, err := (&isolator.Client{Socket: socket}).Acquire(ctx, api.AcquireRequest{Consumer: "a"})
			unreachable, ok := errors.AsType[*isolator.UnreachableError](err)
			if !ok || unreachable.Socket != socket {
				t.Fatalf("got %v", err)
			}
			if tt.cause != nil && !errors.Is(err, tt.cause) || !strings.Contains(err.Error(), tt.want) ||
				!strings.Contains(err.Error(), socket) || !strings.Contains(err.Error(), "doctor") {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestClientEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	agent := agenttest.Start(t, func(_ api.LocalRequest, conn *agenttest.Conn) {
		cancel()
		<-conn.Closed
	})
	_, err := (&isolator.Client{Socket: agent.Socket}).Await(ctx, "a", nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestClientWaitsForAFullQueueOfConnections(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	socket := filepath.Join(t.TempDir(), "s")
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for range 3 { // nobody accepts, and one connection fits into the queue
		err = (&isolator.Client{Socket: socket}).Release(ctx, "a")
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestClientSendsNoOversizedRequest(t *testing.T) {
	err := (&isolator.Client{Socket: "/nowhere"}).Release(t.Context(), strings.Repeat("x", api.MaxLocalLine))
	if api.CodeOf(err) != api.CodeInvalid {
		t.Errorf("got %v", err)
	}
}

func TestSocketPath(t *testing.T) {
	dir := t.TempDir()
	beside := filepath.Join(dir, "agent.sock")
	if err := os.WriteFile(beside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	tests := []struct{ name, environment, called, want string }{
		{"environment", "/run/a.sock", filepath.Join(dir, "dvdcli"), "/run/a.sock"},
		{"beside the program", "", filepath.Join(dir, "dvdcli"), beside},
		{"nothing beside the program", "", filepath.Join(empty, "dvdcli"), api.DefaultSocket},
		{"called without a path", "", "dvdcli", api.DefaultSocket},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			getenv := func(name string) string {
				return map[string]string{isolator.SocketVariable: tt.environment}[name]
			}
			if got := isolator.SocketPath(getenv, tt.called); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
