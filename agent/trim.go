package agent

import (
	"context"
	"hash/fnv"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// trimCheck is how often the agent looks for volumes that are due.
const trimCheck = time.Minute

// runTrims has mounted volumes trimmed by the clock until ctx ends, where the storage
// gains from that.
func (e *engine) runTrims(ctx context.Context, interval time.Duration) {
	if interval <= 0 || !e.stepper.backend.Properties().Thin {
		return
	}
	tick := time.NewTicker(min(trimCheck, interval))
	defer tick.Stop()
	last := e.now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := e.now()
		e.mu.Lock()
		for _, d := range e.datasets {
			if d.seen.phase == api.PhaseMounted && isDue(d.id, interval, last, now) {
				d.trimDue = true
				e.wake(d)
			}
		}
		e.mu.Unlock()
		last = now
	}
}

// isDue reports whether a volume's time to be trimmed is in (last, now]. Each volume has
// a time of its own in every interval, which no restart of the agent moves.
func isDue(id api.DatasetID, interval time.Duration, last, now time.Time) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	offset := int64(h.Sum64() % uint64(interval))
	turn := func(t time.Time) int64 { return (t.UnixNano() - offset) / int64(interval) }
	return turn(now) > turn(last)
}

// trimRequested returns the number of a request to trim that has no answer yet, 0 for
// none. The caller has the mutex.
func (e *engine) trimRequested(d *dataset) uint64 {
	if d.record == nil || d.record.Trim == nil || e.now().Sub(d.record.Trim.Asked) > api.TrimLimit {
		return 0
	}
	if d.trim != nil && d.trim.Number >= d.record.Trim.Number {
		return 0
	}
	return d.record.Trim.Number
}

// trim gives the free blocks of a mounted volume back, until the volume is wanted
// elsewhere. It reports a failure as its result, and does not fail the step.
func (e *engine) trim(ctx context.Context, d *dataset, seen sight) error {
	e.mu.Lock()
	number := e.trimRequested(d)
	e.mu.Unlock()
	if err := e.trims.Acquire(ctx, 1); err != nil { // one at a time: it burdens the storage
		return err
	}
	defer e.trims.Release(1)
	state := &api.TrimState{Number: number, At: e.now().Round(0)}
	begin := time.Now()
	n, err := host.Trim(e.stepper.path(d.id), seen.mounted, func() bool { return ctx.Err() != nil || !e.keepsMounted(d) })
	state.Bytes, state.Took = n, time.Since(begin)
	log := e.log.With("dataset", d.id, "bytes", n, "took", state.Took.Round(time.Millisecond))
	if err != nil {
		state.Error = err.Error()
		log.Warn("could not trim the volume", "cause", err)
	} else {
		log.Info("trimmed the volume")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if state.Number == 0 && d.trim != nil {
		state.Number = d.trim.Number
	}
	d.trim, d.trimDue = state, false
	e.reports.note(d.id)
	return nil
}

// keepsMounted reports whether the dataset is still wanted as it is.
func (e *engine) keepsMounted(d *dataset) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tracks(d) && e.turn(d).goal == goalMounted
}
