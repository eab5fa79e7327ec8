package agent

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/logmemory"
)

// loggedSession is welcome to a control service with a log.
type loggedSession struct {
	*playedSession
	log *api.LogIdentity
}

func (s loggedSession) Welcome() *api.Welcome {
	return &api.Welcome{Heartbeat: time.Minute, Replica: "control", Log: s.log}
}

// service is a control service whose log a test exchanges.
type service struct {
	mu    sync.Mutex
	log   *api.LogIdentity
	heard *api.LogIdentity // of the agent, by the last Hello
	tries int
	open  *playedSession
}

func (c *service) dial(_ context.Context, h api.Hello) (Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard, c.tries = h.Log, c.tries+1
	c.open = newPlayedSession(nil)
	return loggedSession{c.open, c.log}, nil
}

// exchange gives the control service another log and ends the stream.
func (c *service) exchange(log *api.LogIdentity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = log
	c.open.end()
}

func TestFollowsOnlyTheLogThatTheNodeKnows(t *testing.T) {
	known := &api.LogIdentity{ID: "aaaaaaaa-0000-4000-8000-000000000001", Incarnation: 10, Revision: 20}
	other := &api.LogIdentity{ID: "bbbbbbbb-0000-4000-8000-000000000002", Incarnation: 1, Revision: 900}
	cfg := Config{StateDir: t.TempDir()}
	c := &service{log: known}
	l := newLink(slog.New(slog.DiscardHandler), time.Now, c.dial, api.Hello{})
	l.logs.path = cfg.logFile()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx, nobody{}, func() {}) })
	t.Cleanup(func() { cancel(); running.Wait() })

	connects := func(what string, log *api.LogIdentity) {
		t.Helper()
		c.exchange(log)
		holdsSoon(t, what, func() bool {
			s, err := l.current()
			return err == nil && s.Welcome().Log == log
		})
		if why := l.logs.refusal(); why != "" {
			t.Errorf("%s: it is still refused: %s", what, why)
		}
	}
	refuses := func(what string, log *api.LogIdentity, why string) {
		t.Helper()
		c.exchange(log)
		holdsSoon(t, what, func() bool { return strings.Contains(l.logs.refusal(), why) })
		if connected, status := l.connected(); connected || !strings.Contains(status, "accept-log") {
			t.Errorf("%s: got %t, %s", what, connected, status)
		}
	}
	holdsSoon(t, "the first log is followed", func() bool { ok, _ := l.connected(); return ok })
	refuses("another log", other, "is log "+other.ID)
	refuses("an older copy", &api.LogIdentity{ID: known.ID, Incarnation: 10, Revision: 19}, "older copy")
	refuses("the state before a restore", &api.LogIdentity{ID: known.ID, Incarnation: 9, Revision: 90}, "older state")
	connects("the log itself", &api.LogIdentity{ID: known.ID, Incarnation: 10, Revision: 30})
	connects("a control service of before", nil)
	connects("a restored log", &api.LogIdentity{ID: known.ID, Incarnation: 1000, Revision: 1000})
	refuses("another log, again", other, "is log "+other.ID)
	if was, err := cfg.AcceptLog(other.ID); err != nil || was.ID != known.ID || was.Revision != 1000 {
		t.Errorf("accept: got %+v, %v", was, err)
	}
	connects("a log that was accepted", other)
	replaced := &api.LogIdentity{ID: known.ID, Incarnation: 2000, Revision: 2000, Replaces: []string{other.ID}}
	connects("what an operator put in its place", replaced)
	if seen, err := logmemory.Read(cfg.logFile()); err != nil || seen.ID != known.ID || seen.Revision != 2000 {
		t.Errorf("it remembers %+v, %v", seen, err)
	}
	c.mu.Lock()
	heard := c.heard
	c.mu.Unlock()
	if heard == nil || heard.ID != other.ID {
		t.Errorf("it said it knows %+v", heard)
	}
}

// TestIsRefusedForItsLog has the control service refuse the agent.
func TestIsRefusedForItsLog(t *testing.T) {
	k := &logKeeper{path: filepath.Join(t.TempDir(), "log.json"), log: slog.New(slog.DiscardHandler)}
	refusal := api.Errorf(api.CodeUnavailable, "%s: it is empty", api.OtherLogRefused)
	if err := k.outcome(api.Hello{}, nil, refusal); err == nil || k.refusal() == "" {
		t.Errorf("got %v, %q", err, k.refusal())
	}
	down := errors.New("connection refused")
	if err := k.outcome(api.Hello{}, nil, down); !errors.Is(err, down) {
		t.Errorf("got %v", err)
	}
}

// TestAMemoryThatCannotBeReadOpensNoDoor: the node must not follow whatever comes.
func TestAMemoryThatCannotBeReadOpensNoDoor(t *testing.T) {
	cfg := Config{StateDir: t.TempDir()}
	k := &logKeeper{path: cfg.logFile(), log: slog.New(slog.DiscardHandler)}
	if err := logmemory.Write(cfg.logFile(), api.LogIdentity{}); err != nil { // as of no log at all
		t.Fatal(err)
	}
	if _, err := k.hello(api.Hello{}); err == nil || k.refusal() == "" {
		t.Errorf("got %v", err)
	}
	if _, err := cfg.AcceptLog(api.AnyLog); err != nil {
		t.Fatal(err)
	}
	if h, err := k.hello(api.Hello{}); err != nil || h.Log != nil {
		t.Errorf("after it was given up: %+v, %v", h.Log, err)
	}
}

// holdsSoon waits until a condition holds.
func holdsSoon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
