package cluster_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// Rights change while volumes are in use and waited for.

// A node waits for a volume that another one uses, and meanwhile its owner loses the
// right to it: it does not get it when it is free.
func TestWaitersThatLoseTheRightDoNotGetTheVolume(t *testing.T) {
	share := func(d *api.Dataset, with api.Owner, end bool) cluster.Command {
		return cluster.ShareDataset{By: operator, ID: d.ID, With: []api.Owner{with}, End: end}
	}
	chown := func(d *api.Dataset, to api.Owner) cluster.Command {
		return cluster.ChangeOwner{By: operator, ID: d.ID, Owner: to}
	}
	tenancy := func(to api.Tenancy) cluster.Command { return cluster.SetTenancy{By: operator, Tenancy: to} }
	for _, tc := range []struct {
		name           string
		before, after  func(d *api.Dataset) []cluster.Command
		waiter         api.Owner
		preempt, stays bool
	}{
		{"a share ends", func(d *api.Dataset) []cluster.Command { return []cluster.Command{share(d, roleB, false)} },
			func(d *api.Dataset) []cluster.Command { return []cluster.Command{share(d, roleB, true)} }, roleB, false, false},
		{"the share with everyone ends", func(d *api.Dataset) []cluster.Command { return []cluster.Command{share(d, api.Anyone, false)} },
			func(d *api.Dataset) []cluster.Command { return []cluster.Command{share(d, api.Anyone, true)} }, api.Anyone, false, false},
		{"another share ends", func(d *api.Dataset) []cluster.Command {
			return []cluster.Command{share(d, roleB, false), share(d, "role:c", false)}
		},
			func(d *api.Dataset) []cluster.Command { return []cluster.Command{share(d, "role:c", true)} }, roleB, false, true},
		{"the volume gets another owner", nil,
			func(d *api.Dataset) []cluster.Command { return []cluster.Command{chown(d, roleB)} }, roleA, false, false},
		{"the volume gets another owner, and the former one pre-empts", nil,
			func(d *api.Dataset) []cluster.Command { return []cluster.Command{chown(d, roleB)} }, roleA, true, false},
		{"the former owner, which pre-empts, has it shared", nil, func(d *api.Dataset) []cluster.Command {
			return []cluster.Command{chown(d, roleB), share(d, roleA, false)}
		}, roleA, true, false},
		{"a volume of everyone gets an owner", func(d *api.Dataset) []cluster.Command { return []cluster.Command{chown(d, api.Anyone)} },
			func(d *api.Dataset) []cluster.Command { return []cluster.Command{chown(d, roleA)} }, api.Anyone, true, false},
		{"owners are kept apart from now on", func(*api.Dataset) []cluster.Command { return []cluster.Command{tenancy(api.TenancyShared)} },
			func(*api.Dataset) []cluster.Command { return []cluster.Command{tenancy(api.TenancyOwners)} }, roleB, false, false},
		{"owners are kept apart again, and a stranger pre-empts", func(*api.Dataset) []cluster.Command { return []cluster.Command{tenancy(api.TenancyShared)} },
			func(*api.Dataset) []cluster.Command { return []cluster.Command{tenancy(api.TenancyOwners)} }, roleB, true, false},
		{"owners are kept apart no longer", nil,
			func(*api.Dataset) []cluster.Command { return []cluster.Command{tenancy(api.TenancyShared)} }, roleA, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newTenants(t, api.TenancyOwners)
			d := w.must(w.find("n1", roleA, "db")).Dataset
			if tc.before != nil {
				for _, cmd := range tc.before(d) {
					w.must(cmd)
				}
			}
			claim := w.find("n2", tc.waiter, "db")
			claim.Preempt = tc.preempt
			w.must(claim)
			if !w.s.Dataset(d.ID).AwaitedBy("n2") {
				t.Fatal("n2 does not wait")
			}
			for _, cmd := range tc.after(d) {
				w.must(cmd)
			}
			for w.s.Due() {
				w.must(cluster.Upkeep{At: w.now, Limit: 10})
			}
			if now := w.s.Dataset(d.ID); now.AwaitedBy("n2") != tc.stays || now.Preempted() != (tc.stays && tc.preempt) || !now.HeldBy("n1") {
				t.Errorf("got holder %+v and waiting %+v", now.Holder, now.Waiting)
			}
			w.release(d.ID, "n1")
			if got := w.s.Dataset(d.ID).HeldBy("n2"); got != tc.stays {
				t.Errorf("got %v whether n2 holds it, want %v", got, tc.stays)
			}
			if _, err := w.do(w.find("n2", tc.waiter, "db")); (err == nil) != (tc.stays || slices.Contains(w.s.Dataset(d.ID).Shared, tc.waiter)) {
				t.Errorf("asking again: %v", err)
			}
		})
	}
}

