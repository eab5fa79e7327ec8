package cluster

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/tidwall/btree"

	"github.com/flocker-mesos/flocker/api"
)

// State is a whole cluster at one revision of the log. Once it is shared it is
// never changed, so readers need no lock: the writer puts changes into a Clone,
// which costs the same whatever the number of records, and shares that.
//
// The records in it are values, too: nobody changes one in place.
//
// The maps are copy-on-write B-trees and not go-memdb because they are typed
// and an index entry takes 40 bytes instead of 400.
type State struct {
	revision uint64
	meta     *Meta
	log      *Identity // nil where a version without ids began the log
	datasets *btree.Map[api.DatasetID, *api.Dataset]
	states   *btree.Map[api.DatasetID, *api.DatasetState]
	nodes    *btree.Map[api.NodeID, *api.Node]
	replicas *btree.Map[api.ReplicaID, *api.Replica]
	leases   *btree.Map[api.DatasetID, *api.Lease]
	apps     *btree.Map[string, *api.App]
	hints    *btree.Map[api.DatasetID, *api.Hint]
	jobs     *btree.Map[string, *api.Job]
	sets     *btree.Map[string, *api.VolumeSet] // by setID
	endings  *btree.Map[api.NodeID, *api.Ending]
	strays   *btree.Map[string, *api.Orphan] // by OrphanID
	barred   *Barred                         // nil while there are none
	newer    *btree.Map[Key, int]            // records that only a newer version understands, with their schema
	damaged  *btree.Map[Key, *Damaged]       // notes, by the records that they are about
	spoilt   *btree.Map[Key, *Damaged]       // records that were committed and cannot be read

	// Indexes, kept by Put.
	names     *btree.Map[string, api.DatasetID] // of live datasets
	eras      *btree.BTreeG[belonging]          // nodes by their eras
	instances *btree.BTreeG[belonging]          // nodes by their instances
	volumes   *btree.Map[string, api.DatasetID] // datasets by volumeKey, also deleted and destroyed ones
	concerned *btree.BTreeG[concern]
	due       *btree.Set[api.DatasetID]     // that Upkeep has something to do about
	orphans   *btree.Set[api.DatasetID]     // with which any node may be able to help
	leased    *btree.BTreeG[concern]        // leases by their nodes
	expiring  *btree.BTreeG[expiry]         // leases that end by themselves, the next one first
	asked     *btree.BTreeG[asker]          // names of datasets by the apps that ask for them
	hinted    *btree.BTreeG[concern]        // hints by their nodes
	reclaimed *btree.BTreeG[expiry]         // datasets that are to be deleted at a time, the next one first
	members   *btree.BTreeG[member]         // live datasets by the sets they are of
	marked    *btree.Map[string, int]       // how many live members of a set are marked as sought
	usage     *btree.Map[string, api.Usage] // by owners
	unmade    *btree.Set[api.DatasetID]     // that apps ask for, without a volume and a holder
	tag       Tag

	waitingSets *btree.Set[string] // sets that somebody waits for, or with marked members
	dueSets     *btree.Set[string] // of these, those that Upkeep has something to do about

	strayNames *btree.BTreeG[orphanEntry] // orphans by what they are called
}

// concern is an entry of the index of datasets by the nodes they concern.
type concern struct {
	node    api.NodeID
	dataset api.DatasetID
}

func (c concern) before(other concern) bool {
	if c.node != other.node {
		return c.node < other.node
	}
	return c.dataset < other.dataset
}

