package cluster_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// dump returns everything in s, to compare states by.
func dump(s *cluster.State) map[cluster.Key]string {
	all := map[cluster.Key]string{}
	put := func(c cluster.Change) {
		value, err := cluster.Encode(c)
		if err != nil {
			panic(err)
		}
		all[c.Key] = string(value)
	}
	if m := s.Meta(); m != nil {
		put(cluster.Change{Key: cluster.KeyMeta, Meta: m})
	}
	for d := range s.Datasets() {
		put(cluster.Change{Key: cluster.DatasetKey(d.ID), Dataset: d})
		if st := s.DatasetState(d.ID); st != nil {
			put(cluster.Change{Key: cluster.StateKey(d.ID), State: st})
		}
	}
	for n := range s.Nodes() {
		put(cluster.Change{Key: cluster.NodeKey(n.ID), Node: n})
	}
	for r := range s.Replicas() {
		put(cluster.Change{Key: cluster.ReplicaKey(r.ID), Replica: r})
	}
	for l := range s.Leases() {
		put(cluster.Change{Key: cluster.LeaseKey(l.Dataset), Lease: l})
	}
	for a := range s.Apps() {
		put(cluster.Change{Key: cluster.AppKey(a.ID), App: a})
	}
	for d := range s.Datasets() {
		if h := s.Hint(d.ID); h != nil {
			put(cluster.Change{Key: cluster.HintKey(d.ID), Hint: h})
		}
	}
	for n := range s.Nodes() {
		if e := s.Ending(n.ID); e != nil {
			put(cluster.Change{Key: cluster.EndingKey(n.ID), Ending: e})
		}
	}
	if j := s.Job(api.JobMarathon); j != nil {
		put(cluster.Change{Key: cluster.JobKey(j.Name), Job: j})
	}
	for o := range s.Orphans() {
		put(cluster.Change{Key: cluster.OrphanKey(o.Volume), Orphan: o})
	}
	for set := range s.Sets() {
		put(cluster.Change{Key: cluster.SetKey(set.Name), Set: set})
	}
	return all
}

// checkState reports the first invariant that s breaks.
func checkState(s *cluster.State) error {
	names := map[string]api.DatasetID{}
	concerned := map[api.NodeID][]api.DatasetID{}
	orphaned := map[string]bool{}
	for o := range s.Orphans() {
		orphaned["name "+o.Name], orphaned["id "+string(o.Dataset)] = o.Name != "", true
	}
	for d := range s.Datasets() {
		blocked := !d.Deleted && d.Volume == nil && (orphaned["name "+d.Name()] || orphaned["id "+string(d.ID)])
		if blocked != (d.Blocked != "") {
			return fmt.Errorf("dataset %s, called %q: a volume may be made for it: %v, though of orphans with its name or id there are some: %v",
				d.ID, d.Name(), d.Blocked == "", blocked)
		}
		if err := checkDataset(d); err != nil {
			return fmt.Errorf("dataset %s: %w", d.ID, err)
		}
		if name := d.Name(); name != "" && !d.Deleted {
			if other, taken := names[name]; taken {
				return fmt.Errorf("datasets %s and %s are both called %s", other, d.ID, name)
			}
			names[name] = d.ID
			if got := s.DatasetByName(name); got == nil || got.ID != d.ID {
				return fmt.Errorf("name %s leads to %v, want dataset %s", name, got, d.ID)
			}
		}
		for _, node := range cluster.Concerned(nil, d) {
			concerned[node] = append(concerned[node], d.ID)
		}
		if d.Destroyed && s.DatasetState(d.ID) != nil {
			return fmt.Errorf("dataset %s is destroyed and has a state", d.ID)
		}
	}
	for node, want := range concerned {
		var got []api.DatasetID
		for d := range s.Concerning(node) {
			if !d.Concerns(node) {
				return fmt.Errorf("dataset %s is listed for node %s, which it does not concern", d.ID, node)
			}
			got = append(got, d.ID)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("node %s: datasets %v are listed, want %v", node, got, want)
		}
	}
	for n := range s.Nodes() {
		if _, some := concerned[n.ID]; some {
			continue
		}
		for d := range s.Concerning(n.ID) {
			return fmt.Errorf("dataset %s is listed for node %s, which it does not concern", d.ID, n.ID)
		}
	}
	if err := checkLeases(s); err != nil {
		return err
	}
	if err := checkSets(s); err != nil {
		return err
	}
	if err := checkUnmade(s); err != nil {
		return err
	}
	if err := checkUsage(s); err != nil {
		return err
	}
	return checkLoaded(s)
}

