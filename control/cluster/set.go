package cluster

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/flocker-mesos/flocker/api"
)

// The commands of volume sets. Which consumer has which member is in the member's
// record, beside the holder token and not instead of it: the token says which node
// may attach the volume, the user which consumer is served there. Both are given
// with the same commit.

// setID is what a set's record is called. Names are longer than keys may be, and of
// other characters.
func setID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// maxSetWaiting bounds the record of a set. A consumer that is refused comes again,
// as its framework starts it anew.
const maxSetWaiting = 100

// Set returns the record of a volume set, nil where there is none: nobody waits for
// a member, and nobody has said how many there may be.
func (s *State) Set(name string) *api.VolumeSet {
	set, _ := s.sets.Get(setID(name))
	return set
}

// Sets yields the records of sets, in no order that means anything.
func (s *State) Sets() iter.Seq[*api.VolumeSet] {
	return func(yield func(*api.VolumeSet) bool) {
		s.sets.Scan(func(_ string, set *api.VolumeSet) bool { return yield(set) })
	}
}

// Members yields the live members of a set in the order of their numbers.
func (s *State) Members(set string) iter.Seq[*api.Dataset] {
	return func(yield func(*api.Dataset) bool) {
		s.members.Ascend(member{set: set, index: -1}, func(m member) bool {
			return m.set == set && yield(s.Dataset(m.dataset))
		})
	}
}

// member is an entry of the index of live members.
type member struct {
	set     string
	index   int
	dataset api.DatasetID
}

func (m member) before(other member) bool {
	switch {
	case m.set != other.set:
		return m.set < other.set
	case m.index != other.index:
		return m.index < other.index
	default:
		return m.dataset < other.dataset
	}
}

// ClaimMember says that a consumer on a node wants a member of a set. It gets one,
// and the node its token or a place in the queue for that, or it waits for one.
// Claiming again changes nothing that anybody else could see.
type ClaimMember struct {
	At          time.Time
	Node        api.NodeID
	Stream      uint64
	Consumer    string // a container; those of a pod's instance share what it has
	Instance    string // "" where it is not known
	Find        api.DatasetSpec
	Each        int           // how many members there may be, or api.EachInstance
	Index       *int          // the only member that will do, nil for any
	ID          api.DatasetID // likewise: the one that the consumer had before
	NewID       api.DatasetID
	DefaultSize int64 // bytes
	Owner       api.Owner
}

// Apply decides the command.
func (c ClaimMember) Apply(s *State) (Outcome, error) {
	if err := s.CheckStream(c.Node, c.Stream); err != nil {
		return Outcome{}, err
	}
	if err := c.check(s); err != nil {
		return Outcome{}, err
	}
	if c.ID != "" {
		d, err := s.live(c.ID)
		if err != nil {
			return Outcome{}, err
		}
		if err := s.CheckUse(d, c.by()); err != nil {
			return Outcome{}, err
		}
		if d.Member == nil || d.Member.Set != c.Find.Name {
			return Outcome{}, api.Errorf(api.CodeConflict, "dataset %s is no member of the volume set %s", nameOf(d), c.Find.Name)
		}
		c.Index = &d.Member.Index
	}
	b := newBatch(s)
	consumer := api.RootConsumer(c.Consumer)
	if err := c.checkZone(s, consumer); err != nil {
		return Outcome{}, err
	}
	if d := s.memberOf(c.Find.Name, c.Node, consumer); d != nil {
		if err := s.CheckUse(d, c.by()); err != nil { // it was another owner's when it was given
			return Outcome{}, err
		}
		if c.Index != nil && *c.Index != d.Member.Index {
			return Outcome{}, api.Errorf(api.CodeConflict, "consumer %s has %s, not member %d", consumer, d.Member, *c.Index)
		}
		d = b.state.draft(d)
		d.Member.User.Claim = d.Revision
		b.state.toNode(d, c.Node, c.Owner, c.At)
		b.put(putDataset(d))
		return b.outcome(c.Find.Name, c.Node, consumer), nil
	}
	if _, waits := s.Set(c.Find.Name).Waits(c.Node, consumer); !waits {
		if err := s.checkDraining(c.Node); err != nil {
			return Outcome{}, err
		}
		if err := s.mayCreate(); err != nil {
			return Outcome{}, err
		}
		if s.Dataset(c.NewID) != nil {
			return Outcome{}, api.Errorf(api.CodeUnavailable, "the new dataset's id %s is taken: try again", c.NewID)
		}
		if err := c.checkSize(s); err != nil {
			return Outcome{}, err
		}
		set := s.draftSet(c.Find.Name, c.Owner)
		if len(set.Waiting) >= maxSetWaiting {
			return Outcome{}, api.Errorf(api.CodeUnavailable,
				"%d instances wait for a member of the volume set %s already: try again when some of them have one", maxSetWaiting, c.Find.Name)
		}
		set.Waiting = append(set.Waiting, c.waiter(consumer))
		b.put(putSet(set))
	}
	c.adopt(b)
	b.settle(c.Find.Name, c.At, setsAtOnce)
	return b.outcome(c.Find.Name, c.Node, consumer), nil
}

