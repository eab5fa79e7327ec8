package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/store"
)

// Replica is one control service's copy of the cluster. Any number of
// goroutines may use it.
type Replica struct {
	log     store.Log
	props   store.Properties
	slog    *slog.Logger
	metrics *replicaMetrics
	memory  *memory

	strangers strangers
	foreign   foreignKeys
	warnings  []string // what an operator should change in how the log is reached

	state    atomic.Pointer[cluster.State] // written by the writer only
	outage   outage
	hub      hub
	watchers watchers
	history  history
	due      chan struct{} // holds one token while there is upkeep to do
	unmade   chan struct{} // holds one token while there may be volumes to make ahead
	expiring chan struct{} // holds one token when another lease is the next one to end
	commands chan *pending
	updates  chan follow
	stopped  chan struct{}
	began    bool // the log was a new one
}

// Result is what became of a command.
type Result struct {
	cluster.Outcome
	// State has the command's changes and whatever was committed with it.
	State *cluster.State
}

// pending is a command on its way through the writer.
type pending struct {
	cmd    cluster.Command
	result Result
	err    error
	done   chan struct{} // closed when result and err are there
}

// queueLength is how many commands may wait for the writer before further ones
// wait to be taken.
const queueLength = 1024

// openReplica reads the cluster from a log. A new log is given to the cluster
// with the given UUID; one of another cluster is refused.
func openReplica(ctx context.Context, log store.Log, clusterID string, memory *memory, now time.Time, slog *slog.Logger, m *replicaMetrics) (*Replica, error) {
	r := &Replica{
		memory: memory,
		log:    log, props: log.Properties(), slog: slog, metrics: m,
		commands: make(chan *pending, queueLength),
		updates:  make(chan follow),
		due:      make(chan struct{}, 1),
		unmade:   make(chan struct{}, 1),
		expiring: make(chan struct{}, 1),
		stopped:  make(chan struct{}),
	}
	s, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	if s.Revision() == 0 {
		if err := memory.admit(s.Identity(), r.props.Name); err != nil {
			return nil, err
		}
		if s, err = r.begin(ctx, clusterID, now); err != nil {
			return nil, err
		}
		r.began = true
	}
	switch meta := s.Meta(); {
	case meta == nil:
		return nil, &store.DamagedError{Name: r.props.Name, What: fmt.Sprintf("has revision %d, but not the record of what it is", s.Revision())}
	case meta.Cluster != clusterID:
		return nil, fmt.Errorf("%s belongs to the cluster %s, and the certificates to the cluster %s: use the certificates of the one or the log of the other",
			r.props.Name, meta.Cluster, clusterID)
	}
	if err := memory.admit(s.Identity(), r.props.Name); err != nil {
		return nil, err
	}
	if err := memory.note(s.Identity()); err != nil {
		return nil, err
	}
	r.state.Store(s)
	r.history.begin(s.Revision())
	r.metrics.observe(s)
	r.wakeUpkeep(s)
	return r, nil
}

// wakeUpkeep has somebody look after what follows from a state.
func (r *Replica) wakeUpkeep(s *cluster.State) {
	if !s.Due() {
		return
	}
	select {
	case r.due <- struct{}{}:
	default:
	}
}

// reached notes that the log answers.
func (r *Replica) reached() {
	if lasted := r.outage.end(time.Now()); lasted > 0 {
		r.metrics.outage.Set(0)
		r.slog.Info("log can be reached again", "log", r.props.Name, "after", lasted.Round(time.Millisecond))
	}
}

// unreached notes that the log does not.
func (r *Replica) unreached(cause error) {
	if r.outage.begin(time.Now(), cause) {
		r.metrics.outage.Set(1)
		r.slog.Error("log cannot be reached; until it can, reads show what was last known and writes are refused",
			"log", r.props.Name, "cause", cause)
	}
}

// begin makes the first commit of a new log.
func (r *Replica) begin(ctx context.Context, clusterID string, now time.Time) (*cluster.State, error) {
	batch := store.Batch{ID: newBatchID()}
	for _, c := range cluster.NewIdentity(uuid.NewString(), cluster.Meta{Cluster: clusterID, Created: now, Tenancy: api.TenancyOwners}) {
		value, err := cluster.Encode(c)
		if err != nil {
			return nil, err
		}
		batch.Changes = append(batch.Changes, store.Record{Key: string(c.Key), Value: value})
	}
	_, err := r.log.Commit(ctx, batch)
	if err != nil && !errors.Is(err, store.ErrRaced) { // another replica may have begun it
		return nil, fmt.Errorf("begin log: %w", err)
	}
	return r.load(ctx)
}

