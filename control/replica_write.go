package control

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/fault"
)

const (
	// commitTimeout bounds how long the outcome of a commit is waited for.
	commitTimeout = 10 * time.Second
	// uncertainPause is between two attempts to learn the outcome of a commit.
	uncertainPause = 50 * time.Millisecond
)

func newBatchID() string { return rand.Text() }

// write is the writer: the one goroutine that decides and commits.
func (r *Replica) write(ctx context.Context) error {
	var waiting []*pending // taken, but not decided yet
	var last pace
	for {
		if len(waiting) == 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case f := <-r.updates:
				if err := r.takeOver(ctx, f); err != nil {
					return err
				}
				continue
			case p := <-r.commands:
				waiting = append(waiting, p)
			}
		}
		limit, more := last.linger()
		waiting = r.collect(waiting, limit, more)
		begin, taken := time.Now(), len(waiting)
		var err error
		if waiting, err = r.commit(ctx, waiting); err != nil {
			return err
		}
		last = pace{decided: taken - len(waiting), took: time.Since(begin)}
	}
}

// pace is how the last commit went.
type pace struct {
	decided int // commands
	took    time.Duration
}

const (
	// busy is from how many commands in a commit on there is a load.
	busy = 8
	// maxLinger bounds what any load can add to a command.
	maxLinger = 5 * time.Millisecond
)

// linger returns how long more commands are worth waiting for, and up to how
// many. Under load whoever was just answered comes back at once. Without a
// pause two halves of them would take turns, and two commits of half the size
// cost the log far more than one.
func (p pace) linger() (limit time.Duration, commands int) {
	if p.decided < busy {
		return 0, 0
	}
	return min(p.took/2, maxLinger), p.decided
}

// collect adds what else has come in, as much as can go into one commit, and
// waits up to a limit for so many more.
func (r *Replica) collect(waiting []*pending, limit time.Duration, more int) []*pending {
	waiting = r.drain(waiting)
	wanted := min(len(waiting)+more, r.props.MaxChanges)
	if limit == 0 || len(waiting) >= wanted {
		return waiting
	}
	end := time.NewTimer(limit)
	defer end.Stop()
	for len(waiting) < wanted {
		select {
		case p := <-r.commands:
			waiting = append(waiting, p)
		case <-end.C:
			return waiting
		}
	}
	return r.drain(waiting)
}

// drain adds what is there, without waiting for more.
func (r *Replica) drain(waiting []*pending) []*pending {
	for len(waiting) < r.props.MaxChanges {
		select {
		case p := <-r.commands:
			waiting = append(waiting, p)
		default:
			return waiting
		}
	}
	return waiting
}

// commit decides as many of the waiting commands as go into one commit, makes
// it, answers them and returns the rest. An error means that the log cannot be
// gone on with.
func (r *Replica) commit(ctx context.Context, waiting []*pending) (rest []*pending, err error) {
	// A commit that has begun is seen through when the service is told to stop.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	for {
		d := r.decide(waiting)
		batch := store.Batch{ID: newBatchID(), After: r.State().Revision(), Changes: d.records}
		started := time.Now()
		revision, err := r.commitBatch(ctx, batch)
		r.metrics.committed(len(d.decided), len(d.records), time.Since(started), err)
		switch {
		case err == nil:
			r.reached()
			fault.Point("control.committed")
			d.work.SetRevision(revision)
			r.publish(d.work, d.changes)
			fault.Point("control.applied")
			for i, p := range d.decided {
				d.outcomes[i].State = d.work
				r.metrics.decided(p.cmd, d.errs[i])
				p.answer(d.outcomes[i], d.errs[i])
			}
			return waiting[len(d.decided):], nil
		case errors.Is(err, store.ErrRaced):
			if err = r.catchUp(ctx); err == nil {
				continue
			}
		}
		r.unreached(err)
		refusal := r.refusal(err)
		for _, p := range d.decided {
			p.answer(Result{}, refusal)
		}
		if r.fatal(err) {
			return nil, err
		}
		return waiting[len(d.decided):], nil
	}
}

// commitBatch commits a batch and sees to it that the outcome is known.
func (r *Replica) commitBatch(ctx context.Context, batch store.Batch) (uint64, error) {
	for attempt := 1; ; attempt++ {
		revision, err := r.log.Commit(ctx, batch)
		if !errors.Is(err, store.ErrUncertain) || errors.Is(err, store.ErrBroken) || ctx.Err() != nil {
			return revision, err
		}
		if attempt == 1 { // an election takes some seconds, and many attempts
			r.slog.Warn("outcome of a commit is unknown, asking again", "cause", err, "next_try", uncertainPause)
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-time.After(uncertainPause):
		}
	}
}

