package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// removedAtOnce bounds the records that one RemoveNode changes, so that one commit can
// take them.
const removedAtOnce = 32

// RemoveNode forgets a node whose machine is gone for good, with what refers to it:
// leases, hints, places in queues, users of members, and the places that users chose. It
// is refused while the node's agent is connected, and while the node holds or fences a
// dataset. An agent that connects with the node's certificate afterwards registers a new
// node.
type RemoveNode struct {
	At   time.Time
	Node api.NodeID
	// Leftovers has the datasets and orphans forgotten, too, whose volumes no other node can
	// reach, as their zone has no other node. The operator must have given the node up if it
	// holds one of them.
	Leftovers bool
}

// Apply decides the command. With Outcome.More it has to be repeated: the node is
// removed last.
func (c RemoveNode) Apply(s *State) (Outcome, error) {
	old := s.Node(c.Node)
	if old == nil {
		if err := s.readable(NodeKey(c.Node)); err != nil {
			return Outcome{}, err
		}
		return Outcome{}, errNoNode(c.Node)
	}
	if err := c.check(s, old); err != nil {
		return Outcome{}, err
	}
	b := newBatch(s)
	for d := range s.Datasets() {
		c.dropFrom(b, old, d)
		if len(b.changes) >= removedAtOnce {
			return Outcome{Changes: b.changes, Node: old, More: true}, nil
		}
	}
	for o := range s.Orphans() {
		if !c.Leftovers || !s.leftover(&o.Volume, old) {
			continue
		}
		b.put(Change{Key: OrphanKey(o.Volume)})
		if b.reblock(o); len(b.changes) >= removedAtOnce {
			return Outcome{Changes: b.changes, Node: old, More: true}, nil
		}
	}
	for l := range s.LeasesOf(c.Node) {
		b.put(Change{Key: LeaseKey(l.Dataset)})
	}
	for set := range s.Sets() {
		if left := slices.DeleteFunc(slices.Clone(set.Waiting), func(w api.SetWaiter) bool { return w.Node == c.Node }); len(left) < len(set.Waiting) {
			set = b.state.draftSet(set.Name, "")
			set.Waiting = left
			b.put(putSet(set))
		}
	}
	for a := range s.Apps() {
		if app := withoutNode(a, c.Node); app != nil {
			app.Revision = s.revision + 1
			b.put(putApp(app))
		}
	}
	if len(b.changes) >= removedAtOnce {
		b.changes = b.changes[:removedAtOnce]
		return Outcome{Changes: b.changes, Node: old, More: true}, nil
	}
	if s.Ending(c.Node) != nil {
		b.put(Change{Key: EndingKey(c.Node)})
	}
	if s.meta != nil && s.meta.Removed < old.Stream {
		m := *s.meta
		m.Removed = old.Stream
		b.put(Change{Key: KeyMeta, Meta: &m})
	}
	b.put(Change{Key: NodeKey(c.Node)})
	return Outcome{Changes: b.changes, Node: old}, nil
}

// check reports why a node cannot be removed.
func (c RemoveNode) check(s *State, n *api.Node) error {
	if n.Connected {
		return api.Errorf(api.CodeConflict, "the agent of node %s is connected since %s: stop the agent, or its machine, and wait until the node counts as lost",
			n.Name(), stamp(n.Since))
	}
	var held, cut, fenced []string
	for d := range s.Concerning(c.Node) {
		if err := s.intact(d.ID); err != nil {
			return err
		}
		stays := s.leftover(d.Volume, n)
		switch {
		case d.Destroyed:
		case d.HeldBy(c.Node) && stays && (!c.Leftovers || n.GivenUp.IsZero()):
			cut = append(cut, nameOf(d))
		case d.HeldBy(c.Node) && !stays:
			held = append(held, nameOf(d))
		case d.FencedBy(c.Node) && d.Revoked() && !s.fencedByOther(d, c.Node):
			fenced = append(fenced, nameOf(d))
		}
	}
	switch {
	case len(held) > 0 && !n.GivenUp.IsZero():
		return api.Errorf(api.CodeConflict, "node %s holds %s, which no other node has fenced yet: start the app that asks for it elsewhere, or move it to "+
			"another node with flocker volumes move; flocker volumes show says what is in the way", n.Name(), few(held))
	case len(held) > 0:
		return api.Errorf(api.CodeConflict, "node %s holds %s, which no other node has fenced yet: if its machine is off, run flocker nodes lost %s, "+
			"move what no app asks for to another node with flocker volumes move, and remove the node when it holds nothing", n.Name(), few(held), n.Name())
	case len(cut) > 0:
		return api.Errorf(api.CodeConflict, "node %s holds %s in zone %s, which has no other node, so that no node can fence it: if the machine and its storage "+
			"are gone for good, run flocker nodes lost %s and then flocker nodes remove %s --leftovers, which forgets these volumes",
			n.Name(), few(cut), n.Zone, n.Name(), n.Name())
	case len(fenced) > 0:
		return api.Errorf(api.CodeConflict, "node %s has begun to fence the holder of %s, and no other node can go on: start the agent of another node with the "+
			"same storage first", n.Name(), few(fenced))
	}
	return nil
}

