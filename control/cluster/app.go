package cluster

import (
	"cmp"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// The rules of Marathon's apps. What Marathon says makes datasets known ahead of
// the containers, tells agents which containers are coming, and says that an app
// is no more. None of that gives the holder token to anybody.

const (
	// makeAtOnce is how many datasets go with one command, of what any log can take.
	makeAtOnce = 24
	// hintAtOnce is how many hints do.
	hintAtOnce = 24
	// MaxHint is for how long a hint can hold.
	MaxHint = 30 * time.Minute
)

// FollowApp says how Marathon has an app. In one commit with the app's record,
// the datasets that it asks for are found or made, on no node; what was to be
// reclaimed of them is not any more; and hints say where its instances are about
// to start. Where that is more than goes into a commit the command has to be
// repeated, as Outcome.More says: datasets which are missing have neither an id nor a
// failure. An app that Marathon has not asks for nothing. A volume without a Spec
// stays as it is.
type FollowApp struct {
	At          time.Time
	Replica     api.ReplicaID
	App         api.App              // each volume with its Spec
	Hints       map[string]api.Hint  // by the names of the datasets; a hint says to which node, for which instance and until when
	Coming      []api.Hint           // likewise, of each instance that will take members of volume sets: which, is chosen here
	NewID       func() api.DatasetID // a new one at each call
	DefaultSize int64                // bytes
}

// Apply decides the command.
func (c FollowApp) Apply(s *State) (Outcome, error) {
	if err := s.checkFollower(c.Replica); err != nil {
		return Outcome{}, err
	}
	if len(c.App.Volumes) > api.MaxAppVolumes || len(c.App.Instances) > api.MaxAppInstances {
		return Outcome{}, api.Errorf(api.CodeInvalid, "app %s has %d volumes and %d instances, %d and %d at the most are kept",
			c.App.ID, len(c.App.Volumes), len(c.App.Instances), api.MaxAppVolumes, api.MaxAppInstances)
	}
	f := following{FollowApp: c, s: s, old: s.App(c.App.ID)}
	f.app = c.App
	f.app.Volumes = slices.Clone(c.App.Volumes)
	for i := range f.app.Volumes {
		v := &f.app.Volumes[i]
		if f.app.Missing.IsZero() && (v.Spec != nil || v.Dataset == "" && v.Failure == "") {
			f.volume(v)
		}
		v.Spec = nil // it is not kept
	}
	f.hints()
	f.endings()
	f.keep()
	return Outcome{Changes: f.changes, App: &f.app, More: f.more}, nil
}

// following is a FollowApp that is being decided.
type following struct {
	FollowApp

	s       *State
	old     *api.App // nil for none
	app     api.App
	made    int
	more    bool // there is more to do than goes into one commit
	changes []Change
}

// volume finds or makes the dataset of a volume.
func (f *following) volume(v *api.AppVolume) {
	v.Dataset, v.Failure = "", ""
	spec := &api.DatasetSpec{Name: v.Name}
	if v.Spec != nil {
		spec.Size, spec.FS, spec.Profile = v.Spec.Size, v.Spec.FS, v.Spec.Profile
		if spec.Permissions = v.Spec.Permissions; checkOwner(v.Spec.User, "", true) == nil {
			spec.User = v.Spec.User
		}
	}
	spec.App = api.NamedAfter(f.app.ID, v.Key, cmp.Or(v.Set, v.Name))
	if err := checkSpec(spec); err != nil {
		v.Failure = err.Error()
		return
	}
	d := f.s.DatasetByName(spec.Name)
	if d == nil {
		f.make(v, spec)
		return
	}
	err := f.s.CheckUse(d, f.by(v))
	if err == nil {
		err = checkApp(spec.Name, spec.App, d.App)
	}
	if err != nil { // it is not the app's, whatever becomes of the app
		v.Failure = err.Error()
		return
	}
	v.Dataset = d.ID
	if err := checkFound(spec, d); err != nil {
		v.Failure = err.Error()
	} else if spec.Size > d.Size {
		v.Failure = fmt.Sprintf("the app asks for %s, and dataset %q has %s: what exists is used as it is; "+
			"make it larger with flocker volumes grow, or have the app ask for no more", sizeText(spec.Size), spec.Name, sizeText(d.Size))
	}
	names := d.App == "" && spec.App != "" && f.s.mayManage(d, f.by(v))
	if (d.Reclaim != nil || names) && !f.s.frozen(d.ID) { // whatever else is wrong: it is asked for
		d = f.s.draft(d)
		d.Reclaim = nil
		if names {
			d.App = spec.App
		}
		f.put(d)
	}
}

func (f *following) by(v *api.AppVolume) Actor { return Actor{Owner: f.app.OwnerOf(v)} }

// put changes a dataset, for what is decided next as well.
func (f *following) put(d *api.Dataset) {
	f.s = f.s.Clone()
	f.s.Put(putDataset(d))
	f.changes = append(f.changes, putDataset(d))
}

// make makes a dataset, if it still goes into this commit.
func (f *following) make(v *api.AppVolume, spec *api.DatasetSpec) {
	if v.Spec == nil {
		v.Failure = "there is no such dataset, and none is made while the app's definition has a mistake in it"
		return
	}
	err := f.s.mayCreate()
	if err == nil {
		err = f.s.checkNewSize(cmp.Or(spec.Size, f.DefaultSize), spec.FS, nil)
	}
	if err != nil {
		v.Failure = err.Error()
		return
	}
	for _, other := range f.app.Volumes { // two volumes of one name get one dataset
		if other.Name == v.Name && other.Dataset != "" {
			v.Dataset = other.Dataset
			return
		}
	}
	set, index, member := api.ParseMemberName(v.Name)
	member = member && set == v.Set
	if member {
		if d := f.s.memberAt(set, index); d != nil { // somebody has renamed it
			if err := f.s.CheckUse(d, f.by(v)); err != nil {
				v.Failure = err.Error()
				return
			}
			v.Dataset = d.ID
			return
		}
	}
	id := f.NewID()
	if f.made == makeAtOnce || f.s.Dataset(id) != nil {
		f.more = true
		return
	}
	d := f.s.newUnder(id, *spec, f.DefaultSize, f.app.OwnerOf(v))
	if err := f.checkNew(d, f.by(v), set, member); err != nil {
		v.Failure = err.Error()
		return
	}
	f.made++
	d.Created, d.Revision = f.At, f.s.revision+1
	v.Dataset = d.ID
	if member {
		d.Member = &api.Member{Set: set, Index: index}
	}
	f.put(d)
}

// checkNew refuses a dataset that the app may not make.
func (f *following) checkNew(d *api.Dataset, by Actor, set string, member bool) error {
	if !member {
		if err := f.s.checkPlace(d.Name(), d.ID, by); err != nil {
			return err
		}
		return f.s.checkQuota(nil, d)
	}
	if !f.s.ownsSet(set, by) {
		return f.s.checkSetUse(set, by)
	}
	d.Owner = f.s.ownerInSet(set, d.Owner)
	for other := range f.s.Members(set) {
		if err := checkApp(set, d.App, other.App); err != nil {
			return err
		}
		break
	}
	return f.s.checkQuota(nil, d)
}

// hints puts the hints in the place of what was hinted for the app's datasets
// before. A node that is not there, is being emptied, or cannot have the volume in its
// zone gets none.
func (f *following) hints() {
	wanted := map[api.DatasetID]*api.Hint{}
	want := func(id api.DatasetID, h api.Hint) {
		h.Dataset, h.App, h.Instance, h.Revision = id, f.app.ID, clipped(h.Instance, maxText), f.s.revision+1
		if last := f.At.Add(MaxHint); h.Until.After(last) {
			h.Until = last
		}
		wanted[id] = &h
	}
	for _, v := range f.app.Volumes {
		if h, ok := f.Hints[v.Name]; ok && v.Dataset != "" && f.hears(&h) && f.canHave(h.Node, v.Dataset) {
			want(v.Dataset, h)
		}
	}
	f.expectMembers(want)
	done, hinted := map[api.DatasetID]bool{}, 0
	datasets := f.app.Volumes
	if f.old != nil {
		datasets = slices.Concat(datasets, f.old.Volumes)
	}
	for _, v := range datasets {
		if v.Dataset == "" || done[v.Dataset] {
			continue
		}
		done[v.Dataset] = true
		if hinted == hintAtOnce {
			f.more = true
			return
		}
		before := len(f.changes)
		old, h := f.s.Hint(v.Dataset), wanted[v.Dataset]
		switch {
		case h == nil && old != nil && old.App == f.app.ID && !f.makes(old):
			f.changes = append(f.changes, Change{Key: HintKey(v.Dataset)})
		case h != nil && (old == nil || old.Node != h.Node || old.Instance != h.Instance || old.App != h.App):
			f.changes = append(f.changes, putHint(h))
		}
		hinted += len(f.changes) - before
	}
}

// hears reports whether the node of a hint is there to do something about it.
func (f *following) hears(h *api.Hint) bool {
	n := f.s.Node(h.Node)
	return n != nil && !n.Lost() && n.Draining.IsZero() && h.Live(f.At)
}

// canHave reports whether a node can have a dataset's volume in its zone, for all
// that is known.
func (f *following) canHave(node api.NodeID, dataset api.DatasetID) bool {
	d := f.s.Dataset(dataset)
	return d == nil || !f.s.apart(d, node)
}

// keep puts the app's record, if it says something new.
func (f *following) keep() {
	f.app.Mistake = clipped(f.app.Mistake, maxCause)
	if f.old != nil {
		f.app.Revision = f.old.Revision
		if reflect.DeepEqual(f.app, *f.old) {
			f.app = *f.old
			return
		}
	}
	f.app.Revision = f.s.revision + 1
	kept := f.app
	f.changes = append(f.changes, putApp(&kept))
}

// ForgetApp says that an app is no more. Reclaim says that it was destroyed: then
// the datasets that it wanted to go with it, and that no other app asks for, are
// to be deleted when their time of grace is over. Without, all of them are kept.
type ForgetApp struct {
	At       time.Time
	Replica  api.ReplicaID
	ID       string
	Revision uint64 // of the record on which that was decided
	Reclaim  bool
	Grace    time.Duration // where the app names none
}

// Apply decides the command. Where the record is another one by now it changes
// nothing.
func (c ForgetApp) Apply(s *State) (Outcome, error) {
	if err := s.checkFollower(c.Replica); err != nil {
		return Outcome{}, err
	}
	app := s.App(c.ID)
	if app == nil || app.Revision != c.Revision {
		return Outcome{}, nil
	}
	out := Outcome{Changes: []Change{{Key: AppKey(c.ID)}}, App: app}
	done := map[api.DatasetID]bool{}
	for _, v := range app.Volumes {
		if v.Dataset == "" || done[v.Dataset] {
			continue
		}
		done[v.Dataset] = true
		if h := s.Hint(v.Dataset); h != nil && h.App == app.ID {
			out.Changes = append(out.Changes, Change{Key: HintKey(v.Dataset)})
		}
		d := s.Dataset(v.Dataset)
		if !c.Reclaim || v.Reclaim != api.ReclaimDelete || d == nil || s.frozen(d.ID) || d.Deleted || d.Pinned || d.Name() != v.Name ||
			!s.mayManage(d, Actor{Owner: app.OwnerOf(&v)}) || s.askedBesides(v.Name, app.ID) {
			continue
		}
		d = s.draft(d)
		d.Reclaim = &api.Reclaim{At: c.At.Add(cmp.Or(v.Grace, c.Grace)).Round(0), App: app.ID, Since: c.At.Round(0)}
		out.Changes = append(out.Changes, putDataset(d))
	}
	return out, nil
}

// DropApp forgets an app that Marathon has not, at a person's word. Its datasets
// are kept.
type DropApp struct {
	At time.Time
	ID string
}

// Apply decides the command.
func (c DropApp) Apply(s *State) (Outcome, error) {
	app := s.App(c.ID)
	if app == nil {
		return Outcome{}, api.Errorf(api.CodeNotFound, "no app or pod %q of Marathon's is known that asks for volumes", c.ID)
	}
	if app.Missing.IsZero() {
		return Outcome{}, api.Errorf(api.CodeConflict, "Marathon has %s, as far as is known: it is forgotten when it has been destroyed there", app.ID)
	}
	return Outcome{Changes: []Change{{Key: AppKey(c.ID)}}, App: app}, nil
}

// App returns an app of Marathon's, nil if none is known.
func (s *State) App(id string) *api.App {
	_, key := AppKey(id).split()
	a, _ := s.apps.Get(key)
	return a
}

// Apps yields all apps in the order of their ids.
func (s *State) Apps() iter.Seq[*api.App] {
	return func(yield func(*api.App) bool) {
		s.apps.Scan(func(_ string, a *api.App) bool { return yield(a) })
	}
}

// CountApps returns how many apps there are.
func (s *State) CountApps() int { return s.apps.Len() }

// Hint returns the hint about a dataset, nil if there is none. It may have ended.
func (s *State) Hint(id api.DatasetID) *api.Hint {
	h, _ := s.hints.Get(id)
	return h
}

// HintsFor yields the hints for a node, in the order of their datasets' ids.
func (s *State) HintsFor(node api.NodeID) iter.Seq[*api.Hint] {
	return func(yield func(*api.Hint) bool) {
		s.hinted.Ascend(concern{node: node}, func(c concern) bool {
			return c.node == node && yield(s.Hint(c.dataset))
		})
	}
}

// asker is an entry of the index of datasets' names by the apps that ask for
// them.
type asker struct{ name, app string }

func (a asker) before(other asker) bool {
	if a.name != other.name {
		return a.name < other.name
	}
	return a.app < other.app
}

// askedBesides reports whether an app other than one asks for a dataset's name, and may
// have the dataset.
func (s *State) askedBesides(name, app string) bool {
	for a := range s.asking(name) {
		if a.ID != app {
			return true
		}
	}
	return false
}

func (s *State) putApp(id string, a *api.App) {
	old, known := s.apps.Get(id)
	if known {
		for _, v := range old.Volumes {
			s.asked.Delete(asker{v.Name, old.ID})
		}
		s.apps.Delete(id)
	}
	if a != nil {
		s.apps.Set(id, a)
		for _, v := range a.Volumes {
			s.asked.Set(asker{v.Name, a.ID})
		}
	}
	s.reconsiderAsked(old, a)
}

func (s *State) putHint(id api.DatasetID, h *api.Hint) {
	if old := s.Hint(id); old != nil {
		s.hints.Delete(id)
		s.hinted.Delete(concern{old.Node, id})
	}
	if h == nil {
		return
	}
	s.hints.Set(id, h)
	s.hinted.Set(concern{h.Node, id})
}
