package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// stream serves an agent for as long as it stays: first with all that concerns
// its node, then with what changes.
func (a *agents) stream(w http.ResponseWriter, r *http.Request, who caller) error {
	var hello api.Hello
	if err := decode(r, &hello); err != nil {
		return err
	}
	node := api.NodeID(who.name)
	res, err := a.replica.Do(r.Context(), cluster.NodeConnect{At: a.now(), Node: node, Address: remoteIP(r), Hello: hello, Replica: a.self})
	if err != nil {
		if api.CodeOf(err) == api.CodeConflict {
			a.log.Warn("second agent of a node refused", "node", node, "hostname", hello.Hostname, "from", r.RemoteAddr, "cause", err)
		}
		return err
	}
	st := &stream{
		agents: a, node: node, number: res.Node.Stream,
		rc: http.NewResponseController(w), lines: json.NewEncoder(w),
		sub: a.replica.hub.subscribe(node),
	}
	defer st.sub.close()
	a.live.heard(node)
	defer a.live.heard(node) // the grace period begins when the stream ends
	a.metrics.streams.Inc()
	defer a.metrics.streams.Dec()
	log := a.log.With("node", res.Node.Name(), "stream", st.number, "from", r.RemoteAddr)
	log.Info("agent connected", "era", hello.Era, "instance", hello.Instance, "backend", hello.Backend, "version", hello.Version)

	w.Header().Set("Content-Type", "application/json")
	cause := st.serve(r.Context())
	log.Info("agent's stream ended", "cause", cause)
	return nil
}

// stream is an agent's stream.
type stream struct {
	*agents
	node   api.NodeID
	number uint64
	rc     *http.ResponseController
	lines  *json.Encoder
	sub    *subscription
}

// serve sends events until the stream has to end, and says why it does.
func (st *stream) serve(ctx context.Context) error {
	// The subscription was there before the state is read, so that nothing
	// falls between the two.
	s := st.replica.State()
	st.sub.take()
	if err := s.CheckStream(st.node, st.number); err != nil {
		return err
	}
	welcome := api.StreamEvent{
		Welcome: &api.Welcome{
			Stream: st.number, Node: st.node, Cluster: s.Meta().Cluster,
			Heartbeat: st.heartbeat, Replica: st.name, Version: st.version,
		},
		Datasets: slices.Collect(s.Concerning(st.node)),
	}
	if err := st.send(welcome); err != nil {
		return err
	}
	beat := time.NewTimer(st.heartbeat)
	defer beat.Stop()
	for {
		var ev api.StreamEvent
		select {
		case <-ctx.Done():
			return fmt.Errorf("the connection ended: %w", context.Cause(ctx))
		case <-st.stopping:
			return errStopped
		case <-st.sub.ready:
			s := st.replica.State()
			if err := s.CheckStream(st.node, st.number); err != nil {
				return err // a newer one, or the agent has fallen silent
			}
			if ev = st.changes(s); len(ev.Datasets) == 0 && len(ev.Removed) == 0 {
				continue
			}
			st.metrics.events.Inc()
		case <-beat.C:
			if st.members.cutOff() {
				return errCutOff
			}
		}
		if err := st.send(ev); err != nil {
			return err
		}
		beat.Reset(st.heartbeat)
	}
}

// changes returns what has become of the datasets that have changed.
func (st *stream) changes(s *cluster.State) api.StreamEvent {
	var ev api.StreamEvent
	for _, id := range st.sub.take() {
		if d := s.Dataset(id); d != nil && d.Concerns(st.node) {
			ev.Datasets = append(ev.Datasets, d)
		} else {
			ev.Removed = append(ev.Removed, id)
		}
	}
	return ev
}

// send writes one line. An agent that does not read is given up.
func (st *stream) send(ev api.StreamEvent) error {
	if err := st.rc.SetWriteDeadline(time.Now().Add(patience * st.heartbeat)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if err := st.lines.Encode(ev); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := st.rc.Flush(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}
