package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// patience is after how many silent heartbeats a stream is given up. It is
// less than what the control service grants, so that an agent that is cut off
// from one replica has found another before it is taken for lost.
const patience = 2

// connectTimeout bounds how long one endpoint may take to welcome an agent.
const connectTimeout = 5 * time.Second

// Agent opens streams to the control service, as the agent of a node.
type Agent struct {
	cfg     Config
	finder  *finder
	shunned shunned
}

// NewAgent returns the way to the control service.
func NewAgent(cfg Config) (*Agent, error) {
	cfg, err := cfg.check(AgentPort)
	if err != nil {
		return nil, err
	}
	return &Agent{cfg: cfg, finder: newFinder(cfg)}, nil
}

// Connect opens a stream to the first endpoint that welcomes the agent, in an
// order that is the agent's own; one whose stream has just failed comes last.
// It does not try again and the session does not come back by itself: the
// caller decides when to connect anew, at first at once, then with a pause that
// grows and is spread out. Ctx is for connecting only.
//
// api.CodeConflict means that another agent serves the node.
func (a *Agent) Connect(ctx context.Context, hello api.Hello) (*Session, error) {
	all, err := a.finder.find(ctx)
	if err != nil {
		return nil, err
	}
	left := a.shunned.last(spread(all, hello.Agent))
	var failures []error
	for len(left) > 0 && ctx.Err() == nil {
		conn, at, err := a.cfg.reach(ctx, left)
		if err != nil { // with all that are left
			failures = append(failures, err)
			break
		}
		s, err := a.connect(ctx, a.cfg.channel(conn, at, nil), hello) // beats are pings enough
		if err == nil {
			return s, nil
		}
		if !again(err) {
			return nil, err
		}
		a.shunned.add(at)
		failures = append(failures, fmt.Errorf("%s: %w", at, err))
		left = slices.DeleteFunc(left, func(e endpoint) bool { return e == at })
	}
	return nil, fmt.Errorf("connect to the control service: %w", errors.Join(failures...))
}

func (a *Agent) connect(ctx context.Context, ch *channel, hello api.Hello) (_ *Session, err error) {
	life, end := context.WithCancelCause(context.Background())
	s := &Session{
		agent: a, cfg: a.cfg, channel: ch, identity: hello.Agent, shown: a.cfg.certificate(),
		life: life, end: end, ready: make(chan struct{}, 1), origin: time.Now(),
	}
	body, up := io.Pipe()
	s.up = up
	context.AfterFunc(life, func() { _ = up.CloseWithError(context.Cause(life)) })
	s.workers.Go(func() {
		// Read by the connection, once there is one.
		// Where it closes the body instead, send says why.
		if err := json.NewEncoder(up).Encode(hello); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			s.fail(fmt.Errorf("say hello: %w", err))
		}
	})
	defer func() {
		if err != nil {
			s.fail(err)
			s.workers.Wait()
			ch.close()
		}
	}()
	// Until the agent is welcome, the stream's life is the caller's.
	early, cancel := context.WithTimeoutCause(ctx, connectTimeout, fmt.Errorf("no welcome within %s", connectTimeout))
	defer cancel()
	stop := context.AfterFunc(early, func() { s.fail(context.Cause(early)) })
	resp, err := send(life, ch.http, ch.at.name, request{method: http.MethodPost, path: "/agent/v1/stream", body: body})
	if err != nil {
		return nil, err
	}
	lines := json.NewDecoder(resp.Body)
	var welcome api.StreamEvent
	if err = lines.Decode(&welcome); err == nil && welcome.Welcome == nil {
		err = errors.New("the stream does not begin with a welcome")
	}
	if err == nil {
		err = checkEvent(&welcome)
	}
	if err == nil && !stop() {
		err = context.Cause(life)
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("open stream: %w", err)
	}
	s.welcome = welcome.Welcome
	if s.welcome.Heartbeat <= 0 {
		s.welcome.Heartbeat = time.Minute
	}
	s.pending = newMerge()
	s.pending.add(welcome)
	s.ready <- struct{}{}
	s.workers.Go(func() {
		defer func() { _ = resp.Body.Close() }()
		s.read(lines)
	})
	s.workers.Go(s.beat)
	s.workers.Go(s.settle)
	return s, nil
}

