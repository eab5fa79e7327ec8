package cluster_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// world is a cluster whose agents follow the protocol, over a network that
// loses, repeats and reorders what they send, and a storage system that would
// attach a volume to as many machines as are asked for.
type world struct {
	t        *rapid.T
	s        *cluster.State
	now      time.Time
	agents   map[api.NodeID]*modelAgent
	net      []message
	attached map[api.DatasetID]attachment // by the storage system
	sealed   map[api.DatasetID]uint64     // the lowest epoch that the storage admits
	sizes    map[api.DatasetID]int64      // of the volumes, as the storage has them
	dead     map[api.NodeID]bool          // machines without power
	nextID   int
	seen     map[string]int // what has happened, to see that the model gets anywhere

	zones *modelZones // nil where volumes can be attached everywhere

	changes    int                        // commands that changed something
	containers map[string]*modelContainer // that use members of volume sets
}

// attachment is what the storage system says of a volume. It says so until it
// is detached, though the machine may be dead, or rebooted since.
type attachment struct {
	node api.NodeID
	live bool // the machine's kernel has it and can write
}

// modelAgent is an agent. All but node and identity is lost when it restarts.
type modelAgent struct {
	node     api.NodeID
	identity string
	stream   uint64 // 0 while there is none
	view     map[api.DatasetID]*api.Dataset
	spent    map[api.DatasetID]uint64 // epochs whose release has been sent
	leased   map[api.DatasetID]bool   // of which it has been told that it has a lease
	hints    map[api.DatasetID]*modelHint
	wants    map[api.DatasetID]bool
	claiming map[string]*modelConsumer // members of sets are being claimed for them
	disk     map[string]*modelConsumer // is not lost
}

// message is what an agent has sent and nobody has read yet.
type message struct {
	from   api.NodeID
	stream uint64
	cmd    cluster.Command
}

func (w *world) apply(cmd cluster.Command) (cluster.Outcome, error) {
	w.now = w.now.Add(time.Second)
	before := dump(w.s)
	out, err := cmd.Apply(w.s)
	if err != nil || len(out.Changes) == 0 {
		if !maps.Equal(before, dump(w.s)) {
			w.t.Fatalf("deciding %T changed the state", cmd)
		}
	}
	if err != nil {
		if len(out.Changes) > 0 {
			w.t.Fatalf("%T was refused and changes %v", cmd, out.Changes)
		}
		if api.CodeOf(err) == api.CodeInternal {
			w.t.Fatalf("%T: %v", cmd, err)
		}
		return out, err
	}
	keys := map[cluster.Key]bool{}
	for _, c := range out.Changes {
		if keys[c.Key] {
			w.t.Fatalf("%T changes %s twice", cmd, c.Key)
		}
		keys[c.Key] = true
	}
	next := w.s.Clone()
	next.Put(out.Changes...)
	next.SetRevision(w.s.Revision() + 1)
	w.count(w.s, next)
	// The removal of a node ends its leases, and changes datasets in the same step.
	if _, removal := cmd.(cluster.RemoveNode); !removal && next.Tag() != w.s.Tag() && next.CountLeases() != w.s.CountLeases() {
		w.t.Fatalf("after %T the configuration has another tag since there are %d leases, not %d", cmd, next.CountLeases(), w.s.CountLeases())
	}
	if err := checkZones(w.s, next); err != nil {
		w.t.Fatalf("%T: %v", cmd, err)
	}
	if err := checkStep(w.s, next); err != nil {
		w.t.Fatalf("%T: %v", cmd, err)
	}
	old := w.s
	w.s = next
	if len(out.Changes) == 0 {
		return out, nil
	}
	if !maps.Equal(before, dump(old)) {
		w.t.Fatalf("deciding %T, or putting its changes into a clone, changed the original", cmd)
	}
	w.changes++
	w.checkUsers(old, cmd)
	w.checkWord(old, cmd)
	if err := checkState(w.s); err != nil {
		w.t.Fatalf("after %T: %v", cmd, err)
	}
	if err := checkUpkeep(w.s, w.now); err != nil {
		w.t.Fatalf("after %T: %v", cmd, err)
	}
	for d := range w.s.Datasets() {
		if d.Volume != nil && d.Volume.Size > w.sizes[d.ID] {
			w.t.Fatalf("after %T: dataset %s has a volume of %d bytes registered, the storage has one of %d", cmd, d.ID, d.Volume.Size, w.sizes[d.ID])
		}
	}
	return out, nil
}

