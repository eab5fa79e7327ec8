package agent

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/logmemory"
)

func (c Config) logFile() string { return filepath.Join(c.StateDir, "log.json") }

// AcceptLog has the agent of a node follow the log with an id from now on,
// whatever it has seen before, and returns what it remembered. The agent may run.
// With api.AnyLog it follows the first log that it meets.
func (c Config) AcceptLog(id string) (was api.LogIdentity, err error) {
	was, _ = logmemory.Read(c.logFile()) // one that cannot be read is replaced
	if id == api.AnyLog {
		return was, logmemory.Forget(c.logFile())
	}
	return was, logmemory.Write(c.logFile(), api.LogIdentity{ID: id})
}

// logKeeper is what the agent remembers of the control service's log, which it
// refuses to trade for another one.
type logKeeper struct {
	path string // "" for an agent that remembers nothing
	log  *slog.Logger

	mu      sync.Mutex
	refused string // why the last control service was refused, "" if it was not

	noted time.Time // when the revision was noted last
}

// otherLogError says that a control service has another log.
type otherLogError struct{ why string }

func (e *otherLogError) Error() string {
	return e.why + ". Volumes stay as they are, and nothing new is attached. Restore the control service's log, or, if the new log is right: " +
		"flocker agent accept-log ID on this machine"
}

// hello adds to what the agent says the log that it knows. The file is read each
// time, since an operator may accept another log while the agent runs.
func (k *logKeeper) hello(h api.Hello) (api.Hello, error) {
	if k.path == "" {
		return h, nil
	}
	seen, err := logmemory.Read(k.path)
	if err != nil {
		return h, k.note(&otherLogError{err.Error()})
	}
	if seen.ID != "" {
		h.Log = &seen
	}
	return h, nil
}

// outcome notes what became of an attempt to connect. It returns why the control
// service is refused, or has refused this node, because of its log.
func (k *logKeeper) outcome(h api.Hello, w *api.Welcome, err error) error {
	switch {
	case err != nil && strings.Contains(err.Error(), api.OtherLogRefused):
		return k.note(&otherLogError{err.Error()})
	case err != nil, w.Log == nil || k.path == "": // of a version that tells none
		return err
	}
	var seen api.LogIdentity
	if h.Log != nil {
		seen = *h.Log
	}
	if why := seen.Refuses(*w.Log); why != "" {
		return k.note(&otherLogError{fmt.Sprintf("%s: the log of the control service %s is not the one that this node knows: %s",
			api.OtherLogRefused, w.Replica, why)})
	}
	k.remember(seen, *w.Log)
	return k.note(nil)
}

// remember keeps a log that was admitted. An agent that cannot write goes on: its
// volumes matter more.
func (k *logKeeper) remember(seen, found api.LogIdentity) {
	k.noted = time.Now()
	if next, changed := seen.Newer(found); changed {
		if err := logmemory.Write(k.path, next); err != nil {
			k.log.Warn("cannot remember the log of the control service", "cause", err)
		}
	}
}

func (k *logKeeper) note(refused *otherLogError) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if refused == nil {
		k.refused = ""
		return nil
	}
	k.refused = refused.why
	return refused
}

// refusal returns why the control service is refused, "" if it is not.
func (k *logKeeper) refusal() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refused
}

// notePause is between two times that an agent notes how far the log is.
const notePause = 30 * time.Second

// revised is a Session that knows how far the control service's log is.
type revised interface{ Revision() uint64 }

// saw notes how far the log is: now and then, and at the stream's end.
func (k *logKeeper) saw(s Session, ended bool) {
	found := logOf(s)
	if found == nil || k.path == "" || !ended && time.Since(k.noted) < notePause {
		return
	}
	if seen, err := logmemory.Read(k.path); err == nil && seen.ID == found.ID {
		k.remember(seen, *found)
	}
}

// logOf returns the log of a stream's control service, and how far it was last.
func logOf(s Session) *api.LogIdentity {
	w := s.Welcome()
	if w.Log == nil {
		return nil
	}
	found := *w.Log
	if r, ok := s.(revised); ok {
		found.Revision = max(found.Revision, r.Revision())
	}
	return &found
}

// logNow is logOf for the stream that there is, nil for none.
func (l *link) logNow() *api.LogIdentity {
	s, err := l.current()
	if err != nil {
		return nil
	}
	found := logOf(s)
	if found != nil {
		found.Starts = nil
	}
	return found
}

// dialKnown opens a stream to a control service that has the log which this node
// knows.
func (l *link) dialKnown(ctx context.Context) (Session, error) {
	hello, err := l.logs.hello(l.hello)
	if err != nil {
		return nil, err
	}
	s, err := l.dial(ctx, hello)
	var welcome *api.Welcome
	if err == nil {
		welcome = s.Welcome()
	}
	if err := l.logs.outcome(hello, welcome, err); err != nil {
		if s != nil {
			_ = s.Close()
		}
		return nil, err
	}
	return s, nil
}