// Session is a stream to one replica and the calls that go with it. Any number
// of goroutines may use it. Once it has failed, all its calls do; close it and
// connect anew.
type Session struct {
	agent    *Agent
	cfg      Config
	channel  *channel
	identity string // of the agent, by which it prefers replicas
	shown    []byte // the certificate that it was opened with
	welcome  *api.Welcome
	workers  sync.WaitGroup
	calls    atomic.Int64 // that are under way

	life context.Context // ends with the session; its cause is why
	end  context.CancelCauseFunc

	up      *io.PipeWriter
	origin  time.Time    // with the monotonic clock
	contact atomic.Int64 // when what was acknowledged last was sent, in nanoseconds since origin
	beats   sentBeats

	revision atomic.Uint64 // of the log, as the control service has said last

	mu      sync.Mutex
	pending *merge
	ready   chan struct{} // holds one token while something is pending
}

// errSessionClosed is the end of a session by Close.
var errSessionClosed = errors.New("the session was closed")

// Welcome returns how the control service has greeted the agent.
func (s *Session) Welcome() *api.Welcome { return s.welcome }

// Contact returns when the newest thing was sent that the control service has
// acknowledged since: then it had not given this node up. The time has a
// monotonic reading.
func (s *Session) Contact() time.Time { return s.origin.Add(time.Duration(s.contact.Load())) }

// acknowledged notes an answer to what was sent a duration after origin.
func (s *Session) acknowledged(sent time.Duration) {
	for {
		old := s.contact.Load()
		if int64(sent) <= old || s.contact.CompareAndSwap(old, int64(sent)) {
			return
		}
	}
}

// Next returns what has happened since the last call, waiting if nothing has.
// The first event has the Welcome with all datasets that concern the node;
// later ones what has changed, each dataset once, as it is by now, so a slow
// caller misses nothing and holds nobody up. Heartbeats are not events. It
// fails when the stream has ended, or has been silent for two heartbeats, or ctx
// ends.
func (s *Session) Next(ctx context.Context) (api.StreamEvent, error) {
	select {
	case <-s.ready:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.pending.take(), nil
	default:
	}
	select {
	case <-s.ready:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.pending.take(), nil
	case <-s.life.Done():
		return api.StreamEvent{}, context.Cause(s.life)
	case <-ctx.Done():
		return api.StreamEvent{}, ctx.Err()
	}
}

// Claim says that the node wants to use a dataset; the session fills in the
// stream. Claiming twice is claiming once.
func (s *Session) Claim(ctx context.Context, req api.ClaimRequest) (*api.Dataset, error) {
	req.Stream = s.welcome.Stream
	var d api.Dataset
	if err := s.call(ctx, request{method: http.MethodPost, path: "/agent/v1/claim", body: req}, &d); err != nil {
		return nil, err
	}
	return &d, nil
}

// Member says that a consumer wants a member of a volume set, or no longer waits for
// one; the session fills in the stream. Asking twice is asking once.
func (s *Session) Member(ctx context.Context, req api.MemberRequest) (*api.MemberReply, error) {
	req.Stream = s.welcome.Stream
	var reply api.MemberReply
	err := s.call(ctx, request{method: http.MethodPost, path: "/agent/v1/member", body: req}, &reply)
	if api.CodeOf(err) == api.CodeNotFound && req.ID == "" { // that path, since nothing else is asked for that has to be there
		return nil, api.Errorf(api.CodeConflict, "the control service %s (version %s) does not know volume sets (each): update it",
			s.channel.at, s.welcome.Version)
	}
	if err != nil {
		return nil, err
	}
	return &reply, nil
}

// Report tells what has changed on the node; the session fills in the stream.
//
// When it fails with anything but an *api.Error, the report may have been
// committed or may still be: the session then ends, since reports of its stream
// count no more once there is a newer one, whose Welcome tells what is. Until
// then the node must not go on under an epoch that the report releases.
func (s *Session) Report(ctx context.Context, report api.Report) (*api.ReportReply, error) {
	report.Stream = s.welcome.Stream
	var reply api.ReportReply
	err := s.call(ctx, request{method: http.MethodPost, path: "/agent/v1/report", body: report, patient: true}, &reply)
	if err == nil {
		return &reply, nil
	}
	if e, answered := errors.AsType[*api.Error](err); !answered || e.Code == api.CodeUnavailable {
		s.fail(fmt.Errorf("outcome of a report is unknown: %w", err))
	}
	return nil, err
}

// Inventory tells which volumes the node's storage has; the session fills in the stream.
func (s *Session) Inventory(ctx context.Context, inv api.Inventory) (*api.InventoryReply, error) {
	inv.Stream = s.welcome.Stream
	var reply api.InventoryReply
	if err := s.call(ctx, request{method: http.MethodPost, path: "/agent/v1/inventory", body: inv}, &reply); err != nil {
		return nil, err
	}
	return &reply, nil
}

