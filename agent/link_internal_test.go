package agent

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// playedSession is a stream that a test plays.
type playedSession struct {
	claim func(context.Context) (*api.Dataset, error)
	first chan struct{} // holds one token until the first event is taken
	ended chan struct{}
	once  sync.Once
}

func newPlayedSession(claim func(context.Context) (*api.Dataset, error)) *playedSession {
	s := &playedSession{claim: claim, first: make(chan struct{}, 1), ended: make(chan struct{})}
	s.first <- struct{}{}
	return s
}

func (s *playedSession) Welcome() *api.Welcome { return &api.Welcome{Heartbeat: time.Minute} }
func (s *playedSession) Contact() time.Time    { return time.Now() }
func (s *playedSession) end()                  { s.once.Do(func() { close(s.ended) }) }

func (s *playedSession) Close() error {
	s.end()
	return nil
}

func (s *playedSession) Next(ctx context.Context) (api.StreamEvent, error) {
	select {
	case <-s.first:
		return api.StreamEvent{}, nil
	default:
	}
	select {
	case <-s.ended:
		return api.StreamEvent{}, errors.New("the stream ended")
	case <-ctx.Done():
		return api.StreamEvent{}, ctx.Err()
	}
}

func (s *playedSession) Member(ctx context.Context, _ api.MemberRequest) (*api.MemberReply, error) {
	d, err := s.claim(ctx)
	return &api.MemberReply{Dataset: d}, err
}

func (s *playedSession) Claim(ctx context.Context, _ api.ClaimRequest) (*api.Dataset, error) {
	return s.claim(ctx)
}

func (s *playedSession) Report(context.Context, api.Report) (*api.ReportReply, error) {
	return &api.ReportReply{}, nil
}

func (s *playedSession) Detail(context.Context, api.DatasetID) (*api.DatasetDetail, error) {
	return &api.DatasetDetail{}, nil
}

type nobody struct{}

func (nobody) sync([]*api.Dataset, []*api.Lease, []*api.Hint) {}
func (nobody) apply(api.StreamEvent)                          {}

// runLink runs a link over what dial returns.
func runLink(t *testing.T, dial Dialer) *link {
	t.Helper()
	l := newLink(slog.New(slog.DiscardHandler), time.Now, dial, api.Hello{})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx, nobody{}, func() {}) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return l
}

func granted(context.Context) (*api.Dataset, error) { return &api.Dataset{ID: "d"}, nil }

func TestClaimWaitsForTheFirstStream(t *testing.T) {
	asked, let := make(chan struct{}), make(chan struct{})
	l := runLink(t, func(context.Context, api.Hello) (Session, error) {
		close(asked)
		<-let
		return newPlayedSession(granted), nil
	})
	<-asked
	time.AfterFunc(20*time.Millisecond, func() { close(let) })
	if d, err := l.Claim(t.Context(), api.ClaimRequest{ID: "d"}); err != nil || d.ID != "d" {
		t.Errorf("got %+v, %v, want the dataset", d, err)
	}
}

func TestClaimEndsThePauseBetweenAttempts(t *testing.T) {
	l := newLink(slog.New(slog.DiscardHandler), time.Now, nil, api.Hello{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	claimed := make(chan error, 1)
	go func() {
		_, err := l.Claim(ctx, api.ClaimRequest{ID: "d"})
		claimed <- err
	}()
	l.pause(t.Context(), time.Hour)
	cancel()
	if err := <-claimed; api.CodeOf(err) != api.CodeUnavailable {
		t.Errorf("got %v, want that the control service cannot be reached", err)
	}
}

func TestClaimIsRefusedWhenNoReplicaAnswers(t *testing.T) {
	l := runLink(t, func(context.Context, api.Hello) (Session, error) { return nil, errors.New("nobody is there") })
	_, err := l.Claim(t.Context(), api.ClaimRequest{ID: "d"})
	if api.CodeOf(err) != api.CodeUnavailable {
		t.Errorf("got %v, want that the control service cannot be reached", err)
	}
}

func TestClaimWhoseStreamEndsIsMadeOnTheNext(t *testing.T) {
	for name, failure := range map[string]error{
		"no answer":      errors.New("connection lost"),
		"a newer stream": api.Errorf(api.CodeStale, "there is a newer stream"),
	} {
		t.Run(name, func(t *testing.T) {
			var first *playedSession
			first = newPlayedSession(func(context.Context) (*api.Dataset, error) {
				first.end()
				return nil, failure
			})
			sessions := make(chan *playedSession, 2)
			sessions <- first
			sessions <- newPlayedSession(granted)
			l := runLink(t, func(context.Context, api.Hello) (Session, error) { return <-sessions, nil })
			if d, err := l.Claim(t.Context(), api.ClaimRequest{ID: "d"}); err != nil || d.ID != "d" {
				t.Errorf("got %+v, %v, want the dataset", d, err)
			}
		})
	}
}

func TestRefusedClaimIsNotRepeated(t *testing.T) {
	claims := 0
	refusal := api.Errorf(api.CodeInvalid, "no")
	l := runLink(t, func(context.Context, api.Hello) (Session, error) {
		return newPlayedSession(func(context.Context) (*api.Dataset, error) {
			claims++
			return nil, refusal
		}), nil
	})
	if _, err := l.Claim(t.Context(), api.ClaimRequest{ID: "d"}); !errors.Is(err, refusal) || claims != 1 {
		t.Errorf("got %v after %d claims, want %v after one", err, claims, refusal)
	}
}

func TestClaimOfWhoGivesUpIsNotRepeated(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	claims := 0
	l := runLink(t, func(context.Context, api.Hello) (Session, error) {
		return newPlayedSession(func(ctx context.Context) (*api.Dataset, error) {
			claims++
			cancel()
			return nil, ctx.Err()
		}), nil
	})
	if _, err := l.Claim(ctx, api.ClaimRequest{ID: "d"}); !errors.Is(err, context.Canceled) || claims != 1 {
		t.Errorf("got %v after %d claims, want %v after one", err, claims, context.Canceled)
	}
}
