package control

import (
	"context"
	"log/slog"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// patience is after how many heartbeats of silence one gives up.
const patience = 3

// liveness notes which nodes are lost. A node is judged by the replica that has
// its stream: when nothing has been heard on it for a grace period, and the
// node has no newer stream anywhere, it is lost. Nodes of a replica that is
// gone have the same period, from when that is noticed, to come back
// elsewhere; then all other replicas judge them. Who judges late decides on
// the newest state all the same: a stream that is not the node's newest says
// nothing.
type liveness struct {
	replica *Replica
	self    api.ReplicaID
	members *membership
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics
	period  time.Duration // between two judgments

	seen sightings[api.NodeID]
}

func newLiveness(r *Replica, members *membership, now func() time.Time, heartbeat time.Duration, log *slog.Logger, m *metrics) *liveness {
	return &liveness{
		replica: r, self: members.self.ID, members: members, now: now, log: log, metrics: m,
		period: heartbeat / judgments, seen: newSightings[api.NodeID](patience * heartbeat),
	}
}

// judgments is how often everybody is judged within a heartbeat.
const judgments = 8

// heard notes a sign of life of a node on a stream of this replica.
func (l *liveness) heard(node api.NodeID) { l.seen.heard(node) }

// run judges nodes and replicas until ctx ends.
func (l *liveness) run(ctx context.Context) {
	tick := time.NewTicker(l.period)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		// What could not be heard does not count as silence: while this process
		// was stopped, or could not follow the log in which newer streams and
		// the other replicas' beats show.
		if now.Sub(last) > l.seen.grace/patience {
			l.log.Warn("this process was stopped for a while", "for", now.Sub(last).Round(time.Millisecond))
			l.deafen()
		}
		last = now
		if l.replica.outage.ongoing() {
			l.deafen()
			continue
		}
		l.members.judge(ctx)
		l.judge(ctx)
	}
}

func (l *liveness) deafen() {
	l.seen.deafen()
	l.members.seen.deafen()
}

// judge judges the nodes that are this replica's to judge.
func (l *liveness) judge(ctx context.Context) {
	s := l.replica.State()
	for n := range s.Nodes() {
		if !n.Connected || n.Replica != l.self && s.Serves(n.Replica) {
			continue
		}
		if l.seen.silence(n.ID, n.Stream) > l.seen.grace {
			l.lose(ctx, n)
		}
	}
	l.seen.keep(func(id api.NodeID) bool { n := s.Node(id); return n != nil && n.Connected })
}

func (l *liveness) lose(ctx context.Context, n *api.Node) {
	res, err := l.replica.Do(ctx, cluster.NodeDisconnect{At: l.now(), Node: n.ID, Stream: n.Stream})
	switch {
	case err != nil:
		l.log.Warn("silent node cannot be noted as lost, will try again", "node", n.Name(), "cause", err)
	case len(res.Changes) > 0:
		l.metrics.lost.Inc()
		l.log.Warn("node is lost", "node", n.Name(), "id", n.ID, "address", n.Address, "for", l.seen.grace)
	}
}
