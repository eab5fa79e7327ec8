package control

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/store"
)

// OpenReplica lets tests have a replica without a service around it.
func OpenReplica(ctx context.Context, log store.Log, clusterID string, slog *slog.Logger) (*Replica, error) {
	return openReplica(ctx, log, clusterID, &memory{}, time.Now().UTC(), slog, newReplicaMetrics(prometheus.NewRegistry()))
}

// Subscription lets tests see what a stream is woken by.
type Subscription struct{ s *subscription }

// Subscribe subscribes to what concerns a node.
func (r *Replica) Subscribe(node api.NodeID) Subscription { return Subscription{r.hub.subscribe(node)} }

// Ready is the channel that wakes the stream.
func (s Subscription) Ready() <-chan struct{} { return s.s.ready }

// Take returns which datasets have changed.
func (s Subscription) Take() []api.DatasetID {
	datasets, _, _, _ := s.s.take()
	return datasets
}

// Close ends the subscription.
func (s Subscription) Close() { s.s.close() }

// UserHandler answers users' requests, without a connection.
func (s *Service) UserHandler() http.Handler { return s.servers[0].server.Handler }

// WriteOf has a replica decide and commit commands as one batch, without its
// writer running.
func (r *Replica) WriteOf(ctx context.Context, cmds ...cluster.Command) ([]error, int, error) {
	waiting := make([]*pending, len(cmds))
	for i, cmd := range cmds {
		waiting[i] = &pending{cmd: cmd, done: make(chan struct{})}
	}
	rest, err := r.commit(ctx, waiting)
	var errs []error
	for _, p := range waiting[:len(waiting)-len(rest)] {
		select {
		case <-p.done:
			errs = append(errs, p.err)
		default:
		}
	}
	return errs, len(rest), err
}

// Waiting returns how many commands wait for the writer.
func (r *Replica) Waiting() int { return len(r.commands) }

// Told returns of which volumes and leases a watch tells when records have changed.
func Told(s *cluster.State, keys ...cluster.Key) (volumes, leases []api.DatasetID) {
	at := told(s, keys)
	return at.volumes, at.leases
}

// Watchers returns how many users wait for datasets.
func (r *Replica) Watchers() int {
	r.watchers.mu.Lock()
	defer r.watchers.mu.Unlock()
	n := 0
	for _, all := range r.watchers.byID {
		n += len(all)
	}
	return n
}

// AgentHandler answers agents' requests, without a connection.
func (s *Service) AgentHandler() http.Handler { return s.servers[1].server.Handler }