// release has a node give a dataset up.
func (w *tenants) release(id api.DatasetID, node api.NodeID) {
	w.t.Helper()
	d := w.s.Dataset(id)
	out := w.must(cluster.Report{At: w.now, Node: node, Stream: 1, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: id, Epoch: d.Epoch, Phase: api.PhaseDetached}, Release: true},
	}})
	if len(out.Refused) > 0 {
		w.t.Fatalf("release: %v", out.Refused)
	}
}

// Also before Upkeep has come to it.
func TestTokenIsNotPassedOnToAStranger(t *testing.T) {
	w := newTenants(t, api.TenancyShared)
	d := w.must(w.find("n1", roleA, "db")).Dataset
	w.must(w.find("n2", roleB, "db"))
	w.must(cluster.SetTenancy{At: w.now, By: operator, Tenancy: api.TenancyOwners})
	w.release(d.ID, "n1")
	if got := w.s.Dataset(d.ID); got.Holder != nil || len(got.Waiting) > 0 {
		t.Errorf("got holder %+v, waiting %+v", got.Holder, got.Waiting)
	}
}

// What a former owner has decided opens nothing of the new one's.
func TestFormerOwnersKeepNoShare(t *testing.T) {
	for _, former := range []api.Owner{roleA, "user:a", api.Anyone} {
		w := newTenants(t, api.TenancyOwners)
		d := w.must(w.find("n1", former, "db")).Dataset
		w.must(cluster.ShareDataset{At: w.now, By: cluster.Actor{Owner: former}, ID: d.ID, With: []api.Owner{roleA, "user:a", api.Anyone}})
		w.must(cluster.ChangeOwner{At: w.now, By: operator, ID: d.ID, Owner: roleB})
		for _, by := range []api.Owner{roleA, "user:a", api.Anyone} {
			if w.s.MayUse(w.s.Dataset(d.ID), cluster.Actor{Owner: by}) {
				t.Errorf("%s shared it, and %s may use it though it is %s's now", former, by, roleB)
			}
		}
	}
}

// An owner that a volume is shared with uses it, and its app's id shuts nobody out.
func TestSharersDoNotNameTheVolume(t *testing.T) {
	for name, use := range map[string]func(w *tenants, set bool) cluster.Command{
		"a container": func(w *tenants, set bool) cluster.Command {
			if set {
				c := w.member("n2", roleB, "c", "a.b.data")
				c.Find.App = "/a.b"
				return c
			}
			c := w.find("n2", roleB, "a.b.data")
			c.Find.App = "/a.b"
			return c
		},
		"an app of Marathon's": func(w *tenants, set bool) cluster.Command {
			v := api.AppVolume{Key: "data", Name: "a.b.data", Spec: &api.VolumeRequest{Key: "data", Name: "a.b.data"}}
			if set {
				v.Set, v.Name, v.Spec.Each = "a.b.data", "a.b.data.0", 1
			}
			return cluster.FollowApp{At: w.now, Replica: "r", App: api.App{ID: "/a.b", Owner: roleB, Wanted: 1, Volumes: []api.AppVolume{v}}, NewID: w.newID, DefaultSize: api.MinSize}
		},
	} {
		for _, set := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				w := newTenants(t, api.TenancyOwners)
				w.put(cluster.Change{Key: cluster.JobKey(api.JobMarathon), Job: &api.Job{Name: api.JobMarathon, Owner: "r"}})
				var first cluster.Command = w.find("n1", roleA, "a.b.data")
				if set {
					first = w.member("n1", roleA, "own", "a.b.data")
				}
				d := w.must(first).Dataset
				if set { // free for the other one
					w.must(cluster.Report{At: w.now, Node: "n1", Stream: 1, Datasets: []api.DatasetReport{{State: api.DatasetState{ID: d.ID}, Free: d.Member.User.Claim}}})
				}
				w.must(cluster.ShareDataset{At: w.now, By: operator, ID: d.ID, With: []api.Owner{roleB}})
				w.must(use(w, set))
				if got := w.s.Dataset(d.ID).App; got != "" {
					t.Errorf("the app %s of %s, which it is shared with, has the name of a volume of %s", got, roleB, roleA)
				}
			})
		}
	}
}

