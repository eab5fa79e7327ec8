// Package agenttest has a control service in memory, for tests and benchmarks
// of agents alone. It follows the rules of the holder token and keeps nothing.
package agenttest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/agent"
	"github.com/flocker-mesos/flocker/api"
)

// Control is the control service of a cluster of agents in this process.
type Control struct {
	// Observe, if it is set before the first agent connects, is told of each
	// part of each report, and of the dataset as it was then.
	Observe func(node api.NodeID, d api.Dataset, r api.DatasetReport)

	mu       sync.Mutex
	datasets map[api.DatasetID]*api.Dataset
	states   map[api.DatasetID]api.DatasetState
	leases   map[api.DatasetID]*api.Lease
	hints    map[api.DatasetID]*api.Hint
	revision uint64
	streams  map[*session]bool
	waiting  map[string]*session              // for members of sets: by node, consumer and set
	mesos    map[api.NodeID]*api.MesosTrouble // as reported last
	changed  chan struct{}
	down     bool
}

// NewControl returns a control service without datasets.
func NewControl() *Control {
	return &Control{
		datasets: map[api.DatasetID]*api.Dataset{}, states: map[api.DatasetID]api.DatasetState{},
		mesos: map[api.NodeID]*api.MesosTrouble{}, leases: map[api.DatasetID]*api.Lease{}, hints: map[api.DatasetID]*api.Hint{},
		streams: map[*session]bool{}, waiting: map[string]*session{}, changed: make(chan struct{}),
	}
}

// SetDown cuts all streams and refuses calls until it is set up again.
func (c *Control) SetDown(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
	for s := range c.streams {
		if down {
			s.cut()
		}
	}
}

// Dialer returns the way of a node to the control service.
func (c *Control) Dialer(node api.NodeID) agent.Dialer {
	return func(context.Context, api.Hello) (agent.Session, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.down {
			return nil, errDown
		}
		s := &session{control: c, node: node, events: make(chan struct{}, 1), gone: make(chan struct{})}
		delete(c.mesos, node) // nothing was reported on the new stream yet
		c.announce()
		c.streams[s] = true
		for _, d := range c.datasets {
			if d.Concerns(node) {
				s.pending = append(s.pending, d)
			}
		}
		for _, l := range c.leases {
			if l.HeldBy(node) {
				s.leases = append(s.leases, l)
			}
		}
		for _, h := range c.hints {
			if h.For(node) {
				s.hints = append(s.hints, h)
			}
		}
		return s, nil
	}
}

var errDown = api.Errorf(api.CodeUnavailable, "the control service is down")

// Dataset returns the live dataset with a name, nil if there is none.
func (c *Control) Dataset(name string) *api.Dataset {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byName(name)
}

// Get returns a dataset, deleted or not, nil if there is none.
func (c *Control) Get(id api.DatasetID) *api.Dataset {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.datasets[id]
}

// HasHolder reports whether node holds any dataset.
func (c *Control) HasHolder(node api.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.datasets {
		if d.HeldBy(node) {
			return true
		}
	}
	return false
}

// Forget removes a dataset that nobody holds without a trace.
func (c *Control) Forget(id api.DatasetID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.streams {
		if c.datasets[id].Concerns(s.node) {
			s.push(func() { s.removed = append(s.removed, id) })
		}
	}
	delete(c.datasets, id)
	delete(c.states, id)
}

// MesosTrouble returns what a node reported last of its Mesos agent.
func (c *Control) MesosTrouble(node api.NodeID) *api.MesosTrouble {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mesos[node]
}

// State returns what was last reported of a dataset.
func (c *Control) State(id api.DatasetID) api.DatasetState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.states[id]
}

// Change replaces a dataset's record by what edit makes of it.
func (c *Control) Change(id api.DatasetID, edit func(*api.Dataset)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(id, edit)
}

// Lease acquires a lease of a dataset for a node, which may be unknown as may be
// the dataset.
func (c *Control) Lease(id api.DatasetID, node api.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revision++
	l := &api.Lease{Dataset: id, Node: node, Revision: c.revision, Acquired: time.Now()}
	c.leases[id] = l
	for s := range c.streams {
		if s.node == node {
			s.push(func() { s.leases = append(s.leases, l) })
		}
	}
}