// few names some of the datasets.
func few(names []string) string {
	const most = 3
	slices.Sort(names)
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// leftover reports whether a volume is bound to the node's zone, and no other node is
// there.
func (s *State) leftover(v *api.Volume, n *api.Node) bool {
	if v == nil || v.Zone == "" || !sees(n, v) {
		return false
	}
	for other := range s.Nodes() {
		if other.ID != n.ID && sees(other, v) {
			return false
		}
	}
	return true
}

// fencedByOther reports whether another node goes on with a fence when a node is removed.
func (s *State) fencedByOther(d *api.Dataset, node api.NodeID) bool {
	holder := s.Node(d.Holder.Node)
	if holder == nil {
		return false
	}
	by := s.lacking(node).fencer(d, holder)
	return by != "" && by != node
}

// dropFrom takes a node out of what is known of a dataset.
func (c RemoveNode) dropFrom(b *batch, n *api.Node, d *api.Dataset) {
	s := b.state
	if s.frozen(d.ID) {
		return
	}
	if st := s.DatasetState(d.ID); st != nil && st.Node == c.Node && (!d.HeldBy(c.Node) || c.Leftovers) {
		b.put(Change{Key: StateKey(d.ID)})
	}
	if s.Hint(d.ID).For(c.Node) {
		b.put(Change{Key: HintKey(d.ID)})
	}
	switch {
	case d.Destroyed:
	case c.Leftovers && s.leftover(d.Volume, n):
		d = s.draft(d)
		d.Deleted, d.Fence, d.Reclaim, d.Blocked = true, nil, nil, ""
		destroyed(d, c.At)
		b.put(putDataset(d))
		if s.DatasetState(d.ID) != nil {
			b.put(Change{Key: StateKey(d.ID)})
		}
	case d.Pinned && d.Primary == c.Node || d.AwaitedBy(c.Node) || d.FencedBy(c.Node) || d.UserOn(c.Node) != nil:
		d = s.draft(d)
		if d.Primary == c.Node {
			d.Pinned = false
		}
		d.Waiting = slices.DeleteFunc(d.Waiting, func(w api.Waiter) bool { return w.Node == c.Node })
		if len(d.Waiting) == 0 {
			d.Waiting = nil
		}
		if d.UserOn(c.Node) != nil {
			freeMember(d)
		}
		if d.Holder != nil && d.Primary == c.Node {
			d.Primary = d.Holder.Node
		}
		d.Fence = s.lacking(c.Node).fenceFor(d, c.At)
		b.put(putDataset(d))
	}
}

// lacking returns the state as it is without a node.
func (s *State) lacking(node api.NodeID) *State {
	work := s.Clone()
	work.putNode(node, nil)
	return work
}

// withoutNode returns an app with no instance on a node, nil if it has none there.
func withoutNode(a *api.App, node api.NodeID) *api.App {
	on := func(in api.AppInstance) bool { return in.Node == node }
	if !slices.ContainsFunc(a.Instances, on) {
		return nil
	}
	app := *a
	app.Instances = slices.Clone(a.Instances)
	for i := range app.Instances {
		if on(app.Instances[i]) {
			app.Instances[i].Node = ""
		}
	}
	return &app
}