// count notes what a command has brought about.
func (w *world) count(old, s *cluster.State) {
	for d := range s.Datasets() {
		was := old.Dataset(d.ID)
		if was == nil || was == d {
			continue
		}
		if len(d.Waiting) > len(was.Waiting) {
			w.seen["waited"]++
		}
		if was.Holder != nil && d.Holder != nil && was.Epoch < d.Epoch {
			w.seen["handed over"]++
		}
		if was.Member != nil && was.Member.Sought && was.Revoked() && d.Member.User == nil {
			w.seen["freed from a lost node for who waits"]++
		}
		if was.Volume == nil && d.Volume != nil {
			w.seen["registered"]++
			if h := old.Hint(d.ID); h.For(d.Holder.Node) && h.Make {
				w.seen["made ahead"]++
			}
		}
		if was.Volume != nil && d.Volume != nil && was.Volume.Size < d.Volume.Size {
			w.seen["grown"]++
		}
		if d.Size < was.Size {
			w.seen["told to grow no more"]++
		}
		if was.Name() != d.Name() {
			w.seen["renamed"]++
		}
		if d.Destroyed && d.Volume != nil {
			w.seen["destroyed"]++
		}
		if d.Revoked() && !was.Revoked() {
			w.seen["revoked"]++
		}
		if was.Revoked() && !d.HeldBy(was.Holder.Node) {
			w.seen["taken from a lost node"]++
		}
		if d.Preempted() && !was.Preempted() {
			w.seen["preempted"]++
		}
		if was.Revoked() && !d.HeldBy(was.Holder.Node) && s.Lease(d.ID).HeldBy(was.Holder.Node) {
			w.seen["taken from a lost node that has a lease"]++
		}
	}
	for l := range s.Leases() {
		if old.Lease(l.Dataset) == nil {
			w.seen["leased"]++
		}
	}
	for d := range s.Datasets() {
		if h := s.Hint(d.ID); h != nil && old.Hint(d.ID) == nil {
			w.seen["hinted"]++
		}
	}
}

// attach is the storage system: here the invariant of the project is checked.
// It refuses nothing but an epoch that it is sealed against: an agent may come
// late with what it decided on a view of long ago.
func (w *world) attach(a *modelAgent, id api.DatasetID, epoch uint64) (ok bool) {
	if epoch < w.sealed[id] {
		w.seen["refused by the storage"]++
		return false
	}
	if !w.zones.admits(w, a, id) {
		return false
	}
	by, some := w.attached[id]
	if some && by.node != a.node {
		w.t.Fatalf("dataset %s is attached to %+v and now to %s", id, by, a.node)
	}
	if !some {
		w.seen["attached"]++
	}
	w.attached[id], w.sealed[id] = attachment{a.node, true}, epoch
	return true
}

// fence has an agent take its next step in keeping a lost holder from writing.
func (w *world) fence(a *modelAgent, d *api.Dataset) {
	f := d.Fence
	say := func(r api.FenceReport) {
		w.send(a, cluster.Report{At: w.now, Node: a.node, Stream: a.stream, Datasets: []api.DatasetReport{
			{State: api.DatasetState{ID: d.ID, Epoch: f.Epoch}, Fence: &r},
		}})
	}
	by, some := w.attached[d.ID]
	if !w.zones.shows(a, d.ID) {
		some = false // to this node the storage system has no such volume
	}
	writable := some && by.node == f.Holder && by.live
	switch {
	case !f.Begun && writable && !f.Forced:
		say(api.FenceReport{Finding: "it can still write"})
	case !f.Begun:
		say(api.FenceReport{Begin: true})
	case writable: // it came late; it has to take it down by itself
	default:
		if some && by.node == f.Holder {
			delete(w.attached, d.ID)
		} else if some {
			return // handed over long ago: the view is old, and the storage says so
		}
		if w.sealed[d.ID] > f.Epoch+1 {
			return
		}
		w.sealed[d.ID] = f.Epoch + 1
		say(api.FenceReport{Done: true})
	}
}