func (c ClaimMember) waiter(consumer string) api.SetWaiter {
	return api.SetWaiter{
		Node: c.Node, Consumer: consumer, Instance: c.Instance, Since: c.At, Each: c.Each, Index: c.Index, ID: c.ID,
		Size: c.Find.Size, DefaultSize: c.DefaultSize, FS: c.Find.FS, Profile: c.Find.Profile, NewID: c.NewID,
		User: c.Find.User, Permissions: c.Find.Permissions,
		Owner: c.Owner, App: c.Find.App,
	}
}

func (c ClaimMember) by() Actor { return Actor{Owner: c.Owner} }

// checkSize reports why no member of the size can be made. A set that has members
// of the size already is used as it is.
func (c ClaimMember) checkSize(s *State) error {
	size := cmp.Or(c.Find.Size, c.DefaultSize)
	for d := range s.Members(c.Find.Name) {
		if d.Size >= size {
			return nil
		}
	}
	return s.checkNewSize(size, c.Find.FS, s.Node(c.Node))
}

// check reports why the claim can never be met.
func (c ClaimMember) check(s *State) error {
	if err := cmp.Or(api.CheckText("consumer", c.Consumer), api.CheckText("instance", c.Instance)); err != nil {
		return err
	}
	if c.Consumer == "" || len(c.Consumer) > maxText || len(c.Instance) > maxText {
		return api.FieldErrorf("consumer", "must be named, it and its instance with at most %d bytes", maxText)
	}
	if c.Index != nil && (*c.Index < 0 || *c.Index >= api.MaxMembers) {
		return api.FieldErrorf("index", "%d is not a number from 0 to %d", *c.Index, api.MaxMembers-1)
	}
	if err := checkSetName("name", c.Find.Name); err != nil {
		return err
	}
	if err := checkSpec(&c.Find); err != nil {
		return err
	}
	if err := s.checkSetUse(c.Find.Name, c.by()); err != nil {
		return err
	}
	if err := c.checkApp(s); err != nil {
		return err
	}
	if err := c.checkEach(s); err != nil {
		return err
	}
	if fs := c.Find.FS; fs != "" {
		for d := range s.Members(c.Find.Name) {
			if d.FS != fs && d.FS != "" {
				return &api.Error{Code: api.CodeConflict, Field: "fs", Message: fmt.Sprintf(
					"the volume set %q exists with the file system %s, not %s: ask for %s, or leave the file system out, or choose another name",
					c.Find.Name, d.FS, fs, d.FS)}
			}
		}
	}
	return nil
}

