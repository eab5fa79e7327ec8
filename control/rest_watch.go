package control

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

const (
	// maxWatches bounds what clients that stay can cost.
	maxWatches = 1000
	// watchBeat is how often a watch shows that it is alive.
	watchBeat = 10 * time.Second
	// catchUp is how long a replica that is behind what its client has seen at
	// another one has to come to know it.
	catchUpTime = 5 * time.Second
	// watchRetry is after what time a client is asked to come back.
	watchRetry = time.Second
)

// watch tells a client of what changes, for as long as it stays.
func (a *rest) watch(w http.ResponseWriter, r *request) error {
	var only api.DatasetID
	if name := r.query("volume"); name != "" {
		full, err := a.volume(r, name)
		if err != nil {
			return err
		}
		only = full.Dataset.ID
	}
	if ok, crowded := a.watches.begin(r.who, maxWatches, watchesOfOne); !ok {
		a.metrics.limited.WithLabelValues("watches").Inc()
		return errNoShare(r.who, "watching", crowded, maxWatches, watchesOfOne)
	}
	defer a.watches.end(r.who)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	rc := http.NewResponseController(w)
	stream := &watchStream{
		rest: a, only: only, rc: rc, by: r.who.actor(),
		out: bufio.NewWriterSize(&patient{w: w, rc: rc}, 64<<10),
	}
	cause := stream.serve(r.Context(), r.Header.Get("Last-Event-ID"))
	a.log.Debug("watch ended", "caller", r.who.name, "from", r.RemoteAddr, "cause", cause)
	return nil
}

// watchStream is one client's watch.
type watchStream struct {
	*rest
	only api.DatasetID // "" for everything
	by   cluster.Actor
	// shown are the datasets that a client which does not see all was told of.
	shown map[api.DatasetID]bool
	rc    *http.ResponseController
	out   *bufio.Writer
}