// New returns the state of an empty log.
func New() *State {
	return &State{
		datasets:  btree.NewMap[api.DatasetID, *api.Dataset](0),
		states:    btree.NewMap[api.DatasetID, *api.DatasetState](0),
		nodes:     btree.NewMap[api.NodeID, *api.Node](0),
		replicas:  btree.NewMap[api.ReplicaID, *api.Replica](0),
		leases:    btree.NewMap[api.DatasetID, *api.Lease](0),
		apps:      btree.NewMap[string, *api.App](0),
		hints:     btree.NewMap[api.DatasetID, *api.Hint](0),
		jobs:      btree.NewMap[string, *api.Job](0),
		sets:      btree.NewMap[string, *api.VolumeSet](0),
		endings:   btree.NewMap[api.NodeID, *api.Ending](0),
		strays:    btree.NewMap[string, *api.Orphan](0),
		newer:     btree.NewMap[Key, int](0),
		damaged:   btree.NewMap[Key, *Damaged](0),
		spoilt:    btree.NewMap[Key, *Damaged](0),
		names:     btree.NewMap[string, api.DatasetID](0),
		eras:      btree.NewBTreeGOptions(belonging.before, btree.Options{NoLocks: true}),
		instances: btree.NewBTreeGOptions(belonging.before, btree.Options{NoLocks: true}),
		volumes:   btree.NewMap[string, api.DatasetID](0),
		concerned: btree.NewBTreeGOptions(concern.before, btree.Options{NoLocks: true}),
		due:       &btree.Set[api.DatasetID]{},
		orphans:   &btree.Set[api.DatasetID]{},
		leased:    btree.NewBTreeGOptions(concern.before, btree.Options{NoLocks: true}),
		expiring:  btree.NewBTreeGOptions(expiry.before, btree.Options{NoLocks: true}),
		asked:     btree.NewBTreeGOptions(asker.before, btree.Options{NoLocks: true}),
		hinted:    btree.NewBTreeGOptions(concern.before, btree.Options{NoLocks: true}),
		reclaimed: btree.NewBTreeGOptions(expiry.before, btree.Options{NoLocks: true}),
		members:   btree.NewBTreeGOptions(member.before, btree.Options{NoLocks: true}),
		marked:    btree.NewMap[string, int](0),
		usage:     btree.NewMap[string, api.Usage](0),
		unmade:    &btree.Set[api.DatasetID]{},

		waitingSets: &btree.Set[string]{},
		dueSets:     &btree.Set[string]{},

		strayNames: btree.NewBTreeGOptions(orphanEntry.before, btree.Options{NoLocks: true}),
	}
}

// Clone returns a copy to put changes into. Only one goroutine at a time may
// clone a State; others may read it meanwhile.
func (s *State) Clone() *State {
	c := *s
	c.datasets = s.datasets.Copy()
	c.states = s.states.Copy()
	c.nodes = s.nodes.Copy()
	c.replicas = s.replicas.Copy()
	c.leases = s.leases.Copy()
	c.apps = s.apps.Copy()
	c.hints = s.hints.Copy()
	c.jobs = s.jobs.Copy()
	c.sets = s.sets.Copy()
	c.endings = s.endings.Copy()
	c.newer = s.newer.Copy()
	c.damaged = s.damaged.Copy()
	c.spoilt = s.spoilt.Copy()
	c.names = s.names.Copy()
	c.eras = s.eras.Copy()
	c.instances = s.instances.Copy()
	c.volumes = s.volumes.Copy()
	c.concerned = s.concerned.Copy()
	c.due = s.due.Copy()
	c.orphans = s.orphans.Copy()
	c.leased = s.leased.Copy()
	c.expiring = s.expiring.Copy()
	c.asked = s.asked.Copy()
	c.hinted = s.hinted.Copy()
	c.reclaimed = s.reclaimed.Copy()
	c.members = s.members.Copy()
	c.marked = s.marked.Copy()
	c.usage = s.usage.Copy()
	c.unmade = s.unmade.Copy()
	c.waitingSets = s.waitingSets.Copy()
	c.dueSets = s.dueSets.Copy()
	c.strays = s.strays.Copy()
	c.strayNames = s.strayNames.Copy()
	return &c
}

// Revision returns the revision of the log that s shows.
func (s *State) Revision() uint64 { return s.revision }

// SetRevision says which revision s shows, once it has its changes. Like Put it
// is only for a Clone that nobody else sees yet.
func (s *State) SetRevision(revision uint64) { s.revision = revision }

// Meta returns the record about the log itself, nil while there is none.
func (s *State) Meta() *Meta { return s.meta }

// Tag identifies the configuration of all datasets.
func (s *State) Tag() Tag { return s.tag }

// Dataset returns a dataset, nil if there is none. Deleted ones are found.
func (s *State) Dataset(id api.DatasetID) *api.Dataset {
	d, _ := s.datasets.Get(id)
	return d
}

// DatasetByName returns the live dataset with a name, nil if there is none.
func (s *State) DatasetByName(name string) *api.Dataset {
	id, ok := s.names.Get(name)
	if !ok {
		return nil
	}
	return s.Dataset(id)
}

// DatasetState returns what was last reported of a dataset, nil if nothing was.
func (s *State) DatasetState(id api.DatasetID) *api.DatasetState {
	st, _ := s.states.Get(id)
	return st
}

// Node returns a node, nil if its agent has never connected.
func (s *State) Node(id api.NodeID) *api.Node {
	n, _ := s.nodes.Get(id)
	return n
}

// Datasets yields all datasets in the order of their ids, deleted ones too.
func (s *State) Datasets() iter.Seq[*api.Dataset] {
	return func(yield func(*api.Dataset) bool) {
		s.datasets.Scan(func(_ api.DatasetID, d *api.Dataset) bool { return yield(d) })
	}
}