// die cuts a machine's power.
func (w *world) die(a *modelAgent) {
	w.dead[a.node] = true
	*a = *newModelAgent(a.node)
	w.endOn(a.node)
	for id, by := range w.attached {
		if by.node == a.node {
			w.attached[id] = attachment{node: a.node}
		}
	}
}

func (w *world) send(a *modelAgent, cmd cluster.Command) {
	w.net = append(w.net, message{a.node, a.stream, cmd})
}

// connect opens a new stream, if that is not refused.
func (w *world) connect(a *modelAgent, answered bool) {
	if w.dead[a.node] {
		return
	}
	out, err := w.apply(cluster.NodeConnect{At: w.now, Node: a.node, Address: "192.0.2.1",
		Hello: api.Hello{Hostname: "host-" + string(a.node), Agent: a.identity, Era: "era-" + string(a.node), Zone: w.zones.tells(a.node), Capabilities: append(a.capabilities(), w.zones.capabilities(a.node)...)}})
	if err != nil {
		w.t.Fatalf("a restarted agent was refused: %v", err)
	}
	if !answered {
		a.stream = 0
		return
	}
	a.stream = out.Node.Stream
	a.view, a.spent = map[api.DatasetID]*api.Dataset{}, map[api.DatasetID]uint64{}
	a.leased = map[api.DatasetID]bool{}
	for l := range w.s.LeasesOf(a.node) {
		a.leased[l.Dataset] = true
	}
	for d := range w.s.Concerning(a.node) {
		a.view[d.ID] = d
	}
	for d := range w.s.Datasets() {
		w.hear(a, d.ID)
	}
}

// see brings an agent's view of a dataset up to date, as its stream does.
func (w *world) see(a *modelAgent, id api.DatasetID) {
	n := w.s.Node(a.node)
	if n == nil || a.stream != n.Stream {
		return
	}
	if d := w.s.Dataset(id); d != nil && d.Concerns(a.node) {
		a.view[id] = d
	} else {
		delete(a.view, id)
	}
	a.leased[id] = w.s.Lease(id).HeldBy(a.node)
	w.hear(a, id)
}

// step has an agent take its next step with a dataset, by what it knows.
func (w *world) step(a *modelAgent, id api.DatasetID) {
	d := a.view[id]
	if w.dead[a.node] {
		return
	}
	if d != nil && d.FencedBy(a.node) {
		w.fence(a, d)
		return
	}
	if w.member(a, d) {
		return
	}
	holder := d != nil && d.HeldBy(a.node)
	usable := holder && a.spent[id] < d.Epoch && !d.Revoked()
	stays := d != nil && d.Pinned && d.Primary == a.node && len(d.Waiting) == 0
	attached := w.attached[id].node == a.node
	yields := d != nil && d.Preempted()
	if a.used(w, id) {
		a.wants[id] = true
		if h := a.hints[id]; h != nil {
			h.over = true
		}
	} else if d != nil && d.Member != nil {
		delete(a.wants, id)
	}
	if usable && attached && a.leased[id] {
		w.keep(a, d)
		return
	}
	wanted := a.wants[id] || w.expects(a, id)
	switch {
	case usable && !d.Deleted && (wanted && !yields || stays):
		if !w.attach(a, id, d.Epoch) {
			return
		}
		w.grow(a, d)
		w.serve(a, d)
		w.report(a, d, api.DatasetReport{State: api.DatasetState{Phase: api.PhaseMounted},
			Volume: w.volume(a, id)})
	case attached && w.inUse(a.node, id): // it cannot be unmounted
		w.reclaim(a, id)
	case attached && (d == nil || !wanted || !usable || d.Deleted || yields):
		delete(w.attached, id)
	case holder && !attached:
		a.spent[id] = d.Epoch
		w.report(a, d, api.DatasetReport{State: api.DatasetState{Phase: api.PhaseDetached}, Release: true, Destroyed: d.Deleted})
	case d != nil && d.AwaitedBy(a.node) && !wanted:
		w.report(a, d, api.DatasetReport{Withdraw: true})
	case w.reclaim(a, id):
	case wanted:
		w.send(a, cluster.Claim{At: w.now, Node: a.node, Stream: a.stream, ID: id, Ahead: !a.wants[id]})
	}
}