// startWith gives a new log the tenancy that the settings name.
func (r *Replica) startWith(ctx context.Context, tenancy api.Tenancy, now time.Time) error {
	if !r.began {
		return nil
	}
	return r.doAlone(ctx, cluster.SetTenancy{At: now, By: cluster.Actor{Operator: true}, Tenancy: tenancy})
}

// load reads the whole log.
func (r *Replica) load(ctx context.Context) (*cluster.State, error) {
	snap, err := r.log.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("load log: %w", err)
	}
	s := cluster.New()
	if err := r.put(s, snap.Records); err != nil {
		return nil, err
	}
	for _, d := range snap.Damage {
		if key := cluster.Key(d.Key); !d.Foreign && s.DamageOf(key) == nil {
			s.SetAside(damaged(d, s)) // until it is noted in the log
		}
	}
	s.SetRevision(snap.Revision)
	return s, nil
}

// put puts stored records into a state that nobody sees yet. Those of a newer
// version are reported and left alone, except for the one about the log itself.
func (r *Replica) put(s *cluster.State, records []store.Record) error {
	for _, record := range records {
		err := s.PutStored(cluster.Key(record.Key), record.Value)
		if of, ok := cluster.Key(record.Key).Damaged(); ok && err == nil {
			err = recall(s, of)
		}
		if err == nil {
			continue
		}
		newer, ok := errors.AsType[*cluster.NewerError](err)
		switch {
		case !ok && cluster.Key(record.Key) == cluster.KeyMeta:
			return &store.DamagedError{Name: r.props.Name, What: "has a record that cannot be read", Err: err}
		case !ok:
			r.slog.Error("record cannot be read, it is set aside", "key", record.Key, "cause", err)
			s.SetAside(cluster.Damaged{Key: cluster.Key(record.Key), What: "cannot be read: " + err.Error(), Since: time.Now().UTC()})
		case newer.Key == cluster.KeyMeta:
			return fmt.Errorf("%s was taken over by a newer version of the control service: %w", r.props.Name, err)
		default:
			r.slog.Warn("record of a newer version is left alone", "key", newer.Key, "schema", newer.Schema, "known", cluster.Schema)
		}
	}
	return nil
}

// State returns the newest committed state that this replica knows.
func (r *Replica) State() *cluster.State { return r.state.Load() }

// Do decides a command on the newest state, commits what it changes, and
// returns the outcome. A refusal is the command's *api.Error; CodeUnavailable
// says whether the command may have taken effect all the same. When ctx ends
// first, it may yet.
func (r *Replica) Do(ctx context.Context, cmd cluster.Command) (Result, error) {
	return r.await(ctx, r.submit(ctx, cmd))
}

// doAlone is Do for before Run, while nobody else writes.
func (r *Replica) doAlone(ctx context.Context, cmd cluster.Command) error {
	p := &pending{cmd: cmd, done: make(chan struct{})}
	for {
		rest, err := r.commit(ctx, []*pending{p})
		if err != nil {
			return err
		}
		if len(rest) == 0 {
			return p.err
		}
	}
}

// await waits for the outcome of a submitted command.
func (r *Replica) await(ctx context.Context, p *pending) (Result, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		return Result{}, ctx.Err()
	case <-r.stopped:
		select { // whatever was decided has been answered before
		case <-p.done:
		default:
			return Result{}, errStopped
		}
	}
	return p.result, p.err
}

// submit hands a command to the writer. Commands of one goroutine are decided
// in the order of their submission.
func (r *Replica) submit(ctx context.Context, cmd cluster.Command) *pending {
	p := &pending{cmd: cmd, done: make(chan struct{})}
	select {
	case r.commands <- p:
	case <-ctx.Done():
		p.answer(Result{}, ctx.Err())
	case <-r.stopped:
	}
	return p
}

var errStopped = api.Errorf(api.CodeUnavailable, "this control service is stopping; nothing was changed")

func (p *pending) answer(result Result, err error) {
	p.result, p.err = result, err
	close(p.done)
}

// Run serves commands until ctx ends, or until the log cannot be gone on with.
func (r *Replica) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.write(gctx) })
	g.Go(func() error { r.remember(gctx); return nil })
	if log, ok := r.log.(store.Inspector); ok {
		g.Go(func() error { return r.inspect(gctx, log) })
	}
	if !r.props.Exclusive {
		g.Go(func() error { return r.follow(gctx) })
	}
	err := g.Wait()
	close(r.stopped)
	if ctx.Err() != nil {
		return nil
	}
	return err
}