// checkUsage compares what owners have with the datasets.
func checkUsage(s *cluster.State) error {
	want := map[api.Owner]api.Usage{}
	for d := range s.Datasets() {
		if !d.Destroyed {
			owner := api.Owner(d.Owner.String())
			u := want[owner]
			want[owner] = api.Usage{Volumes: u.Volumes + 1, Bytes: u.Bytes + d.Size}
		}
	}
	if got := maps.Collect(s.Usages()); !maps.Equal(got, want) {
		return fmt.Errorf("owners have %v, want %v", got, want)
	}
	return nil
}

// checkUnmade compares the index of what may be made ahead with the datasets.
func checkUnmade(s *cluster.State) error {
	asked := map[string]bool{}
	for a := range s.Apps() {
		for _, v := range a.Volumes {
			asked[v.Name] = true
		}
	}
	for d := range s.Datasets() {
		want := asked[d.Name()] && !d.Deleted && d.Volume == nil && d.Holder == nil && len(d.Waiting) == 0 && !d.Pinned && (d.Member == nil || d.Member.User == nil)
		if got := s.Unmade(d.ID); got != want {
			return fmt.Errorf("dataset %s may be made ahead: got %v, want %v: %+v", d.ID, got, want, *d)
		}
	}
	return nil
}

// checkLeases compares the indexes of leases with the leases.
func checkLeases(s *cluster.State) error {
	byNode := map[api.NodeID][]*api.Lease{}
	var next time.Time
	count := 0
	for l := range s.Leases() {
		count++
		byNode[l.Node] = append(byNode[l.Node], l)
		if !l.Expires.IsZero() && (next.IsZero() || l.Expires.Before(next)) {
			next = l.Expires
		}
		if s.Lease(l.Dataset) != l || l.Node == "" || l.Acquired.IsZero() || l.Revision == 0 {
			return fmt.Errorf("lease %+v is incomplete, or not found", *l)
		}
	}
	for node, want := range byNode {
		if got := slices.Collect(s.LeasesOf(node)); !slices.Equal(got, want) {
			return fmt.Errorf("node %s: leases %v are listed, want %v", node, got, want)
		}
		count -= len(want)
	}
	if at, some := s.NextExpiry(); !at.Equal(next) || some == next.IsZero() {
		return fmt.Errorf("the next lease to end is said to do so at %s (%t), want %s", at, some, next)
	}
	for n := range s.Nodes() {
		for l := range s.LeasesOf(n.ID) {
			if l == nil || l.Node != n.ID {
				return fmt.Errorf("node %s: lease %v is listed", n.ID, l)
			}
		}
	}
	if count != 0 {
		return fmt.Errorf("%d leases are of no node", count)
	}
	return nil
}

