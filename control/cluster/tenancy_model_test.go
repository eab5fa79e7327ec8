package cluster_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// Callers of several owners, nodes of theirs and an operator give random commands.
// However these follow each other: no command of a stranger changes, takes or deletes a
// dataset, one that it is shared with does no more than use it, and no owner gets beyond
// its quota.
func TestNoSequenceOfCommandsCrossesOwners(t *testing.T) {
	tried := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		w := newTenants(t, api.TenancyOwners)
		w.put(cluster.Change{Key: cluster.JobKey(api.JobMarathon), Job: &api.Job{Name: api.JobMarathon, Owner: "r"}})
		owners := []api.Owner{roleA, roleB, "user:a", api.Anyone, api.OwnerUnknown}
		names := []string{"x", "y", "set", "set.0", "set.1"}
		pick := rapid.SampledFrom(owners)
		rt.Repeat(map[string]func(*rapid.T){
			"": func(rt *rapid.T) {
				for w.s.Due() { // so that no command has the effect of an earlier one
					w.must(cluster.Upkeep{At: w.now, Limit: 8})
				}
				if err := strangersWait(w.s); err != nil {
					rt.Fatal(err)
				}
				if err := checkState(w.s); err != nil {
					rt.Fatal(err)
				}
			},
			"operator": func(rt *rapid.T) {
				switch owner := pick.Draw(rt, "owner"); rapid.IntRange(0, 6).Draw(rt, "what") {
				case 0:
					_, _ = w.do(cluster.SetQuota{At: w.now, By: operator, Owner: owner, Quota: api.Quota{Volumes: rapid.IntRange(0, 3).Draw(rt, "n")}})
				case 1:
					_, _ = w.do(cluster.ChangeOwner{At: w.now, By: operator, ID: w.any(rt), Owner: owner})
				case 2:
					_, _ = w.do(cluster.Upkeep{At: w.now, Limit: 8})
				case 3:
					_, _ = w.do(cluster.ShareDataset{At: w.now, By: operator, ID: w.any(rt), With: []api.Owner{owner}, End: rapid.Bool().Draw(rt, "end")})
				case 4:
					for _, tenancy := range []api.Tenancy{api.TenancyShared, api.TenancyOwners} { // and strangers come between
						w.must(cluster.SetTenancy{At: w.now, By: operator, Tenancy: tenancy})
						if tenancy == api.TenancyShared {
							_, _ = w.do(w.random(rt, cluster.Actor{Owner: owner}, rapid.SampledFrom(names).Draw(rt, "name")))
						}
					}
				case 5:
					w.ends(rt)
				case 6:
					d := w.s.Dataset(w.any(rt))
					if d != nil && !d.Deleted && d.Holder != nil && len(d.Waiting) > 0 {
						w.release(d.ID, d.Holder.Node)
						tried["released"]++
						if now := w.s.Dataset(d.ID); now.Holder != nil && !slices.ContainsFunc(d.Waiting, func(wait api.Waiter) bool {
							return wait.Node == now.Holder.Node && d.OpenTo(wait.Owner)
						}) && !d.Pinned {
							rt.Fatalf("dataset %s of %s, for which %+v waited, went to %s", d.Name(), d.Owner, d.Waiting, now.Holder.Node)
						}
					}
				}
			},
			"caller": func(rt *rapid.T) {
				by := cluster.Actor{Owner: pick.Draw(rt, "owner")}
				cmd := w.random(rt, by, rapid.SampledFrom(names).Draw(rt, "name"))
				before := w.s
				out, err := w.do(cmd)
				if err != nil {
					tried["refused"]++
					return
				}
				if len(out.Changes) > 0 {
					tried[fmt.Sprintf("%T", cmd)]++
				}
				if err := crossed(before, w.s, by); err != nil {
					rt.Fatalf("%T of %s: %v", cmd, by.Owner, err)
				}
			},
		})
	})
	for _, what := range []string{"refused", "cluster.Claim", "cluster.ClaimMember", "cluster.FollowApp", "cluster.ForgetApp", "cluster.Delete", "cluster.ShareDataset", "released"} {
		if tried[what] == 0 {
			t.Errorf("%s never happened: %v", what, tried)
		}
	}
}

// strangersWait reports a waiter that may not have what it waits for.
func strangersWait(s *cluster.State) error {
	for d := range s.Datasets() {
		for _, wait := range d.Waiting {
			if !d.OpenTo(wait.Owner) || wait.Preempt && !d.OwnedBy(wait.Owner) {
				return fmt.Errorf("dataset %s of %s, shared with %v, has the waiter %+v", d.Name(), d.Owner, d.Shared, wait)
			}
		}
	}
	return nil
}

// ends has the user of a member end.
func (w *tenants) ends(rt *rapid.T) {
	d := w.s.Dataset(w.any(rt))
	if d == nil || d.Member == nil || d.Member.User == nil {
		return
	}
	w.must(cluster.Report{At: w.now, Node: d.Member.User.Node, Stream: 1, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: d.ID}, Free: d.Member.User.Claim}}})
}

// any returns the id of some dataset, or of none.
func (w *tenants) any(rt *rapid.T) api.DatasetID {
	ids := []api.DatasetID{"none"}
	for d := range w.s.Datasets() {
		ids = append(ids, d.ID)
	}
	return rapid.SampledFrom(ids).Draw(rt, "dataset")
}