// capabilities are of all nodes but one.
func (a *modelAgent) capabilities() []string {
	if a.node == modelNodes[0] {
		return nil
	}
	return []string{api.CapabilityGrow}
}

// grow has the storage make a new volume, or a larger one, as the agent knows
// that it should be.
func (w *world) grow(a *modelAgent, d *api.Dataset) {
	if w.sizes[d.ID] == 0 || len(a.capabilities()) > 0 {
		w.sizes[d.ID] = max(w.sizes[d.ID], d.Size)
	}
}

// keep has an agent go on with what it has a lease of, whatever it is asked for.
func (w *world) keep(a *modelAgent, d *api.Dataset) {
	if len(d.Waiting) > 0 || d.Pinned && d.Primary != a.node {
		w.seen["kept from moving by a lease"]++
	}
	if d.Deleted {
		w.seen["kept from being destroyed by a lease"]++
	}
	if d.Volume == nil {
		w.report(a, d, api.DatasetReport{State: api.DatasetState{Phase: api.PhaseMounted},
			Volume: w.volume(a, d.ID)})
	}
}

// volume is what an agent has registered of a dataset.
func (w *world) volume(a *modelAgent, id api.DatasetID) *api.Volume {
	return &api.Volume{ID: "vol-" + string(id), Backend: "model", Size: w.sizes[id], Zone: w.zones.ofVolume(a, id)}
}

func (w *world) report(a *modelAgent, d *api.Dataset, r api.DatasetReport) {
	r.State.ID, r.State.Epoch = d.ID, d.Epoch
	w.send(a, cluster.Report{At: w.now, Node: a.node, Stream: a.stream, Datasets: []api.DatasetReport{r}})
}

// deliver has the control service read a message. The answer to a claim tells
// the agent which dataset it is.
func (w *world) deliver(m message, answered bool) {
	out, err := w.apply(m.cmd)
	a := w.agents[m.from]
	w.answered(a, m, out, err, answered)
	if claim, ok := m.cmd.(cluster.Claim); ok && claim.Ahead && err != nil && answered && a.stream == m.stream && a.hints[claim.ID] != nil {
		a.hints[claim.ID].over = true
		w.seen["refused to a hint"]++
	}
	if claim, ok := m.cmd.(cluster.Claim); ok && err == nil && answered && a.stream == m.stream {
		a.wants[out.Dataset.ID] = a.wants[out.Dataset.ID] || !claim.Ahead
		w.see(a, out.Dataset.ID)
	}
}

// actLate has a node fall silent between its last look at the token that it
// holds and its attach, which it makes only after another node had the time to
// get the dataset.
func (w *world) actLate(late, other *modelAgent, id api.DatasetID) {
	view := late.view[id]
	_, attached := w.attached[id]
	if late == other || view == nil || !view.HeldBy(late.node) || attached {
		return
	}
	late.wants[id] = true
	_, _ = w.apply(cluster.NodeDisconnect{At: w.now, Node: late.node, Stream: late.stream})
	w.connect(other, true)
	other.wants[id] = true
	for range 6 { // claim, begin, done, attach
		w.see(other, id)
		w.step(other, id)
		for _, m := range w.net {
			w.deliver(m, true)
		}
		w.net = nil
	}
	w.step(late, id)
}

// tellLate has a dataset's holder report, then grow and report again, and the
// second report arrive before the first.
func (w *world) tellLate(id api.DatasetID) {
	d := w.s.Dataset(id)
	if d.Holder == nil || w.agents[d.Holder.Node] == nil || w.attached[id].node != d.Holder.Node {
		return
	}
	a := w.agents[d.Holder.Node]
	tell := func() *message {
		w.see(a, id)
		before := len(w.net)
		if w.step(a, id); len(w.net) == before {
			return nil
		}
		m := w.net[before]
		w.net = w.net[:before]
		return &m
	}
	first := tell()
	_, _ = w.apply(cluster.ChangeDataset{At: w.now, ID: id, Size: d.Size + api.MinSize})
	second := tell()
	for _, m := range []*message{second, first} {
		if m != nil {
			w.deliver(*m, true)
		}
	}
}