// checkSets reports what cannot be of volume sets, and compares their index with
// the datasets.
func checkSets(s *cluster.State) error {
	type place struct {
		set   string
		index int
	}
	places, users, members := map[place]api.DatasetID{}, map[string]api.DatasetID{}, map[string]int{}
	for d := range s.Datasets() {
		if d.Member == nil || d.Deleted {
			continue
		}
		at := place{d.Member.Set, d.Member.Index}
		if other, taken := places[at]; taken {
			return fmt.Errorf("datasets %s and %s are both %s", other, d.ID, d.Member)
		}
		places[at] = d.ID
		members[at.set]++
		if u := d.Member.User; u != nil {
			who := fmt.Sprintf("%s %s on %s", at.set, u.Consumer, u.Node)
			if other, some := users[who]; some {
				return fmt.Errorf("datasets %s and %s are both of %s", other, d.ID, who)
			}
			users[who] = d.ID
			if _, waits := s.Set(at.set).Waits(u.Node, u.Consumer); waits {
				return fmt.Errorf("%s has dataset %s and waits for another one", who, d.ID)
			}
		}
		if d.Member.Sought && d.Member.User == nil {
			return fmt.Errorf("dataset %s is sought though nobody has it", d.ID)
		}
	}
	for set, want := range members {
		got := slices.Collect(s.Members(set))
		if len(got) != want || !slices.IsSortedFunc(got, func(a, b *api.Dataset) int { return a.Member.Index - b.Member.Index }) {
			return fmt.Errorf("set %s: %d members are listed, want %d, in order", set, len(got), want)
		}
	}
	for set := range s.Sets() {
		if s.Set(set.Name) != set || set.Count == nil && len(set.Waiting) == 0 || set.Revision == 0 {
			return fmt.Errorf("set %+v is empty, or not found", *set)
		}
	}
	return nil
}

func checkDataset(d *api.Dataset) error {
	switch {
	case d.Holder != nil && d.Holder.Epoch != d.Epoch:
		return fmt.Errorf("holder's epoch %d, epoch %d", d.Holder.Epoch, d.Epoch)
	case d.Holder == nil && len(d.Waiting) > 0:
		return fmt.Errorf("%v wait for what nobody holds", d.Waiting)
	case d.Holder != nil && d.AwaitedBy(d.Holder.Node):
		return fmt.Errorf("its holder waits for it")
	case d.Fence != nil && (d.Holder == nil || d.Fence.Holder != d.Holder.Node || d.Fence.Node == d.Holder.Node || d.Fence.Epoch != d.Epoch):
		return fmt.Errorf("fence %+v is not about its holder %+v", *d.Fence, d.Holder)
	case d.Deleted && len(d.Waiting) > 0:
		return fmt.Errorf("%v wait for a deleted dataset", d.Waiting)
	case d.Destroyed && (!d.Deleted || d.Holder != nil || d.DestroyedAt.IsZero()):
		return fmt.Errorf("destroyed, but %+v", *d)
	case d.Size < api.MinSize || d.FS == "" && d.Volume == nil || d.Primary == "" && (d.Holder != nil || d.Pinned) || d.Created.IsZero() || d.Revision == 0:
		return fmt.Errorf("incomplete: %+v", *d)
	}
	seen := map[api.NodeID]bool{}
	for _, w := range d.Waiting {
		if seen[w.Node] {
			return fmt.Errorf("node %s waits twice", w.Node)
		}
		seen[w.Node] = true
	}
	return nil
}

// checkUpkeep reports when upkeep does not come to an end, or forgets something.
func checkUpkeep(s *cluster.State, now time.Time) error {
	due := s.Due()
	out, err := cluster.Upkeep{At: now, Limit: 1000}.Apply(s)
	if err != nil {
		return err
	}
	if due != (len(out.Changes) > 0) {
		return fmt.Errorf("upkeep is due: %t, and has %d changes", due, len(out.Changes))
	}
	after := s.Clone()
	after.Put(out.Changes...)
	if after.Due() {
		return fmt.Errorf("upkeep is due again after upkeep")
	}
	return nil
}

// checkLoaded compares a state with one that is loaded from nothing.
func checkLoaded(s *cluster.State) error {
	all := dump(s)
	fresh := cluster.New()
	for key, value := range all {
		if err := fresh.PutStored(key, []byte(value)); err != nil {
			return err
		}
	}
	if fresh.Tag() != s.Tag() {
		return fmt.Errorf("tag %s, after loading %s", s.Tag(), fresh.Tag())
	}
	if fresh.Due() != s.Due() {
		return fmt.Errorf("upkeep is due: %t, after loading %t", s.Due(), fresh.Due())
	}
	if !maps.Equal(dump(fresh), all) {
		return fmt.Errorf("state differs after loading")
	}
	return nil
}

