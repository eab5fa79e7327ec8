package cluster

import (
	"slices"

	"github.com/flocker-mesos/flocker/api"
)

// endings tells nodes of the instances that have ended there, or are being killed,
// since the app was last followed, while a volume of the app is in use there. A node
// is told of one of several: it looks at all that it has.
func (f *following) endings() {
	if f.old == nil {
		return
	}
	told := map[api.NodeID]bool{}
	for _, in := range f.ending() {
		if told[in.Node] || f.s.Node(in.Node) == nil || !f.inUse(&in) {
			continue
		}
		told[in.Node] = true
		f.changes = append(f.changes, putEnding(&api.Ending{
			Node: in.Node, App: f.app.ID, Instance: clipped(in.ID, maxText), Revision: f.s.revision + 1,
		}))
	}
}

// endingAtOnce is how many nodes are told with one command. Who is not told finds out
// by itself, some seconds later.
const endingAtOnce = 8

// ending returns the instances of which Marathon says something new about their ends.
// One that it does not list any more has ended.
func (f *following) ending() (all []api.AppInstance) {
	was, is := byID(f.old.Instances), byID(f.app.Instances)
	add := func(in *api.AppInstance) {
		if in.Node != "" && len(all) < endingAtOnce {
			all = append(all, *in)
		}
	}
	for _, in := range f.app.Instances {
		if old := was[in.ID]; in.Ending() && (old == nil || old.State != in.State) {
			add(&in)
		}
	}
	for _, in := range f.old.Instances {
		if is[in.ID] == nil && !in.Ended() {
			add(&in)
		}
	}
	return all
}

func byID(instances []api.AppInstance) map[string]*api.AppInstance {
	m := make(map[string]*api.AppInstance, len(instances))
	for i := range instances {
		m[instances[i].ID] = &instances[i]
	}
	return m
}

// inUse reports whether a container uses a volume of the app where an instance of it
// has ended, as far as the node has told.
func (f *following) inUse(in *api.AppInstance) bool {
	for _, v := range slices.Concat(f.app.Volumes, f.old.Volumes) {
		d, st := f.s.Dataset(v.Dataset), f.s.DatasetState(v.Dataset)
		if d == nil || st == nil || st.Node != in.Node || !d.HeldBy(in.Node) {
			continue
		}
		if u := d.UserOn(in.Node); u != nil && u.Instance != "" && u.Instance != api.InstanceOf(in.ID) {
			continue // it is another instance's
		}
		if slices.ContainsFunc(st.Consumers, func(c api.Consumer) bool { return c.Kind == api.ConsumerMesos }) {
			return true
		}
	}
	return false
}

// Ending returns the newest end of an instance on a node, nil if there is none.
func (s *State) Ending(node api.NodeID) *api.Ending {
	e, _ := s.endings.Get(node)
	return e
}

func (s *State) putEnding(node api.NodeID, e *api.Ending) {
	if e == nil {
		s.endings.Delete(node)
	} else {
		s.endings.Set(node, e)
	}
}
