package control

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// patience is after how many heartbeats of silence one gives up.
const patience = 3

// liveness notes which nodes have fallen silent: no stream begun, no claim and
// no report, not even the empty one that is an agent's heartbeat, for a grace
// period. Nodes that were connected when this service started have the same
// period to come back.
//
// With several replicas each will judge the nodes that it serves, and those of
// a replica that is gone.
type liveness struct {
	replica *Replica
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics
	grace   time.Duration

	mu   sync.Mutex
	last map[api.NodeID]time.Time // with the monotonic clock
}

func newLiveness(r *Replica, now func() time.Time, heartbeat time.Duration, log *slog.Logger, m *metrics) *liveness {
	return &liveness{
		replica: r, now: now, log: log, metrics: m, grace: patience * heartbeat,
		last: map[api.NodeID]time.Time{},
	}
}

// heard notes a sign of life.
func (l *liveness) heard(node api.NodeID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[node] = time.Now()
}

// silence returns for how long a node has been silent. Whoever has not been
// heard yet is silent from now on.
func (l *liveness) silence(node api.NodeID) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, ok := l.last[node]
	if !ok {
		l.last[node] = time.Now()
		return 0
	}
	return time.Since(last)
}

// run watches until ctx ends.
func (l *liveness) run(ctx context.Context) {
	tick := time.NewTicker(l.grace / (4 * patience))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for n := range l.replica.State().Nodes() {
			if n.Connected && l.silence(n.ID) > l.grace {
				l.disconnect(ctx, n)
			}
		}
	}
}

func (l *liveness) disconnect(ctx context.Context, n *api.Node) {
	res, err := l.replica.Do(ctx, cluster.NodeDisconnect{At: l.now(), Node: n.ID, Stream: n.Stream})
	switch {
	case err != nil:
		l.log.Warn("silent node cannot be marked as disconnected, will try again", "node", n.Name(), "cause", err)
	case len(res.Changes) > 0:
		l.metrics.lost.Inc()
		l.log.Warn("node has fallen silent", "node", n.Name(), "id", n.ID, "address", n.Address, "for", l.grace)
	}
}
