package agent

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/semaphore"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// slowStep is how long a worker may be at it before its progress is worth a
// report of its own: a local volume is ready in milliseconds, and a report a
// step would cost more than the steps.
const slowStep = 500 * time.Millisecond

// Retries after a failure: soon at first, never more than maxRetry apart.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 30 * time.Second
	// maxFenceRetry is how often it is looked whether a lost machine is off:
	// containers elsewhere wait for that.
	maxFenceRetry = 5 * time.Second
	// maxBusyRetry bounds the pause between two attempts at a volume that is in use
	// on this machine: the kernel does not tell of all ways in which that ends.
	maxBusyRetry = time.Second
)

// dataset is all that the agent knows of one dataset. The engine's mutex
// guards it; only its worker, of which there is one at the most, acts on it.
type dataset struct {
	id        api.DatasetID
	record    *api.Dataset              // as the control service last said; nil: no concern of this node
	consumers map[string]consumedVolume // by consumer id
	hint      *hint                     // a container that is expected, nil for none
	spent     uint64                    // the epoch whose release was sent; nothing is done under it any more

	seen    sight
	since   time.Time // of seen.phase
	doing   action    // what the worker is at, or what failed last
	failure *api.Failure
	final   bool // the failure will not mend itself

	working bool           // a worker is at it
	dirty   bool           // something changed since the worker last looked at the inputs
	trimDue bool           // by the clock
	trim    *api.TrimState // the last one, nil for none since the agent started
	suspect bool           // something outside of the agent may have changed what is attached here
	backoff *backoff.ExponentialBackOff
	retry   *time.Timer // wakes the worker after a failure
	unwatch func()      // ends the watch of what holds the volume, nil for none
	asked   time.Time   // when the users of a preempted volume were asked to end, zero where they were not
	coming  *arrival    // while somebody waits for it

	vigil   *host.Vigil     // over what is mounted, nil before the first look
	health  *api.Health     // what is wrong with it, without the remedy, nil for nothing
	mending *api.Health     // what was wrong with it before it was unmounted, until it is mounted again
	served  map[string]bool // the consumers that may be using the mount
	logged  uint64          // the kernel's newest line before it was mounted
	turns   uint64          // counts what changes mounts: a look from before it proves nothing

	changed chan struct{} // closed, and replaced, whenever anything above changes
}

// registered reports whether the control service knows the volume.
func (d *dataset) registered() bool { return d.record != nil && d.record.Volume != nil }

// ready reports whether consumers may use the volume now. One that is being
// unmounted is not: who came too late for that waits until it is mounted again.
func (d *dataset) ready(node api.NodeID) bool {
	return d.seen.phase == api.PhaseMounted && d.seen.lost == "" && d.doing != actUnmount && d.registered() && d.record.HeldBy(node) && d.record.Epoch != d.spent
}

// sameEpoch reports whether what was seen of the dataset was seen under the
// present epoch. What was mounted when the agent started counts as that: it has
// been looked at since any epoch before.
func (d *dataset) sameEpoch() bool {
	return d.seen.epoch == epochOf(d.record) || d.seen.epoch == 0 && d.seen.phase == api.PhaseMounted
}

func (d *dataset) readOnly() bool {
	for _, v := range d.consumers {
		if v.ReadOnly && v.view() == "" {
			return true
		}
	}
	return false
}

// stopRetry disarms the timer of a failed step and the watch beside it. The caller has
// the mutex.
func (d *dataset) stopRetry() {
	if d.retry != nil {
		d.retry.Stop()
		d.retry = nil
	}
	if d.unwatch != nil {
		d.unwatch()
		d.unwatch = nil
	}
}