func (w *world) newID() api.DatasetID {
	w.nextID++
	return api.DatasetID(fmt.Sprintf("d%d", w.nextID))
}

func (w *world) anyDataset(t *rapid.T) api.DatasetID {
	var ids []api.DatasetID
	for d := range w.s.Datasets() {
		if !d.Destroyed || len(ids) == 0 {
			ids = append(ids, d.ID)
		}
	}
	if len(ids) == 0 {
		t.Skip("no dataset yet")
	}
	return rapid.SampledFrom(ids).Draw(t, "dataset")
}

func (w *world) anyAgent(t *rapid.T) *modelAgent {
	return w.agents[rapid.SampledFrom(slices.Sorted(maps.Keys(w.agents))).Draw(t, "node")]
}

var (
	modelNames = []string{"db", "queue"}
	modelNodes = []api.NodeID{"a", "b", "c", "never-there"}
)

func (w *world) actions() map[string]func(*rapid.T) {
	metadata := func(t *rapid.T) map[string]string {
		return map[string]string{api.MetadataName: rapid.SampledFrom(modelNames).Draw(t, "name")}
	}
	anyNode := func(t *rapid.T) api.NodeID { return rapid.SampledFrom(modelNodes).Draw(t, "primary") }
	index := func(t *rapid.T) int {
		if len(w.net) == 0 {
			t.Skip("nothing under way")
		}
		return rapid.IntRange(0, len(w.net)-1).Draw(t, "message")
	}
	step := func(t *rapid.T) { w.step(w.anyAgent(t), w.anyDataset(t)) }
	deliver := func(t *rapid.T) {
		i := index(t)
		m := w.net[i]
		w.net = slices.Delete(w.net, i, i+1)
		w.deliver(m, rapid.Bool().Draw(t, "answered"))
	}
	round := func(t *rapid.T) {
		a, id := w.anyAgent(t), w.anyDataset(t)
		if a.stream == 0 {
			w.connect(a, true)
		}
		w.see(a, id)
		before := len(w.net)
		w.step(a, id)
		if n := len(w.net); n > before && rapid.IntRange(0, 3).Draw(t, "delayed") > 0 {
			m := w.net[n-1]
			w.net = w.net[:n-1]
			w.deliver(m, true)
			w.see(a, id)
		}
	}
	late := func(t *rapid.T) { w.actLate(w.anyAgent(t), w.anyAgent(t), w.anyDataset(t)) }
	return map[string]func(*rapid.T){
		"create": func(t *rapid.T) {
			_, _ = w.apply(cluster.Create{At: w.now, ID: w.newID(), Primary: anyNode(t), DefaultSize: api.MinSize, Metadata: metadata(t)})
		},
		"change size": func(t *rapid.T) {
			id := w.anyDataset(t)
			to := max(api.MinSize, w.s.Dataset(id).Size+rapid.Int64Range(-1, 3).Draw(t, "further")*api.MinSize)
			out, err := w.apply(cluster.ChangeDataset{At: w.now, ID: id, Size: to})
			if v := w.s.Dataset(id).Volume; err == nil && (out.Dataset.Size != to || v != nil && to < v.Size && to < w.s.Dataset(id).Size) {
				w.t.Fatalf("size of dataset %s with volume %v: got %d, asked for %d", id, v, out.Dataset.Size, to)
			}
		},
		"holder tells late": func(t *rapid.T) { w.tellLate(w.anyDataset(t)) },
		"rename": func(t *rapid.T) {
			var name *string
			if n := rapid.SampledFrom(append(modelNames, "")).Draw(t, "name"); n != "" {
				name = &n
			}
			key := rapid.SampledFrom([]string{api.MetadataName, api.MetadataFlockerID}).Draw(t, "key")
			_, _ = w.apply(cluster.ChangeDataset{At: w.now, ID: w.anyDataset(t), Metadata: map[string]*string{key: name}})
		},
		"move": func(t *rapid.T) {
			_, _ = w.apply(cluster.Move{At: w.now, ID: w.anyDataset(t), Primary: anyNode(t)})
		},
		"delete": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "rarely") == 0 {
				_, _ = w.apply(cluster.Delete{At: w.now, ID: w.anyDataset(t)})
			}
		},
		"claim by name": func(t *rapid.T) {
			a := w.anyAgent(t)
			w.send(a, cluster.Claim{At: w.now, Node: a.node, Stream: a.stream, NewID: w.newID(), DefaultSize: api.MinSize,
				Find: &api.DatasetSpec{Name: rapid.SampledFrom(modelNames).Draw(t, "name")}})
		},
		"start using2":   func(t *rapid.T) { w.anyAgent(t).wants[w.anyDataset(t)] = true },
		"start using":    func(t *rapid.T) { w.anyAgent(t).wants[w.anyDataset(t)] = true },
		"end using":      func(t *rapid.T) { delete(w.anyAgent(t).wants, w.anyDataset(t)) },
		"agent steps":    step,
		"agent gets on":  round, // what happens most of the time
		"agent gets on2": round,
		"agent gets on3": round,
		"agent gets on4": round,
		"agent gets on5": round,
		"agent gets on6": round,
		"agent hears": func(t *rapid.T) {
			w.see(w.anyAgent(t), w.anyDataset(t))
		},
		"agent hears all": func(t *rapid.T) {
			a := w.anyAgent(t)
			for d := range w.s.Datasets() {
				w.see(a, d.ID)
			}
		},
		"agent reports another volume": func(t *rapid.T) {
			a, id := w.anyAgent(t), w.anyDataset(t)
			if d := a.view[id]; d != nil && w.attached[id].node == a.node && !d.FencedBy(a.node) {
				w.report(a, d, api.DatasetReport{Volume: &api.Volume{ID: "another", Backend: "model"}})
			}
		},
		"agent restarts": func(t *rapid.T) {
			a := w.anyAgent(t)
			disk := a.disk
			*a = *newModelAgent(a.node)
			a.disk = disk
		},
		"agent connects": func(t *rapid.T) { w.connect(w.anyAgent(t), rapid.Bool().Draw(t, "answered")) },
		"second agent connects": func(t *rapid.T) {
			a := w.anyAgent(t)
			if n := w.s.Node(a.node); n == nil || !n.Connected {
				t.Skip("no agent to be second to")
			}
			_, err := w.apply(cluster.NodeConnect{At: w.now, Node: a.node, Hello: api.Hello{Agent: "another", Era: "era"}})
			if got := api.CodeOf(err); got != api.CodeConflict {
				w.t.Fatalf("second agent: got %q (%v), want a conflict", got, err)
			}
		},
		"node is lost": func(t *rapid.T) {
			a := w.anyAgent(t)
			if n := w.s.Node(a.node); n != nil {
				_, _ = w.apply(cluster.NodeDisconnect{At: w.now, Node: a.node, Stream: n.Stream})
			}
		},
		"machine dies": func(t *rapid.T) {
			if rapid.IntRange(0, 2).Draw(t, "rarely") == 0 {
				w.die(w.anyAgent(t))
			}
		},
		"dead machines are lost": func(*rapid.T) {
			for _, id := range modelNodes {
				if n := w.s.Node(id); w.dead[id] && n != nil {
					_, _ = w.apply(cluster.NodeDisconnect{At: w.now, Node: id, Stream: n.Stream})
				}
			}
		},
		"machine boots": func(t *rapid.T) {
			a := w.anyAgent(t)
			w.dead[a.node] = false
			w.connect(a, rapid.Bool().Draw(t, "answered"))
		},
		"operator gives a dead node up": func(t *rapid.T) {
			if a := w.anyAgent(t); w.dead[a.node] {
				_, _ = w.apply(cluster.GiveUpNode{At: w.now, Node: a.node, Force: rapid.Bool().Draw(t, "force")})
			}
		},
		"operator removes a node": func(t *rapid.T) {
			a := w.anyAgent(t)
			if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
				t.Skip("it is removed more seldom")
			}
			leftovers := w.dead[a.node] && rapid.Bool().Draw(t, "leftovers")
			for {
				out, err := w.apply(cluster.RemoveNode{At: w.now, Node: a.node, Leftovers: leftovers})
				if err != nil || !out.More {
					break
				}
			}
			if w.s.Node(a.node) == nil {
				w.seen["node removed"]++
			}
		},
		"operator drains": func(t *rapid.T) {
			_, _ = w.apply(cluster.DrainNode{At: w.now, Node: w.anyAgent(t).node, End: rapid.IntRange(0, 3).Draw(t, "end") > 0})
		},
		"user acquires a lease": func(t *rapid.T) {
			c := cluster.AcquireLease{At: w.now, Dataset: w.anyDataset(t), Node: anyNode(t)}
			if holder := w.s.Dataset(c.Dataset).Holder; holder != nil && rapid.Bool().Draw(t, "for the holder") {
				c.Node = holder.Node
			}
			if rapid.Bool().Draw(t, "expires") {
				c.Expires = w.now.Add(time.Duration(rapid.IntRange(-1, 60).Draw(t, "seconds")) * time.Second)
			}
			_, _ = w.apply(c)
		},
		"user releases a lease": func(t *rapid.T) {
			_, _ = w.apply(cluster.ReleaseLease{At: w.now, Dataset: w.anyDataset(t)})
		},
		"leases expire": func(t *rapid.T) {
			_, _ = w.apply(cluster.ExpireLeases{At: w.now, Limit: rapid.IntRange(1, 5).Draw(t, "limit")})
		},
		"upkeep": func(t *rapid.T) {
			_, _ = w.apply(cluster.Upkeep{At: w.now, Limit: rapid.IntRange(1, 5).Draw(t, "limit")})
		},
		"Marathon is read":       w.readMarathon,
		"Marathon is read2":      w.readMarathon,
		"volumes are made ahead": w.makeAhead,
		"agent follows a hint":   w.followHint,
		"log is restored":        w.restore,
		"silent node acts late":  late,
		"silent node acts late2": late,
		"silent node acts late3": late,
		"claim that preempts": func(t *rapid.T) {
			if a := w.anyAgent(t); !w.dead[a.node] {
				w.send(a, cluster.Claim{At: w.now, Node: a.node, Stream: a.stream, ID: w.anyDataset(t), Preempt: true})
			}
		},
		"message arrives":  deliver,
		"message arrives2": deliver,
		"message arrives twice": func(t *rapid.T) {
			w.deliver(w.net[index(t)], false)
		},
		"message is lost": func(t *rapid.T) {
			i := index(t)
			w.net = slices.Delete(w.net, i, i+1)
		},
	}
}

