package cluster

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// The rules of owners. Every dataset has one. While owners are kept apart, the owner
// and operators may do everything with a dataset; those that it is shared with may use
// it and nothing else. The actor comes from a certificate or, for a node's consumers,
// is the node's word.

// Actor is the caller for which a command is decided. The zero Actor acts for
// api.Anyone.
type Actor struct {
	Owner    api.Owner
	Operator bool // owners do not bind it
}

// Tenancy returns whether owners are kept apart.
func (s *State) Tenancy() api.Tenancy {
	if s.meta != nil && s.meta.Tenancy == api.TenancyOwners {
		return api.TenancyOwners
	}
	return api.TenancyShared
}

// Bound reports whether owners bind an actor.
func (s *State) Bound(by Actor) bool { return !by.Operator && s.Tenancy() == api.TenancyOwners }

// MayUse reports whether an actor may use a dataset, and so may see it.
func (s *State) MayUse(d *api.Dataset, by Actor) bool { return !s.Bound(by) || d.OpenTo(by.Owner) }

// mayManage reports whether an actor may change and delete a dataset.
func (s *State) mayManage(d *api.Dataset, by Actor) bool { return !s.Bound(by) || d.OwnedBy(by.Owner) }

// CheckUse refuses an actor that may not use a dataset. The error tells no more than
// that the name is taken.
func (s *State) CheckUse(d *api.Dataset, by Actor) error {
	if s.MayUse(d, by) {
		return nil
	}
	return foreignErrorf("volume %s belongs to another owner and is not shared with %s: choose another name, "+
		"or have its owner or an operator share it: flocker volumes share %s --with '%s'", nameOf(d), by.Owner, nameOf(d), by.Owner)
}

// checkManage refuses an actor that may not do more with a dataset than use it.
func (s *State) checkManage(d *api.Dataset, by Actor, verb string) error {
	if s.mayManage(d, by) {
		return nil
	}
	return foreignErrorf("volume %s belongs to another owner: only that owner or an operator may %s it", nameOf(d), verb)
}

func foreignErrorf(format string, args ...any) error {
	return &api.Error{Code: api.CodeForbidden, Field: fieldOwner, Message: fmt.Sprintf(format, args...)}
}

const fieldOwner = "owner"

// setOwner returns to which owner a volume set belongs: that of its first member which
// is not everyone's, or the one for which its record was made. Members that are
// everyone's do not open those of a role: any caller could make the first one.
func (s *State) setOwner(name string) (owner api.Owner, known bool) {
	for d := range s.Members(name) {
		if known = true; d.Owner.String() != string(api.Anyone) {
			return d.Owner, true
		}
	}
	if known {
		return api.Anyone, true
	}
	if set := s.Set(name); set != nil {
		return set.Owner, true
	}
	return "", false
}

// ownerInSet returns the owner of a new member that an owner asks for.
func (s *State) ownerInSet(set string, asks api.Owner) api.Owner {
	for d := range s.Members(set) {
		if d.Owner.String() != string(api.Anyone) {
			return d.Owner
		}
	}
	return asks
}

// ownsSet reports whether an actor may add members to a volume set.
func (s *State) ownsSet(name string, by Actor) bool {
	owner, known := s.setOwner(name)
	return !known || !s.Bound(by) || (&api.Dataset{Owner: owner}).OwnedBy(by.Owner)
}

// opensSet reports whether there may be a member of a volume set for an actor.
func (s *State) opensSet(name string, by Actor) bool {
	if s.ownsSet(name, by) {
		return true
	}
	for d := range s.Members(name) {
		if s.MayUse(d, by) {
			return true
		}
	}
	return false
}

func (s *State) checkSetUse(name string, by Actor) error {
	if s.opensSet(name, by) {
		return nil
	}
	return foreignErrorf("the volume set %s belongs to another owner and no member is shared with %s: choose another name, "+
		"or have its owner or an operator share its members", name, by.Owner)
}

