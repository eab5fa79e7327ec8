package agent

import (
	"context"
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
	Detail(ctx context.Context, id api.DatasetID) (*api.DatasetDetail, error)
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
	Report(ctx context.Context, report api.Report) (*api.ReportReply, error)
	Detail(ctx context.Context, id api.DatasetID) (*api.DatasetDetail, error)
	Close() error
}

// Dialer opens a stream to whichever replica answers.
type Dialer func(ctx context.Context, hello api.Hello) (Session, error)

// Reconnects are quick at first, so that a control service that was restarted
// has its agents back at once, and spread out when it stays away.
const (
	minReconnect = 100 * time.Millisecond
	maxReconnect = 10 * time.Second
)

// link keeps a stream to the control service for as long as it runs.
type link struct {
	log   *slog.Logger
	now   func() time.Time
	hello api.Hello
	dial  Dialer

	mu      sync.Mutex
	session Session // nil while there is none
	status  string  // "connected to ... since ..." or why not

	contact   time.Time // of the last session, as last asked
	heartbeat time.Duration

	once  sync.Once
	tried chan struct{} // closed when the first attempt to connect has ended
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

// Claim asks for a dataset's token.
func (l *link) Claim(ctx context.Context, req api.ClaimRequest) (*api.Dataset, error) {
	select { // who calls while the agent starts need not be turned away
	case <-l.tried:
	case <-ctx.Done():
	}
	s, err := l.current()
	if err != nil {
		return nil, err
	}
	return s.Claim(ctx, req)
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
	if l.session != nil {
		l.contact, l.heartbeat = l.session.Contact(), l.session.Welcome().Heartbeat
	}
	if l.contact.IsZero() {
		return api.Errorf(api.CodeUnavailable, "the control service has not been heard yet: %s", l.status)
	}
	if silent := time.Since(l.contact); silent > contactLimit*l.heartbeat {
		return api.Errorf(api.CodeUnavailable, "the control service has not answered for %s: it may have given this node up and its "+
			"volumes to others, so nothing is attached before it answers", silent.Round(time.Millisecond))
	}
	return nil
}

// connected reports whether there is a stream, and says since when or why not.
func (l *link) connected() (bool, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session != nil, l.status
}

func (l *link) set(s Session, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != nil && s == nil {
		l.contact, l.heartbeat = l.session.Contact(), l.session.Welcome().Heartbeat
	}
	l.session = s
	l.status = fmt.Sprintf(format, args...)
	l.once.Do(func() { close(l.tried) })
}

// follower takes what a stream brings.
type follower interface {
	sync(records []*api.Dataset)
	apply(ev api.StreamEvent)
}

// run keeps a stream open until ctx ends. onConnect runs on every new one,
// after it has said what concerns this node.
func (l *link) run(ctx context.Context, f follower, onConnect func()) {
	retry := &backoff.ExponentialBackOff{
		InitialInterval: minReconnect, Multiplier: 2, MaxInterval: maxReconnect, RandomizationFactor: 0.5,
	}
	retry.Reset()
	for ctx.Err() == nil {
		err := l.follow(ctx, f, func() {
			retry.Reset()
			onConnect()
		})
		if ctx.Err() != nil {
			return
		}
		wait := retry.NextBackOff()
		l.set(nil, "%v (since %s)", err, l.now().UTC().Format(time.RFC3339))
		l.log.Warn("no stream to the control service", "cause", err, "next_try", wait.Round(time.Millisecond))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// follow opens one stream and follows it to its end.
func (l *link) follow(ctx context.Context, f follower, onConnect func()) error {
	s, err := l.dial(ctx, l.hello)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	first, err := s.Next(ctx)
	if err != nil {
		return err
	}
	w := s.Welcome()
	l.set(s, "connected to %s since %s", w.Replica, l.now().UTC().Format(time.RFC3339))
	l.log.Info("stream to the control service", "replica", w.Replica, "stream", w.Stream, "datasets", len(first.Datasets))
	f.sync(first.Datasets)
	onConnect()
	for {
		ev, err := s.Next(ctx)
		if err != nil {
			return err
		}
		f.apply(ev)
	}
}
