package cluster_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

const (
	roleA = api.Owner("role:a")
	roleB = api.Owner("role:b")
)

var operator = cluster.Actor{Owner: "user:root", Operator: true}

// tenants is a cluster that keeps owners apart, with two connected nodes.
type tenants struct {
	t   *testing.T
	s   *cluster.State
	now time.Time
	ids int
}

func newTenants(t *testing.T, tenancy api.Tenancy) *tenants {
	w := &tenants{t: t, s: cluster.New(), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	w.put(cluster.Change{Key: cluster.KeyMeta, Meta: &cluster.Meta{Cluster: "c", Created: w.now, Tenancy: tenancy}})
	for _, n := range []api.NodeID{"n1", "n2"} {
		w.must(cluster.NodeConnect{At: w.now, Node: n, Hello: api.Hello{Agent: string(n), Era: string(n), Backend: "b",
			Capabilities: []string{api.CapabilityGrow}}})
	}
	return w
}

func (w *tenants) put(changes ...cluster.Change) {
	next := w.s.Clone()
	next.Put(changes...)
	next.SetRevision(w.s.Revision() + 1)
	w.s = next
}

func (w *tenants) do(cmd cluster.Command) (cluster.Outcome, error) {
	w.now = w.now.Add(time.Second)
	out, err := cmd.Apply(w.s)
	if err == nil {
		w.put(out.Changes...)
	}
	if err := checkState(w.s); err != nil {
		w.t.Fatalf("after %T: %v", cmd, err)
	}
	return out, err
}

func (w *tenants) must(cmd cluster.Command) cluster.Outcome {
	w.t.Helper()
	out, err := w.do(cmd)
	if err != nil {
		w.t.Fatalf("%T: %v", cmd, err)
	}
	return out
}

func (w *tenants) newID() api.DatasetID {
	w.ids++
	return api.DatasetID(fmt.Sprintf("id-%d", w.ids))
}

func (w *tenants) find(node api.NodeID, owner api.Owner, name string) cluster.Claim {
	return cluster.Claim{At: w.now, Node: node, Stream: 1, Find: &api.DatasetSpec{Name: name}, NewID: w.newID(),
		DefaultSize: api.MinSize, Owner: owner}
}

func (w *tenants) member(node api.NodeID, owner api.Owner, consumer, set string) cluster.ClaimMember {
	return cluster.ClaimMember{At: w.now, Node: node, Stream: 1, Consumer: consumer, Find: api.DatasetSpec{Name: set}, Each: 2,
		NewID: w.newID(), DefaultSize: api.MinSize, Owner: owner}
}

// strangers are all commands by which a caller could take, change or delete a dataset.
func (w *tenants) strangers(d *api.Dataset, by cluster.Actor) map[string]cluster.Command {
	preempt := w.find("n2", by.Owner, d.Name())
	preempt.Preempt = true
	text := "x"
	return map[string]cluster.Command{
		"claim by name":              w.find("n2", by.Owner, d.Name()),
		"claim by id":                cluster.Claim{At: w.now, Node: "n2", Stream: 1, ID: d.ID, Owner: by.Owner},
		"claim by its holder's node": cluster.Claim{At: w.now, Node: "n1", Stream: 1, ID: d.ID, Owner: by.Owner},
		"claim ahead":                cluster.Claim{At: w.now, Node: "n2", Stream: 1, ID: d.ID, Ahead: true, Owner: d.Owner},
		"pre-empt":                   preempt,
		"delete":                     cluster.Delete{At: w.now, By: by, ID: d.ID},
		"move":                       cluster.Move{At: w.now, By: by, ID: d.ID, Primary: "n2"},
		"grow":                       cluster.ChangeDataset{At: w.now, By: by, ID: d.ID, Size: 2 * api.MinSize},
		"rename":                     cluster.ChangeDataset{At: w.now, By: by, ID: d.ID, Metadata: map[string]*string{api.MetadataName: &text}},
		"note":                       cluster.ChangeDataset{At: w.now, By: by, ID: d.ID, Metadata: map[string]*string{"k": &text}},
		"undelete":                   cluster.Undelete{At: w.now, By: by, ID: d.ID},
		"lease":                      cluster.AcquireLease{At: w.now, By: by, Dataset: d.ID, Node: "n1"},
		"release of a lease":         cluster.ReleaseLease{At: w.now, By: by, Dataset: d.ID},
		"share":                      cluster.ShareDataset{At: w.now, By: by, ID: d.ID, With: []api.Owner{by.Owner}},
		"unshare":                    cluster.ShareDataset{At: w.now, By: by, ID: d.ID, With: []api.Owner{by.Owner}, End: true},
		"chown":                      cluster.ChangeOwner{At: w.now, By: by, ID: d.ID, Owner: by.Owner},
		"create of the same name":    cluster.Create{At: w.now, By: by, ID: w.newID(), Primary: "n2", DefaultSize: api.MinSize, Metadata: map[string]string{api.MetadataName: d.Name()}},
		"create for the owner":       cluster.Create{At: w.now, By: by, Owner: d.Owner, ID: w.newID(), Primary: "n2", DefaultSize: api.MinSize},
		"tenancy":                    cluster.SetTenancy{At: w.now, By: by, Tenancy: api.TenancyShared},
		"quota":                      cluster.SetQuota{At: w.now, By: by, Owner: by.Owner, Quota: api.Quota{Volumes: 1}},
	}
}

// used are those commands that an owner may give with which the dataset is shared.
var used = []string{"claim by name", "claim by id", "claim by its holder's node"}

func TestStrangersNeitherTakeNorChangeNorDelete(t *testing.T) {
	for _, tc := range []struct {
		name  string
		owner api.Owner
		by    api.Owner
		share api.Owner
	}{
		{"another role", roleA, roleB, ""},
		{"a door without an identity", roleA, api.Anyone, ""},
		{"a role that is not known", roleA, api.OwnerUnknown, ""},
		{"a user of the role's name", roleA, "user:a", ""},
		{"a role of the user's name", "user:a", roleA, ""},
		{"a role of which the owner's name is the beginning", roleA, "role:a/b", ""},
		{"a role that it is shared with", roleA, roleB, roleB},
		{"a role, of what is shared with everyone", roleA, roleB, api.Anyone},
		{"a door without an identity, of what is shared with everyone", roleA, api.Anyone, api.Anyone},
		{"a door without an identity, of what is shared with a role", roleA, api.Anyone, roleB},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newTenants(t, api.TenancyOwners)
			d := w.must(w.find("n1", tc.owner, "db")).Dataset
			w.must(cluster.AcquireLease{At: w.now, By: operator, Dataset: d.ID, Node: "n1"})
			if tc.share != "" {
				w.must(cluster.ShareDataset{At: w.now, By: cluster.Actor{Owner: tc.owner}, ID: d.ID, With: []api.Owner{tc.share}})
			}
			open := tc.share == api.Anyone || tc.share == tc.by
			before := dump(w.s)
			for name, cmd := range w.strangers(d, cluster.Actor{Owner: tc.by}) {
				out, err := cmd.Apply(w.s)
				if open && slices.Contains(used, name) {
					if err != nil {
						t.Errorf("%s: got %v, want it to be allowed", name, err)
					}
					continue
				}
				if err == nil {
					t.Errorf("%s: got %d changes, want it to be refused", name, len(out.Changes))
				}
				if code := api.CodeOf(err); err != nil && code != api.CodeForbidden && code != api.CodeConflict && (code != api.CodeInvalid || tc.by != api.OwnerUnknown) {
					t.Errorf("%s: got %v (%s)", name, err, code)
				}
			}
			if after := dump(w.s); len(after) != len(before) {
				t.Errorf("refused commands changed the state")
			}
		})
	}
}

