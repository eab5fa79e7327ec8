package cluster

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// The rules of making volumes ahead: an app is deployed, no instance of it is about
// to start yet, and a node makes the volume that the first one will use, so that a
// quota or a size that cannot be is seen before any task has failed by it. It is a
// hint like those about staged instances, and weaker: it never waits for anybody.

const (
	// makesOfNode is how many volumes a node makes ahead at once, so that a thousand
	// apps which are deployed together do not come down on one machine, nor keep its
	// storage from those that containers wait for.
	makesOfNode = 4
	// MakeLimit is for how long a node may be at a volume before another one is
	// asked: cloud storage takes a minute, and what fails is tried again meanwhile.
	MakeLimit = 5 * time.Minute
)

// MakeAhead tells nodes which volumes to make ahead of their first use.
type MakeAhead struct {
	At      time.Time
	Replica api.ReplicaID
	Limit   int // of hints, so that one commit can take it
}

// Apply decides the command.
func (c MakeAhead) Apply(s *State) (Outcome, error) {
	if err := s.checkFollower(c.Replica); err != nil {
		return Outcome{}, err
	}
	hints, _ := s.Ahead(c.At, c.Limit)
	var out Outcome
	for _, h := range hints {
		out.Changes = append(out.Changes, putHint(h))
	}
	return out, nil
}

// Ahead returns the hints that have volumes made ahead which nobody makes yet, and
// when there may be more by the time alone, zero where not. Those that were tried
// least come first, so that what fails keeps nothing else from being made.
func (s *State) Ahead(at time.Time, limit int) (hints []*api.Hint, next time.Time) {
	if s.unmade.Len() == 0 {
		return nil, time.Time{}
	}
	busy, next := s.making(at)
	if !s.hasRoom(busy) { // so it costs nothing that there are many
		return nil, next
	}
	var due []*api.Hint
	s.unmade.Scan(func(id api.DatasetID) bool {
		d := s.Dataset(id)
		app := s.aheadOf(d)
		if app == nil {
			return true
		}
		h := &api.Hint{Dataset: id, App: app.ID, Until: at.Add(MakeLimit).Round(0), Revision: s.revision + 1, Make: true}
		if old := s.Hint(id); old != nil {
			if old.Live(at) && s.mayMake(old.Node) {
				return true
			}
			if old.Make {
				h.Attempt = old.Attempt + 1
			}
		}
		due = append(due, h)
		return true
	})
	slices.SortStableFunc(due, func(a, b *api.Hint) int { return cmp.Compare(a.Attempt, b.Attempt) })
	nodes := slices.Collect(s.Nodes())
	for _, h := range due {
		if len(hints) == limit {
			break
		}
		may, _ := makers(nodes, s.App(h.App).Zone)
		if h.Node = chosen(may, h.Dataset, h.Attempt, busy); h.Node != "" {
			busy[h.Node]++
			hints = append(hints, h)
		}
	}
	return hints, next
}

// making returns how many volumes each node makes ahead, and when the first of them
// should be done with.
func (s *State) making(at time.Time) (busy map[api.NodeID]int, first time.Time) {
	busy = map[api.NodeID]int{}
	s.hints.Scan(func(_ api.DatasetID, h *api.Hint) bool {
		if !h.Make || !h.Live(at) {
			return true
		}
		busy[h.Node]++
		if first.IsZero() || h.Until.Before(first) {
			first = h.Until
		}
		return true
	})
	return busy, first
}

// hasRoom reports whether there is a node that has not enough to make already.
func (s *State) hasRoom(busy map[api.NodeID]int) bool {
	for n := range s.Nodes() {
		if s.mayMake(n.ID) && busy[n.ID] < makesOfNode {
			return true
		}
	}
	return false
}

// mayMake reports whether a node is there to make what it was told to.
func (s *State) mayMake(id api.NodeID) bool {
	n := s.Node(id)
	return n != nil && n.Connected && n.Draining.IsZero()
}

// makers returns the nodes any of which may make a volume ahead for an app that is
// kept in a zone, "" for one that is not, or says why none may. Whoever makes it
// decides where it is, so it has to be all the same to whoever uses it first: that
// starts where Marathon will.
func makers(nodes []*api.Node, zone string) (may []api.NodeID, why string) {
	var backends, zones []string
	for _, n := range nodes {
		if !n.Connected || !n.Draining.IsZero() || zone != "" && n.Zone != "" && n.Zone != zone {
			continue
		}
		may = append(may, n.ID)
		if !slices.Contains(backends, n.Backend) {
			backends = append(backends, n.Backend)
		}
		if slices.Contains(n.Capabilities, api.CapabilityZones) && !slices.Contains(zones, n.Zone) {
			zones = append(zones, n.Zone)
		}
	}
	slices.Sort(backends)
	slices.Sort(zones)
	switch {
	case len(may) == 0 && zone != "":
		return nil, "no node of zone " + zone + " is connected that could make it"
	case len(may) == 0:
		return nil, "no node is connected that could make it"
	case len(backends) > 1:
		return nil, "the nodes have different backends (" + strings.Join(backends, ", ") + ")"
	case len(zones) > 1:
		return nil, "a volume stays in the zone in which it is made, and no constraint keeps the app in one of them (" + strings.Join(zones, ", ") + ")"
	default:
		return may, ""
	}
}

