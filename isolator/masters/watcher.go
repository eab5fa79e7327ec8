package masters

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/api"
)

const (
	// callTimeout bounds the questions of one round.
	callTimeout = time.Minute
	// minRetry and maxRetry bound how long it is until a stream is tried again.
	minRetry = time.Second
	maxRetry = time.Minute
	// minPause is the least time between two rounds, however much happens.
	minPause = time.Second
	// staleAfter is how many rounds without an answer make what is known stale,
	// and dropAfter is when it is not shown any more.
	staleAfter = 3
	dropAfter  = time.Hour
)

// Watcher keeps, in memory, what the masters say of agents. Every replica of the
// control service has one of its own, because what it knows is advice: there is
// nothing that replicas would have to agree upon, and one that was started a
// moment ago knows all that Mesos can tell after one round.
//
// Agents are listed in every round. The stream of events only has that happen at
// once, and brings the tasks, which are listed while there is no stream.
type Watcher struct {
	client *Client
	log    *slog.Logger
	now    func() time.Time
	kick   chan struct{} // holds one token while a round is due

	mu     sync.Mutex
	view   *view
	heard  time.Time
	cause  string // of the last failure, "" for none since
	stream bool   // there is one, and the tasks come with it
}

// NewWatcher returns a watcher that knows nothing before it runs. Now may be nil
// for time.Now.
func NewWatcher(c *Client, log *slog.Logger, now func() time.Time) *Watcher {
	if now == nil {
		now = time.Now
	}
	return &Watcher{client: c, log: log, now: now, kick: make(chan struct{}, 1), view: newView()}
}

// Run asks the masters until the context ends, and returns nil then. Whatever
// they answer, it goes on.
func (w *Watcher) Run(ctx context.Context) error {
	defer w.client.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { w.poll(ctx); return nil })
	g.Go(func() error { w.follow(ctx); return nil })
	return g.Wait()
}

// Masters says how the control service gets on with the masters.
func (w *Watcher) Masters() *api.MesosMasters {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &api.MesosMasters{
		Leader: w.client.Leader(), Heard: w.heard, Agents: w.view.registered(), Stream: w.stream, Cause: w.cause,
	}
}

// Agents returns what the masters say of the agents on nodes' machines. Nodes
// that they say nothing of, or nothing that is certain, are missing.
func (w *Watcher) Agents(nodes []*api.Node) map[api.NodeID]*api.MesosAgent {
	w.mu.Lock()
	defer w.mu.Unlock()
	age := w.now().Sub(w.heard)
	if w.heard.IsZero() || age > dropAfter {
		return nil
	}
	all := map[api.NodeID]*api.MesosAgent{}
	for id, a := range w.view.match(nodes) {
		m := a.evidence()
		m.Heard, m.Stale = w.heard, age > staleAfter*w.client.options.Interval+minPause
		all[id] = m
	}
	return all
}

// poll has a round in every interval, and when something has happened.
func (w *Watcher) poll(ctx context.Context) {
	interval := time.NewTicker(w.client.options.Interval)
	defer interval.Stop()
	for {
		w.report(ctx, w.round(ctx))
		pause := time.NewTimer(min(minPause, w.client.options.Interval))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
		select {
		case <-interval.C:
		case <-w.kick:
		case <-ctx.Done():
			return
		}
	}
}

// round asks once.
func (w *Watcher) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	listing, err := w.client.Agents(ctx)
	if err != nil {
		return err
	}
	var tasks []Task
	streaming := w.streams()
	if !streaming {
		if tasks, err = w.client.Tasks(ctx); err != nil {
			return err
		}
	}
	registry, err := w.client.Registry(ctx)
	if err != nil {
		w.log.Debug("the registry of Mesos tells nothing", "cause", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = w.now()
	w.view.list(listing, w.heard)
	if err == nil {
		w.view.register(registry)
	}
	if !streaming && !w.stream {
		w.view.replace(tasks)
	}
	return nil
}

// report keeps how a round has ended, and logs what is new of that.
func (w *Watcher) report(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	before := w.cause
	w.cause = ""
	if err != nil {
		w.cause = err.Error()
	}
	w.mu.Unlock()
	switch {
	case err != nil && before == "":
		w.log.Warn("the masters of Mesos do not tell of their agents, which nothing depends on", "cause", err)
	case err == nil && before != "":
		w.log.Info("the masters of Mesos tell of their agents again", "leader", w.client.Leader())
	}
}

func (w *Watcher) streams() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stream
}

// again has a round soon.
func (w *Watcher) again() {
	select {
	case w.kick <- struct{}{}:
	default: // one is due already
	}
}

// follow follows the stream of events, whenever there is one.
func (w *Watcher) follow(ctx context.Context) {
	wait := &backoff.ExponentialBackOff{InitialInterval: minRetry, Multiplier: 2, MaxInterval: maxRetry, RandomizationFactor: 0.2}
	wait.Reset()
	for {
		err := w.client.Subscribe(ctx, func(ev Event) error {
			if ev.Snapshot != nil {
				wait.Reset()
			}
			w.take(ev)
			return nil
		})
		w.mu.Lock()
		broken := w.stream
		w.stream = false
		w.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		w.log.Debug("the masters of Mesos have no stream of events, or it has ended; their agents are listed now and then", "cause", err)
		if broken {
			w.again() // somebody else may lead now
		}
		retry := time.NewTimer(wait.NextBackOff())
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
			return
		}
	}
}

// take takes over an event.
func (w *Watcher) take(ev Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case ev.Snapshot != nil:
		w.stream, w.heard = true, w.now()
		w.view.list(ev.Snapshot.Agents, w.heard)
		w.view.replace(ev.Snapshot.Tasks)
		w.again()
	case ev.Task != nil:
		w.view.task(*ev.Task)
		if ev.Listed {
			w.view.returned(*ev.Task)
		}
		if ev.Task.Lost {
			w.again() // its agent is not registered any more
		}
	case ev.Agents:
		if ev.Removed != "" {
			w.view.remove(ev.Removed)
		}
		if ev.Added != "" {
			w.view.back(ev.Added)
		}
		w.again()
	}
}