func TestOwnersOperatorsAndOneTrustDomainMayDoEverything(t *testing.T) {
	for _, tc := range []struct {
		name    string
		tenancy api.Tenancy
		owner   api.Owner
		by      cluster.Actor
	}{
		{"its owner", api.TenancyOwners, roleA, cluster.Actor{Owner: roleA}},
		{"an operator", api.TenancyOwners, roleA, operator},
		{"anyone, of what anyone made", api.TenancyOwners, api.Anyone, cluster.Actor{Owner: roleB}},
		{"a stranger in one trust domain", api.TenancyShared, roleA, cluster.Actor{Owner: roleB}},
		{"a stranger in a log of before", "", roleA, cluster.Actor{Owner: roleB}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			operators := map[string]bool{"chown": true, "create for the owner": true, "tenancy": true, "quota": true}
			never := map[string]bool{"create of the same name": true, "claim ahead": true}
			w := newTenants(t, tc.tenancy)
			d := w.must(w.find("n1", tc.owner, "db")).Dataset
			w.must(cluster.AcquireLease{At: w.now, By: operator, Dataset: d.ID, Node: "n1"})
			for name, cmd := range w.strangers(d, tc.by) {
				if c, ok := cmd.(cluster.Claim); ok && tc.by.Operator {
					c.Owner = roleA // nodes are no operators
					cmd = c
				}
				_, err := cmd.Apply(w.s)
				if never[name] || operators[name] && !tc.by.Operator && (name != "create for the owner" || tc.by.Owner != tc.owner) {
					continue
				}
				if err != nil {
					t.Errorf("%s: got %v", name, err)
				}
			}
		})
	}
}

