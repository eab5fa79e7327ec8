package control

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/store"
)

// follow is what the follower hands to the writer.
type follow struct {
	update store.Update
	gap    bool // so much has changed that everything must be read again
}

const (
	minFollowPause = 50 * time.Millisecond
	maxFollowPause = 5 * time.Second
)

// follow tells the writer what other replicas commit, until ctx ends.
func (r *Replica) follow(ctx context.Context) error {
	after, pause := r.State().Revision(), minFollowPause
	for {
		up, err := r.log.Follow(ctx, after)
		f := follow{update: up, gap: errors.Is(err, store.ErrGap)}
		switch {
		case err == nil || f.gap:
			pause = minFollowPause
			r.reached()
		case ctx.Err() != nil:
			return ctx.Err()
		case r.fatal(err):
			return errNotFollowed(err)
		default:
			r.unreached(err)
			r.slog.Debug("log cannot be followed, will try again", "log", r.props.Name, "cause", err, "next_try", pause)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause/2 + rand.N(pause)):
			}
			pause = min(2*pause, maxFollowPause)
			continue
		}
		select {
		case r.updates <- f:
		case <-ctx.Done():
			return ctx.Err()
		}
		// Own commits need not be read again; the writer may be ahead.
		after = max(up.Revision, r.State().Revision())
	}
}

// takeOver puts what others have committed into the state. Only the writer calls it.
func (r *Replica) takeOver(ctx context.Context, f follow) error {
	if f.gap {
		return r.reload(ctx)
	}
	if f.update.Revision <= r.State().Revision() {
		return nil
	}
	next := r.State().Clone()
	if err := r.put(next, f.update.Changes); err != nil {
		return errNotFollowed(err)
	}
	next.SetRevision(f.update.Revision)
	changes := make([]cluster.Change, len(f.update.Changes))
	for i, c := range f.update.Changes {
		changes[i].Key = cluster.Key(c.Key)
	}
	r.publish(next, changes)
	return nil
}

// catchUp takes over what has been committed since the state. Only the writer
// calls it.
func (r *Replica) catchUp(ctx context.Context) error {
	up, err := r.log.Follow(ctx, r.State().Revision())
	if errors.Is(err, store.ErrGap) {
		return r.reload(ctx)
	}
	if err != nil {
		return errNotFollowed(err)
	}
	return r.takeOver(ctx, follow{update: up})
}

// reload reads everything anew and wakes all streams.
func (r *Replica) reload(ctx context.Context) error {
	next, err := r.load(ctx)
	if err != nil {
		return errNotFollowed(err)
	}
	old := r.State()
	if next.Revision() < old.Revision() {
		return errNotFollowed(store.ErrRewound)
	}
	var changes []cluster.Change
	for _, s := range []*cluster.State{old, next} {
		for d := range s.Datasets() {
			if other := old.Dataset(d.ID); s == old || other == nil {
				changes = append(changes, cluster.Change{Key: cluster.DatasetKey(d.ID)}, cluster.Change{Key: cluster.HintKey(d.ID)})
			}
		}
		for l := range s.Leases() {
			if other := old.Lease(l.Dataset); s == old || other == nil {
				changes = append(changes, cluster.Change{Key: cluster.LeaseKey(l.Dataset)})
			}
		}
		for n := range s.Nodes() {
			changes = append(changes, cluster.Change{Key: cluster.NodeKey(n.ID)})
		}
	}
	r.publish(next, changes)
	return nil
}
