package cluster_test

import (
	"fmt"
	"maps"
	"slices"
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
	attached map[api.DatasetID]api.NodeID // by the storage system
	nextID   int
	seen     map[string]int // what has happened, to see that the model gets anywhere
}

// modelAgent is an agent. All but node and identity is lost when it restarts.
type modelAgent struct {
	node     api.NodeID
	identity string
	stream   uint64 // 0 while there is none
	view     map[api.DatasetID]*api.Dataset
	spent    map[api.DatasetID]uint64 // epochs whose release has been sent
	wants    map[api.DatasetID]bool
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
	if after := dump(w.s); !maps.Equal(before, after) {
		w.t.Fatalf("deciding %T changed the state", cmd)
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
	if err := checkStep(w.s, next); err != nil {
		w.t.Fatalf("%T: %v", cmd, err)
	}
	if !maps.Equal(before, dump(w.s)) {
		w.t.Fatalf("%T: putting changes into a clone changed the original", cmd)
	}
	w.s = next
	if err := checkState(w.s); err != nil {
		w.t.Fatalf("after %T: %v", cmd, err)
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
		if was.Volume == nil && d.Volume != nil {
			w.seen["registered"]++
		}
		if d.Destroyed && d.Volume != nil {
			w.seen["destroyed"]++
		}
	}
}

// attach is the storage system: here the invariant of the project is checked.
func (w *world) attach(a *modelAgent, id api.DatasetID) {
	if by, ok := w.attached[id]; ok && by != a.node {
		w.t.Fatalf("dataset %s is attached to %s and now to %s", id, by, a.node)
	}
	if w.attached[id] == "" {
		w.seen["attached"]++
	}
	w.attached[id] = a.node
}

func (w *world) send(a *modelAgent, cmd cluster.Command) {
	w.net = append(w.net, message{a.node, a.stream, cmd})
}

// connect opens a new stream, if that is not refused.
func (w *world) connect(a *modelAgent, answered bool) {
	out, err := w.apply(cluster.NodeConnect{At: w.now, Node: a.node, Address: "192.0.2.1",
		Hello: api.Hello{Hostname: "host-" + string(a.node), Agent: a.identity, Era: "era-" + string(a.node)}})
	if err != nil {
		w.t.Fatalf("a restarted agent was refused: %v", err)
	}
	if !answered {
		a.stream = 0
		return
	}
	a.stream = out.Node.Stream
	a.view, a.spent = map[api.DatasetID]*api.Dataset{}, map[api.DatasetID]uint64{}
	for d := range w.s.Concerning(a.node) {
		a.view[d.ID] = d
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
}

// step has an agent take its next step with a dataset, by what it knows.
func (w *world) step(a *modelAgent, id api.DatasetID) {
	d := a.view[id]
	holder := d != nil && d.HeldBy(a.node)
	usable := holder && a.spent[id] < d.Epoch
	stays := d != nil && d.Pinned && d.Primary == a.node && len(d.Waiting) == 0
	attached := w.attached[id] == a.node
	switch {
	case usable && !d.Deleted && (a.wants[id] || stays):
		w.attach(a, id)
		w.report(a, d, api.DatasetReport{State: api.DatasetState{Phase: api.PhaseMounted},
			Volume: &api.Volume{ID: "vol-" + string(id), Backend: "model"}})
	case attached && (d == nil || !a.wants[id] || !usable || d.Deleted):
		delete(w.attached, id)
	case holder && !attached:
		a.spent[id] = d.Epoch
		w.report(a, d, api.DatasetReport{State: api.DatasetState{Phase: api.PhaseDetached}, Release: true, Destroyed: d.Deleted})
	case d != nil && d.AwaitedBy(a.node) && !a.wants[id]:
		w.report(a, d, api.DatasetReport{Withdraw: true})
	case a.wants[id]:
		w.send(a, cluster.Claim{At: w.now, Node: a.node, Stream: a.stream, ID: id})
	}
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
	if _, claim := m.cmd.(cluster.Claim); claim && err == nil && answered && a.stream == m.stream {
		a.wants[out.Dataset.ID] = true
		w.see(a, out.Dataset.ID)
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
	return map[string]func(*rapid.T){
		"create": func(t *rapid.T) {
			_, _ = w.apply(cluster.Create{At: w.now, ID: w.newID(), Primary: anyNode(t), DefaultSize: api.MinSize, Metadata: metadata(t)})
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
			if d := a.view[id]; d != nil && w.attached[id] == a.node {
				w.report(a, d, api.DatasetReport{Volume: &api.Volume{ID: "another", Backend: "model"}})
			}
		},
		"agent restarts": func(t *rapid.T) {
			a := w.anyAgent(t)
			*a = modelAgent{node: a.node, identity: a.identity, wants: map[api.DatasetID]bool{}}
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
	waiting := map[api.DatasetID][]api.NodeID{}
	for d := range w.s.Datasets() {
		for _, waiter := range d.Waiting {
			waiting[d.ID] = append(waiting[d.ID], waiter.Node)
		}
	}
	for _, a := range w.agents {
		w.connect(a, true)
	}
	turns := map[api.DatasetID][]api.NodeID{}
	for range 4 * len(w.agents) {
		for _, node := range slices.Sorted(maps.Keys(w.agents)) {
			a := w.agents[node]
			for d := range w.s.Datasets() {
				w.see(a, d.ID)
				if v := a.view[d.ID]; v != nil && v.HeldBy(node) && !slices.Contains(turns[d.ID], node) {
					turns[d.ID] = append(turns[d.ID], node)
				}
				w.see(a, d.ID)
				a.wants = map[api.DatasetID]bool{}
				if v := a.view[d.ID]; v == nil || v.HeldBy(node) { // who waits goes on waiting
					w.step(a, d.ID)
					w.step(a, d.ID)
				}
				for _, m := range w.net {
					w.deliver(m, false)
				}
				w.net = nil
			}
		}
	}
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
		for _, node := range waiting[d.ID] {
			if !slices.Contains(turns[d.ID], node) {
				w.t.Fatalf("node %s waited for dataset %s and never had its turn: %v", node, d.ID, turns[d.ID])
			}
		}
	}
}

func TestNoTwoAgentsThatFollowTheProtocolAttachADatasetAtOnce(t *testing.T) {
	seen := map[string]int{}
	defer func() { t.Logf("in all worlds: %v", seen) }()
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			t: t, s: cluster.New(), now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC),
			agents: map[api.NodeID]*modelAgent{}, attached: map[api.DatasetID]api.NodeID{}, seen: seen,
		}
		for _, node := range modelNodes[:3] {
			w.agents[node] = &modelAgent{node: node, identity: "agent-" + string(node), wants: map[api.DatasetID]bool{}}
		}
		for _, node := range modelNodes[:3] {
			w.connect(w.agents[node], true)
		}
		for range 5 { // a Repeat takes 30 steps or so
			t.Repeat(w.actions())
		}
		w.settle()
	})
	for _, event := range []string{"attached", "waited", "handed over", "registered", "destroyed"} {
		if seen[event] == 0 {
			t.Errorf("no dataset was ever %s: the model gets nowhere", event)
		}
	}
}
