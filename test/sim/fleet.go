package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Options say which agents are played, and to whom.
type Options struct {
	Endpoints []string // of the replicas' agent ports
	Nodes     []api.NodeID
	TLS       func(node api.NodeID) (*tls.Config, error)
	Log       *slog.Logger // nil for none
}

// Fleet is a number of agents. Any number of goroutines may use it.
type Fleet struct {
	opts   Options
	agents map[api.NodeID]*agent
	end    context.CancelFunc
	ended  sync.WaitGroup

	mu      sync.Mutex
	watches map[api.DatasetID]map[*Watch]struct{}
	turn    chan struct{} // closed, and replaced, when a stream begins or ends
}

// Start starts the agents. It does not wait for their streams: see
// AwaitAttached.
func Start(opts Options) (*Fleet, error) {
	f := &Fleet{
		opts: opts, agents: map[api.NodeID]*agent{}, turn: make(chan struct{}),
		watches: map[api.DatasetID]map[*Watch]struct{}{},
	}
	for i, node := range opts.Nodes {
		config, err := opts.TLS(node)
		if err != nil {
			return nil, fmt.Errorf("credentials of node %s: %w", node, err)
		}
		if f.agents[node], err = newAgent(f, node, i, config); err != nil {
			return nil, fmt.Errorf("make agent of node %s: %w", node, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.end = cancel
	for _, a := range f.agents {
		f.ended.Go(func() { a.run(ctx) })
	}
	return f, nil
}

// Stop ends all streams and returns when nothing of the fleet is left.
func (f *Fleet) Stop() {
	f.end()
	f.ended.Wait()
}

// AwaitAttached waits until every agent has a stream that began after a time.
func (f *Fleet) AwaitAttached(ctx context.Context, since time.Time) error {
	for {
		f.mu.Lock()
		turn := f.turn
		f.mu.Unlock()
		missing := 0
		for _, a := range f.agents {
			if !a.attachedSince(since) {
				missing++
			}
		}
		if missing == 0 {
			return nil
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d agents have no stream: %w", missing, len(f.agents), ctx.Err())
		}
	}
}

// Claim has a node claim a dataset by its name, which is created if there is
// none, as a container that starts does. The agent reports it as mounted by
// itself: see Watch.
func (f *Fleet) Claim(ctx context.Context, node api.NodeID, spec api.DatasetSpec) (*api.Dataset, error) {
	a := f.agents[node]
	if a == nil {
		return nil, fmt.Errorf("node %s is not played", node)
	}
	a.mu.Lock()
	s := a.session
	a.mu.Unlock()
	if s == nil {
		return nil, errors.New("the node has no stream")
	}
	return s.Claim(ctx, api.ClaimRequest{Find: &spec})
}

// Event is a step on a dataset's way.
type Event struct {
	At   time.Time
	Node api.NodeID
	// Told is the record as a node's stream brought it, nil where a node's
	// report was accepted instead: Reported.
	Told     *api.Dataset
	Reported api.Phase
}

// Watch follows one dataset's way through all agents.
type Watch struct {
	fleet *Fleet
	id    api.DatasetID
	// C has the events. What nobody takes in time is dropped.
	C chan Event
}

// watchBuffer is far more than happens to a dataset between two looks.
const watchBuffer = 64

// Watch follows a dataset from now on. Close it.
func (f *Fleet) Watch(id api.DatasetID) *Watch {
	w := &Watch{fleet: f, id: id, C: make(chan Event, watchBuffer)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watches[id] == nil {
		f.watches[id] = map[*Watch]struct{}{}
	}
	f.watches[id][w] = struct{}{}
	return w
}

// Close ends a watch.
func (w *Watch) Close() {
	w.fleet.mu.Lock()
	defer w.fleet.mu.Unlock()
	delete(w.fleet.watches[w.id], w)
	if len(w.fleet.watches[w.id]) == 0 {
		delete(w.fleet.watches, w.id)
	}
}

// Await returns the first event that is the one.
func (w *Watch) Await(ctx context.Context, is func(Event) bool) (Event, error) {
	for {
		select {
		case ev := <-w.C:
			if is(ev) {
				return ev, nil
			}
		case <-ctx.Done():
			return Event{}, fmt.Errorf("watch dataset %s: %w", w.id, ctx.Err())
		}
	}
}

func (f *Fleet) told(node api.NodeID, ev api.StreamEvent) {
	now := time.Now()
	for _, d := range ev.Datasets {
		f.tell(d.ID, Event{At: now, Node: node, Told: d})
	}
}

func (f *Fleet) accepted(node api.NodeID, st api.DatasetState) {
	f.tell(st.ID, Event{At: time.Now(), Node: node, Reported: st.Phase})
}

func (f *Fleet) tell(id api.DatasetID, ev Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watches[id] {
		select {
		case w.C <- ev:
		default:
		}
	}
}

// changed wakes who waits for streams.
func (f *Fleet) changed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.turn)
	f.turn = make(chan struct{})
}

func (f *Fleet) log(level slog.Level, text string, args ...any) {
	if f.opts.Log != nil {
		f.opts.Log.Log(context.Background(), level, text, args...)
	}
}
