package cluster

import (
	"cmp"
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Which members of volume sets instances will take that are about to start. It is
// told by the ranking by which they get them when they ask, and then that ranking has
// it so: an instance prefers what is on its way to it, and the others leave that
// alone while there is anything else. Nothing of it makes a member somebody's.

// expectMembers wants a hint about each member that an instance which is coming
// will take. Those that are hinted at already are kept.
func (f *following) expectMembers(want func(api.DatasetID, api.Hint)) {
	sets := f.sets()
	if len(f.Coming) == 0 || len(sets) == 0 {
		return
	}
	s := f.s.Clone()
	s.Put(f.changes...) // what was made just now
	coming := slices.Clone(f.Coming)
	known := f.known()
	slices.SortFunc(coming, func(a, b api.Hint) int {
		x, y := api.InstanceOf(a.Instance), api.InstanceOf(b.Instance)
		return cmp.Or(cmp.Compare(known[y], known[x]), cmp.Compare(x, y))
	})
	taken := map[int]bool{}
	for _, h := range coming {
		w := api.SetWaiter{Node: h.Node, Instance: api.InstanceOf(h.Instance)}
		if w.Instance == "" || !f.hears(&h) {
			continue // nobody could tell when it has come, or does anything
		}
		for _, set := range sets {
			w.Each, w.Owner = set.each, set.owner
			d := s.expect(set.name, w, taken, f.At)
			if d == nil && w.Index == nil {
				break // it waits for the first, which decides the number
			}
			if d == nil {
				continue
			}
			if w.Index == nil { // it has the same number of the others
				w.Index = &d.Member.Index
			}
			if d.UserOn(h.Node) == nil {
				want(d.ID, h)
			}
		}
		if w.Index != nil {
			taken[*w.Index] = true
		}
	}
}

// askedSet is a volume set for which an app asks, and how many members there may be.
type askedSet struct {
	name  string
	each  int
	owner api.Owner
}

// sets returns the volume sets of the app in the order in which its instances ask
// for them.
func (f *following) sets() []askedSet {
	var sets []askedSet
	for _, v := range f.App.Volumes { // which have what is asked for
		if v.Set == "" || v.Spec == nil || v.Spec.Each == 0 || slices.ContainsFunc(sets, func(s askedSet) bool { return s.name == v.Set }) {
			continue
		}
		sets = append(sets, askedSet{v.Set, v.Spec.Each, f.App.OwnerOf(&v)})
	}
	return sets
}

// known returns for which instances there are hints: 1 for each.
func (f *following) known() map[string]int {
	known := map[string]int{}
	for _, v := range f.app.Volumes {
		if h := f.s.Hint(v.Dataset); v.Set != "" && h.Live(f.At) && !h.Make {
			known[api.InstanceOf(h.Instance)] = 1
		}
	}
	return known
}

// expect returns the member of a set that an instance on its way will get, for all
// that can be told, nil where nothing can be brought for it. That may be what it has
// already, or what its predecessor is about to leave. Taken are the numbers of those
// for others.
func (s *State) expect(set string, w api.SetWaiter, taken map[int]bool, at time.Time) *api.Dataset {
	limit := s.mayHave(s.Set(set), w)
	best, bestRank, used := (*api.Dataset)(nil), rankMissing, 0
	for d := range s.Members(set) {
		if u := d.Member.User; u != nil && s.MayUse(d, Actor{Owner: w.Owner}) && (u.Instance == w.Instance && u.Node == w.Node || s.leaves(u, w.Instance)) {
			if w.Index == nil || *w.Index == d.Member.Index {
				return d
			}
			return nil
		}
		if taken[d.Member.Index] || !s.unused(d) {
			used++
			continue
		}
		if w.Index != nil && *w.Index != d.Member.Index {
			continue
		}
		r := s.rank(d, w, limit)
		if rankExpected < r && r < rankMissing && s.expects(d, at) == w.Instance && s.Hint(d.ID).For(w.Node) {
			r = rankExpected
		}
		if r < bestRank {
			best, bestRank = d, r
		}
	}
	if used >= limit && w.Index == nil {
		return nil
	}
	return best
}

// leaves reports whether the next attempt of an instance gets what a user has: its
// last attempt, on a node that is there.
func (s *State) leaves(u *api.MemberUser, instance string) bool {
	return instance != "" && u.Instance == instance && s.there(u.Node)
}

// expects returns the instance that a member is on its way to, "" for none.
func (s *State) expects(d *api.Dataset, at time.Time) string {
	if h := s.Hint(d.ID); h.Live(at) && !h.Make && s.there(h.Node) {
		return api.InstanceOf(h.Instance)
	}
	return ""
}

// rankExpecting is rank, with what is on its way. That is a preference among what can
// be had, and keeps nobody from it.
func (s *State) rankExpecting(d *api.Dataset, w api.SetWaiter, limit int, at time.Time) rank {
	r := s.rank(d, w, limit)
	if r <= rankExpected || r >= rankMissing {
		return r
	}
	switch s.expects(d, at) {
	case "":
		return r
	case w.Instance:
		return rankExpected
	default:
		return rankOther
	}
}