func TestUnsharedIsClosedAgain(t *testing.T) {
	w := newTenants(t, api.TenancyOwners)
	d := w.must(w.find("n1", roleA, "db")).Dataset
	own := cluster.Actor{Owner: roleA}
	w.must(cluster.ShareDataset{At: w.now, By: own, ID: d.ID, With: []api.Owner{roleB}})
	w.must(w.find("n2", roleB, "db"))
	w.must(cluster.ShareDataset{At: w.now, By: own, ID: d.ID, With: []api.Owner{roleB}, End: true})
	if _, err := w.do(w.find("n2", roleB, "db")); api.CodeOf(err) != api.CodeForbidden {
		t.Errorf("got %v, want %s", err, api.CodeForbidden)
	}
	w.must(cluster.ChangeOwner{At: w.now, By: operator, ID: d.ID, Owner: roleB})
	w.must(w.find("n2", roleB, "db"))
	if _, err := w.do(w.find("n1", roleA, "db")); api.CodeOf(err) != api.CodeForbidden {
		t.Errorf("the former owner: got %v, want %s", err, api.CodeForbidden)
	}
}

func TestSetsBelongToTheirOwner(t *testing.T) {
	w := newTenants(t, api.TenancyOwners)
	first := w.must(w.member("n1", roleA, "c1", "kafka")).Dataset
	if first == nil || first.Owner != roleA {
		t.Fatalf("got %+v, want a member of %s", first, roleA)
	}
	for name, cmd := range map[string]cluster.Command{
		"a member":           w.member("n2", roleB, "c2", "kafka"),
		"a member by its id": func() cluster.Command { c := w.member("n2", roleB, "c2", "kafka"); c.ID = first.ID; return c }(),
		"a place in the set": w.find("n2", roleB, "kafka.1"),
		"how many there are": cluster.SetMembers{At: w.now, Owner: roleB, Name: "kafka", Count: 9},
		"a place, by REST":   cluster.Create{At: w.now, By: cluster.Actor{Owner: roleB}, ID: w.newID(), Primary: "n2", DefaultSize: api.MinSize, Metadata: map[string]string{api.MetadataName: "kafka.7"}},
	} {
		if _, err := w.do(cmd); api.CodeOf(err) != api.CodeForbidden {
			t.Errorf("%s: got %v, want %s", name, err, api.CodeForbidden)
		}
	}
	w.must(cluster.ShareDataset{At: w.now, By: cluster.Actor{Owner: roleA}, ID: first.ID, With: []api.Owner{roleB}})
	if out := w.must(w.member("n2", roleB, "c2", "kafka")); out.Dataset != nil {
		t.Errorf("got %s: sharing one member made another one", out.Dataset.Name())
	}
	if out := w.must(w.member("n2", roleA, "c3", "kafka")); out.Dataset == nil || out.Dataset.Owner != roleA {
		t.Errorf("the owner: got %+v, want a second member", out.Dataset)
	}
}