// Unlease releases the lease of a dataset.
func (c *Control) Unlease(id api.DatasetID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.streams {
		if c.leases[id].HeldBy(s.node) {
			s.push(func() { s.unleased = append(s.unleased, id) })
		}
	}
	delete(c.leases, id)
}

// Make makes a dataset known that no node has.
func (c *Control) Make(name string) api.DatasetID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.put(api.DatasetID(uuid.NewString()), func(d *api.Dataset) {
		d.Metadata = map[string]string{api.MetadataName: name}
		d.Size, d.FS = api.MinSize, api.FSExt4
	}).ID
}

// Hint tells a node for some time that a container is about to start there that
// will use a dataset. What was hinted about it before is over.
func (c *Control) Hint(id api.DatasetID, node api.NodeID, instance string, lasts time.Duration) {
	c.hint(&api.Hint{Dataset: id, Node: node, Instance: instance, Until: time.Now().Add(lasts)})
}

// MakeAhead tells a node for some time to make a dataset's volume ahead.
func (c *Control) MakeAhead(id api.DatasetID, node api.NodeID, attempt int, lasts time.Duration) {
	c.hint(&api.Hint{Dataset: id, Node: node, Make: true, Attempt: attempt, Until: time.Now().Add(lasts)})
}

func (c *Control) hint(h *api.Hint) {
	id, node := h.Dataset, h.Node
	c.Unhint(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revision++
	h.App, h.Revision = "/test", c.revision
	c.hints[id] = h
	for s := range c.streams {
		if s.node == node {
			s.push(func() { s.hints = append(s.hints, h) })
		}
	}
}

// End tells a node that an instance has ended there, for all that Marathon knows.
func (c *Control) End(node api.NodeID, instance string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revision++
	for s := range c.streams {
		if s.node == node {
			s.push(func() { s.ending = &api.Ending{Node: node, App: "/test", Instance: instance, Revision: c.revision} })
		}
	}
}

// Unhint ends the hint about a dataset.
func (c *Control) Unhint(id api.DatasetID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.streams {
		if c.hints[id].For(s.node) {
			s.push(func() { s.unhinted = append(s.unhinted, id) })
		}
	}
	delete(c.hints, id)
}

// Await returns when cond holds of the cluster, which cond may look at through
// the given functions, or with ctx's error. Await also calls cond periodically, so that
// it may look at what an agent does not report, such as its mounts.
func (c *Control) Await(ctx context.Context, cond func(c *Control) bool) error {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if cond(c) {
			return nil
		}
		select {
		case <-changed:
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *Control) byName(name string) *api.Dataset {
	for _, d := range c.datasets {
		if !d.Deleted && d.Name() == name {
			return d
		}
	}
	return nil
}

// put commits a change and tells the nodes that it concerns. The caller has the mutex.
func (c *Control) put(id api.DatasetID, edit func(*api.Dataset)) *api.Dataset {
	c.revision++
	old := c.datasets[id]
	d := &api.Dataset{ID: id}
	if old != nil {
		d = old.Clone()
	}
	edit(d)
	d.Revision = c.revision
	c.datasets[id] = d
	for s := range c.streams {
		switch {
		case d.Concerns(s.node):
			s.push(func() { s.pending = append(s.pending, d) })
		case old != nil && old.Concerns(s.node):
			s.push(func() { s.removed = append(s.removed, id) })
		}
	}
	c.announce()
	return d
}

func (c *Control) announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func grant(d *api.Dataset, node api.NodeID) {
	d.Epoch++
	d.Holder = &api.Holder{Node: node, Epoch: d.Epoch, Since: time.Now()}
	d.Primary = node
	d.Waiting = slices.DeleteFunc(d.Waiting, func(w api.Waiter) bool { return w.Node == node })
}

// session is the stream of one agent.
type session struct {
	control  *Control
	node     api.NodeID
	started  bool
	pending  []*api.Dataset
	removed  []api.DatasetID
	leases   []*api.Lease
	unleased []api.DatasetID
	hints    []*api.Hint
	unhinted []api.DatasetID
	ending   *api.Ending
	events   chan struct{}
	gone     chan struct{}
	once     sync.Once
}

func (s *session) push(add func()) {
	add()
	select {
	case s.events <- struct{}{}:
	default:
	}
}

func (s *session) cut() { s.once.Do(func() { close(s.gone) }) }

func (s *session) Welcome() *api.Welcome {
	return &api.Welcome{Stream: 1, Node: s.node, Replica: "in memory", Heartbeat: time.Minute}
}

// Contact says that all is well for as long as the stream is there.
func (s *session) Contact() time.Time { return time.Now() }

func (s *session) Close() error {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	delete(s.control.streams, s)
	s.cut()
	return nil
}

func (s *session) Next(ctx context.Context) (api.StreamEvent, error) {
	for {
		s.control.mu.Lock()
		if !s.started || len(s.pending)+len(s.removed)+len(s.leases)+len(s.unleased)+len(s.hints)+len(s.unhinted) > 0 || s.ending != nil {
			ev := api.StreamEvent{
				Datasets: s.pending, Removed: s.removed, Leases: s.leases, Unleased: s.unleased, Hints: s.hints, Unhinted: s.unhinted,
				Ending: s.ending,
			}
			s.hints, s.unhinted, s.ending = nil, nil, nil
			s.started, s.pending, s.removed, s.leases, s.unleased = true, nil, nil, nil, nil
			s.control.mu.Unlock()
			return ev, nil
		}
		s.control.mu.Unlock()
		select {
		case <-s.events:
		case <-s.gone:
			return api.StreamEvent{}, errors.New("stream cut")
		case <-ctx.Done():
			return api.StreamEvent{}, ctx.Err()
		}
	}
}

func (s *session) Claim(_ context.Context, req api.ClaimRequest) (*api.Dataset, error) {
	c := s.control
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return nil, errDown
	}
	d := c.datasets[req.ID]
	if req.Find != nil {
		d = c.byName(req.Find.Name)
	}
	switch {
	case d == nil && req.Find == nil:
		return nil, api.Errorf(api.CodeNotFound, "dataset %s not found", req.ID)
	case d == nil:
		return c.put(api.DatasetID(uuid.NewString()), func(d *api.Dataset) {
			d.Metadata = map[string]string{api.MetadataName: req.Find.Name}
			d.Size, d.FS = max(req.Find.Size, api.MinSize), req.Find.FS
			d.User, d.Permissions = req.Find.User, req.Find.Permissions
			if d.FS == "" {
				d.FS = api.FSExt4
			}
			grant(d, s.node)
		}), nil
	case d.Deleted:
		return nil, api.Errorf(api.CodeDeleted, "dataset %s has been deleted", d.ID)
	case !d.OpenTo(req.Owner):
		return nil, api.Errorf(api.CodeForbidden, "dataset %s belongs to another owner", d.ID)
	case d.HeldBy(s.node) || d.AwaitedBy(s.node):
		return d, nil
	case req.Ahead && (!c.hints[d.ID].For(s.node) || c.hints[d.ID].Make && d.Holder != nil || d.Member != nil && d.Member.User != nil):
		return nil, api.Errorf(api.CodeConflict, "dataset %s is not to be had ahead", d.ID)
	case d.Holder == nil:
		return c.put(d.ID, func(d *api.Dataset) { grant(d, s.node) }), nil
	default:
		return c.put(d.ID, func(d *api.Dataset) {
			d.Waiting = append(d.Waiting, api.Waiter{Node: s.node, Since: time.Now()})
			d.Pinned = false
		}), nil
	}
}

// Member gives the lowest member that is free, and makes one where there are not
// enough; else the consumer has to come again when it is told that one has come for
// another consumer, or is free.
func (s *session) Member(_ context.Context, req api.MemberRequest) (*api.MemberReply, error) {
	c := s.control
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return nil, errDown
	}
	root := api.RootConsumer(req.Consumer)
	key := string(s.node) + " " + root + " " + req.Set.Name
	if req.Leave {
		delete(c.waiting, key)
		return &api.MemberReply{}, nil
	}
	free := -1
	for i := range req.Each {
		d := c.byName(api.MemberName(req.Set.Name, i))
		var user *api.MemberUser
		if d != nil && d.Member != nil {
			user = d.Member.User
		}
		only := (req.Index == nil || *req.Index == i) && (req.ID == "" || d != nil && d.ID == req.ID)
		switch {
		case user != nil && user.Node == s.node && user.Consumer == root:
			return &api.MemberReply{Dataset: c.put(d.ID, func(d *api.Dataset) { s.give(d, root) })}, nil
		case user == nil && only && free < 0:
			free = i
		}
	}
	if free < 0 {
		c.waiting[key] = s
		return &api.MemberReply{Place: 1, Why: "all members are in use."}, nil
	}
	delete(c.waiting, key)
	id := api.DatasetID(uuid.NewString())
	name := api.MemberName(req.Set.Name, free)
	if d := c.byName(name); d != nil {
		id = d.ID
	}
	return &api.MemberReply{Dataset: c.put(id, func(d *api.Dataset) {
		if d.Member == nil {
			d.Metadata, d.Size, d.FS = map[string]string{api.MetadataName: name}, max(req.Set.Size, api.MinSize), api.FSExt4
			d.Member = &api.Member{Set: req.Set.Name, Index: free}
		}
		s.give(d, root)
	})}, nil
}

