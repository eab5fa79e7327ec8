package cluster

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/flocker-mesos/flocker/api"
)

// Orphans are volumes whose datasets no record knows, after the log was lost or
// replaced by an older one. Agents find them when they take an inventory of their
// storage. While there is an orphan no volume is made under its name or id: its
// dataset waits until an operator adopts the orphan or has it forgotten.

// maxOrphans bounds the records, so that no node can fill the log with volumes that
// it invents. An inventory with more is refused, and its node makes no volumes.
const maxOrphans = 20_000

// OrphanID names the record of an orphan.
func OrphanID(v api.Volume) string {
	sum := sha256.Sum256([]byte(v.Backend + "\x00" + v.ID))
	return hex.EncodeToString(sum[:16])
}

// OrphanKey names the record of an orphan.
func OrphanKey(v api.Volume) Key { return Key(kindOrphan + "/" + OrphanID(v)) }

func putOrphan(o *api.Orphan) Change { return Change{Key: OrphanKey(o.Volume), Orphan: o} }

// orphanEntry is an entry of the index of orphans by what they are called.
type orphanEntry struct{ text, id string }

func (e orphanEntry) before(other orphanEntry) bool {
	if e.text != other.text {
		return e.text < other.text
	}
	return e.id < other.id
}

// called returns under what an orphan is found.
func called(o *api.Orphan) []string {
	texts := []string{byDataset + string(o.Dataset), byVolume + o.Volume.ID}
	if o.Name != "" {
		texts = append(texts, byName+o.Name)
	}
	return texts
}

const (
	byName    = "name/"
	byDataset = "dataset/"
	byVolume  = "volume/"
)

func (s *State) putOrphan(id string, o *api.Orphan) {
	if old, ok := s.strays.Get(id); ok {
		for _, text := range called(old) {
			s.strayNames.Delete(orphanEntry{text, id})
		}
		s.strays.Delete(id)
	}
	if o == nil {
		return
	}
	s.strays.Set(id, o)
	for _, text := range called(o) {
		s.strayNames.Set(orphanEntry{text, id})
	}
}

// Orphans yields all orphans, in no order that means anything.
func (s *State) Orphans() iter.Seq[*api.Orphan] {
	return func(yield func(*api.Orphan) bool) {
		s.strays.Scan(func(_ string, o *api.Orphan) bool { return yield(o) })
	}
}

// CountOrphans returns how many orphans there are.
func (s *State) CountOrphans() int { return s.strays.Len() }

func (s *State) orphansCalled(text string) []*api.Orphan {
	var found []*api.Orphan
	s.strayNames.Ascend(orphanEntry{text: text}, func(e orphanEntry) bool {
		if e.text != text {
			return false
		}
		o, _ := s.strays.Get(e.id)
		found = append(found, o)
		return true
	})
	return found
}