// chosen returns which of some nodes makes a dataset's volume, "" while all of them
// have enough to do. Each dataset has its own order of them, by a hash, so that
// they have equal shares, and another attempt begins with another node.
func chosen(may []api.NodeID, id api.DatasetID, attempt int, busy map[api.NodeID]int) api.NodeID {
	weight := func(node api.NodeID) uint64 {
		h := fnv.New64a()
		_, _ = h.Write([]byte(node))
		_, _ = h.Write([]byte(id))
		return mixed(h.Sum64())
	}
	order := slices.Clone(may)
	slices.SortFunc(order, func(a, b api.NodeID) int {
		return cmp.Or(cmp.Compare(weight(b), weight(a)), cmp.Compare(a, b))
	})
	for i := range order {
		if node := order[(attempt+i)%len(order)]; busy[node] < makesOfNode {
			return node
		}
	}
	return ""
}

// mixed spreads what differs in the last bytes alone over all bits, as FNV does not:
// it is the finalizer of MurmurHash3.
func mixed(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// aheadOf returns the app for which a dataset's volume is to be made ahead, nil
// where there is none. Where an instance is about to start, its node makes it.
func (s *State) aheadOf(d *api.Dataset) (app *api.App) {
	for a := range s.asking(d.Name()) {
		if slices.ContainsFunc(a.Instances, func(i api.AppInstance) bool { return i.Staged() }) {
			return nil
		}
		if app == nil && wantsAhead(a, d) {
			app = a
		}
	}
	return app
}

// wantsAhead reports whether an app has instances that are to use a dataset. Members
// of a set beyond their number are made when there are more.
func wantsAhead(a *api.App, d *api.Dataset) bool {
	needed := 1
	if d.Member != nil {
		needed = d.Member.Index + 1
	}
	return a.Missing.IsZero() && a.Stopped.IsZero() && a.Wanted >= needed &&
		slices.ContainsFunc(a.Volumes, func(v api.AppVolume) bool { return v.Dataset == d.ID && v.Failure == "" })
}

// makes reports whether a hint to make a volume ahead still holds when an app is as
// it is followed now.
func (f *following) makes(h *api.Hint) bool {
	d := f.s.Dataset(h.Dataset)
	return h.Make && d != nil && wantsAhead(&f.app, d) &&
		!slices.ContainsFunc(f.app.Instances, func(i api.AppInstance) bool { return i.Staged() })
}

// checkAhead reports why a node may not claim a dataset that nobody there uses: the
// hint has ended, or the volume to be made is somebody's.
func (c Claim) checkAhead(s *State, d *api.Dataset) error {
	h := s.Hint(d.ID)
	switch {
	case !h.For(c.Node) || !h.Live(c.At):
		return api.Errorf(api.CodeConflict, "no container is expected on %s any more that would use dataset %s", s.nodeText(c.Node), nameOf(d))
	case d.Member != nil && d.Member.User != nil && d.UserOn(c.Node) == nil && !s.leaves(d.Member.User, api.InstanceOf(h.Instance)):
		return api.Errorf(api.CodeConflict, "dataset %s is %s and has a user by now", nameOf(d), d.Member)
	case !h.Make || d.HeldBy(c.Node):
		return nil
	case d.Volume != nil:
		return api.Errorf(api.CodeConflict, "dataset %s has a volume by now", nameOf(d))
	case d.Holder != nil: // others wait for it only while somebody does
		return api.Errorf(api.CodeConflict, "dataset %s is held by another node by now, which makes its volume", nameOf(d))
	}
	return nil
}

// asking yields the apps that ask for a dataset's name, without those of owners to which
// the dataset is closed.
func (s *State) asking(name string) iter.Seq[*api.App] {
	d := s.DatasetByName(name)
	return func(yield func(*api.App) bool) {
		s.asked.Ascend(asker{name: name}, func(a asker) bool {
			if a.name != name {
				return false
			}
			app := s.App(a.app)
			return d != nil && !s.MayUse(d, Actor{Owner: app.OwnerFor(name)}) || yield(app)
		})
	}
}

// reconsiderUnmade keeps the index of datasets whose volumes may be made ahead.
func (s *State) reconsiderUnmade(d *api.Dataset) {
	mark(s.unmade, d.ID, !d.Deleted && d.Volume == nil && d.Blocked == "" && d.Holder == nil && len(d.Waiting) == 0 && !d.Pinned &&
		(d.Member == nil || d.Member.User == nil) && s.named(d.Name()))
}

// named reports whether any app asks for a name, whatever owner it acts for.
func (s *State) named(name string) bool {
	found := false
	s.asked.Ascend(asker{name: name}, func(a asker) bool {
		found = a.name == name
		return false
	})
	return found
}

// reconsiderAsked does so for what an app asks for, and has asked for; either record
// may be nil.
func (s *State) reconsiderAsked(old, a *api.App) {
	for _, record := range []*api.App{old, a} {
		if record == nil {
			continue
		}
		for _, v := range record.Volumes {
			if d := s.DatasetByName(v.Name); d != nil {
				s.reconsiderUnmade(d)
			}
		}
	}
}

// Unmade reports whether a dataset is one whose volume may be made ahead.
func (s *State) Unmade(id api.DatasetID) bool { return s.unmade.Contains(id) }

// ExplainAhead says why the volumes of an app are not made ahead, "" where they are,
// or have been.
func (s *State) ExplainAhead(a *api.App) string {
	for _, v := range a.Volumes {
		if !s.unmade.Contains(v.Dataset) || s.aheadOf(s.Dataset(v.Dataset)) == nil {
			continue
		}
		if _, why := makers(slices.Collect(s.Nodes()), a.Zone); why != "" {
			return fmt.Sprintf("Its volumes are not made ahead, since %s: each is made where the first instance starts that uses it.", why)
		}
	}
	return ""
}