func (d *dataset) announce() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// engine brings every dataset of this node to where it should be. Each has a
// worker of its own, which lives only while there is something to do.
type engine struct {
	node    api.NodeID
	log     *slog.Logger
	now     func() time.Time
	stepper *stepper
	control control
	reports *reporter
	metrics *metrics
	// memberCame tells who looks after them that a member of a set has come for a
	// consumer that waits for one, or that it may.
	memberCame func()
	ending     func() // tells that a container has ended, by Marathon's word alone
	times      *times
	// waitLimit is how long containers wait for their volumes.
	waitLimit time.Duration
	// inContact says why nothing may be attached now: the control service may
	// have given this node up for lost.
	inContact func() error
	// mayMake says why no volume may be made for a dataset.
	mayMake func(*api.Dataset) error
	grace   time.Duration       // for processes that are asked to let a preempted volume go
	slots   *semaphore.Weighted // bounds the steps that burden the machine
	watches *semaphore.Weighted // bounds the volumes that have their holders watched
	trims   *semaphore.Weighted

	mu       sync.Mutex
	datasets map[api.DatasetID]*dataset
	leases   map[api.DatasetID]*api.Lease // of this node, also of what is no concern of it yet
	names    map[string]int               // names that a front door is claiming right now
	roots    map[string]int               // containers for which it does
	stacked  map[string]bool              // mount points at which the survey found several mounts, or a part of a volume
	logEnd   *host.LogEnd                 // nil where the kernel's log is not heard
	synced   bool                         // the control service has told what concerns this node
	closed   bool
	workers  sync.WaitGroup
	ctx      context.Context //nolint:containedctx // the life of the workers, which start at any time
}

// track returns the dataset, made known if it was not. The caller has the mutex.
func (e *engine) track(id api.DatasetID) *dataset {
	d, ok := e.datasets[id]
	if !ok {
		d = &dataset{
			id:        id,
			consumers: map[string]consumedVolume{},
			seen:      sight{phase: api.PhaseUnknown},
			since:     e.now(),
			changed:   make(chan struct{}),
			backoff: &backoff.ExponentialBackOff{
				InitialInterval: minRetry, Multiplier: 2, MaxInterval: maxRetry, RandomizationFactor: 0.2,
			},
		}
		d.backoff.Reset()
		e.datasets[id] = d
	}
	return d
}

// update takes over a record, unless a newer one is known. The caller has the mutex.
func (e *engine) update(record *api.Dataset) {
	d := e.track(record.ID)
	if d.record != nil && record.Revision <= d.record.Revision {
		return
	}
	d.record = record
	e.wake(d)
}

// learn takes over the answer to a claim. It stands also at the revision that
// is known: it is what the control service committed, while what is known may
// have been settled here ahead of it.
func (e *engine) learn(record *api.Dataset) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := e.track(record.ID); d.record == nil || record.Revision >= d.record.Revision {
		d.record = record
		e.wake(d)
	}
}

// sync takes over all that the control service says concerns this node.
func (e *engine) sync(records []*api.Dataset, leases []*api.Lease, hints []*api.Hint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.synced = true
	for _, d := range e.datasets {
		d.spent = 0 // what the last stream had under way is refused from now on
	}
	e.syncLeases(leases)
	e.syncHints(hints)
	current := map[api.DatasetID]bool{}
	for _, r := range records {
		current[r.ID] = true
		// A replica that took over may be behind what another one told: the
		// revision still decides.
		e.update(r)
	}
	for id, d := range e.datasets {
		if !current[id] {
			d.record = nil
		}
		e.wake(d)
	}
	e.memberCame()
}

// apply takes over what has changed.
func (e *engine) apply(ev api.StreamEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	// Leases first: what keeps a dataset where it is must be known before the
	// change that would take it away.
	for _, l := range ev.Leases {
		e.lease(l)
	}
	for _, id := range ev.Unleased {
		e.unlease(id)
	}
	for _, id := range ev.Unhinted {
		e.unhint(id)
	}
	for _, h := range ev.Hints {
		e.takeHint(h)
	}
	if end := ev.Ending; end != nil {
		e.log.Debug("an instance has ended here, for all that Marathon knows", "app", end.App, "instance", end.Instance)
		e.ending()
	}
	for _, r := range ev.Datasets {
		e.update(r)
	}
	for _, id := range ev.Removed {
		if d, ok := e.datasets[id]; ok {
			d.record = nil
			e.wake(d)
		}
	}
}