// FindOrphan returns the orphan with a name, a dataset id in any spelling, or a volume id.
// A text that means several is refused; "name:" and "id:" before it say what it is.
func (s *State) FindOrphan(text string) (*api.Orphan, error) {
	entries := []string{byName + text, byDataset + text, byVolume + text}
	if id, ok := api.ParseID(text); ok {
		entries = append(entries, byDataset+id)
	}
	if name, ok := strings.CutPrefix(text, api.RefName); ok {
		entries = append(entries, byName+name)
	}
	if id, ok := strings.CutPrefix(text, api.RefID); ok {
		entries = append(entries, byDataset+id, byVolume+id)
		if id, ok := api.ParseID(id); ok {
			entries = append(entries, byDataset+id)
		}
	}
	var found []*api.Orphan
	for _, entry := range entries {
		for _, o := range s.orphansCalled(entry) {
			if !slices.Contains(found, o) {
				found = append(found, o)
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, api.Errorf(api.CodeNotFound, "there is no orphan volume with the name or id %q", text)
	case 1:
		return found[0], nil
	}
	ids := make([]string, len(found))
	for i, o := range found {
		ids[i] = fmt.Sprintf("%s%s (%s, %s, of backend %s)", api.RefID, o.Volume.ID, cmp.Or(o.Name, string(o.Dataset)), api.FormatSize(o.Volume.Size), o.Volume.Backend)
	}
	return nil, api.Errorf(api.CodeConflict, "%q can mean %d orphan volumes: say %s", text, len(found), strings.Join(ids, ", or "))
}

// blockedBy says why no volume may be made for a dataset, "" where one may be.
func (s *State) blockedBy(d *api.Dataset) string {
	if d.Volume != nil || d.Deleted || s.strays.Len() == 0 {
		return ""
	}
	found := s.orphansCalled(byDataset + string(d.ID))
	if name := d.Name(); name != "" {
		found = append(found, s.orphansCalled(byName+name)...)
	}
	if len(found) == 0 {
		return ""
	}
	return orphanText(found[0])
}

func orphanText(o *api.Orphan) string {
	what := o.Name
	if what == "" {
		what = string(o.Dataset)
	}
	return clipped(fmt.Sprintf("the storage system %s has a volume of this name or id, %s (%s), that the log does not know, so no empty one is made: "+
		"take it into the log with flocker volumes adopt %s, or delete it there and say flocker backends orphans --forget %s",
		o.Volume.Backend, o.Volume.ID, api.FormatSize(o.Volume.Size), what, o.Volume.ID), maxCause)
}

// checkOrphans refuses to give a dataset the name or id of an orphan.
func (s *State) checkOrphans(d *api.Dataset) error {
	if why := s.blockedBy(d); why != "" {
		return &api.Error{Code: api.CodeConflict, Field: fieldMetadata, Message: why}
	}
	return nil
}

// checkRename refuses to call a dataset as an orphan is called, whether it has a volume
// or not: the orphan could not be adopted then.
func (s *State) checkRename(d *api.Dataset) error {
	if found := s.orphansCalled(byName + d.Name()); len(found) > 0 {
		return &api.Error{Code: api.CodeConflict, Field: fieldMetadata, Message: orphanText(found[0])}
	}
	return nil
}

// newUnder returns a new dataset with the id of the one orphan that has its name, so
// that its waiters get the orphan when it is adopted.
func (s *State) newUnder(id api.DatasetID, spec api.DatasetSpec, defaultSize int64, owner api.Owner) *api.Dataset {
	if found := s.orphansCalled(byName + spec.Name); len(found) == 1 && s.find1(found[0].Dataset) == nil {
		id = found[0].Dataset
	}
	d := newDataset(id, spec, defaultSize, owner)
	d.Blocked = s.blockedBy(d)
	return d
}

// find1 returns a dataset's record, also one that cannot be read, as something.
func (s *State) find1(id api.DatasetID) *api.Dataset {
	if _, err := s.find(id); api.CodeOf(err) == api.CodeUnavailable {
		return &api.Dataset{ID: id}
	}
	return s.Dataset(id)
}

// knows reports whether a volume's dataset is one of the log's. A dataset that waits
// for an orphan to be adopted, or that never had a volume, does not make one known.
func (s *State) knows(id api.DatasetID) bool {
	d := s.find1(id)
	switch {
	case d == nil:
		return false
	case d.Volume != nil:
		return true
	default:
		return !d.Destroyed && d.Blocked == ""
	}
}

// Unknown returns those of an inventory's volumes whose datasets the log does not know.
func (s *State) Unknown(backend string, volumes []api.InventoryVolume) []api.InventoryVolume {
	var unknown []api.InventoryVolume
	for _, v := range volumes {
		if !s.knows(v.Dataset) && !s.others(v, backend) {
			unknown = append(unknown, v)
		}
	}
	return unknown
}

// others reports whether a volume is that of another dataset than it is said to be.
func (s *State) others(v api.InventoryVolume, backend string) bool {
	return s.checkOwner(&api.Dataset{ID: v.Dataset}, &api.Volume{ID: v.ID, Backend: backend}) != nil
}

// Incarnation names the log as agents tell it from another one: it changes when a
// backup is restored.
func (s *State) Incarnation() string {
	if s.meta == nil {
		return ""
	}
	name := s.meta.Created.UTC().Format(time.RFC3339Nano)
	if !s.meta.Restored.IsZero() {
		name += "+" + s.meta.Restored.UTC().Format(time.RFC3339Nano)
	}
	return name
}

// NoteOrphans says that a node's storage has volumes which the log may not know.
type NoteOrphans struct {
	At      time.Time
	Node    api.NodeID
	Stream  uint64
	Volumes []api.InventoryVolume
}

// Apply decides the command.
func (c NoteOrphans) Apply(s *State) (Outcome, error) {
	if err := s.CheckStream(c.Node, c.Stream); err != nil {
		return Outcome{}, err
	}
	b := newBatch(s)
	for _, v := range c.Volumes {
		if b.state.knows(v.Dataset) || b.state.others(v, s.Node(c.Node).Backend) {
			continue
		}
		o := &api.Orphan{
			Dataset: v.Dataset, Name: v.Name, AttachedTo: v.AttachedTo, Node: c.Node, Found: c.At,
			Volume: api.Volume{ID: v.ID, Backend: s.Node(c.Node).Backend, Size: v.Size, Zone: v.Zone}, Revision: s.revision + 1,
		}
		if err := checkOrphan(o); err != nil {
			return Outcome{}, err
		}
		if CheckName("name", o.Name) != nil {
			o.Name = "" // no dataset can have it
		}
		old, known := b.state.strays.Get(OrphanID(o.Volume))
		switch {
		case known && old.Dataset == o.Dataset && old.Name == o.Name && old.Volume == o.Volume:
			continue
		case !known && b.state.strays.Len() >= maxOrphans:
			return Outcome{}, api.Errorf(api.CodeUnavailable, "there are %d orphan volumes already, and no more are remembered: adopt or forget them", maxOrphans)
		}
		b.put(putOrphan(o))
		b.reblock(o)
		if known {
			b.reblock(old)
		}
	}
	return Outcome{Changes: b.changes}, nil
}

// checkOrphan reports why a volume of an inventory cannot be.
func checkOrphan(o *api.Orphan) error {
	for _, text := range []struct{ field, value string }{
		{"id", o.Volume.ID}, {"dataset_id", string(o.Dataset)}, {"zone", o.Volume.Zone}, {"attached_to", o.AttachedTo}, {"name", o.Name},
	} {
		if len(text.value) > 2*maxText || !utf8.ValidString(text.value) || strings.ContainsFunc(text.value, func(r rune) bool { return r < ' ' && text.field != "name" }) {
			return api.FieldErrorf(text.field, "%.40q of an inventory's volume is longer than %d bytes or has control characters", text.value, 2*maxText)
		}
	}
	if o.Volume.ID == "" || o.Dataset == "" || o.Volume.Size < 0 {
		return api.FieldErrorf("volumes", "each of an inventory needs an id, a dataset and a size")
	}
	return nil
}

// reblock brings the datasets with the name or id of an orphan to where they belong
// after a change to it.
func (b *batch) reblock(o *api.Orphan) {
	ids := []api.DatasetID{o.Dataset}
	if d := b.state.DatasetByName(o.Name); o.Name != "" && d != nil && d.ID != o.Dataset {
		ids = append(ids, d.ID)
	}
	for _, id := range ids {
		d := b.state.Dataset(id)
		if d == nil {
			continue
		}
		if why := b.state.blockedBy(d); why != d.Blocked {
			d = b.state.draft(d)
			d.Blocked = why
			b.put(putDataset(d))
		}
	}
}

// DropOrphans says that a node's storage has orphans no longer that it had. What other
// nodes have found stays, unless the log knows it by now.
type DropOrphans struct {
	Node   api.NodeID
	Stream uint64
	IDs    []string
}

// Apply decides the command.
func (c DropOrphans) Apply(s *State) (Outcome, error) {
	if err := s.CheckStream(c.Node, c.Stream); err != nil {
		return Outcome{}, err
	}
	b := newBatch(s)
	for _, id := range c.IDs {
		if o, ok := b.state.strays.Get(id); ok && (o.Node == c.Node || b.state.knows(o.Dataset)) {
			b.put(Change{Key: OrphanKey(o.Volume)})
			b.reblock(o)
		}
	}
	return Outcome{Changes: b.changes}, nil
}

// OrphansFor reports why an actor may not use orphans: their owners are not known.
func (s *State) OrphansFor(by Actor) error {
	if s.Bound(by) {
		return api.Errorf(api.CodeForbidden, "only operators may use orphan volumes, because their owners are not known")
	}
	return nil
}

// ForgetOrphan drops an orphan at an operator's word. It comes back with the next
// inventory of a node whose storage has it.
type ForgetOrphan struct {
	By     Actor
	Orphan string // as FindOrphan takes it
}

// Apply decides the command.
func (c ForgetOrphan) Apply(s *State) (Outcome, error) {
	if err := s.OrphansFor(c.By); err != nil {
		return Outcome{}, err
	}
	o, err := s.FindOrphan(c.Orphan)
	if err != nil {
		return Outcome{}, err
	}
	b := newBatch(s)
	b.put(Change{Key: OrphanKey(o.Volume)})
	b.reblock(o)
	return Outcome{Changes: b.changes, Orphan: o}, nil
}

// Adopt takes an orphan into the log, at an operator's word: as a dataset that no node
// holds. It counts as registered, so it is never formatted; the node that attaches it
// checks that the volume carries the dataset's id.
type Adopt struct {
	At     time.Time
	By     Actor
	Orphan string // as FindOrphan takes it
	Name   string // "" for the one that the volume carries
	// Owner is to whom the dataset belongs, "" for the operator where owners are kept
	// apart, else for anyone.
	Owner api.Owner
}

// Apply decides the command.
func (c Adopt) Apply(s *State) (Outcome, error) {
	if err := s.OrphansFor(c.By); err != nil {
		return Outcome{}, err
	}
	o, err := s.FindOrphan(c.Orphan)
	if err != nil {
		return Outcome{}, err
	}
	if err := s.mayCreate(); err != nil {
		return Outcome{}, err
	}
	if err := api.CheckOwner(fieldOwner, c.Owner); c.Owner != "" && err != nil {
		return Outcome{}, err
	}
	name := cmp.Or(c.Name, o.Name)
	if c.Name != "" {
		if err := CheckGivenName("name", name); err != nil {
			return Outcome{}, err
		}
	}
	if err := s.checkNotID(name, o.Dataset, c.By); err != nil {
		return Outcome{}, err
	}
	if err := s.checkIDFree(o.Dataset); err != nil {
		return Outcome{}, err
	}
	b := newBatch(s)
	if err := b.makeWay(o, name, c.At); err != nil {
		return Outcome{}, err
	}
	d, err := s.adopted(o, c.owner(s), c.At)
	if err != nil {
		return Outcome{}, err
	}
	if d.Metadata[api.MetadataName] = name; name == "" {
		d.Metadata = nil
	}
	b.put(Change{Key: OrphanKey(o.Volume)}, putDataset(d))
	b.reblock(o)
	return Outcome{Changes: b.changes, Dataset: b.state.Dataset(d.ID), Orphan: o}, nil
}

// owner returns the dataset's new owner. The old one is not known, and the waiters for
// the name may be another owner's.
func (c Adopt) owner(s *State) api.Owner {
	if s.Tenancy() == api.TenancyOwners {
		return cmp.Or(c.Owner, c.By.Owner, api.Anyone)
	}
	return cmp.Or(c.Owner, api.Anyone)
}

// adopted returns the dataset that an orphan becomes. One that waits for it stays
// where it is wanted.
func (s *State) adopted(o *api.Orphan, owner api.Owner, at time.Time) (*api.Dataset, error) {
	if err := s.checkOwner(&api.Dataset{ID: o.Dataset}, &o.Volume); err != nil {
		return nil, err
	}
	d := &api.Dataset{ID: o.Dataset, Primary: o.Node, Created: at, Revision: s.revision + 1}
	if old, err := s.find(o.Dataset); api.CodeOf(err) == api.CodeUnavailable {
		return nil, err
	} else if old != nil {
		if old.Volume != nil || old.Deleted && !old.Destroyed {
			return nil, api.Errorf(api.CodeConflict, "the log has dataset %s by now: it is no orphan", nameOf(old))
		}
		if !old.Deleted && (s.Tenancy() == api.TenancyShared || old.Owner.String() == owner.String()) {
			d = s.draft(old)
		}
		d.Epoch = old.Epoch
	}
	d.Owner = owner
	volume := o.Volume
	d.Volume, d.Blocked, d.FS, d.Metadata = &volume, "", "", map[string]string{}
	d.Size, d.MaximumSize = volume.Size, volume.Size
	return d, nil
}

// makeWay takes the name of an orphan from a dataset that only waits for it to be
// adopted: its waiters are told, ask again, and get the orphan.
func (b *batch) makeWay(o *api.Orphan, name string, at time.Time) error {
	taken := b.state.DatasetByName(name)
	if name == "" || taken == nil || taken.ID == o.Dataset {
		return nil
	}
	if taken.Blocked == "" || mayHaveVolume(taken, b.state.DatasetState(taken.ID)) {
		return &api.Error{Code: api.CodeConflict, Field: fieldMetadata, Message: fmt.Sprintf(
			"the name %q is taken by dataset %s, which has a volume of its own: adopt the orphan under another name (--name), or rename or delete that one first",
			name, taken.ID)}
	}
	d := b.state.draft(taken)
	d.Deleted, d.Blocked = true, ""
	destroyed(d, at)
	b.put(putDataset(d))
	return nil
}
