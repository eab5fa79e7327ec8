// Package agenttest has a test double of the agent's local server.
package agenttest

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
)

// Handler answers a request. When it returns the connection is closed.
type Handler func(req api.LocalRequest, conn *Conn)

// Agent listens on a unix socket until its test has ended.
type Agent struct {
	Socket string

	handle   Handler
	listener net.Listener
	done     sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]bool
	requests []api.LocalRequest
}

// Conn is a client's connection.
type Conn struct {
	net.Conn
	// Closed is closed when the client has gone, or the agent is stopped.
	Closed <-chan struct{}
}

// Send writes a line of the answer.
func (c *Conn) Send(reply api.LocalReply) {
	line, err := json.Marshal(reply)
	if err == nil {
		_, _ = c.Write(append(line, '\n')) // a client that has gone is no failure
	}
}

// SendTrees writes the last line of an answer together with a detached clone of
// each of its mounts, as an agent answers an Await with Trees.
func (c *Conn) SendTrees(t testing.TB, reply api.LocalReply) {
	t.Helper()
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for _, m := range reply.Mounts {
		fd, err := unix.OpenTree(unix.AT_FDCWD, m.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			t.Errorf("clone mount %s: %v", m.Source, err)
			return
		}
		fds = append(fds, fd)
	}
	reply.Done = true
	line, err := json.Marshal(reply)
	if err != nil {
		t.Error(err)
		return
	}
	_, _, _ = c.Conn.(*net.UnixConn).WriteMsgUnix(append(line, '\n'), unix.UnixRights(fds...), nil)
}

// Start listens on a socket in a new directory.
func Start(t testing.TB, handle Handler) *Agent {
	t.Helper()
	// The directories of t.TempDir have names too long for a socket.
	dir, err := os.MkdirTemp("", "flocker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return StartAt(t, filepath.Join(dir, "agent.sock"), handle)
}

// StartAt listens on a socket.
func StartAt(t testing.TB, socket string, handle Handler) *Agent {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	a := &Agent{Socket: socket, handle: handle, listener: listener, conns: make(map[net.Conn]bool)}
	a.done.Go(a.accept)
	t.Cleanup(a.Stop)
	return a
}

// Stop ends the agent as a kill does: the socket and all connections close.
func (a *Agent) Stop() {
	a.listener.Close()
	a.mu.Lock()
	for c := range a.conns {
		c.Close()
	}
	a.mu.Unlock()
	a.done.Wait()
}

// Requests returns what was asked until now.
func (a *Agent) Requests() []api.LocalRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]api.LocalRequest(nil), a.requests...)
}

func (a *Agent) accept() {
	for {
		conn, err := a.listener.Accept()
		if err != nil {
			return
		}
		a.mu.Lock()
		a.conns[conn] = true
		a.mu.Unlock()
		a.done.Go(func() { a.serve(conn) })
	}
}

func (a *Agent) serve(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewReader(conn)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return
	}
	var req api.LocalRequest
	if err := json.Unmarshal(line, &req); err != nil {
		return
	}
	a.mu.Lock()
	a.requests = append(a.requests, req)
	a.mu.Unlock()
	closed := make(chan struct{})
	a.done.Go(func() {
		defer close(closed)
		_, _ = lines.ReadByte() // nothing comes but the end
	})
	a.handle(req, &Conn{conn, closed})
}