// checkPlace refuses a name for a dataset that is the id of another one, or would lie
// among the members of another owner's volume set.
func (s *State) checkPlace(name string, own api.DatasetID, by Actor) error {
	if err := s.checkNotID(name, own, by); err != nil {
		return err
	}
	if set, _, ok := api.ParseMemberName(name); ok && !s.ownsSet(set, by) {
		return foreignErrorf("the name %q lies among the members of a volume set of another owner: choose another name", name)
	}
	return nil
}

// checkApp refuses an app whose id became the name that another app's id became
// before. The name of a dataset that was given, or made by an earlier version,
// stands for no app yet.
func checkApp(name, app, was string) error {
	if app == "" || was == "" || app == was {
		return nil
	}
	return &api.Error{Code: api.CodeConflict, Field: "name", Message: fmt.Sprintf(
		"the default name %q of app %s is also that of app %s, which has the volume: set the label flocker.volume.KEY.name "+
			"of one of them to a name of its own. To share one volume, give both a name that neither id becomes", name, app, was)}
}

// Quota returns the quota of an owner, and false where there is none.
func (s *State) Quota(owner api.Owner) (q api.Quota, own, ok bool) {
	if s.meta == nil {
		return api.Quota{}, false, false
	}
	if q, ok = s.meta.Quotas[owner.String()]; ok {
		return q, true, true
	}
	q, ok = s.meta.Quotas[api.QuotaDefault]
	return q, false, ok
}

// Usage returns what an owner has.
func (s *State) Usage(owner api.Owner) api.Usage {
	u, _ := s.usage.Get(owner.String())
	return u
}

// Usages yields the owners that have datasets, in order, and what they have.
func (s *State) Usages() iter.Seq2[api.Owner, api.Usage] {
	return func(yield func(api.Owner, api.Usage) bool) {
		s.usage.Scan(func(owner string, u api.Usage) bool { return yield(api.Owner(owner), u) })
	}
}

// usageOf returns what a dataset counts for its owner.
func usageOf(d *api.Dataset) api.Usage {
	if d == nil || d.Destroyed {
		return api.Usage{}
	}
	return api.Usage{Volumes: 1, Bytes: d.Size}
}

// checkQuota refuses what would take the owner of d, which is to take the place of
// old, nil for none, beyond its quota. What it has beyond that already it keeps.
func (s *State) checkQuota(old, d *api.Dataset) error {
	quota, _, ok := s.Quota(d.Owner)
	if !ok {
		return nil
	}
	has, more := s.Usage(d.Owner), usageOf(d)
	if old != nil && old.Owner.String() == d.Owner.String() {
		was := usageOf(old)
		more.Volumes, more.Bytes = more.Volumes-was.Volumes, more.Bytes-was.Bytes
	}
	switch {
	case quota.Volumes > 0 && more.Volumes > 0 && has.Volumes+more.Volumes > quota.Volumes:
		return quotaErrorf("owner %s has %d volumes, and its quota is %d: delete volumes that it needs no more, "+
			"or have an operator raise it with flocker quotas set", d.Owner, has.Volumes, quota.Volumes)
	case quota.Bytes > 0 && more.Bytes > 0 && (more.Bytes > quota.Bytes || has.Bytes > quota.Bytes-more.Bytes):
		return quotaErrorf("owner %s has volumes of %s, and with %s more they would exceed its quota of %s: ask for less, "+
			"delete volumes that it needs no more, or have an operator raise it with flocker quotas set",
			d.Owner, sizeText(has.Bytes), sizeText(more.Bytes), sizeText(quota.Bytes))
	}
	return nil
}

func quotaErrorf(format string, args ...any) error {
	return &api.Error{Code: api.CodeForbidden, Field: "quota", Message: fmt.Sprintf(format, args...)}
}

