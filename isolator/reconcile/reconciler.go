package reconcile

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// The defaults of a Reconciler.
const (
	DefaultInterval = 15 * time.Second
	// DefaultPause is between two listings at the least. Mesos takes a moment to
	// clean up after what has ended, and must not be kept busy with listings.
	DefaultPause = time.Second
	DefaultGrace = time.Minute
	// DefaultTimeout bounds a listing, which waits for all isolator calls
	// that Mesos has begun or queued.
	DefaultTimeout = time.Minute
)

// Volumes are the volumes in use on this node.
type Volumes interface {
	// Consumers returns all who use a volume.
	Consumers() []api.Consumer
	// Release ends a consumer. One that is not known is no error.
	Release(ctx context.Context, consumer string) error
}

// Containers lists what Mesos runs; see Mesos.
type Containers interface {
	Containers(ctx context.Context) (Live, error)
	Flags(ctx context.Context) (Flags, error)
}

// Reconciler releases the volumes of containers that have ended without a word.
type Reconciler struct {
	Volumes    Volumes
	Containers Containers
	Cgroups    Cgroups
	Log        *slog.Logger

	// Told is called with every change of the trouble, nil for its end. Run alone calls
	// it. It may be nil.
	Told func(*api.MesosTrouble)

	// Hurry has a token when there is reason to think that a container has ended;
	// nil for never.
	Hurry <-chan struct{}

	Interval time.Duration // 0 for DefaultInterval
	Pause    time.Duration // 0 for DefaultPause
	Grace    time.Duration // 0 for DefaultGrace
	Timeout  time.Duration // 0 for DefaultTimeout

	Now func() time.Time // nil for time.Now

	// The fields below belong to Run.
	trouble *api.MesosTrouble // nil while there is none
	orphans map[string]bool   // containers that live though Mesos does not list them
}

// Run compares the consumers with Mesos' containers, at once and then in every
// interval, until the context ends. It returns nil then. While it does not know which
// containers live it releases nothing, and what was missing before must be missing twice
// again.
//
// A container that is missing for the first time is looked for again after the
// pause, so that a lost cleanup is noticed within an interval. Where there is
// reason to hurry Run looks at once, and then after pauses that double until they
// are the interval. What comes while it hurries begins that anew, so there is
// never more than one listing a pause.
func (r *Reconciler) Run(ctx context.Context) error {
	interval, least := cmp.Or(r.Interval, DefaultInterval), cmp.Or(r.Pause, DefaultPause)
	pause := interval
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last time.Time
	var absences Absences
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.Hurry:
			pause = min(least, interval)
			timer.Reset(max(least-time.Since(last), 0))
			continue
		case <-timer.C:
		}
		var err error
		absences, err = r.compare(ctx, absences)
		if ctx.Err() != nil {
			return nil
		}
		if begun := r.report(err); begun || absences.fresh() {
			pause = min(least, interval)
		}
		last = time.Now()
		timer.Reset(pause)
		pause = min(2*pause, interval)
	}
}

// report logs and passes on a change of the trouble. It returns whether a trouble has
// begun.
func (r *Reconciler) report(err error) (begun bool) {
	var now *api.MesosTrouble
	if err != nil {
		t := TroubleOf(err)
		now = &api.MesosTrouble{Kind: t.Kind, Cause: t.Cause, Since: r.now()}
	}
	before := r.trouble
	switch {
	case now == nil && before == nil || now != nil && before != nil && now.Kind == before.Kind && now.Cause == before.Cause:
		return false
	case now == nil:
		r.Log.Info("Mesos tells again which containers it runs", "after", r.now().Sub(before.Since))
	default:
		if before != nil {
			now.Since = before.Since
		}
		r.Log.Warn("cannot tell which containers Mesos still runs, nothing is released", "reason", now.Kind, "cause", now.Cause)
	}
	r.trouble = now
	if r.Told != nil {
		r.Told(now)
	}
	return now != nil && before == nil
}

func (r *Reconciler) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// compare is one run. Flags and control groups are looked at even where there is
// no consumer, so that a mistake in the settings shows before it matters.
func (r *Reconciler) compare(ctx context.Context, before Absences) (Absences, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(r.Timeout, DefaultTimeout))
	defer cancel()
	// First the consumers: one that comes during the listing is not in it.
	consumers := mesosConsumers(r.Volumes.Consumers())
	live := NewLive()
	if len(consumers) > 0 {
		var err error
		if live, err = r.Containers.Containers(ctx); err != nil {
			return nil, err
		}
	}
	// The groups after the listing: a container that it misses has its processes
	// from before.
	flags, err := r.Containers.Flags(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := r.Cgroups.Find(flags)
	if err != nil {
		return nil, err
	}
	gone, absences := Gone(consumers, live, before, r.now(), cmp.Or(r.Grace, DefaultGrace), r.watched(groups))
	for _, id := range gone {
		if err := r.Volumes.Release(ctx, id); err != nil {
			r.Log.Warn("can't release the volumes of a container that has ended", "consumer", id, "cause", err)
			continue
		}
		r.Log.Info("released the volumes of a container whose end Mesos did not report", "consumer", id)
	}
	r.forgetOrphans(absences)
	return absences, nil
}

// watched logs which containers live though Mesos does not list them, once each.
func (r *Reconciler) watched(groups *Groups) func(id string) bool {
	return func(id string) bool {
		alive := groups.Alive(id)
		if alive && !r.orphans[id] {
			if r.orphans == nil {
				r.orphans = map[string]bool{}
			}
			r.orphans[id] = true
			r.Log.Warn("a container that Mesos does not list has processes, its volumes are kept", "consumer", id)
		}
		return alive
	}
}

func (r *Reconciler) forgetOrphans(absences Absences) {
	maps.DeleteFunc(r.orphans, func(id string, _ bool) bool { _, absent := absences[id]; return !absent })
}

func mesosConsumers(all []api.Consumer) []api.Consumer {
	var consumers []api.Consumer
	for _, c := range all {
		if c.Kind == api.ConsumerMesos {
			consumers = append(consumers, c)
		}
	}
	return consumers
}