// A volume that is everyone's lies under the name of a set's first member: what a role
// puts into the set from then on is still the role's.
func TestMembersAreTheRolesThoughTheFirstIsEveryones(t *testing.T) {
	for name, second := range map[string]func(w *tenants, by api.Owner) cluster.Command{
		"a container": func(w *tenants, by api.Owner) cluster.Command {
			return w.member("n1", by, "second"+string(by), "kafka")
		},
		"an app of Marathon's": func(w *tenants, by api.Owner) cluster.Command {
			app := api.App{ID: "/" + string(by), Owner: by, Wanted: 2}
			for _, name := range []string{"kafka.0", "kafka.1"} {
				app.Volumes = append(app.Volumes, api.AppVolume{Key: "a", Name: name, Set: "kafka", Spec: &api.VolumeRequest{Key: "a", Name: "kafka", Each: 2}})
			}
			return cluster.FollowApp{At: w.now, Replica: "r", App: app, NewID: w.newID, DefaultSize: api.MinSize}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTenants(t, api.TenancyOwners)
			w.put(cluster.Change{Key: cluster.JobKey(api.JobMarathon), Job: &api.Job{Name: api.JobMarathon, Owner: "r"}})
			trap := w.must(w.find("n2", api.Anyone, "kafka.0")).Dataset
			w.release(trap.ID, "n2")
			w.must(w.member("n1", roleA, "first", "kafka"))
			w.must(second(w, roleA))
			made := w.s.DatasetByName("kafka.1")
			if made == nil || made.Owner != roleA {
				t.Fatalf("got %+v, want a member of %s", made, roleA)
			}
			if _, err := w.do(w.find("n2", roleB, "kafka.5")); api.CodeOf(err) != api.CodeForbidden {
				t.Errorf("a stranger's volume among the members: got %v, want %s", err, api.CodeForbidden)
			}
			if err := w.s.CheckUse(made, cluster.Actor{Owner: roleB}); api.CodeOf(err) != api.CodeForbidden {
				t.Errorf("a stranger, of the role's member: got %v, want %s", err, api.CodeForbidden)
			}
		})
	}
}

// Every command is given by a caller whose owner it checks, or is on the list of those
// that need no owner: a new one is closed until its author has decided.
func TestEveryCommandChecksTheOwnerOrNeedsNone(t *testing.T) {
	w := newTenants(t, api.TenancyOwners)
	d := w.must(w.find("n1", roleA, "db")).Dataset
	checked := map[string]bool{
		// With tests of their own.
		"ClaimMember": true, "SetMembers": true, "FollowApp": true, "ForgetApp": true, "Trim": true,
	}
	for _, cmd := range w.strangers(d, cluster.Actor{Owner: roleB}) {
		checked[reflect.TypeOf(cmd).Name()] = true
	}
	const (
		operators = "REST has it for operators alone (control.forTenants does not name it)"
		node      = "a node speaks of itself and of what it holds, which its stream and epoch prove"
		itself    = "the control service does it by itself"
		wraps     = "the command that it wraps is decided"
	)
	none := map[string]string{
		"GiveUpNode": operators, "DrainNode": operators, "RemoveNode": operators, "AllowInstance": operators, "DropApp": operators,
		"Adopt": operators, "ForgetOrphan": operators,
		"NodeConnect": node, "NodeDisconnect": node, "Report": node, "MesosReport": node, "LeaveSet": node, "NoteOrphans": node, "DropOrphans": node,
		"Upkeep": itself, "StartReplica": itself, "BeatReplica": itself, "StopReplica": itself, "LoseReplica": itself, "ExpireLeases": itself,
		"Prune": itself, "TakeJob": itself, "NoteMarathon": itself, "MakeAhead": itself, "NoteDamage": itself, "Reclaim": itself,
		"Once": wraps, "Bar": wraps,
	}
	found := commandTypes(t)
	for _, name := range found {
		if checked[name] == (none[name] != "") {
			t.Errorf("the command %s must be among the strangers' commands of these tests, or among those that need no owner", name)
		}
	}
	for name := range none {
		if !slices.Contains(found, name) {
			t.Errorf("%s is no command", name)
		}
	}
}

// commandTypes returns the names of all types with a method Apply(*State).
func commandTypes(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Name.Name != "Apply" || f.Recv == nil {
				continue
			}
			if receiver, ok := f.Recv.List[0].Type.(*ast.Ident); ok {
				names = append(names, receiver.Name)
			}
		}
	}
	if len(names) < 30 {
		t.Fatalf("found %d commands only", len(names))
	}
	return names
}

// A consumer that has a member which was given to another owner does not get it again,
// though another member of the set is open to it.
func TestMembersAreNotGivenAgainToFormerOwners(t *testing.T) {
	w := newTenants(t, api.TenancyOwners)
	has := w.must(w.member("n1", roleA, "c1", "kafka")).Dataset
	w.must(w.member("n1", roleA, "c2", "kafka"))
	w.must(w.member("n1", roleA, "c1", "kafka")) // again, while it is its own
	w.must(cluster.ChangeOwner{At: w.now, By: operator, ID: has.ID, Owner: roleB})
	if out, err := w.do(w.member("n1", roleA, "c1", "kafka")); api.CodeOf(err) != api.CodeForbidden {
		t.Errorf("got %+v, %v, want %s", out.Dataset, err, api.CodeForbidden)
	}
}
