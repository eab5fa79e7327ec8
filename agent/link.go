package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/flocker-mesos/flocker/api"
)

// control is what the agent asks of the control service.
type control interface {
	Claim(ctx context.Context, req api.ClaimRequest) (*api.Dataset, error)
	Member(ctx context.Context, req api.MemberRequest) (*api.MemberReply, error)
	Detail(ctx context.Context, id api.DatasetID) (*api.DatasetDetail, error)
	// reachable returns why the stream to the control service is down, nil while it is up.
	reachable() error
}

// Session is one stream to a replica of the control service, and the calls
// that go with it; api/client has it.
type Session interface {
	Welcome() *api.Welcome
	// Contact returns when the newest thing was sent that the control service
	// has acknowledged since.
	Contact() time.Time
	// Next returns the next event; heartbeats are not events. It fails when
	// the stream has ended or has been silent for too long.
	Next(ctx context.Context) (api.StreamEvent, error)
	Claim(ctx context.Context, req api.ClaimRequest) (*api.Dataset, error)
	Member(ctx context.Context, req api.MemberRequest) (*api.MemberReply, error)
	Report(ctx context.Context, report api.Report) (*api.ReportReply, error)
	Detail(ctx context.Context, id api.DatasetID) (*api.DatasetDetail, error)
	Close() error
}

// Dialer opens a stream to whichever replica answers.
type Dialer func(ctx context.Context, hello api.Hello) (Session, error)

// A stream that has ended is followed by an attempt at once: usually another
// replica is there. Where none is, the agents of a cluster come back spread over
// twice a pause that grows, and so within seconds when the control service does.
const (
	minReconnect = 50 * time.Millisecond
	maxReconnect = 2 * time.Second
)

// steady is how long a stream must have been there for its end to be no sign of
// a control service that takes agents and lets them go at once.
const steady = time.Second

// claimPatience is how long a claim waits for a stream. Clients retry.
const claimPatience = 3 * time.Second

// minPause is the least pause before another attempt to connect, however many
// callers want a stream: waiting containers ask again and again.
const minPause = 200 * time.Millisecond

// link keeps a stream to the control service for as long as it runs.
type link struct {
	log   *slog.Logger
	now   func() time.Time
	hello api.Hello
	dial  Dialer
	logs  *logKeeper

	mu      sync.Mutex
	session Session // nil while there is none
	status  string  // "connected to ... since ..." or why not

	contact   time.Time // of the last session, as last asked
	heartbeat time.Duration

	failed  int           // attempts to connect, in all
	changed chan struct{} // closed, and replaced, when there is a session, or one less, or an attempt has failed
	wanted  chan struct{} // holds one token while somebody waits for a stream
}

func newLink(log *slog.Logger, now func() time.Time, dial Dialer, hello api.Hello) *link {
	return &link{
		log: log, now: now, dial: dial, hello: hello, logs: &logKeeper{log: log}, status: "not connected yet",
		changed: make(chan struct{}), wanted: make(chan struct{}, 1),
	}
}

// current returns the session, or why there is none.
func (l *link) current() (Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == nil {
		return nil, api.Errorf(api.CodeUnavailable, "the control service cannot be reached: %s", l.status)
	}
	return l.session, nil
}

func (l *link) reachable() error {
	_, err := l.current()
	return err
}

// Claim asks for a dataset's token. Where there is no stream, or it ends while
// the answer is awaited, it waits shortly for the next: claiming twice is
// claiming once.
func (l *link) Claim(ctx context.Context, req api.ClaimRequest) (*api.Dataset, error) {
	return onStream(ctx, l, func(s Session) (*api.Dataset, error) { return s.Claim(ctx, req) })
}

// Member asks for the member of a set, as Claim does.
func (l *link) Member(ctx context.Context, req api.MemberRequest) (*api.MemberReply, error) {
	return onStream(ctx, l, func(s Session) (*api.MemberReply, error) { return s.Member(ctx, req) })
}

// onStream makes a call that can be made twice on a stream, and where that ends on
// the next.
func onStream[T any](ctx context.Context, l *link, call func(Session) (*T, error)) (*T, error) {
	s, err := l.await(ctx, nil)
	if err != nil {
		return nil, err
	}
	answer, err := call(s)
	if err == nil || ctx.Err() != nil || !streamEnded(err) {
		return answer, err
	}
	if s, waitErr := l.await(ctx, s); waitErr == nil {
		return call(s)
	}
	return nil, err
}

// streamEnded reports whether a call failed because its stream is over: there
// was no answer, or the answer is that there is a newer one.
func streamEnded(err error) bool {
	e, answered := errors.AsType[*api.Error](err)
	return !answered || e.Code == api.CodeStale
}