// settle lets the network be perfect and every use end, and checks that each
// node that waited had its turn.
func (w *world) settle() {
	for _, m := range w.net {
		w.deliver(m, false)
	}
	w.net = nil
	w.now = w.now.Add(cluster.MaxHint) // nothing is expected any more
	for _, l := range slices.Collect(w.s.Leases()) {
		_, _ = w.apply(cluster.ReleaseLease{At: w.now, Dataset: l.Dataset})
	}
	waiting := map[api.DatasetID][]api.NodeID{}
	for d := range w.s.Datasets() {
		for _, waiter := range d.Waiting {
			waiting[d.ID] = append(waiting[d.ID], waiter.Node)
		}
	}
	w.zones.tellAll()
	for _, a := range w.agents {
		w.dead[a.node] = false
		w.connect(a, true)
		_, _ = w.apply(cluster.DrainNode{At: w.now, Node: a.node, End: true})
	}
	turns := map[api.DatasetID][]api.NodeID{}
	w.endAllServed()
	const most = 100
	for round, quiet := 0, 0; quiet < 2; round, quiet = round+1, quiet+1 {
		if round == most {
			w.t.Fatalf("after %d rounds there is still something to do", most)
		}
		before := w.changes
		_, _ = w.apply(cluster.Upkeep{At: w.now, Limit: 100})
		for _, node := range slices.Sorted(maps.Keys(w.agents)) {
			a := w.agents[node]
			w.serveAll(a)
			for d := range w.s.Datasets() {
				w.see(a, d.ID)
				if v := a.view[d.ID]; v != nil && v.HeldBy(node) && !slices.Contains(turns[d.ID], node) {
					turns[d.ID] = append(turns[d.ID], node)
				}
				w.see(a, d.ID)
				a.wants = map[api.DatasetID]bool{}
				if v := a.view[d.ID]; v == nil || v.HeldBy(node) || v.FencedBy(node) || v.UserOn(node) != nil { // who waits goes on waiting
					w.step(a, d.ID)
					w.step(a, d.ID)
				}
				for _, m := range w.net {
					w.deliver(m, false)
				}
				w.net = nil
			}
		}
		if w.changes > before {
			quiet = -1
		}
	}
	w.checkServed()
	for d := range w.s.Datasets() {
		if len(d.Waiting) > 0 {
			w.t.Fatalf("nobody uses dataset %s and still %v wait", d.ID, d.Waiting)
		}
		if d.Deleted && !d.Destroyed {
			w.t.Fatalf("dataset %s is deleted, unused and not destroyed: %+v", d.ID, *d)
		}
		if d.Deleted {
			continue
		}
		if d.Pinned && w.agents[d.Primary] != nil && !d.HeldBy(d.Primary) && !w.zones.apart(d.Primary, d.ID) {
			w.t.Fatalf("dataset %s was put on node %s, and %+v holds it", d.ID, d.Primary, d.Holder)
		}
		for _, node := range waiting[d.ID] {
			if !slices.Contains(turns[d.ID], node) && !w.zones.apart(node, d.ID) {
				w.t.Fatalf("node %s waited for dataset %s and never had its turn: %v", node, d.ID, turns[d.ID])
			}
		}
	}
}