// checkStep reports what may not happen from one state to the next.
func checkStep(old, s *cluster.State) error {
	for was := range old.Datasets() {
		is := s.Dataset(was.ID)
		switch {
		case is == nil:
			return fmt.Errorf("dataset %s is gone", was.ID)
		case is.Epoch < was.Epoch:
			return fmt.Errorf("dataset %s: epoch fell from %d to %d", was.ID, was.Epoch, is.Epoch)
		case was.Holder != nil && is.Holder != nil && was.Holder.Node != is.Holder.Node && is.Epoch == was.Epoch:
			return fmt.Errorf("dataset %s changed hands within epoch %d", was.ID, is.Epoch)
		case was.Volume != nil && (is.Volume == nil || is.Volume.ID != was.Volume.ID || is.Volume.Backend != was.Volume.Backend ||
			is.Volume.Size < was.Volume.Size):
			return fmt.Errorf("dataset %s: volume changed from %v to %v", was.ID, was.Volume, is.Volume)
		case was.Revoked() && !is.Revoked() && is.Holder != nil && is.Epoch == was.Epoch:
			return fmt.Errorf("dataset %s: a tenure that was ended goes on", was.ID)
		case is.Revoked() && !was.Revoked() && !old.Node(is.Holder.Node).Lost():
			return fmt.Errorf("dataset %s: the tenure of a node that is there was ended", was.ID)
		case was.Deleted && !is.Deleted, was.Destroyed && !is.Destroyed:
			return fmt.Errorf("dataset %s came back", was.ID)
		case is != was && is.Revision <= was.Revision:
			return fmt.Errorf("dataset %s changed at revision %d, was of %d", was.ID, is.Revision, was.Revision)
		}
	}
	for was := range old.Leases() {
		switch is := s.Lease(was.Dataset); {
		case is == nil || is == was:
		case is.Node != was.Node:
			return fmt.Errorf("the lease of dataset %s went from node %s to %s and was not released", was.Dataset, was.Node, is.Node)
		case is.Revision <= was.Revision:
			return fmt.Errorf("the lease of dataset %s changed at revision %d, was of %d", was.Dataset, is.Revision, was.Revision)
		}
	}
	return checkNodes(old, s)
}

// checkNodes reports a node whose streams could be taken for earlier ones, and what
// still refers to one that was removed.
func checkNodes(old, s *cluster.State) error {
	for was := range old.Nodes() {
		is := s.Node(was.ID)
		if is != nil && is.Stream >= was.Stream {
			continue
		}
		if is != nil || s.Meta() == nil || s.Meta().Removed < was.Stream {
			return fmt.Errorf("node %s: stream fell from %d to %+v", was.ID, was.Stream, is)
		}
		for l := range s.LeasesOf(was.ID) {
			return fmt.Errorf("node %s was removed and has the lease of %s", was.ID, l.Dataset)
		}
		for d := range s.Concerning(was.ID) {
			if d.HeldBy(was.ID) || d.AwaitedBy(was.ID) || d.FencedBy(was.ID) || d.UserOn(was.ID) != nil || d.Pinned && d.Primary == was.ID {
				return fmt.Errorf("node %s was removed, and dataset %s refers to it: %+v", was.ID, d.ID, *d)
			}
		}
		for d := range s.Datasets() {
			if st := s.DatasetState(d.ID); st != nil && st.Node == was.ID || s.Hint(d.ID).For(was.ID) {
				return fmt.Errorf("node %s was removed, and what it said of dataset %s, or was hinted at, is kept", was.ID, d.ID)
			}
		}
		for set := range s.Sets() {
			if slices.ContainsFunc(set.Waiting, func(w api.SetWaiter) bool { return w.Node == was.ID }) {
				return fmt.Errorf("node %s was removed and waits for a member of %s", was.ID, set.Name)
			}
		}
		if s.Ending(was.ID) != nil {
			return fmt.Errorf("node %s was removed and has an end", was.ID)
		}
	}
	for is := range s.Nodes() {
		if old.Node(is.ID) == nil && old.Meta() != nil && old.Revision() > 0 && is.Stream <= old.Meta().Removed && is.Stream > 0 {
			return fmt.Errorf("node %s is new and has stream %d, which a removed node may have had", is.ID, is.Stream)
		}
	}
	return nil
}