// await returns a session other than old. Where there is none it has one
// opened without a pause, and waits for one attempt.
func (l *link) await(ctx context.Context, old Session) (Session, error) {
	ctx, cancel := context.WithTimeout(ctx, claimPatience)
	defer cancel()
	failed := -1
	for {
		l.mu.Lock()
		s, changed, attempts := l.session, l.changed, l.failed
		l.mu.Unlock()
		if s != nil && s != old {
			return s, nil
		}
		if failed < 0 {
			failed = attempts
		}
		if s == nil && attempts > failed {
			return l.current()
		}
		select {
		case l.wanted <- struct{}{}:
		default:
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if s != nil {
				return nil, ctx.Err()
			}
			return l.current()
		}
	}
}

// Detail returns a dataset with its explanation.
func (l *link) Detail(ctx context.Context, id api.DatasetID) (*api.DatasetDetail, error) {
	s, err := l.current()
	if err != nil {
		return nil, err
	}
	return s.Detail(ctx, id)
}

// contactLimit is for how many heartbeats after the last contact this node may
// take it for granted that it has not been given up: that takes three.
const contactLimit = 2

// inContact reports why the control service may have given this node up for
// lost. That a stream is there does not mean that anybody still listens at its
// other end, and that it has ended not that the node was given up.
func (l *link) inContact() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noteContact()
	if l.contact.IsZero() {
		return api.Errorf(api.CodeUnavailable, "the control service has not been heard yet: %s", l.status)
	}
	if silent := time.Since(l.contact); silent > contactLimit*l.heartbeat {
		return api.Errorf(api.CodeUnavailable, "the control service has not answered for %s: it may have given this node up and its "+
			"volumes to others, so nothing is attached before it answers", silent.Round(time.Millisecond))
	}
	return nil
}

// noteContact keeps the newest contact of the session, which may be gone next.
// The caller has the mutex.
func (l *link) noteContact() {
	if l.session != nil {
		l.contact, l.heartbeat = l.session.Contact(), l.session.Welcome().Heartbeat
	}
}

// connected reports whether there is a stream, and says since when or why not.
func (l *link) connected() (bool, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session != nil, l.status
}

// set notes the session that there is now, or that there is none and why.
func (l *link) set(s Session, failed int, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noteContact() // of the session that ends here, if one does
	l.session = s
	l.failed += failed
	l.status = fmt.Sprintf(format, args...)
	close(l.changed)
	l.changed = make(chan struct{})
}

// follower takes what a stream brings.
type follower interface {
	sync(records []*api.Dataset, leases []*api.Lease, hints []*api.Hint)
	apply(ev api.StreamEvent)
}

// run keeps a stream open until ctx ends. onConnect runs on every new one,
// after it has said what concerns this node.
func (l *link) run(ctx context.Context, f follower, onConnect func()) {
	retry := &backoff.ExponentialBackOff{
		InitialInterval: minReconnect, Multiplier: 2, MaxInterval: maxReconnect, RandomizationFactor: 1,
	}
	retry.Reset()
	for ctx.Err() == nil {
		began, failed := time.Now(), 0
		s, first, err := l.open(ctx)
		if err == nil {
			err = l.follow(ctx, s, first, f, onConnect)
		} else {
			failed = 1
		}
		if ctx.Err() != nil {
			return
		}
		l.set(nil, failed, "%v (since %s)", err, l.now().UTC().Format(time.RFC3339))
		if failed == 0 && time.Since(began) > steady {
			l.log.Info("the stream to the control service has ended, opening another", "cause", err)
			retry.Reset()
			continue
		}
		wait := retry.NextBackOff()
		l.log.Warn("no stream to the control service", "cause", err, "next_try", wait.Round(time.Millisecond))
		l.pause(ctx, wait)
	}
}

// pause waits until the next attempt: at least minPause, and longer only while no
// caller wants a stream.
func (l *link) pause(ctx context.Context, wait time.Duration) {
	least := min(wait, minPause)
	timer := time.NewTimer(least)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
	}
	timer.Reset(wait - least)
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-l.wanted:
	}
}

// open opens a stream and takes its first event.
func (l *link) open(ctx context.Context) (Session, api.StreamEvent, error) {
	s, err := l.dialKnown(ctx)
	if err != nil {
		return nil, api.StreamEvent{}, err
	}
	first, err := s.Next(ctx)
	if err != nil {
		_ = s.Close()
		return nil, api.StreamEvent{}, err
	}
	return s, first, nil
}

// follow follows a stream to its end.
func (l *link) follow(ctx context.Context, s Session, first api.StreamEvent, f follower, onConnect func()) error {
	defer func() { _ = s.Close() }()
	defer l.logs.saw(s, true)
	w := s.Welcome()
	l.set(s, 0, "connected to %s since %s", w.Replica, l.now().UTC().Format(time.RFC3339))
	l.log.Info("stream to the control service", "replica", w.Replica, "stream", w.Stream, "datasets", len(first.Datasets))
	f.sync(first.Datasets, first.Leases, first.Hints)
	onConnect()
	for {
		ev, err := s.Next(ctx)
		if err != nil {
			return err
		}
		f.apply(ev)
		l.logs.saw(s, false)
	}
}