// serve sends events until the client or the service ends it, and says why.
func (st *watchStream) serve(ctx context.Context, lastEventID string) error {
	if _, err := (&sse.Message{Retry: watchRetry}).WriteTo(st.out); err != nil {
		return err
	}
	beat := time.NewTicker(watchBeat)
	defer beat.Stop()
	position, known := st.resume(ctx, lastEventID)
	known = known && st.by.Operator // which datasets a tenant has been shown is forgotten
	var tenancy api.Tenancy
	for {
		if now := st.replica.State().Tenancy(); now != tenancy && !st.by.Operator {
			tenancy, known = now, false // it may see more now, or less
		}
		keys, to, more, remembered := st.replica.history.since(position)
		var err error
		if known && remembered {
			position, err = to, st.changes(keys, to)
		} else {
			position, err = st.everything()
		}
		known = true
		if err == nil {
			err = st.flush()
		}
		if err != nil {
			return err
		}
		select {
		case <-more:
		case <-beat.C:
			if err := st.comment(); err != nil {
				return err
			}
		case <-st.stopping:
			return errStopped
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// resume returns after which revision a client that comes back goes on, if it
// can. It may have been at a replica that is ahead of this one.
func (st *watchStream) resume(ctx context.Context, lastEventID string) (position uint64, known bool) {
	position, err := strconv.ParseUint(lastEventID, 10, 64)
	if err != nil {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	for {
		_, _, more, _ := st.replica.history.since(position)
		if st.replica.State().Revision() >= position {
			return position, true
		}
		select {
		case <-more:
		case <-st.stopping:
			return 0, false
		case <-ctx.Done():
			return 0, false // another cluster's, perhaps
		}
	}
}

// everything sends all that there is, and returns as of which revision.
func (st *watchStream) everything() (uint64, error) {
	s, now := st.replica.State(), st.now()
	var at cursor
	st.shown = map[api.DatasetID]bool{}
	none := "" // a client that is cut off before the end begins anew
	if err := st.event(api.EventReset, &api.Event{}, &none); err != nil {
		return 0, err
	}
	if st.only == "" {
		for n := range s.Nodes() {
			at.nodes = append(at.nodes, n.ID)
		}
	}
	for l := range s.Leases() {
		if st.concerns(l.Dataset) {
			at.leases = append(at.leases, l.Dataset)
		}
	}
	for d := range s.Datasets() {
		if st.concerns(d.ID) {
			at.volumes = append(at.volumes, d.ID)
		}
	}
	if err := st.events(s, now, at, ""); err != nil {
		return 0, err
	}
	id := strconv.FormatUint(s.Revision(), 10)
	return s.Revision(), st.event(api.EventSynced, &api.Event{}, &id)
}

// changes sends what has become of records up to a revision.
func (st *watchStream) changes(keys []cluster.Key, to uint64) error {
	s := st.replica.State()
	at := told(s, keys)
	if st.only != "" {
		other := func(id api.DatasetID) bool { return id != st.only }
		at = cursor{leases: slices.DeleteFunc(at.leases, other), volumes: slices.DeleteFunc(at.volumes, other)}
	}
	return st.events(s, st.now(), at, strconv.FormatUint(to, 10))
}

// told returns what there is to tell of when records have changed.
func told(s *cluster.State, keys []cluster.Key) cursor {
	volumes, nodes, leases := map[api.DatasetID]bool{}, map[api.NodeID]bool{}, map[api.DatasetID]bool{}
	for _, key := range keys {
		if id, ok := key.Dataset(); ok {
			volumes[id] = true
		}
		if id, ok := key.State(); ok {
			volumes[id] = true
		}
		if id, ok := key.Lease(); ok {
			leases[id] = true
			if s.Dataset(id) != nil { // a lease needs none
				volumes[id] = true
			}
		}
		if id, ok := key.Node(); ok {
			nodes[id] = true
			for d := range s.Concerning(id) {
				if d.HeldBy(id) { // what it holds is explained by it
					volumes[d.ID] = true
				}
			}
		}
	}
	return cursor{
		nodes: slices.Sorted(maps.Keys(nodes)), leases: slices.Sorted(maps.Keys(leases)), volumes: slices.Sorted(maps.Keys(volumes)),
	}
}

func (st *watchStream) concerns(id api.DatasetID) bool { return st.only == "" || st.only == id }

// cursor is what there is to tell of.
type cursor struct {
	nodes   []api.NodeID
	leases  []api.DatasetID
	volumes []api.DatasetID
}

// events tells how things are. The last event has the id, unless that is "", so
// that who was cut off before hears of all of them again.
func (st *watchStream) events(s *cluster.State, now time.Time, at cursor, id string) error {
	if !st.by.Operator {
		at = st.visible(s, at)
	}
	left, mesos := len(at.nodes)+len(at.leases)+len(at.volumes), st.evidence(s)
	send := func(kind api.EventKind, ev *api.Event) error {
		left--
		if left == 0 && id != "" {
			return st.event(kind, ev, &id)
		}
		return st.event(kind, ev, nil)
	}
	for _, node := range at.nodes {
		kind, ev := api.EventNodeGone, &api.Event{Gone: string(node)}
		if n := s.Node(node); n != nil {
			kind, ev = api.EventNode, &api.Event{Node: nodeDetail(s, n, mesos, st.by)}
		}
		if err := send(kind, ev); err != nil {
			return err
		}
	}
	for _, dataset := range at.leases {
		kind, ev := api.EventLeaseGone, &api.Event{Gone: string(dataset)}
		if l := s.Lease(dataset); l != nil && s.MaySeeLease(l, st.by) {
			kind, ev = api.EventLease, &api.Event{Lease: l}
		}
		if err := send(kind, ev); err != nil {
			return err
		}
	}
	for _, dataset := range at.volumes {
		kind, ev := api.EventVolumeGone, &api.Event{Gone: string(dataset)}
		if d := s.Dataset(dataset); d != nil && s.MayUse(d, st.by) {
			kind, ev = api.EventVolume, &api.Event{Volume: detail(s, d, mesos, now)}
		}
		if err := send(kind, ev); err != nil {
			return err
		}
	}
	return nil
}

// visible leaves out what a client may not see, except that a dataset which it was shown
// is no more, or no longer shared with it.
func (st *watchStream) visible(s *cluster.State, at cursor) cursor {
	hidden := func(id api.DatasetID) bool {
		d := s.Dataset(id)
		return (d == nil || !s.MayUse(d, st.by)) && !st.shown[id]
	}
	at.leases = slices.DeleteFunc(slices.Clone(at.leases), hidden)
	at.volumes = slices.DeleteFunc(slices.Clone(at.volumes), hidden)
	for _, id := range at.volumes {
		if d := s.Dataset(id); d != nil && s.MayUse(d, st.by) {
			st.shown[id] = true
		} else {
			delete(st.shown, id)
		}
	}
	return at
}

// event writes one event.
func (st *watchStream) event(kind api.EventKind, ev *api.Event, id *string) error {
	text, err := json.Marshal(ev)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	m := &sse.Message{Type: sse.Type(string(kind))}
	if id != nil {
		m.ID = sse.ID(*id)
	}
	m.AppendData(string(text))
	_, err = m.WriteTo(st.out)
	return err
}

// comment sends what clients pass over.
func (st *watchStream) comment() error {
	if _, err := st.out.WriteString(":\n\n"); err != nil {
		return err
	}
	return st.flush()
}

func (st *watchStream) flush() error {
	if err := st.out.Flush(); err != nil {
		return err
	}
	return st.rc.Flush()
}
