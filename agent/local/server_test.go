package local_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/agent/local"
	"github.com/flocker-mesos/flocker/api"
)

// scripted is an agent's volumes with answers that a test sets.
type scripted struct {
	acquire func(api.AcquireRequest) ([]api.Mount, error)
	await   func(ctx context.Context, progress func(string)) ([]api.Mount, error)
	release func(string) error
}

func (s *scripted) Acquire(_ context.Context, req api.AcquireRequest) ([]api.Mount, error) {
	return s.acquire(req)
}

func (s *scripted) Await(ctx context.Context, _ string, progress func(string)) ([]api.Mount, error) {
	return s.await(ctx, progress)
}

func (s *scripted) Release(_ context.Context, consumer string) error { return s.release(consumer) }

func (s *scripted) Status() api.AgentStatus { return api.AgentStatus{Version: "test"} }

// serve runs a server and returns its socket.
func serve(t *testing.T, v local.Volumes) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "agent.sock")
	l, err := local.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	server := &local.Server{Volumes: v, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	go func() { ended <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve ended: %v", err)
		}
	})
	return socket
}

func dial(t *testing.T, socket string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// ask sends a line and returns the replies to it.
func ask(t *testing.T, socket, line string) []api.LocalReply {
	t.Helper()
	conn := dial(t, socket)
	if _, err := io.WriteString(conn, line); err != nil {
		t.Fatal(err)
	}
	var replies []api.LocalReply
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		var r api.LocalReply
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("reply %q: %v", lines.Text(), err)
		}
		replies = append(replies, r)
	}
	return replies
}

func TestRequestsReachTheVolumesAndAnswersTheClient(t *testing.T) {
	mount := api.Mount{Key: "data", DatasetID: "d", Name: "db", Source: "/flocker/d", Ready: true, Device: 7}
	socket := serve(t, &scripted{
		acquire: func(req api.AcquireRequest) ([]api.Mount, error) {
			if req.Consumer != "c1" {
				return nil, api.FieldErrorf("consumer", "is %q", req.Consumer)
			}
			return []api.Mount{mount}, nil
		},
		await: func(_ context.Context, progress func(string)) ([]api.Mount, error) {
			progress("one")
			progress("two")
			return []api.Mount{mount}, nil
		},
		release: func(string) error { return api.Errorf(api.CodeUnavailable, "not now") },
	})
	got := ask(t, socket, `{"acquire":{"consumer":"c1"}}`+"\n")
	if len(got) != 1 || !got[0].Done || len(got[0].Mounts) != 1 || got[0].Mounts[0] != mount {
		t.Errorf("acquire: %+v", got)
	}
	got = ask(t, socket, `{"acquire":{"consumer":"other"}}`+"\n")
	if len(got) != 1 || !got[0].Done || got[0].Error == nil || got[0].Error.Field != "consumer" {
		t.Errorf("refused acquire: %+v", got)
	}
	got = ask(t, socket, `{"await":{"consumer":"c1"}}`+"\n")
	if len(got) != 3 || got[0].Progress != "one" || got[1].Progress != "two" || !got[2].Done {
		t.Errorf("await: %+v", got)
	}
	got = ask(t, socket, `{"release":{"consumer":"c1"}}`+"\n")
	if len(got) != 1 || got[0].Error == nil || got[0].Error.Code != api.CodeUnavailable {
		t.Errorf("release: %+v", got)
	}
	got = ask(t, socket, `{"status":{}}`+"\n")
	if len(got) != 1 || got[0].Status == nil || got[0].Status.Version != "test" {
		t.Errorf("status: %+v", got)
	}
	got = ask(t, socket, `{"labels":{"container":"c"}}`+"\n")
	if len(got) != 1 || got[0].Error != nil || got[0].Labels != nil {
		t.Errorf("labels without a Mesos agent: %+v", got)
	}
	got = ask(t, socket, `{"mesos":{}}`+"\n")
	if len(got) != 1 || got[0].Error == nil || got[0].Error.Code != api.CodeNotFound {
		t.Errorf("an inspection without a Mesos agent: %+v", got)
	}
}

func TestNonsenseIsRefusedWithoutHarm(t *testing.T) {
	socket := serve(t, &scripted{})
	for name, line := range map[string]string{
		"no JSON":            "hello\n",
		"nothing asked":      "{}\n",
		"wrong type":         `{"acquire":7}` + "\n",
		"line without end":   strings.Repeat("x", api.MaxLocalLine+10),
		"only a line's half": "",
	} {
		conn := dial(t, socket)
		// The server may have answered and hung up before it has all.
		_, _ = io.WriteString(conn, line)
		_ = conn.(*net.UnixConn).CloseWrite()
		answer, _ := io.ReadAll(conn)
		if line == "" {
			if len(answer) != 0 {
				t.Errorf("%s: answered %s", name, answer)
			}
			continue
		}
		var r api.LocalReply
		if err := json.Unmarshal(bytes.TrimSpace(answer), &r); err != nil || r.Error == nil || r.Error.Code != api.CodeInvalid {
			t.Errorf("%s: answer %q, want an error with code invalid", name, answer)
		}
	}
	if got := ask(t, socket, `{"status":{}}`+"\n"); len(got) != 1 {
		t.Errorf("the server is gone: %+v", got)
	}
}