// checkApp refuses an app whose id became the name of another app's set.
func (c ClaimMember) checkApp(s *State) error {
	for d := range s.Members(c.Find.Name) {
		if err := checkApp(c.Find.Name, c.Find.App, d.App); err != nil {
			return err
		}
	}
	if set := s.Set(c.Find.Name); set != nil {
		for _, w := range set.Waiting {
			if err := checkApp(c.Find.Name, c.Find.App, w.App); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkZone refuses a claim of the one member that will do, where that can never be
// in the node's zone.
func (c ClaimMember) checkZone(s *State, consumer string) error {
	d := s.memberOf(c.Find.Name, c.Node, consumer)
	if c.Index != nil {
		d = s.memberAt(c.Find.Name, *c.Index)
	}
	if d == nil || d.HeldBy(c.Node) {
		return nil
	}
	return s.checkZone(d, c.Node)
}

func (c ClaimMember) checkEach(s *State) error {
	switch {
	case c.Each == api.EachInstance && c.Index == nil && c.ID == "":
		// Where somebody follows Marathon it may be told in a moment: an app's first
		// instances can be faster than what is said of it.
		if set := s.Set(c.Find.Name); (set == nil || set.Count == nil) && !s.followed() {
			return &api.Error{Code: api.CodeConflict, Field: "each", Message: fmt.Sprintf(
				"how many volumes the set %q has is not known: with each = true it has as many as the app has instances, which Marathon says. "+
					"Have the control service follow Marathon (flocker control --marathon URL), or write the number, as in each = 3", c.Find.Name)}
		}
	case c.Each == api.EachInstance || c.Each >= 1 && c.Each <= api.MaxMembers:
	case c.Index == nil && c.ID == "" || c.Each != 0:
		return api.FieldErrorf("each", "%d is not a number from 1 to %d", c.Each, api.MaxMembers)
	}
	return nil
}

func checkSetName(field, name string) error {
	if err := CheckName(field, name); err != nil {
		return err
	}
	if longest := api.MaxNameLength - len(api.MemberName("", api.MaxMembers-1)); utf8.RuneCountInString(name) > longest {
		return api.FieldErrorf(field, "has more than the %d characters that the name of a volume set may have", longest)
	}
	return nil
}

// adopt makes members of datasets that are called like members and that nobody
// uses: who has data from before can rename it into the set.
func (c ClaimMember) adopt(b *batch) {
	if c.ID != "" {
		return
	}
	last := b.state.mayHave(b.state.Set(c.Find.Name), c.waiter("")) - 1
	first := 0
	if c.Index != nil {
		first, last = *c.Index, *c.Index
	}
	for i := first; i <= last; i++ {
		d := b.state.DatasetByName(api.MemberName(c.Find.Name, i))
		if d == nil || !b.state.mayManage(d, c.by()) || checkApp(d.Name(), c.Find.App, d.App) != nil || d.Member != nil || b.state.memberAt(c.Find.Name, i) != nil || len(d.Waiting) > 0 || !b.state.idle(d) || c.Find.FS != "" && d.FS != "" && d.FS != c.Find.FS {
			continue
		}
		if len(b.changes) >= setsAtOnce {
			return
		}
		d = b.state.draft(d)
		d.Member = &api.Member{Set: c.Find.Name, Index: i}
		b.put(putDataset(d))
	}
}

// idle reports whether nobody can be using a dataset, as far as is known.
func (s *State) idle(d *api.Dataset) bool {
	if s.frozen(d.ID) {
		return false
	}
	if s.free(d) {
		return true
	}
	st := s.DatasetState(d.ID)
	return st != nil && st.Epoch == d.Epoch && len(st.Consumers) == 0 && s.Lease(d.ID) == nil
}

// memberOf returns the member of a set that a consumer has, nil if it has none.
func (s *State) memberOf(set string, node api.NodeID, consumer string) *api.Dataset {
	for d := range s.Members(set) {
		if u := d.UserOn(node); u != nil && u.Consumer == consumer {
			return d
		}
	}
	return nil
}

// LeaveSet says that a consumer waits no longer. What it has it keeps: that is
// freed by a report.
type LeaveSet struct {
	At       time.Time
	Node     api.NodeID
	Stream   uint64
	Consumer string
	Set      string
}

// Apply decides the command.
func (c LeaveSet) Apply(s *State) (Outcome, error) {
	if err := s.CheckStream(c.Node, c.Stream); err != nil {
		return Outcome{}, err
	}
	place, waits := s.Set(c.Set).Waits(c.Node, api.RootConsumer(c.Consumer))
	if !waits {
		return Outcome{}, nil
	}
	set := s.draftSet(c.Set, "")
	set.Waiting = slices.Delete(set.Waiting, place-1, place)
	b := newBatch(s)
	b.put(putSet(set))
	b.settle(c.Set, c.At, setsAtOnce)
	return Outcome{Changes: b.changes}, nil
}

// SetMembers says how many members a set may have: as many as the app has
// instances. What there is stays when they are fewer, and who has a member above
// the count keeps it until it ends. A count below zero says that nobody knows any
// more, as when the app is gone.
type SetMembers struct {
	At    time.Time
	Owner api.Owner // of the app
	Name  string
	Count int
}

// Apply decides the command.
func (c SetMembers) Apply(s *State) (Outcome, error) {
	if err := checkSetName("name", c.Name); err != nil {
		return Outcome{}, err
	}
	if c.Count > api.MaxMembers {
		return Outcome{}, api.FieldErrorf("count", "%d is more than the %d members that a volume set can have", c.Count, api.MaxMembers)
	}
	if !s.ownsSet(c.Name, Actor{Owner: c.Owner}) {
		return Outcome{}, foreignErrorf("the volume set %s belongs to another owner: only its owner's apps set how many members it has", c.Name)
	}
	old := s.Set(c.Name)
	was := -1
	if old != nil && old.Count != nil {
		was = *old.Count
	}
	if was == max(c.Count, -1) {
		return Outcome{Set: old}, nil
	}
	set := s.draftSet(c.Name, c.Owner)
	set.Count = nil
	if c.Count >= 0 {
		set.Count = &c.Count
	}
	b := newBatch(s)
	b.put(putSet(set))
	b.settle(c.Name, c.At, setsAtOnce)
	return Outcome{Changes: b.changes, Set: b.state.Set(c.Name)}, nil
}

// freed decides the part of a report in which a node says that the user of a member
// has ended. What is late, or said twice, frees nothing.
func (c Report) freed(s *State, d *api.Dataset, claim uint64) []Change {
	if u := d.UserOn(c.Node); u == nil || u.Claim != claim {
		return nil
	}
	d = s.draft(d)
	freeMember(d)
	return []Change{putDataset(d)}
}

// freeMember takes a member from its user, in a draft, and remembers the instance.
func freeMember(d *api.Dataset) {
	if d.Member == nil || d.Member.User == nil {
		return
	}
	d.Member.Last = d.Member.User.Instance
	d.Member.User, d.Member.Sought = nil, false
}

// draftSet returns a copy of a set's record to change, or a new one for an owner.
func (s *State) draftSet(name string, owner api.Owner) *api.VolumeSet {
	set := api.VolumeSet{Name: name, Owner: owner}
	if old := s.Set(name); old != nil {
		set = *old
		set.Waiting = slices.Clone(old.Waiting)
	}
	set.Revision = s.revision + 1
	return &set
}

// putSet keeps a set's record only while there is something in it.
func putSet(set *api.VolumeSet) Change {
	c := Change{Key: SetKey(set.Name)}
	if set.Count != nil || len(set.Waiting) > 0 {
		c.Set = set
	}
	return c
}
