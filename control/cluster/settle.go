package cluster

import (
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// setsAtOnce is how many members are given with one command; Upkeep goes on.
const setsAtOnce = 16

// batch is what one command changes, each record once, and the state with that.
type batch struct {
	state   *State
	changes []Change
	at      map[Key]int
}

func newBatch(s *State) *batch { return &batch{state: s.Clone(), at: map[Key]int{}} }

func (b *batch) put(changes ...Change) {
	b.state.Put(changes...)
	for _, c := range changes {
		if i, ok := b.at[c.Key]; ok {
			b.changes[i] = c
			continue
		}
		b.at[c.Key] = len(b.changes)
		b.changes = append(b.changes, c)
	}
}

// outcome says what a consumer has by now.
func (b *batch) outcome(set string, node api.NodeID, consumer string) Outcome {
	return Outcome{Changes: b.changes, Dataset: b.state.memberOf(set, node, consumer), Set: b.state.Set(set)}
}

// settle gives the members of a set to those who wait for one, in the order of
// their arrival, as long as there are any. It is the one place where members are
// given. Nobody is passed over: whoever could have what a later one gets has got it.
// Where some go on waiting, members whose users are on lost nodes are sought for
// them.
//
// What it decides follows from the state, so whatever frees a member only has to
// say so: Upkeep, or the next claim, has the rest.
func (b *batch) settle(name string, at time.Time, limit int) {
	before := len(b.changes)
	set := b.state.Set(name)
	var left []api.SetWaiter
	if set != nil {
		for i, w := range set.Waiting {
			if len(b.changes)-before >= limit { // the rest is for the next time
				left = append(left, set.Waiting[i:]...)
				break
			}
			if b.state.pointless(name, w) {
				continue
			}
			if d := b.state.choose(set, w, at); d != nil {
				b.put(putDataset(b.state.give(d, w, at)))
			} else {
				left = append(left, w)
			}
		}
		if len(left) < len(set.Waiting) {
			set = b.state.draftSet(name, "")
			set.Waiting = left
			b.put(putSet(set))
		}
	}
	for _, d := range b.state.sought(name, left) {
		if len(b.changes)-before > limit {
			return
		}
		d = b.state.draft(d)
		d.Member.Sought = !d.Member.Sought
		d.Fence = b.state.fenceFor(d, at)
		b.put(putDataset(d))
	}
}

// pointless reports whether a waiter's turn never comes: its node is lost, and asks
// again when it is back, or what it had was deleted.
func (s *State) pointless(set string, w api.SetWaiter) bool {
	if n := s.Node(w.Node); n == nil || n.Lost() || !s.opensSet(set, Actor{Owner: w.Owner}) {
		return true
	}
	if w.ID == "" {
		return false
	}
	d := s.Dataset(w.ID)
	return d == nil || d.Deleted
}

// mayHave returns how many members may be in use for a waiter to get one.
func (s *State) mayHave(set *api.VolumeSet, w api.SetWaiter) int {
	switch {
	case w.Each > 0:
		return w.Each
	case set != nil && set.Count != nil:
		return *set.Count
	default:
		return 0
	}
}

// rank says how soon a member can be had. The lowest is taken.
type rank int

const (
	rankPredecessor rank = iota // its instance had it last
	rankExpected                // it is on its way to the instance, since that was expected
	rankHere                    // its node has it
	rankFree                    // nobody has it
	rankLeaving                 // its holder has no use for it, and lets go
	rankMissing                 // it has to be made
	rankOther                   // it is on its way to another instance
	rankLost                    // its holder is lost, and has to be fenced
	rankNone                    // not now
)

// choose returns the member that a waiter gets now, nil if it has to wait. One
// that has to be made is returned without a revision. The time is for hints, which
// decide only which member it is, never whether there is one.
func (s *State) choose(set *api.VolumeSet, w api.SetWaiter, at time.Time) *api.Dataset {
	if w.Index != nil {
		return s.chooseOnly(set.Name, w)
	}
	limit := s.mayHave(set, w)
	best, bestRank, used, missing := (*api.Dataset)(nil), rankNone, 0, 0
	for d := range s.Members(set.Name) {
		if d.Member.Index == missing {
			missing++
		}
		if !s.unused(d) {
			used++
			if w.Instance != "" && d.Member.User != nil && d.Member.User.Instance == w.Instance && s.there(d.Member.User.Node) && !s.shutOut(d, w.Node) {
				return nil // what its predecessor leaves behind in a moment
			}
			continue
		}
		if r := s.rankExpecting(d, w, limit, at); r < bestRank {
			best, bestRank = d, r
		}
	}
	if used >= limit {
		return nil
	}
	if bestRank > rankMissing {
		if d := s.missing(set.Name, w, missing, limit); d != nil {
			return d
		}
	}
	return best
}

// chooseOnly returns the one member that will do, if it can be had.
func (s *State) chooseOnly(set string, w api.SetWaiter) *api.Dataset {
	if w.ID != "" {
		if d := s.Dataset(w.ID); s.unused(d) && s.opens(d, w) {
			return d
		}
		return nil
	}
	for d := range s.Members(set) {
		if d.Member.Index != *w.Index {
			continue
		}
		if s.unused(d) && s.opens(d, w) {
			return d
		}
		return nil
	}
	return s.missing(set, w, *w.Index, *w.Index+1)
}

// opens reports whether a waiter may have a member, in its zone and by its owner.
func (s *State) opens(d *api.Dataset, w api.SetWaiter) bool {
	return !s.shutOut(d, w.Node) && s.MayUse(d, Actor{Owner: w.Owner})
}

// missing returns the first member of those from one number to another that there
// is not, as it is to be made; nil if there is none.
func (s *State) missing(set string, w api.SetWaiter, from, to int) *api.Dataset {
	if !s.ownsSet(set, Actor{Owner: w.Owner}) {
		return nil
	}
	for i := from; i < to; i++ {
		if s.memberAt(set, i) == nil && s.DatasetByName(api.MemberName(set, i)) == nil && s.Dataset(w.NewID) == nil {
			if d := s.newMember(set, i, w); s.checkQuota(nil, d) == nil {
				return d
			}
			return nil
		}
	}
	return nil
}

func (s *State) memberAt(set string, index int) (d *api.Dataset) {
	s.members.Ascend(member{set: set, index: index}, func(m member) bool {
		if m.set == set && m.index == index {
			d = s.Dataset(m.dataset)
		}
		return false
	})
	return d
}

// unused reports whether a member is nobody's. That of a user whose node is lost
// and is not the one that may have it attached is nobody's either.
func (s *State) unused(d *api.Dataset) bool {
	if s.frozen(d.ID) {
		return false
	}
	u := d.Member.User
	if u == nil {
		return true
	}
	n := s.Node(u.Node)
	return (n == nil || n.Lost()) && !d.HeldBy(u.Node)
}

// rank says how soon a waiter can have a member that is nobody's. Above the count
// there are members only for the instances that had them.
func (s *State) rank(d *api.Dataset, w api.SetWaiter, limit int) rank {
	if !s.opens(d, w) {
		return rankNone
	}
	last := d.Member.Last
	if d.Member.User != nil { // of a lost node
		last = d.Member.User.Instance
	}
	switch {
	case w.Instance != "" && last == w.Instance:
		return rankPredecessor
	case d.Member.Index >= limit:
		return rankNone
	case s.free(d):
		return rankFree
	case d.Revoked() || !s.there(d.Holder.Node):
		return rankLost
	case d.HeldBy(w.Node):
		return rankHere
	default:
		return rankLeaving
	}
}

// give returns a draft of a member that is the waiter's.
func (s *State) give(d *api.Dataset, w api.SetWaiter, at time.Time) *api.Dataset {
	d = s.draft(d)
	freeMember(d)
	if d.App == "" && s.mayManage(d, Actor{Owner: w.Owner}) {
		d.App = w.App
	}
	if d.Created.IsZero() { // it is made
		d.Primary, d.Created = w.Node, at
	}
	d.Member.User = &api.MemberUser{Node: w.Node, Consumer: w.Consumer, Instance: w.Instance, Claim: d.Revision, Since: at}
	s.toNode(d, w.Node, w.Owner, at)
	return d
}

// toNode has a node be given the token of a draft, at once or in its turn.
func (s *State) toNode(d *api.Dataset, node api.NodeID, owner api.Owner, at time.Time) {
	d.Reclaim = nil // it is wanted again
	if d.HeldBy(node) || d.AwaitedBy(node) {
		return
	}
	if d.Primary != node {
		d.Pinned = false // use elsewhere goes before a place that a user has chosen
	}
	if s.free(d) {
		grant(d, node, at)
		d.Primary = node
		return
	}
	enqueue(d, node, owner, false, at)
	d.Fence = s.fenceFor(d, at)
}

// sought returns the members of a set that are to be marked as sought, or no longer:
// as many as there are waiters that others than the lost ones cannot serve, each for
// one that can have it in its zone.
func (s *State) sought(set string, waiting []api.SetWaiter) []*api.Dataset {
	if marked, _ := s.marked.Get(set); marked == 0 && len(waiting) == 0 {
		return nil
	}
	var wrong []*api.Dataset
	unserved := slices.Clone(waiting)
	for d := range s.Members(set) {
		u := d.Member.User
		seek := false
		if u != nil && !s.there(u.Node) && d.HeldBy(u.Node) {
			seek = s.seeker(d, &unserved)
		}
		if seek != d.Member.Sought && !s.frozen(d.ID) {
			wrong = append(wrong, d)
		}
	}
	return wrong
}

// seeker reports whether one of the waiters that are left would have a lost node's
// member, and takes it from them: who wants no other one before who would take any.
func (s *State) seeker(d *api.Dataset, unserved *[]api.SetWaiter) bool {
	for _, only := range []bool{true, false} {
		i := slices.IndexFunc(*unserved, func(w api.SetWaiter) bool {
			return s.opens(d, w) && (w.Index != nil) == only && (!only || *w.Index == d.Member.Index) && !s.apart(d, w.Node)
		})
		if i >= 0 {
			if !only {
				*unserved = slices.Delete(*unserved, i, i+1)
			}
			return true
		}
	}
	return false
}

// newMember returns a member that does not exist yet, as a waiter wants it. It
// belongs to the owner of the set.
func (s *State) newMember(set string, index int, w api.SetWaiter) *api.Dataset {
	owner := s.ownerInSet(set, w.Owner)
	spec := api.DatasetSpec{Name: api.MemberName(set, index), Size: w.Size, FS: w.FS, Profile: w.Profile, App: w.App, User: w.User, Permissions: w.Permissions}
	d := s.newUnder(w.NewID, spec, w.DefaultSize, owner)
	d.Member = &api.Member{Set: set, Index: index}
	return d
}

// reconsiderSet keeps the index of sets that Upkeep has something to do about.
func (s *State) reconsiderSet(name string) {
	set := s.Set(name)
	marked, _ := s.marked.Get(name)
	if (set == nil || len(set.Waiting) == 0) && marked == 0 {
		s.waitingSets.Delete(name)
		s.dueSets.Delete(name)
		return
	}
	s.waitingSets.Insert(name)
	if s.unsettled(set, name) {
		s.dueSets.Insert(name)
	} else {
		s.dueSets.Delete(name)
	}
}

// unsettled reports whether settle would change anything.
func (s *State) unsettled(set *api.VolumeSet, name string) bool {
	var waiting []api.SetWaiter
	if set != nil {
		waiting = set.Waiting
	}
	for _, w := range waiting {
		if s.pointless(name, w) || s.choose(set, w, time.Time{}) != nil {
			return true
		}
	}
	return len(s.sought(name, waiting)) > 0
}

// reconsiderMember reconsiders the sets that a dataset is, or was, a member of, or is
// called like a member of: its name may have become free.
func (s *State) reconsiderMember(old, d *api.Dataset) {
	if s.waitingSets.Len() == 0 && s.marked.Len() == 0 {
		return
	}
	for _, record := range []*api.Dataset{old, d} {
		if record == nil {
			continue
		}
		if m := record.Member; m != nil && (m.Sought || s.waitingSets.Contains(m.Set)) {
			s.reconsiderSet(m.Set)
		}
		if set, _, ok := api.ParseMemberName(record.Name()); ok && s.waitingSets.Contains(set) {
			s.reconsiderSet(set)
		}
	}
}

// indexMember moves a dataset's entries in the indexes of sets from old to d; either
// may be nil.
func (s *State) indexMember(old, d *api.Dataset) {
	if live(old) {
		s.members.Delete(member{old.Member.Set, old.Member.Index, old.ID})
		s.mark(old, -1)
	}
	if live(d) {
		s.members.Set(member{d.Member.Set, d.Member.Index, d.ID})
		s.mark(d, 1)
	}
}

func live(d *api.Dataset) bool { return d != nil && d.Member != nil && !d.Deleted }

func (s *State) mark(d *api.Dataset, by int) {
	if !d.Member.Sought {
		return
	}
	n, _ := s.marked.Get(d.Member.Set)
	if n += by; n == 0 {
		s.marked.Delete(d.Member.Set)
	} else {
		s.marked.Set(d.Member.Set, n)
	}
}

func (s *State) putSet(id string, set *api.VolumeSet) {
	name := ""
	if old, ok := s.sets.Get(id); ok {
		name = old.Name
	}
	if set == nil {
		s.sets.Delete(id)
	} else {
		name = set.Name
		s.sets.Set(id, set)
	}
	if name != "" {
		s.reconsiderSet(name)
	}
}