// refusal is what commands are told whose commit failed.
func (r *Replica) refusal(err error) error {
	r.slog.Error("commit failed", "log", r.props.Name, "cause", err)
	if errors.Is(err, store.ErrUncertain) {
		return api.Errorf(api.CodeUnavailable, "the change may have been made or not, look again: %v", err)
	}
	return api.Errorf(api.CodeUnavailable, "nothing was changed: %v", err)
}

// fatal reports whether no further commit can succeed before a restart.
func (r *Replica) fatal(err error) bool {
	_, damaged := errors.AsType[*store.DamagedError](err)
	return damaged || errors.Is(err, store.ErrBroken) || errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrRewound)
}

// decision is a batch that is being put together.
type decision struct {
	work     *cluster.State // with all changes
	decided  []*pending
	outcomes []Result
	errs     []error
	changes  []cluster.Change
	records  []store.Record
	at       map[cluster.Key]int // where a key's record is
	bytes    int
}

// decide applies commands in their order to a copy of the newest state, until
// the changes fill a commit.
func (r *Replica) decide(waiting []*pending) *decision {
	d := &decision{work: r.State().Clone(), at: map[cluster.Key]int{}}
	for _, p := range waiting {
		outcome, err := p.cmd.Apply(d.work)
		if err == nil {
			if err = d.work.CheckFrozen(outcome.Changes); err != nil {
				outcome = cluster.Outcome{}
			}
		}
		if err == nil && len(outcome.Changes) > 0 {
			outcome.Changes = append(outcome.Changes, d.work.Overwritten(outcome.Changes)...)
			switch fits, failure := d.add(outcome.Changes, r.props); {
			case failure != nil:
				outcome, err = cluster.Outcome{}, failure
			case !fits && len(d.decided) > 0:
				return d
			case !fits:
				err = api.Errorf(api.CodeInvalid, "the change is too large: its %d records do not go into one commit", len(outcome.Changes))
				outcome = cluster.Outcome{}
			}
		}
		d.decided = append(d.decided, p)
		d.outcomes = append(d.outcomes, Result{Outcome: outcome})
		d.errs = append(d.errs, err)
	}
	return d
}

// add adds a command's changes, all or, where they do not fit, none.
func (d *decision) add(changes []cluster.Change, limits store.Properties) (fits bool, err error) {
	records := make([]store.Record, 0, len(changes))
	count, bytes := len(d.records), d.bytes
	for _, c := range changes {
		value, err := cluster.Encode(c)
		if err != nil {
			return false, err
		}
		records = append(records, store.Record{Key: string(c.Key), Value: value})
		if i, ok := d.at[c.Key]; ok {
			bytes += len(value) - len(d.records[i].Value)
		} else {
			count++
			bytes += len(c.Key) + len(value)
		}
	}
	if count > limits.MaxChanges || bytes > limits.MaxBytes {
		return false, nil
	}
	d.bytes = bytes
	d.work.Put(changes...)
	for i, c := range changes {
		if at, ok := d.at[c.Key]; ok {
			d.changes[at], d.records[at] = c, records[i]
			continue
		}
		d.at[c.Key] = len(d.records)
		d.changes = append(d.changes, c)
		d.records = append(d.records, records[i])
	}
	return true, nil
}

// publish shares a committed state and wakes the streams that it concerns.
func (r *Replica) publish(next *cluster.State, changes []cluster.Change) {
	old := r.State()
	r.state.Store(next)
	for _, c := range changes {
		if node, ok := c.Key.Node(); ok {
			r.hub.wake(node)
		}
		if id, ok := c.Key.Dataset(); ok {
			for _, node := range cluster.Concerned(old.Dataset(id), next.Dataset(id)) {
				r.hub.mark(node, id)
			}
		}
		if id, ok := c.Key.Lease(); ok {
			r.tellLease(id, old.Lease(id), next.Lease(id))
		}
		if id, ok := c.Key.Hint(); ok {
			r.tellHint(id, old.Hint(id), next.Hint(id))
		}
		if node, ok := c.Key.Ending(); ok {
			r.hub.markEnding(node)
		}
		r.watchers.wake(c.Key)
	}
	r.history.add(next.Revision(), changes)
	r.metrics.observe(next)
	r.wakeUpkeep(next)
	r.wakeAhead(old, next, changes)
	r.wakeExpiry(old, next)
}

// errNotFollowed wraps why the log's changes could not be taken over.
func errNotFollowed(err error) error { return fmt.Errorf("follow log: %w", err) }