func (w *tenants) random(rt *rapid.T, by cluster.Actor, name string) cluster.Command {
	node := rapid.SampledFrom([]api.NodeID{"n1", "n2"}).Draw(rt, "node")
	id := w.any(rt)
	size := int64(rapid.IntRange(1, 4).Draw(rt, "size")) * api.MinSize
	switch rapid.IntRange(0, 13).Draw(rt, "command") {
	case 0:
		c := w.find(node, by.Owner, name)
		c.Preempt = rapid.Bool().Draw(rt, "preempt")
		return c
	case 1:
		return cluster.Claim{At: w.now, Node: node, Stream: 1, ID: id, Owner: by.Owner, Preempt: rapid.Bool().Draw(rt, "preempt")}
	case 2:
		return w.member(node, by.Owner, rapid.SampledFrom([]string{"c1", "c2"}).Draw(rt, "consumer")+string(by.Owner), "set")
	case 3:
		return cluster.SetMembers{At: w.now, Owner: by.Owner, Name: "set", Count: rapid.IntRange(-1, 3).Draw(rt, "count")}
	case 4:
		return cluster.Delete{At: w.now, By: by, ID: id}
	case 5:
		return cluster.Move{At: w.now, By: by, ID: id, Primary: node}
	case 6:
		return cluster.ChangeDataset{At: w.now, By: by, ID: id, Size: size}
	case 7:
		return cluster.ChangeDataset{At: w.now, By: by, ID: id, Metadata: map[string]*string{api.MetadataName: &name}}
	case 8:
		return cluster.Undelete{At: w.now, By: by, ID: id}
	case 9:
		return cluster.AcquireLease{At: w.now, By: by, Dataset: id, Node: node}
	case 10:
		return cluster.ReleaseLease{At: w.now, By: by, Dataset: id}
	case 11:
		with := rapid.SampledFrom([]api.Owner{roleA, roleB, api.Anyone}).Draw(rt, "with")
		return cluster.ShareDataset{At: w.now, By: by, ID: id, With: []api.Owner{with}, End: rapid.Bool().Draw(rt, "end")}
	case 12:
		app := api.App{ID: "/" + string(by.Owner), Owner: by.Owner, Wanted: 1, Volumes: []api.AppVolume{
			{Key: "a", Name: name, Reclaim: api.ReclaimDelete, Spec: &api.VolumeRequest{Key: "a", Name: name}}}}
		hints := map[string]api.Hint{name: {Node: node, Instance: "i", Until: w.now.Add(cluster.MaxHint)}}
		return cluster.FollowApp{At: w.now, Replica: "r", App: app, Hints: hints, NewID: w.newID, DefaultSize: api.MinSize}
	default:
		c := cluster.ForgetApp{At: w.now, Replica: "r", ID: "/" + string(by.Owner), Reclaim: true}
		if app := w.s.App(c.ID); app != nil {
			c.Revision = app.Revision
		}
		return c
	}
}

// crossed reports what a command of an actor did to what it does not own.
func crossed(before, after *cluster.State, by cluster.Actor) error {
	for d := range after.Datasets() {
		old := before.Dataset(d.ID)
		if quota, _, ok := after.Quota(d.Owner); ok && quota.Volumes > 0 {
			if was, has := before.Usage(d.Owner).Volumes, after.Usage(d.Owner).Volumes; has > was && has > quota.Volumes {
				return fmt.Errorf("owner %s has %d volumes now, and its quota is %d", d.Owner, has, quota.Volumes)
			}
		}
		switch {
		case old == nil || old == d || old.OwnedBy(by.Owner):
			continue
		case !old.OpenTo(by.Owner):
			return fmt.Errorf("dataset %s of %s became %+v", d.Name(), old.Owner, d)
		}
		// Use alone: who has it, who waits, and that it is wanted again.
		was, is := old.Clone(), d.Clone()
		for _, c := range []*api.Dataset{was, is} {
			c.Revision, c.Primary, c.Pinned, c.Holder, c.Epoch, c.Waiting, c.Fence = 0, "", false, nil, 0, nil, nil
			if c.Reclaim = nil; c.Member != nil {
				c.Member = &api.Member{Set: c.Member.Set, Index: c.Member.Index}
			}
		}
		if !reflect.DeepEqual(was, is) || d.Reclaim != nil && old.Reclaim == nil {
			return fmt.Errorf("dataset %s, shared by %s, became %+v", d.Name(), old.Owner, d)
		}
		for _, waiter := range d.Waiting {
			if waiter.Preempt && !reflect.DeepEqual(old.Waiting, d.Waiting) {
				return fmt.Errorf("dataset %s, shared by %s, is pre-empted", d.Name(), old.Owner)
			}
		}
	}
	for l := range before.Leases() {
		if d := before.Dataset(l.Dataset); after.Lease(l.Dataset) == nil && d != nil && !d.OwnedBy(by.Owner) {
			return fmt.Errorf("the lease of dataset %s of %s has ended", d.Name(), d.Owner)
		}
	}
	for l := range after.Leases() {
		if d := after.Dataset(l.Dataset); before.Lease(l.Dataset) == nil && (d == nil || !d.OwnedBy(by.Owner)) {
			return fmt.Errorf("dataset %s has a lease of a stranger's", l.Dataset)
		}
	}
	for d := range after.Datasets() {
		if h := after.Hint(d.ID); h != nil && before.Hint(d.ID) != h && !d.OpenTo(by.Owner) {
			return fmt.Errorf("dataset %s of %s has a hint %+v", d.Name(), d.Owner, h)
		}
	}
	return nil
}