// Detail returns a dataset with the explanation of its state.
func (s *Session) Detail(ctx context.Context, id api.DatasetID) (*api.DatasetDetail, error) {
	var detail api.DatasetDetail
	err := s.call(ctx, request{method: http.MethodGet, path: "/agent/v1/datasets/" + url.PathEscape(string(id))}, &detail)
	if err != nil {
		return nil, err
	}
	return &detail, nil
}

// Close ends the session and returns when nothing of it is left. Closing twice
// is no error.
func (s *Session) Close() error {
	s.fail(errSessionClosed)
	s.workers.Wait()
	s.channel.close()
	return nil
}

// fail ends the session for a reason; the first counts. A replica that has
// failed is not the first that is tried again.
func (s *Session) fail(err error) {
	s.end(err)
	if cause := context.Cause(s.life); !errors.Is(cause, errSessionClosed) && !errors.Is(cause, errSettled) {
		s.agent.shunned.add(s.channel.at)
	}
}

// call makes a call to the replica that has the stream.
func (s *Session) call(ctx context.Context, req request, into any) error {
	s.calls.Add(1)
	defer s.calls.Add(-1)
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout, fmt.Errorf("no answer within %s", s.cfg.Timeout))
	defer cancel()
	ctx, abandon := context.WithCancelCause(ctx)
	defer abandon(nil)
	defer context.AfterFunc(s.life, func() { abandon(context.Cause(s.life)) })()
	sent := time.Since(s.origin)
	resp, err := send(ctx, s.channel.http, s.channel.at.name, req)
	if err != nil {
		if api.CodeOf(err) == api.CodeStale { // not of a part, but of the stream
			s.fail(err)
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("read answer of %s to %s %s: %w", s.channel.at, req.method, req.path, err)
	}
	if req.method == http.MethodPost { // a read says nothing of the stream
		s.acknowledged(sent)
	}
	return nil
}

// Revision returns how far the control service's log was when it last said so.
func (s *Session) Revision() uint64 { return s.revision.Load() }

// read takes in the stream until it ends.
func (s *Session) read(lines *json.Decoder) {
	limit := patience * s.welcome.Heartbeat
	silence := time.AfterFunc(limit, func() {
		s.fail(fmt.Errorf("the control service has been silent for %s", limit))
	})
	defer silence.Stop()
	for {
		var ev api.StreamEvent
		err := lines.Decode(&ev)
		if err == nil {
			err = checkEvent(&ev)
		}
		if err != nil {
			s.fail(fmt.Errorf("the stream ended: %w", err))
			return
		}
		silence.Reset(limit)
		if sent, ok := s.beats.sent(ev.Beat); ok {
			s.acknowledged(sent)
		}
		s.revision.Store(max(s.revision.Load(), ev.Revision)) // this goroutine alone writes it
		if ev.Empty() {
			continue
		}
		s.mu.Lock()
		s.pending.add(ev)
		s.mu.Unlock()
		select {
		case s.ready <- struct{}{}:
		default:
		}
	}
}

// beat tells the control service every heartbeat that the agent is alive, for as long
// as that is the control service by its certificate.
func (s *Session) beat() {
	tick := time.NewTicker(s.welcome.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case <-tick.C:
		}
		if err := s.channel.check(); err != nil {
			s.fail(err)
			return
		}
		n := s.beats.next(time.Since(s.origin))
		if _, err := fmt.Fprintf(s.up, "{\"beat\":%d}\n", n); err != nil {
			s.fail(fmt.Errorf("beat: %w", err))
			return
		}
	}
}

// rememberedBeats is how many beats may be under way and still count when they
// are answered.
const rememberedBeats = 8

// sentBeats knows when the last beats were sent.
type sentBeats struct {
	mu     sync.Mutex
	newest uint64
	at     [rememberedBeats]time.Duration
}

// next notes that a beat is about to be sent and returns its number.
func (b *sentBeats) next(now time.Duration) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest++
	b.at[b.newest%rememberedBeats] = now
	return b.newest
}

// sent returns when a beat was sent, if that is remembered.
func (b *sentBeats) sent(n uint64) (at time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n == 0 || n > b.newest || b.newest-n >= rememberedBeats {
		return 0, false
	}
	return b.at[n%rememberedBeats], true
}