// DatasetsAfter yields the datasets whose ids come after one, in their order.
func (s *State) DatasetsAfter(id api.DatasetID) iter.Seq[*api.Dataset] {
	return func(yield func(*api.Dataset) bool) {
		s.datasets.Ascend(id, func(at api.DatasetID, d *api.Dataset) bool { return at <= id || yield(d) })
	}
}

// CountDatasets returns how many datasets there are, deleted ones included.
func (s *State) CountDatasets() int { return s.datasets.Len() }

// Nodes yields all nodes in the order of their ids.
func (s *State) Nodes() iter.Seq[*api.Node] {
	return func(yield func(*api.Node) bool) {
		s.nodes.Scan(func(_ api.NodeID, n *api.Node) bool { return yield(n) })
	}
}

// Replica returns a replica, nil if there is none.
func (s *State) Replica(id api.ReplicaID) *api.Replica {
	r, _ := s.replicas.Get(id)
	return r
}

// Replicas yields all replicas in the order of their ids, lost ones too.
func (s *State) Replicas() iter.Seq[*api.Replica] {
	return func(yield func(*api.Replica) bool) {
		s.replicas.Scan(func(_ api.ReplicaID, r *api.Replica) bool { return yield(r) })
	}
}

// Lease returns the lease of a dataset, nil if there is none.
func (s *State) Lease(id api.DatasetID) *api.Lease {
	l, _ := s.leases.Get(id)
	return l
}

// Leases yields all leases in the order of their datasets' ids.
func (s *State) Leases() iter.Seq[*api.Lease] {
	return func(yield func(*api.Lease) bool) {
		s.leases.Scan(func(_ api.DatasetID, l *api.Lease) bool { return yield(l) })
	}
}

// CountLeases returns how many leases there are.
func (s *State) CountLeases() int { return s.leases.Len() }

// LeasesOf yields the leases that a node has, in the order of their datasets' ids.
func (s *State) LeasesOf(node api.NodeID) iter.Seq[*api.Lease] {
	return func(yield func(*api.Lease) bool) {
		s.leased.Ascend(concern{node: node}, func(c concern) bool {
			return c.node == node && yield(s.Lease(c.dataset))
		})
	}
}

// NextExpiry returns when the first of the leases ends, and false where none
// ends by itself.
func (s *State) NextExpiry() (at time.Time, ok bool) {
	first, ok := s.expiring.Min()
	return first.at, ok
}

// Concerning yields the datasets that concern a node, in the order of their ids.
func (s *State) Concerning(node api.NodeID) iter.Seq[*api.Dataset] {
	return func(yield func(*api.Dataset) bool) {
		s.concerned.Ascend(concern{node: node}, func(c concern) bool {
			return c.node == node && yield(s.Dataset(c.dataset))
		})
	}
}

// Newer yields the keys of records that were written by a newer version of the
// control service, with their schema. They are left alone.
func (s *State) Newer() iter.Seq2[Key, int] {
	return func(yield func(Key, int) bool) { s.newer.Scan(yield) }
}

// Put makes changes to a Clone that nobody else sees yet.
func (s *State) Put(changes ...Change) {
	for _, c := range changes {
		s.newer.Delete(c.Key)
		s.spoilt.Delete(c.Key)
		switch kind, id := c.Key.split(); kind {
		case kindMeta:
			s.putMeta(c.Meta)
		case kindLog:
			s.log = c.Log
		case kindDataset:
			s.putDataset(api.DatasetID(id), c.Dataset)
		case kindState:
			if c.State == nil {
				s.states.Delete(api.DatasetID(id))
			} else {
				s.states.Set(api.DatasetID(id), c.State)
			}
		case kindBarred:
			s.barred = c.Barred
		case kindNode:
			s.putNode(api.NodeID(id), c.Node)
		case kindReplica:
			if c.Replica == nil {
				s.replicas.Delete(api.ReplicaID(id))
			} else {
				s.replicas.Set(api.ReplicaID(id), c.Replica)
			}
		case kindLease:
			s.putLease(api.DatasetID(id), c.Lease)
		case kindApp:
			s.putApp(id, c.App)
		case kindHint:
			s.putHint(api.DatasetID(id), c.Hint)
		case kindJob:
			if c.Job == nil {
				s.jobs.Delete(id)
			} else {
				s.jobs.Set(id, c.Job)
			}
		case kindSet:
			s.putSet(id, c.Set)
		case kindEnding:
			s.putEnding(api.NodeID(id), c.Ending)
		case kindDamaged:
			s.putDamagedNote(Key(id), c.Damaged)
		case kindOrphan:
			s.putOrphan(id, c.Orphan)
		}
	}
}