// count keeps the index of what owners have.
func (s *State) count(old, d *api.Dataset) {
	if old != nil && d != nil && old.Owner == d.Owner && usageOf(old) == usageOf(d) {
		return
	}
	add := func(record *api.Dataset, by int) {
		if record == nil {
			return
		}
		u, more := s.Usage(record.Owner), usageOf(record)
		u.Volumes += by * more.Volumes
		u.Bytes += int64(by) * more.Bytes
		if u.Volumes == 0 {
			s.usage.Delete(record.Owner.String())
		} else {
			s.usage.Set(record.Owner.String(), u)
		}
	}
	add(old, -1)
	add(d, 1)
}

// ShareDataset shares a dataset with owners, or ends that. Consumers that use it go on
// until they end; those that wait for it and may not use it any more are refused.
type ShareDataset struct {
	At   time.Time
	By   Actor
	ID   api.DatasetID
	With []api.Owner
	End  bool
}

// Apply decides the command.
func (c ShareDataset) Apply(s *State) (Outcome, error) {
	if len(c.With) == 0 {
		return Outcome{}, api.FieldErrorf("with", "names no owner: write role:NAME, user:NAME, or * for every caller")
	}
	for _, o := range c.With {
		if err := api.CheckOwner("with", o); err != nil {
			return Outcome{}, err
		}
	}
	old, err := s.live(c.ID)
	if err != nil {
		return Outcome{}, err
	}
	if err := s.checkManage(old, c.By, "share"); err != nil {
		return Outcome{}, err
	}
	shared := slices.DeleteFunc(slices.Clone(old.Shared), func(o api.Owner) bool { return c.End && slices.Contains(c.With, o) })
	if !c.End {
		shared = append(shared, c.With...)
	}
	slices.Sort(shared)
	if shared = slices.Compact(shared); len(shared) > api.MaxShares {
		return Outcome{}, api.FieldErrorf("with", "would share the dataset with %d owners, more than the %d that are possible: share it with * instead",
			len(shared), api.MaxShares)
	}
	if slices.Equal(shared, old.Shared) {
		return Outcome{Dataset: old}, nil
	}
	d := s.draft(old)
	if d.Shared = shared; len(shared) == 0 {
		d.Shared = nil
	}
	s.sendHome(d)
	return Outcome{Changes: []Change{putDataset(d)}, Dataset: d}, nil
}

// ChangeOwner gives a dataset to another owner, and ends its shares. Consumers that use
// it go on until they end; those that wait for it ask again.
type ChangeOwner struct {
	At    time.Time
	By    Actor
	ID    api.DatasetID
	Owner api.Owner
}

// Apply decides the command.
func (c ChangeOwner) Apply(s *State) (Outcome, error) {
	if err := api.CheckOwner(fieldOwner, c.Owner); err != nil {
		return Outcome{}, err
	}
	if err := operatorsOnly(c.By, "give a volume to another owner"); err != nil {
		return Outcome{}, err
	}
	old, err := s.live(c.ID)
	if err != nil {
		return Outcome{}, err
	}
	if old.Owner.String() == c.Owner.String() {
		return Outcome{Dataset: old}, nil
	}
	d := s.draft(old)
	d.Owner, d.Shared = c.Owner, nil // a former owner that shares it with itself would keep it
	d.Reclaim = nil                  // the app that asked for it was the former owner's
	s.sendHome(d)                    // at once, so that no waiter of the former owner pre-empts the new one
	if err := s.checkQuota(old, d); err != nil {
		return Outcome{}, err
	}
	return Outcome{Changes: []Change{putDataset(d)}, Dataset: d}, nil
}

// SetTenancy decides whether owners are kept apart.
type SetTenancy struct {
	At      time.Time
	By      Actor
	Tenancy api.Tenancy
}

// Apply decides the command.
func (c SetTenancy) Apply(s *State) (Outcome, error) {
	switch c.Tenancy {
	case api.TenancyShared, api.TenancyOwners:
	default:
		return Outcome{}, api.FieldErrorf("tenancy", "%q is neither %s nor %s", c.Tenancy, api.TenancyShared, api.TenancyOwners)
	}
	if err := operatorsOnly(c.By, "change the tenancy"); err != nil {
		return Outcome{}, err
	}
	if s.Tenancy() == c.Tenancy {
		return Outcome{}, nil
	}
	m := *s.meta
	m.Tenancy = c.Tenancy
	return Outcome{Changes: []Change{{Key: KeyMeta, Meta: &m}}}, nil
}