func TestQuotasHoldWhereverVolumesAreMade(t *testing.T) {
	follow := func(w *tenants, names ...string) cluster.FollowApp {
		app := api.App{ID: "/app", Owner: roleA, Wanted: 1}
		for _, name := range names {
			app.Volumes = append(app.Volumes, api.AppVolume{Key: name, Name: name, Spec: &api.VolumeRequest{Key: name, Name: name}})
		}
		return cluster.FollowApp{At: w.now, Replica: "r", App: app, NewID: w.newID, DefaultSize: api.MinSize}
	}
	w := newTenants(t, api.TenancyOwners)
	w.put(cluster.Change{Key: cluster.JobKey(api.JobMarathon), Job: &api.Job{Name: api.JobMarathon, Owner: "r"}})
	w.must(cluster.SetQuota{At: w.now, By: operator, Owner: roleA, Quota: api.Quota{Volumes: 2, Bytes: 4 * api.MinSize}})
	one := w.must(w.find("n1", roleA, "one")).Dataset
	out := w.must(follow(w, "two", "three", "four"))
	failures := 0
	for _, v := range out.App.Volumes {
		if v.Failure != "" {
			failures++
		}
	}
	if failures != 2 || w.s.Usage(roleA).Volumes != 2 {
		t.Errorf("an app: got %d refused and %d volumes, want 2 and 2", failures, w.s.Usage(roleA).Volumes)
	}
	by := cluster.Actor{Owner: roleA}
	for name, cmd := range map[string]cluster.Command{
		"claim":             w.find("n1", roleA, "five"),
		"create":            cluster.Create{At: w.now, By: by, ID: w.newID(), Primary: "n1", DefaultSize: api.MinSize},
		"grow":              cluster.ChangeDataset{At: w.now, By: by, ID: one.ID, Size: 4 * api.MinSize},
		"grow by very much": cluster.ChangeDataset{At: w.now, By: by, ID: one.ID, Size: 1 << 45},
	} {
		if _, err := w.do(cmd); api.CodeOf(err) != api.CodeForbidden {
			t.Errorf("%s: got %v, want %s", name, err, api.CodeForbidden)
		}
	}
	if out := w.must(w.member("n1", roleA, "c", "set")); out.Dataset != nil {
		t.Errorf("a member of a set: got %s beyond the quota", out.Dataset.Name())
	}
	other := w.must(w.find("n1", roleB, "other")).Dataset
	if _, err := w.do(cluster.ChangeOwner{At: w.now, By: operator, ID: other.ID, Owner: roleA}); api.CodeOf(err) != api.CodeForbidden {
		t.Errorf("a change of the owner: got %v, want %s", err, api.CodeForbidden)
	}
	w.must(cluster.ChangeDataset{At: w.now, By: by, ID: one.ID, Size: 3 * api.MinSize})
	w.must(cluster.Delete{At: w.now, By: by, ID: w.s.DatasetByName("two").ID}) // it never had a volume
	if !w.s.Due() {
		t.Error("a volume is gone, and nobody gives the waiter of the set its member")
	}
	w.must(cluster.Upkeep{At: w.now, Limit: 10})
	if d := w.s.DatasetByName("set.0"); d == nil || d.Member.User == nil {
		t.Errorf("got %+v, want the member of the set, for which there is room now", d)
	}
	w.must(cluster.SetQuota{At: w.now, By: operator, Owner: api.QuotaDefault, Quota: api.Quota{Volumes: 1}})
	if _, err := w.do(w.find("n1", roleB, "second")); api.CodeOf(err) != api.CodeForbidden {
		t.Errorf("the default quota: got %v, want %s", err, api.CodeForbidden)
	}
}

func TestAppsReclaimOnlyWhatIsTheirs(t *testing.T) {
	for _, tc := range []struct {
		name  string
		app   api.Owner
		any   bool
		share bool
		want  bool
	}{
		{"its own", roleA, false, false, true},
		{"another owner's", roleB, false, false, false},
		{"what is shared with it", roleB, false, true, false},
		{"its owner's, by a door without an identity", roleA, true, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newTenants(t, api.TenancyOwners)
			w.put(cluster.Change{Key: cluster.JobKey(api.JobMarathon), Job: &api.Job{Name: api.JobMarathon, Owner: "r"}})
			d := w.must(w.find("n1", roleA, "db")).Dataset
			if tc.share {
				w.must(cluster.ShareDataset{At: w.now, By: cluster.Actor{Owner: roleA}, ID: d.ID, With: []api.Owner{roleB}})
			}
			app := api.App{ID: "/app", Owner: tc.app, Wanted: 1, Volumes: []api.AppVolume{{Key: "db", Name: "db", Reclaim: api.ReclaimDelete,
				Anyone: tc.any, Spec: &api.VolumeRequest{Key: "db", Name: "db"}}}}
			out := w.must(cluster.FollowApp{At: w.now, Replica: "r", App: app, NewID: w.newID, DefaultSize: api.MinSize})
			w.must(cluster.ForgetApp{At: w.now, Replica: "r", ID: "/app", Revision: out.App.Revision, Reclaim: true})
			if got := w.s.Dataset(d.ID).Reclaim != nil; got != tc.want {
				t.Errorf("got %v whether it is to be deleted, want %v", got, tc.want)
			}
		})
	}
}

