package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// stream serves an agent for as long as it stays: first with all that concerns
// its node, then with what changes.
func (a *agents) stream(w http.ResponseWriter, r *http.Request, who caller) error {
	rc := http.NewResponseController(w)
	// Both directions stay open for as long as the agent lives; liveness ends
	// a stream that has fallen silent. Without a hello it is no agent's.
	_ = rc.EnableFullDuplex() // HTTP/2 is, and need not be told
	if err := rc.SetReadDeadline(time.Now().Add(headerTimeout)); err != nil {
		return fmt.Errorf("limit the time for the first line: %w", err)
	}
	hello, beats, err := readHello(r.Body)
	if err != nil {
		return err
	}
	if err := rc.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lift the limit of time: %w", err)
	}
	node := api.NodeID(who.name)
	if err := a.admitLog(node, hello); err != nil {
		return err
	}
	res, err := a.replica.Do(r.Context(), cluster.NodeConnect{At: a.now(), Node: node, Address: remoteIP(r), Hello: hello, Replica: a.self})
	if err != nil {
		if api.CodeOf(err) == api.CodeConflict {
			a.log.Warn("second agent of a node refused", "node", node, "hostname", hello.Hostname, "from", r.RemoteAddr, "cause", err)
		}
		return err
	}
	if err := a.admitRevision(node, hello, res.State); err != nil {
		return err
	}
	st := &stream{
		agents: a, node: node, number: res.Node.Stream,
		rc: rc, out: w, lines: json.NewEncoder(w), beats: beats,
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
	var reader sync.WaitGroup
	reader.Go(func() { beats.read(func() { a.live.heard(node) }) })
	cause := st.serve(r.Context())
	log.Info("agent's stream ended", "cause", cause)
	_ = r.Body.Close() // ends the reader
	reader.Wait()
	return nil
}

// stream is an agent's stream.
type stream struct {
	*agents
	node   api.NodeID
	number uint64
	start  string // of the replica that had started last when the stream began
	rc     *http.ResponseController
	out    io.Writer
	lines  *json.Encoder
	beats  *beats
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
	st.start = s.Identity().LastStart()
	welcome := api.StreamEvent{
		Welcome: &api.Welcome{
			Stream: st.number, Node: st.node, Cluster: s.Meta().Cluster,
			Heartbeat: st.heartbeat, Replica: st.name, Version: st.version, Log: new(s.Identity()), Incarnation: s.Incarnation(),
		},
		Datasets: slices.Collect(s.Concerning(st.node)),
		Leases:   slices.Collect(s.LeasesOf(st.node)),
		Hints:    slices.Collect(s.HintsFor(st.node)),
	}
	if err := st.send(welcome); err != nil {
		return err
	}
	line := make([]byte, 0, maxBeat)
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the connection ended: %w", context.Cause(ctx))
		case <-st.stopping:
			return errStopped
		case err := <-st.beats.failed:
			return fmt.Errorf("the agent ended it: %w", err)
		case <-st.beats.ready:
			if st.members.cutOff() {
				return errCutOff
			}
			line = appendAnswer(line[:0], st.beats.newest.Load(), st.replica.State().Identity().Until(st.start))
			if err := st.write(func() error { _, err := st.out.Write(line); return err }); err != nil {
				return err
			}
		case <-st.sub.ready:
			s := st.replica.State()
			if err := s.CheckStream(st.node, st.number); err != nil {
				return err // a newer one, or the agent has fallen silent
			}
			ev := st.changes(s)
			if ev.Empty() {
				continue
			}
			st.metrics.events.Inc()
			if err := st.send(ev); err != nil {
				return err
			}
		}
	}
}

// changes returns what has become of the datasets, leases and hints that have
// changed.
func (st *stream) changes(s *cluster.State) api.StreamEvent {
	var ev api.StreamEvent
	datasets, leases, hints, ended := st.sub.take()
	for _, id := range datasets {
		if d := s.Dataset(id); d != nil && d.Concerns(st.node) {
			ev.Datasets = append(ev.Datasets, d)
		} else {
			ev.Removed = append(ev.Removed, id)
		}
	}
	for _, id := range leases {
		if l := s.Lease(id); l.HeldBy(st.node) {
			ev.Leases = append(ev.Leases, l)
		} else {
			ev.Unleased = append(ev.Unleased, id)
		}
	}
	for _, id := range hints {
		if h := s.Hint(id); h.For(st.node) {
			ev.Hints = append(ev.Hints, h)
		} else {
			ev.Unhinted = append(ev.Unhinted, id)
		}
	}
	if ended {
		ev.Ending = s.Ending(st.node)
	}
	return ev
}

// send writes an event as one line.
func (st *stream) send(ev api.StreamEvent) error {
	return st.write(func() error { return st.lines.Encode(ev) })
}

// write writes one line. An agent that does not read is given up.
func (st *stream) write(line func() error) error {
	if err := st.rc.SetWriteDeadline(time.Now().Add(patience * st.heartbeat)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if err := line(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := st.rc.Flush(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}