func (s *State) putMeta(m *Meta) {
	samePolicy := s.meta != nil && m != nil && s.meta.Settings.OnLostNode == m.Settings.OnLostNode
	was := s.Tenancy()
	sameOwners := s.meta != nil && m != nil && s.meta.Tenancy == m.Tenancy && maps.Equal(s.meta.Quotas, m.Quotas)
	s.meta = m
	if !sameOwners {
		s.reconsiderSets()
	}
	if s.Tenancy() != was {
		for d := range s.Datasets() {
			s.reconsider(d) // its waiters may be hopeless now
		}
	}
	if samePolicy {
		return
	}
	for n := range s.Nodes() {
		if n.Lost() {
			s.reconsiderAll(n.ID)
		}
	}
}

func (s *State) putDataset(id api.DatasetID, d *api.Dataset) {
	old := s.Dataset(id)
	s.tag.change(old, d)
	s.index(old, d)
	s.count(old, d)
	if d == nil {
		s.datasets.Delete(id)
		s.due.Delete(id)
		s.orphans.Delete(id)
		s.unmade.Delete(id)
	} else {
		s.datasets.Set(id, d)
		s.reconsider(d)
		s.reconsiderUnmade(d)
	}
	s.reconsiderMember(old, d)
	if s.meta != nil && len(s.meta.Quotas) > 0 && (old == nil || d == nil || d.Owner != old.Owner || usageOf(d) != usageOf(old)) {
		s.reconsiderSets() // its owner may have room for a member, or none any more
	}
}

// index moves a dataset's entries in the indexes from old to d; either may be nil.
func (s *State) index(old, d *api.Dataset) {
	if was, is := liveName(old), liveName(d); was != is {
		// Changes of one commit come in any order, so the name may be
		// another dataset's by now.
		if of, ok := s.names.Get(was); ok && of == old.ID {
			s.names.Delete(was)
		}
		if is != "" {
			s.names.Set(is, d.ID)
		}
	}
	if old != nil && old.Reclaim != nil {
		s.reclaimed.Delete(expiry{old.Reclaim.At, old.ID})
	}
	if d != nil && d.Reclaim != nil && !d.Deleted {
		s.reclaimed.Set(expiry{d.Reclaim.At, d.ID})
	}
	s.indexVolume(old, d)
	s.indexMember(old, d)
	for node := range concernedBy(old) {
		if d == nil || !d.Concerns(node) {
			s.concerned.Delete(concern{node, old.ID})
		}
	}
	for node := range concernedBy(d) {
		if old == nil || !old.Concerns(node) {
			s.concerned.Set(concern{node, d.ID})
		}
	}
}

func (s *State) putNode(id api.NodeID, n *api.Node) {
	old := s.Node(id)
	if old != nil {
		s.eras.Delete(belonging{old.Era, id})
		s.instances.Delete(belonging{instanceKey(old.Instance), id})
	}
	if n == nil {
		s.nodes.Delete(id)
	} else {
		s.nodes.Set(id, n)
		s.eras.Set(belonging{n.Era, id})
		s.instances.Set(belonging{instanceKey(n.Instance), id})
	}
	if old == nil || n == nil || old.Connected != n.Connected || old.Draining != n.Draining || old.GivenUp != n.GivenUp || old.Forced != n.Forced ||
		old.Zone != n.Zone || old.Instance != n.Instance || old.Backend != n.Backend {
		s.reconsiderAll(id)
	}
}

// liveName returns the name that a dataset takes up, "" if it does not.
func liveName(d *api.Dataset) string {
	if d == nil || d.Deleted {
		return ""
	}
	return d.Name()
}

// concernedBy yields the nodes that d concerns, perhaps one more than once.
func concernedBy(d *api.Dataset) iter.Seq[api.NodeID] {
	return func(yield func(api.NodeID) bool) {
		if d == nil || d.Destroyed {
			return
		}
		if d.Primary != "" && !yield(d.Primary) || d.Holder != nil && !yield(d.Holder.Node) || d.Fence != nil && !yield(d.Fence.Node) {
			return
		}
		if d.Member != nil && d.Member.User != nil && !yield(d.Member.User.Node) {
			return
		}
		for _, w := range d.Waiting {
			if !yield(w.Node) {
				return
			}
		}
	}
}

// Concerned returns the nodes that must be told of a change from old to d,
// either of which may be nil, each once.
func Concerned(old, d *api.Dataset) []api.NodeID {
	nodes := make([]api.NodeID, 0, 4)
	for _, record := range []*api.Dataset{old, d} {
		for node := range concernedBy(record) {
			if !slices.Contains(nodes, node) {
				nodes = append(nodes, node)
			}
		}
	}
	return nodes
}