func TestAppsWhoseIDsBecomeOneNameDoNotShareAVolumeUntold(t *testing.T) {
	for _, tenancy := range []api.Tenancy{api.TenancyShared, api.TenancyOwners} {
		w := newTenants(t, tenancy)
		w.put(cluster.Change{Key: cluster.JobKey(api.JobMarathon), Job: &api.Job{Name: api.JobMarathon, Owner: "r"}})
		claim := func(app string) cluster.Claim {
			c := w.find("n1", roleA, "a.b.data")
			c.Find.App = api.NamedAfter(app, "data", "a.b.data")
			return c
		}
		member := func(app string) cluster.ClaimMember {
			c := w.member("n1", roleA, "c"+app, "a.b.set")
			c.Find.App = api.NamedAfter(app, "set", "a.b.set")
			return c
		}
		follow := func(app, key, name string) string {
			a := api.App{ID: app, Owner: roleA, Wanted: 1, Volumes: []api.AppVolume{{Key: key, Name: name, Spec: &api.VolumeRequest{Key: key, Name: name}}}}
			return w.must(cluster.FollowApp{At: w.now, Replica: "r", App: a, NewID: w.newID, DefaultSize: api.MinSize}).App.Volumes[0].Failure
		}
		w.must(claim("/a/b"))
		w.must(claim("a/b/")) // the same
		if _, err := w.do(claim("/a.b")); api.CodeOf(err) != api.CodeConflict {
			t.Errorf("%s: a claim: got %v, want %s", tenancy, err, api.CodeConflict)
		}
		w.must(claim("")) // by a name that was given
		w.must(member("/a/b"))
		if _, err := w.do(member("/a.b")); api.CodeOf(err) != api.CodeConflict {
			t.Errorf("%s: a member: got %v, want %s", tenancy, err, api.CodeConflict)
		}
		if why := follow("/a.b", "data", "a.b.data"); why == "" {
			t.Errorf("%s: an app that Marathon has got the volume of another one", tenancy)
		}
		if why := follow("/a/b", "data", "a.b.data"); why != "" {
			t.Errorf("%s: the app itself: %s", tenancy, why)
		}
		// Of before there was a note of the app, the first one keeps it.
		w.must(cluster.Create{At: w.now, By: operator, Owner: roleA, ID: w.newID(), Primary: "n1", DefaultSize: api.MinSize, Metadata: map[string]string{api.MetadataName: "x.y.data"}})
		if why := follow("/x/y", "data", "x.y.data"); why != "" {
			t.Errorf("%s: %s", tenancy, why)
		}
		if why := follow("/x.y", "data", "x.y.data"); why == "" {
			t.Errorf("%s: two apps share a volume of before, and are not told", tenancy)
		}
	}
}

func TestOwnersSurviveEncodingAndRestore(t *testing.T) {
	w := newTenants(t, api.TenancyOwners)
	d := w.must(w.find("n1", roleA, "db")).Dataset
	w.must(cluster.ShareDataset{At: w.now, By: operator, ID: d.ID, With: []api.Owner{roleB}})
	w.must(cluster.SetQuota{At: w.now, By: operator, Owner: roleA, Quota: api.Quota{Volumes: 3}})
	var records []cluster.Change
	for key, value := range map[cluster.Key]any{cluster.DatasetKey(d.ID): w.s.Dataset(d.ID), cluster.KeyMeta: w.s.Meta()} {
		c := cluster.Change{Key: key}
		switch v := value.(type) {
		case *api.Dataset:
			c.Dataset = v
		case *cluster.Meta:
			c.Meta = v
		}
		text, err := cluster.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = cluster.Decode(key, text); err != nil {
			t.Fatal(err)
		}
		records = append(records, c)
	}
	_, restored, err := cluster.Restored(7, records, w.now)
	if err != nil {
		t.Fatal(err)
	}
	s := cluster.New()
	s.Put(restored...)
	got := s.Dataset(d.ID)
	if got.Owner != roleA || !slices.Equal(got.Shared, []api.Owner{roleB}) || s.Tenancy() != api.TenancyOwners || s.Usage(roleA).Volumes != 1 {
		t.Errorf("got owner %s, shared with %v, tenancy %s, usage %+v", got.Owner, got.Shared, s.Tenancy(), s.Usage(roleA))
	}
	if q, own, ok := s.Quota(roleA); !ok || !own || q.Volumes != 3 {
		t.Errorf("got quota %+v", q)
	}
}
