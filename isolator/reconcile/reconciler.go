package reconcile

import (
	"cmp"
	"context"
	"log/slog"
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
}

// Reconciler releases the volumes of containers that have ended without a word.
type Reconciler struct {
	Volumes    Volumes
	Containers Containers
	Alive      func(consumer string) bool // see Cgroups
	Log        *slog.Logger

	// Hurry has a token when there is reason to think that a container has ended;
	// nil for never.
	Hurry <-chan struct{}

	Interval time.Duration // 0 for DefaultInterval
	Pause    time.Duration // 0 for DefaultPause
	Grace    time.Duration // 0 for DefaultGrace
	Timeout  time.Duration // 0 for DefaultTimeout

	Now func() time.Time // nil for time.Now
}

// Run compares the consumers with Mesos' containers, at once and then in every
// interval, until the context ends. It returns nil then. While Mesos does not
// answer nothing is released, and what was missing before must be missing twice
// again.
//
// Where there is reason to hurry it looks again at once, and then after pauses that
// double until they are the interval: a container is still listed for a moment when
// its end is known, and has to be missing twice. What comes while it hurries begins
// that anew, so there is never more than one listing a pause.
func (r *Reconciler) Run(ctx context.Context) error {
	interval, least := cmp.Or(r.Interval, DefaultInterval), cmp.Or(r.Pause, DefaultPause)
	pause := interval
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last time.Time
	var absences Absences
	failing := false
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
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failing:
			r.Log.Warn("can't compare volumes in use with Mesos' containers, nothing is released", "cause", err)
		case err == nil && failing:
			r.Log.Info("Mesos lists its containers again")
		}
		failing, last = err != nil, time.Now()
		timer.Reset(pause)
		pause = min(2*pause, interval)
	}
}

// compare is one run.
func (r *Reconciler) compare(ctx context.Context, before Absences) (Absences, error) {
	// First the consumers: one that comes during the listing is not in it.
	consumers := mesosConsumers(r.Volumes.Consumers())
	if len(consumers) == 0 {
		return nil, nil
	}
	listing, cancel := context.WithTimeout(ctx, cmp.Or(r.Timeout, DefaultTimeout))
	defer cancel()
	live, err := r.Containers.Containers(listing)
	if err != nil {
		return nil, err
	}
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	gone, absences := Gone(consumers, live, before, now(), cmp.Or(r.Grace, DefaultGrace), r.Alive)
	for _, id := range gone {
		if err := r.Volumes.Release(ctx, id); err != nil {
			r.Log.Warn("can't release the volumes of a container that has ended", "consumer", id, "cause", err)
			continue
		}
		r.Log.Info("released the volumes of a container whose end Mesos did not report", "consumer", id)
	}
	return absences, nil
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