// maxQuotas bounds the record about the log.
const maxQuotas = 500

// SetQuota bounds what an owner may have, or with an empty quota ends that.
type SetQuota struct {
	At    time.Time
	By    Actor
	Owner api.Owner // or api.QuotaDefault
	Quota api.Quota
}

// Apply decides the command.
func (c SetQuota) Apply(s *State) (Outcome, error) {
	if c.Owner != api.QuotaDefault {
		if err := api.CheckOwner(fieldOwner, c.Owner); err != nil {
			return Outcome{}, err
		}
	}
	if c.Quota.Volumes < 0 || c.Quota.Bytes < 0 {
		return Outcome{}, api.FieldErrorf("quota", "%d volumes and %d bytes: a quota has no negative numbers", c.Quota.Volumes, c.Quota.Bytes)
	}
	if err := operatorsOnly(c.By, "set quotas"); err != nil {
		return Outcome{}, err
	}
	key := string(c.Owner)
	if was, ok := s.meta.Quotas[key]; ok == (c.Quota != api.Quota{}) && was == c.Quota {
		return Outcome{}, nil
	}
	m := *s.meta
	m.Quotas = maps.Clone(m.Quotas)
	if m.Quotas == nil {
		m.Quotas = map[string]api.Quota{}
	}
	if (c.Quota == api.Quota{}) {
		delete(m.Quotas, key)
	} else {
		m.Quotas[key] = c.Quota
	}
	if len(m.Quotas) > maxQuotas {
		return Outcome{}, api.FieldErrorf(fieldOwner, "%d owners have quotas of their own already, which is the limit: set %q for the others",
			maxQuotas, api.QuotaDefault)
	}
	return Outcome{Changes: []Change{{Key: KeyMeta, Meta: &m}}}, nil
}

func operatorsOnly(by Actor, what string) error {
	if by.Operator {
		return nil
	}
	return api.Errorf(api.CodeForbidden, "only an operator may %s: use the certificate of one (user-NAME)", what)
}

// ForeignUses yields the uses of datasets by callers that neither own them nor have them
// shared with them, as far as agents and Marathon have told.
func (s *State) ForeignUses() iter.Seq[api.ForeignUse] {
	return func(yield func(api.ForeignUse) bool) {
		for d := range s.Datasets() {
			if d.Deleted {
				continue
			}
			for _, use := range s.foreignUses(d) {
				if !yield(use) {
					return
				}
			}
		}
	}
}

func (s *State) foreignUses(d *api.Dataset) []api.ForeignUse {
	var uses []api.ForeignUse
	use := func(by api.Owner, app string, node api.NodeID) {
		if !d.OpenTo(by) {
			uses = append(uses, api.ForeignUse{Dataset: d.ID, Name: d.Name(), Owner: d.Owner, By: by, App: app, Node: node})
		}
	}
	if st := s.DatasetState(d.ID); st != nil && d.HeldBy(st.Node) {
		for _, c := range st.Consumers {
			use(c.Owner, c.App, st.Node)
		}
	}
	s.asked.Ascend(asker{name: d.Name()}, func(a asker) bool {
		if a.name != d.Name() || a.name == "" {
			return false
		}
		if app := s.App(a.app); app != nil {
			use(app.OwnerFor(a.name), app.ID, "")
		}
		return true
	})
	return uses
}

// MaySee reports whether an actor may see an app of Marathon's.
func (s *State) MaySee(app *api.App, by Actor) bool {
	return !s.Bound(by) || (&api.Dataset{Owner: app.Owner}).OwnedBy(by.Owner)
}

// MaySeeLease reports whether an actor may see a lease.
func (s *State) MaySeeLease(l *api.Lease, by Actor) bool {
	d := s.Dataset(l.Dataset)
	return !s.Bound(by) || d != nil && s.MayUse(d, by)
}