// tracks reports whether d is the dataset that the engine tracks under its id. A
// forgotten one may have a successor, with consumers of its own: nothing acts for
// the forgotten one any more. The caller has the mutex.
func (e *engine) tracks(d *dataset) bool { return e.datasets[d.id] == d }

// wake has the worker look at a tracked dataset, and starts a worker if there is
// none. The caller has the mutex.
func (e *engine) wake(d *dataset) {
	if !e.tracks(d) {
		return
	}
	d.dirty = true
	e.arrived(d)
	d.announce()
	if d.working || e.closed {
		return
	}
	d.working = true
	d.stopRetry()
	e.workers.Go(func() { e.work(e.ctx, d) })
}

// close stops the retries and waits for the workers, whose context has ended.
func (e *engine) close() {
	e.mu.Lock()
	e.closed = true
	for _, d := range e.datasets {
		d.stopRetry()
		e.endHint(d)
	}
	e.mu.Unlock()
	e.workers.Wait()
}

// work is the worker of a dataset: one step after the other until there is
// nothing left to do, or a step fails.
func (e *engine) work(ctx context.Context, d *dataset) {
	slow := time.AfterFunc(slowStep, func() { e.reports.note(d.id) })
	defer slow.Stop()
	for {
		t, ok := e.plan(d)
		if !ok {
			e.reports.note(d.id)
			return
		}
		begin := time.Now()
		seen, err := e.step(ctx, d, t)
		if ctx.Err() != nil {
			e.mu.Lock()
			d.working = false
			e.mu.Unlock()
			return
		}
		e.metrics.stepped(t.act, time.Since(begin), err)
		err = e.blame(ctx, d.id, seen, err)
		if !e.finish(ctx, d, t, seen, err) {
			e.reports.note(d.id)
			return
		}
	}
}

// step carries out one turn.
func (e *engine) step(ctx context.Context, d *dataset, t task) (sight, error) {
	switch t.act {
	case actFree:
		return t.seen, e.reports.send(ctx, d.id, effects{free: t.record.Member.User.Claim})
	case actView:
		return t.seen, e.stepper.bindViews(d.id, t.seen, t.views)
	case actClaim:
		return t.seen, e.claimToken(ctx, d)
	case actWithdraw:
		return t.seen, e.reports.send(ctx, d.id, effects{withdraw: true})
	case actRelease:
		return t.seen, e.reports.send(ctx, d.id, effects{
			epoch: t.record.Holder.Epoch, release: true, destroyed: t.goal == goalDestroyed,
		})
	case actRegister:
		return t.seen, e.reports.send(ctx, d.id, effects{epoch: t.record.Holder.Epoch, volume: &api.Volume{
			ID: t.seen.volume.ID, Backend: e.stepper.backendName(), Size: t.seen.volume.Size, Zone: t.seen.volume.Zone,
		}})
	case actWait, actRefuse:
		return t.seen, &stuckError{seen: t.seen, final: t.act == actRefuse || e.stepper.foreignRecord(t.record) != "" || e.stepper.zones.isForeign(t.record, t.seen.volume)}
	case actFence:
		return t.seen, e.fence(ctx, d.id, t.record)
	case actTrim:
		return t.seen, e.trim(ctx, d, t.seen)
	case actCreate, actAttach:
		if err := e.inContact(); err != nil {
			return t.seen, err
		}
		if t.act == actCreate && e.mayMake != nil {
			if err := e.mayMake(t.record); err != nil {
				return t.seen, err
			}
		}
		return e.burden(ctx, d, t)
	case actLook, actUnmount, actDetach:
		seen, err := e.burden(ctx, d, t)
		if t.goal == goalYielded && inUse(err) {
			err = e.evict(ctx, d, seen, err)
		}
		return e.rejoin(ctx, d, t, seen, err)
	default:
		return e.burden(ctx, d, t)
	}
}

