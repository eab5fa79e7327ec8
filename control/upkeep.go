package control

import (
	"context"
	"log/slog"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// upkeepAtOnce is how many datasets one commit takes, of what any log can take.
const upkeepAtOnce = 32

// upkeep carries out what follows from the state until ctx ends. The first of
// the replicas does so at once, the others where it is still to do after a
// while: two of them at it do no harm.
func upkeep(ctx context.Context, r *Replica, self api.ReplicaID, heartbeat time.Duration, now func() time.Time, log *slog.Logger) {
	var wait <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.due:
			if wait != nil {
				continue // its turn comes
			}
			if !first(r.State(), self) {
				wait = time.After(heartbeat)
				continue
			}
		case <-wait:
		}
		wait = nil
		for ctx.Err() == nil && r.State().Due() {
			res, err := r.Do(ctx, cluster.Upkeep{At: now(), Limit: upkeepAtOnce})
			if err != nil {
				log.Warn("what follows from the state cannot be carried out, will try again", "cause", err, "next_try", heartbeat)
				wait = time.After(heartbeat)
				break
			}
			for _, c := range res.Changes {
				if c.Dataset != nil {
					logUpkeep(log, res.State, c.Dataset)
				}
			}
		}
	}
}

func logUpkeep(log *slog.Logger, s *cluster.State, d *api.Dataset) {
	if f := d.Fence; f != nil && !f.Begun {
		log.Warn("lost node is to be fenced", "dataset", d.ID, "name", d.Name(), "node", nodeName(s, f.Holder),
			"by", nodeName(s, f.Node), "policy", f.Policy, "vouched", f.Vouched)
	}
	if m := d.Member; m != nil && m.User != nil && m.User.Claim == d.Revision {
		log.Info("member of a volume set given to who waited", "dataset", d.ID, "name", d.Name(), "node", nodeName(s, m.User.Node),
			"consumer", m.User.Consumer, "instance", m.User.Instance)
	}
}