func TestAWaitEndsWhenItsClientIsGone(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	socket := serve(t, &scripted{await: func(ctx context.Context, _ func(string)) ([]api.Mount, error) {
		close(began)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}})
	conn := dial(t, socket)
	if _, err := io.WriteString(conn, `{"await":{"consumer":"c1"}}`+"\n"); err != nil {
		t.Fatal(err)
	}
	<-began
	_ = conn.Close()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the wait goes on without its client")
	}
}

// Containers that wait, as many as there may be, hold up no other call. When some
// have ended, others wait in their place.
func TestWaitingClientsKeepNoOtherOut(t *testing.T) {
	began := make(chan struct{}, 2000)
	socket := serve(t, &scripted{await: func(ctx context.Context, _ func(string)) ([]api.Mount, error) {
		began <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	// await has one more client wait, and reports whether it does.
	await := func() (net.Conn, bool) {
		conn := dial(t, socket)
		if _, err := io.WriteString(conn, `{"await":{"consumer":"c1"}}`+"\n"); err != nil {
			return conn, false
		}
		hungUp := make(chan struct{})
		go func() {
			_, _ = conn.Read(make([]byte, 1))
			close(hungUp)
		}()
		select {
		case <-began:
			return conn, true
		case <-hungUp:
			return conn, false
		}
	}
	var waiting []net.Conn
	for conn, ok := await(); ok; conn, ok = await() {
		waiting = append(waiting, conn)
	}
	if got := ask(t, socket, `{"status":{}}`+"\n"); len(got) != 1 || got[0].Status == nil {
		t.Errorf("beside %d clients that wait: %+v", len(waiting), got)
	}
	for _, conn := range waiting {
		_ = conn.Close()
	}
	for range patientAttempts {
		if _, ok := await(); ok {
			return
		}
	}
	t.Error("no client can wait after all others have ended")
}

// patientAttempts bounds how often a call is repeated until the server has let go
// of other clients.
const patientAttempts = 10000

func TestTheSocketIsForItsOwnerAlone(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "deep", "agent.sock")
	for range 2 { // the second finds what the first left behind
		l, err := local.Listen(socket)
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		t.Cleanup(func() { _ = l.Close() })
	}
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket has mode %v, want 0600", info.Mode())
	}
}

func FuzzRequests(f *testing.F) {
	f.Add([]byte(`{"acquire":{"consumer":"c1","volumes":[{"key":"data"}]}}`))
	f.Add([]byte(`{"status":{},"release":{}}`))
	mount := []api.Mount{{Key: "data"}}
	v := &scripted{
		acquire: func(api.AcquireRequest) ([]api.Mount, error) { return mount, nil },
		await:   func(context.Context, func(string)) ([]api.Mount, error) { return mount, nil },
		release: func(string) error { return nil },
	}
	server := &local.Server{Volumes: v, Log: slog.New(slog.DiscardHandler)}
	f.Fuzz(func(t *testing.T, line []byte) {
		ours, theirs := net.Pipe()
		l := &oneConn{conn: theirs, closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = server.Serve(ctx, l) }()
		go func() { _, _ = ours.Write(append(bytes.ReplaceAll(line, []byte("\n"), nil), '\n')) }()
		answer, _ := io.ReadAll(ours)
		cancel()
		<-ended
		var r api.LocalReply
		if err := json.Unmarshal(bytes.TrimSpace(answer), &r); err != nil || !r.Done {
			t.Errorf("answer %q to %q", answer, line)
		}
	})
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { close(l.closed); return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{} }

func TestAnAcquireKnowsWhetherItsClientIsStillThere(t *testing.T) {
	alive := make(chan bool)
	socket := serve(t, &scripted{acquire: func(req api.AcquireRequest) ([]api.Mount, error) {
		alive <- req.Alive()
		<-alive
		alive <- req.Alive()
		return nil, nil
	}})
	conn := dial(t, socket)
	if _, err := io.WriteString(conn, `{"acquire":{"consumer":"c1"}}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if !<-alive {
		t.Error("a client that waits counts as gone")
	}
	_ = conn.Close()
	alive <- true
	if <-alive {
		t.Error("a client that has gone counts as there")
	}
}