// claimToken asks for the token, and learns whether this node has it or waits for it.
func (e *engine) claimToken(ctx context.Context, d *dataset) error {
	record, err := e.claim(ctx, d)
	if e.overtaken(d, err) {
		return nil
	}
	if err != nil {
		return err
	}
	e.learn(record)
	if !record.HeldBy(e.node) && !record.AwaitedBy(e.node) {
		return errors.New("the control service neither granted the dataset nor put this node in its queue")
	}
	return nil
}

// burden carries out a turn that burdens the machine.
func (e *engine) burden(ctx context.Context, d *dataset, t task) (sight, error) {
	if err := e.slots.Acquire(ctx, 1); err != nil {
		return t.seen, err
	}
	defer e.slots.Release(1)
	if t.act == actMount {
		e.markLog(d)
	}
	return e.stepper.do(ctx, t.act, d.id, t.record, t.seen)
}

// finish takes over the outcome of a turn and reports whether to go on at once.
func (e *engine) finish(ctx context.Context, d *dataset, t task, seen sight, err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	log := e.log.With("dataset", d.id, "action", string(t.act))
	if seen.phase != d.seen.phase {
		d.since = e.now()
	}
	d.countTurn(t.act)
	if seen.phase != api.PhaseMounted || seen.mounted != d.seen.mounted {
		e.endVigil(d, seen.phase == api.PhaseMounted)
	}
	d.seen = seen
	d.seen.epoch = epochOf(t.record)
	d.seen.doubt = err != nil || t.act == actRelease // once released, others may change the volume
	if err == nil {
		if t.act != actLook { // a look proves nothing about what failed before it
			d.failure, d.final = nil, false
			d.backoff.Reset()
		}
		if d.coming != nil {
			d.coming.step(t.act)
			e.arrived(d)
		}
		d.announce()
		log.Debug("done", "phase", string(seen.phase))
		return true
	}
	wait := e.fail(d, t.act, err)
	obstacle, obstructed := errors.AsType[*obstructedError](err)
	if d.dirty {
		// Something changed meanwhile: what failed may not be wanted any more,
		// and who came meanwhile deserves a new attempt.
		d.final = false
		log.Debug("failed, inputs changed meanwhile", "cause", err)
		return true
	}
	d.working = false
	e.retryAfter(d, wait)
	if obstructed {
		e.watchHolders(ctx, d, obstacle.finding)
	}
	d.announce()
	return false
}

// retryAfter wakes the worker of a dataset that has none after a while. The caller
// has the mutex.
func (e *engine) retryAfter(d *dataset, wait time.Duration) {
	d.stopRetry()
	if e.closed {
		return
	}
	d.retry = time.AfterFunc(wait, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.wake(d)
	})
}

// fail keeps a failure with the dataset and returns how long to wait before the
// next attempt. The caller has the mutex.
func (e *engine) fail(d *dataset, act action, err error) time.Duration {
	now := e.now()
	cause := err.Error()
	if d.failure == nil || d.failure.Action != string(act) || d.failure.Cause != cause {
		e.log.Warn("failed, will try again", "dataset", d.id, "name", nameOf(d.record), "action", string(act), "cause", cause)
	}
	f := &api.Failure{Action: string(act), Cause: cause, Since: now, Attempts: 1}
	if d.failure != nil && d.failure.Action == f.Action {
		f.Since, f.Attempts = d.failure.Since, d.failure.Attempts+1
	}
	wait := d.backoff.NextBackOff()
	switch {
	case act == actFence:
		wait = min(wait, maxFenceRetry)
	case !d.asked.IsZero(), isObstructed(err):
		wait = min(wait, maxBusyRetry)
	}
	f.NextTry = now.Add(wait)
	d.failure, d.final = f, isFinal(err)
	f.Lasting = isLasting(err)
	return wait
}

func epochOf(record *api.Dataset) uint64 {
	if record == nil {
		return 0
	}
	return record.Epoch
}

func nameOf(record *api.Dataset) string {
	if record == nil {
		return ""
	}
	return record.Name()
}