// give makes a consumer on the session's node the user of a member.
func (s *session) give(d *api.Dataset, root string) {
	d.Member.User = &api.MemberUser{Node: s.node, Consumer: root, Claim: s.control.revision, Since: time.Now()}
	switch {
	case d.HeldBy(s.node) || d.AwaitedBy(s.node):
	case d.Holder == nil:
		grant(d, s.node)
	default:
		d.Waiting = append(d.Waiting, api.Waiter{Node: s.node, Since: time.Now()})
	}
}

// free frees a member, and gives it to one of those who wait.
func (s *session) free(d *api.Dataset) {
	d.Member.User = nil
	for key, waiter := range s.control.waiting {
		node, rest, _ := strings.Cut(key, " ")
		root, set, _ := strings.Cut(rest, " ")
		if set == d.Member.Set && node == string(waiter.node) {
			delete(s.control.waiting, key)
			waiter.give(d, root)
			return
		}
	}
}

func (s *session) Report(_ context.Context, report api.Report) (*api.ReportReply, error) {
	c := s.control
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return nil, errDown
	}
	if report.Mesos != nil {
		c.mesos[s.node] = report.Mesos.Trouble
	}
	reply := &api.ReportReply{Refused: map[api.DatasetID]*api.Error{}}
	for _, r := range report.Datasets {
		d := c.datasets[r.State.ID]
		if d == nil {
			continue
		}
		if c.Observe != nil {
			c.Observe(s.node, *d, r)
		}
		if (r.Release || r.Volume != nil) && (!d.HeldBy(s.node) || d.Epoch != r.State.Epoch) {
			reply.Refused[d.ID] = api.Errorf(api.CodeStale, "node %s does not hold %s with epoch %d", s.node, d.ID, r.State.Epoch)
			continue
		}
		if r.Free != 0 {
			if u := d.UserOn(s.node); u != nil && u.Claim == r.Free {
				c.put(d.ID, s.free)
			}
			continue
		}
		c.states[d.ID] = r.State
		if r.Release || r.Withdraw || r.Volume != nil && (d.Volume == nil || d.Volume.Size < r.Volume.Size) {
			c.put(d.ID, func(d *api.Dataset) { s.effect(d, r) })
		}
	}
	c.announce()
	return reply, nil
}

// effect applies the rules of the token to an accepted report.
func (s *session) effect(d *api.Dataset, r api.DatasetReport) {
	if r.Volume != nil {
		d.Volume = r.Volume
	}
	if r.Withdraw {
		d.Waiting = slices.DeleteFunc(d.Waiting, func(w api.Waiter) bool { return w.Node == s.node })
	}
	if r.Release {
		d.Holder = nil
		d.Destroyed = r.Destroyed
		if len(d.Waiting) > 0 && !d.Deleted {
			grant(d, d.Waiting[0].Node)
		}
	}
}

func (s *session) Detail(_ context.Context, id api.DatasetID) (*api.DatasetDetail, error) {
	c := s.control
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.datasets[id]
	if d == nil {
		return nil, api.Errorf(api.CodeNotFound, "dataset %s not found", id)
	}
	detail := &api.DatasetDetail{Dataset: d, Status: "held", Why: "nobody holds it"}
	if d.Holder != nil {
		detail.Why = "held by " + string(d.Holder.Node)
	}
	return detail, nil
}
