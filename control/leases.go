package control

import (
	"context"
	"log/slog"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

const (
	// expireAtOnce is how many leases one commit ends, of what any log can take.
	expireAtOnce = 32
	// expireDelay is how long the other replicas leave the end of a lease to the
	// first of them, and after a failure until it is tried again. A lease ends
	// within a second in Flocker.
	expireDelay = 500 * time.Millisecond
	// expireLook is how often it is looked at what time it is: the clock may
	// have been set.
	expireLook = time.Minute
)

// tellLease tells the nodes that a change of a lease concerns, of which there
// is one at the most.
func (r *Replica) tellLease(id api.DatasetID, old, l *api.Lease) {
	if old != nil {
		r.hub.markLease(old.Node, id)
	}
	if l != nil && !old.HeldBy(l.Node) {
		r.hub.markLease(l.Node, id)
	}
}

// wakeExpiry has who waits for the end of leases look again, where another one
// is the next to end.
func (r *Replica) wakeExpiry(old, next *cluster.State) {
	was, had := old.NextExpiry()
	is, has := next.NextExpiry()
	if had == has && was.Equal(is) {
		return
	}
	select {
	case r.expiring <- struct{}{}:
	default:
	}
}

// expireLeases ends leases when their time is past, until ctx ends. Leases are
// in the log, so whichever replicas there are do that; the first of them at
// once. Two of them at it do no harm.
func expireLeases(ctx context.Context, r *Replica, self api.ReplicaID, now func() time.Time, log *slog.Logger) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var failed bool
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.expiring:
		case <-timer.C:
			failed = !expireDue(ctx, r, now, log)
		}
		if wait, some := expiryWait(r.State(), self, now()); some {
			if failed {
				wait = max(wait, expireDelay)
			}
			timer.Reset(min(wait, expireLook))
		} else {
			timer.Stop()
		}
	}
}

// expiryWait returns how long it is until this replica ends the next lease, and
// false where there is none to end.
func expiryWait(s *cluster.State, self api.ReplicaID, now time.Time) (wait time.Duration, some bool) {
	const past = time.Millisecond // a lease is over when its time is past, not when it has come
	next, some := s.NextExpiry()
	wait = max(next.Sub(now)+past, past)
	if !first(s, self) {
		wait += expireDelay
	}
	return wait, some
}

// expireDue ends the leases whose time is past, and reports whether it could.
func expireDue(ctx context.Context, r *Replica, now func() time.Time, log *slog.Logger) bool {
	for ctx.Err() == nil {
		s, at := r.State(), now()
		next, some := s.NextExpiry()
		if !some || !at.After(next) {
			return true
		}
		res, err := r.Do(ctx, cluster.ExpireLeases{At: at, Limit: expireAtOnce})
		if err != nil {
			if ctx.Err() == nil {
				log.Warn("leases whose time is past cannot be ended, will try again", "cause", err, "next_try", expireDelay)
			}
			return false
		}
		if len(res.Changes) == 0 {
			return false // those that are left are of datasets that are set aside
		}
		for _, c := range res.Changes {
			if id, _ := c.Key.Lease(); s.Lease(id) != nil {
				log.Info("lease has expired", "dataset", id, "node", nodeName(s, s.Lease(id).Node))
			}
		}
	}
	return true
}
