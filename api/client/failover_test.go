package client_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// silent starts a machine that takes connections and never says anything.
func silent(t *testing.T) (endpoint string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String() // the kernel completes connections that nobody accepts
}

// relay is a way to a server that can be made silent.
type relay struct {
	to     string
	hushed atomic.Bool
	done   sync.WaitGroup
}

func newRelay(t *testing.T, to string) (r *relay, endpoint string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r = &relay{to: to}
	var conns sync.Map
	r.done.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			conns.Store(in, true)
			conns.Store(out, true)
			r.done.Go(func() { r.copy(out, in) })
			r.done.Go(func() { r.copy(in, out) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true })
		r.done.Wait()
	})
	return r, l.Addr().String()
}

// copy swallows everything once the relay is hushed.
func (r *relay) copy(to io.WriteCloser, from io.Reader) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if r.hushed.Load() {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func TestCallsAreMadeOverHTTP2(t *testing.T) {
	endpoint, rules := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, map[string]string{"flocker": r.Proto})
	})
	if v, err := newClient(t, rules, endpoint).Version(t.Context()); err != nil || v != "HTTP/2.0" {
		t.Errorf("got %q, %v, want HTTP/2.0", v, err)
	}
}

func TestMachineThatDoesNotAnswerIsPassedOver(t *testing.T) {
	good, rules := serve(t, version("good"))
	if v, err := newClient(t, rules, silent(t), silent(t), good).Version(t.Context()); err != nil || v != "good" {
		t.Errorf("got %q, %v, want the good one's answer", v, err)
	}
}

func TestReplicaThatFallsSilentIsLeft(t *testing.T) {
	first, rules := serve(t, version("first"))
	second, _ := serve(t, version("second"))
	r, endpoint := newRelay(t, first)
	c, err := client.New(client.Config{Endpoints: []string{endpoint, second}, TLS: rules, Timeout: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if v, err := c.Version(t.Context()); err != nil || v != "first" {
		t.Fatalf("got %q, %v, want the first one's answer", v, err)
	}
	r.hushed.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if v, err := c.Version(ctx); err != nil || v != "second" {
		t.Errorf("got %q, %v, want the second one's answer", v, err)
	}
}

func TestManyCallsAtOnceSurviveAReplica(t *testing.T) {
	first, rules := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	second, _ := serve(t, version("second"))
	c := newClient(t, rules, first, second)
	var calls sync.WaitGroup
	for range 400 {
		calls.Go(func() {
			if v, err := c.Version(t.Context()); err != nil || v != "second" {
				t.Errorf("got %q, %v, want the second one's answer", v, err)
			}
		})
	}
	calls.Wait()
}

func TestUnavailableEverywhereIsSaidAsItIs(t *testing.T) {
	down := func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 503, api.Errorf(api.CodeUnavailable, "no store"))
	}
	a, rules := serve(t, down)
	b, _ := serve(t, down)
	c := newClient(t, rules, a, b)
	for range 3 {
		if _, err := c.Version(t.Context()); api.CodeOf(err) != api.CodeUnavailable || err.Error() != "no store" {
			t.Errorf("got %v, want what the replicas say", err)
		}
	}
}

// seat is a replica that welcomes agents unless it is closed.
type seat struct {
	name   string
	closed atomic.Bool
	cut    chan struct{} // closed to end all streams
}

func (s *seat) serve(w http.ResponseWriter, r *http.Request) {
	if s.closed.Load() {
		answer(w, 503, api.Errorf(api.CodeUnavailable, "closed"))
		return
	}
	_ = json.NewEncoder(w).Encode(api.StreamEvent{Welcome: &api.Welcome{Stream: 1, Heartbeat: time.Minute, Replica: s.name}})
	_ = http.NewResponseController(w).Flush()
	select {
	case <-r.Context().Done():
	case <-s.cut:
	}
}

// seats starts replicas a and b, and an agent that knows both.
func seats(t *testing.T, settle time.Duration) (byName map[string]*seat, a *client.Agent) {
	t.Helper()
	one, two := &seat{name: "a", cut: make(chan struct{})}, &seat{name: "b", cut: make(chan struct{})}
	first, rules := serve(t, one.serve)
	second, _ := serve(t, two.serve)
	a, err := client.NewAgent(client.Config{Endpoints: []string{first, second}, TLS: rules, Settle: settle})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*seat{"a": one, "b": two}, a
}

func connect(t *testing.T, a *client.Agent) *client.Session {
	t.Helper()
	s, err := a.Connect(t.Context(), api.Hello{Agent: "x"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func other(name string) string { return map[string]string{"a": "b", "b": "a"}[name] }

func TestAgentGoesElsewhereWhenItsStreamFails(t *testing.T) {
	byName, a := seats(t, 0)
	s := connect(t, a)
	first := s.Welcome().Replica
	close(byName[first].cut)
	if _, err := s.Next(t.Context()); err == nil {
		t.Fatal("the stream goes on")
	}
	if got := connect(t, a).Welcome().Replica; got != other(first) {
		t.Errorf("got replica %s again, which has just failed", got)
	}
}

func TestAgentGoesBackToWhereItBelongs(t *testing.T) {
	byName, a := seats(t, 20*time.Millisecond)
	home := connect(t, a).Welcome().Replica
	byName[home].closed.Store(true)
	away := connect(t, a)
	if got := away.Welcome().Replica; got != other(home) {
		t.Fatalf("got replica %s, want the one that is open", got)
	}
	byName[home].closed.Store(false)
	if _, err := away.Next(t.Context()); err == nil {
		t.Fatal("there are events")
	}
	settled := connect(t, a)
	if got := settled.Welcome().Replica; got != home {
		t.Errorf("got replica %s, want %s again", got, home)
	}
}

func TestAgentThatIsWhereItBelongsStays(t *testing.T) {
	_, a := seats(t, time.Millisecond)
	s := connect(t, a)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // many times of settling
	defer cancel()
	if ev, err := s.Next(ctx); ctx.Err() == nil {
		t.Errorf("got %+v, %v, want the session to go on", ev, err)
	}
}

func TestAgentPassesOverAMachineThatDoesNotAnswer(t *testing.T) {
	p := &replica{heartbeat: time.Minute}
	good, rules := serve(t, p.serve)
	for _, endpoints := range [][]string{{silent(t), good}, {good, silent(t)}} {
		s, err := dial(t, rules, endpoints...)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
	}
}
