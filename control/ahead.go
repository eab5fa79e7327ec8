package control

import (
	"context"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

const (
	// aheadAtOnce is how many hints go into one commit, of what any log can take.
	aheadAtOnce = 32
	// aheadPace is how long is waited for what else changes before it is looked what
	// to make ahead: looking costs with the number of apps, and a deployment makes
	// many changes.
	aheadPace = 50 * time.Millisecond
	// aheadRetry is how soon it is tried again what the log refused.
	aheadRetry = time.Second
)

// wakeAhead has somebody look what volumes are to be made ahead, where a change may
// have brought one about.
func (r *Replica) wakeAhead(old, next *cluster.State, changes []cluster.Change) {
	for _, c := range changes {
		id, dataset := c.Key.Dataset()
		_, node := c.Key.Node()
		_, job := c.Key.Job()
		// What somebody has made, or begun to, leaves room for another one.
		if dataset && (next.Unmade(id) || old.Unmade(id) || old.Hint(id) != nil) || node || job || c.Key.App() {
			select {
			case r.unmade <- struct{}{}:
			default:
			}
			return
		}
	}
}

// MakeAhead has volumes made when their apps are deployed, ahead of their first use,
// for as long as following Marathon is this replica's job, until ctx ends. Like all
// that follows from Marathon's word, nothing of it happens while Marathon cannot be
// read.
func (m *Marathon) MakeAhead(ctx context.Context) error {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case <-m.replica.unmade:
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(aheadPace):
			}
		}
		again = nil
		if wait := m.makeAhead(ctx); wait > 0 {
			again = time.After(wait)
		}
	}
}

// makeAhead tells nodes what to make, and returns when to look again if nothing
// changes, 0 for not at all.
func (m *Marathon) makeAhead(ctx context.Context) time.Duration {
	s, now := m.replica.State(), m.now()
	if j := s.Job(api.JobMarathon); j == nil || j.Owner != m.self || j.Marathon == nil || !j.Marathon.DownSince.IsZero() {
		return 0
	}
	hints, next := s.Ahead(now, aheadAtOnce)
	if len(hints) == 0 {
		if next.IsZero() {
			return 0
		}
		return max(next.Sub(now), 0) + time.Millisecond
	}
	res, err := m.replica.Do(ctx, cluster.MakeAhead{At: now, Replica: m.self, Limit: aheadAtOnce})
	switch {
	case ctx.Err() != nil || api.CodeOf(err) == api.CodeStale: // the job is another's
		return 0
	case err != nil:
		m.log.Warn("volumes cannot be made ahead, will try again", "cause", err, "next_try", aheadRetry)
		return aheadRetry
	}
	for _, c := range res.Changes {
		d := res.State.Dataset(c.Hint.Dataset)
		m.log.Info("a volume is to be made ahead of its first use", "dataset", d.ID, "name", d.Name(), "app", c.Hint.App,
			"node", nodeName(res.State, c.Hint.Node), "attempt", c.Hint.Attempt+1)
	}
	return aheadPace
}