func TestNoTwoAgentsThatFollowTheProtocolAttachADatasetAtOnce(t *testing.T) {
	liveThroughAll(t, (*world).actions, []string{
		"attached", "waited", "handed over", "registered", "destroyed", "revoked", "taken from a lost node", "preempted",
		"refused by the storage", "grown", "told to grow no more", "renamed",
		"made ahead", "hinted", "claimed because of a hint", "refused to a hint",
		"leased", "kept from moving by a lease", "kept from being destroyed by a lease", "taken from a lost node that has a lease",
	})
}

// liveThroughAll plays worlds until all events have happened, at least the usual
// number of them.
func liveThroughAll(t *testing.T, actions func(*world) map[string]func(*rapid.T), events []string) {
	t.Helper()
	playAll(t, events, func(t *rapid.T, seen map[string]int) { liveThrough(t, actions, seen) })
}

func playAll(t *testing.T, events []string, play func(*rapid.T, map[string]int)) {
	t.Helper()
	t.Parallel()
	seen := map[string]int{}
	defer func() { t.Logf("in all worlds: %v", seen) }()
	missing := func() []string {
		return slices.DeleteFunc(slices.Clone(events), func(e string) bool { return seen[e] > 0 })
	}
	// What is rare takes some worlds more to happen.
	for rounds := 0; rounds == 0 || rounds < 20 && len(missing()) > 0; rounds++ {
		rapid.Check(t, func(t *rapid.T) { play(t, seen) })
	}
	if m := missing(); len(m) > 0 {
		t.Errorf("no dataset was ever %s: the model gets nowhere", strings.Join(m, ", "))
	}
}

// liveThrough plays one world.
func liveThrough(t *rapid.T, actions func(*world) map[string]func(*rapid.T), seen map[string]int) {
	liveIn(t, nil, actions, seen)
}

// liveIn plays one world in which volumes may be bound to zones.
func liveIn(t *rapid.T, zones *modelZones, actions func(*world) map[string]func(*rapid.T), seen map[string]int) {
	w := &world{
		t: t, s: cluster.New(), now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC),
		agents: map[api.NodeID]*modelAgent{}, attached: map[api.DatasetID]attachment{}, sealed: map[api.DatasetID]uint64{}, sizes: map[api.DatasetID]int64{},
		dead: map[api.NodeID]bool{}, seen: seen, containers: map[string]*modelContainer{}, zones: zones,
	}
	w.s.Put(cluster.Change{Key: cluster.KeyMeta, Meta: &cluster.Meta{Cluster: "model", Created: w.now}})
	for _, node := range modelNodes[:3] {
		w.agents[node] = newModelAgent(node)
	}
	for _, node := range modelNodes[:3] {
		w.connect(w.agents[node], true)
	}
	for range 5 { // a Repeat takes 30 steps or so
		t.Repeat(actions(w))
	}
	w.settle()
}
