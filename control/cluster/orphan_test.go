package cluster_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func stray(id api.DatasetID, name string) api.InventoryVolume {
	return api.InventoryVolume{ID: "vol-" + string(id), Dataset: id, Name: name, Size: 1 << 30}
}

func (b *bench) note(n api.NodeID, volumes ...api.InventoryVolume) {
	b.t.Helper()
	b.do(cluster.NoteOrphans{At: b.now, Node: n, Stream: b.s.Node(n).Stream, Volumes: volumes})
}

// TestAnAppThatWaitsForAnOrphanGetsItOnceItIsAdopted is what an app sees after the log
// was lost.
func TestAnAppThatWaitsForAnOrphanGetsItOnceItIsAdopted(t *testing.T) {
	b := newBench(t, "n1", "n2")
	b.note("n1", stray("lost", "db"))
	d := b.do(b.find("n2", api.DatasetSpec{Name: "db"})).Dataset
	if d.ID != "lost" || d.Blocked == "" || d.Volume != nil {
		t.Fatalf("who asks for the name gets %+v, want to wait for the orphan", d)
	}
	if err := b.report("n2", "lost", api.DatasetReport{State: api.DatasetState{Phase: api.PhaseMounted}, Volume: &api.Volume{ID: "empty", Backend: "x"}}); err == nil {
		t.Error("an empty volume was registered beside the orphan")
	}
	b.note("n2", stray("lost", "db")) // its dataset, which waits, does not make it known
	if n := b.s.CountOrphans(); n != 1 {
		t.Fatalf("there are %d orphans, want 1", n)
	}
	got := b.do(cluster.Adopt{At: b.now, Orphan: "db"}).Dataset
	if got.ID != "lost" || got.Blocked != "" || got.Volume == nil || got.Volume.ID != "vol-lost" || !got.HeldBy("n2") || got.FS != "" || got.Size != 1<<30 {
		t.Errorf("adopted: %+v", got)
	}
	if b.s.CountOrphans() != 0 {
		t.Error("the orphan is still there")
	}
}

// TestADatasetOfBeforeTheInventoryMakesWay has a claim come before the first inventory.
func TestADatasetOfBeforeTheInventoryMakesWay(t *testing.T) {
	b := newBench(t, "n1")
	b.do(b.find("n1", api.DatasetSpec{Name: "db"}))
	b.note("n1", stray("lost", "db"))
	if d := b.s.Dataset("new"); d.Blocked == "" {
		t.Fatalf("a volume may be made for %+v", d)
	}
	b.do(cluster.Adopt{At: b.now, Orphan: "lost"})
	if d := b.s.DatasetByName("db"); d == nil || d.ID != "lost" {
		t.Errorf("the name leads to %+v", d)
	}
	if d := b.s.Dataset("new"); !d.Destroyed {
		t.Errorf("what never had a volume is still there: %+v", d)
	}
}

func TestOrphansKeepTheirNamesAndIDs(t *testing.T) {
	b := newBench(t, "n1")
	b.create("other", "n1", "other")
	b.note("n1", stray("lost", "db"))
	create := func(id api.DatasetID, name string) cluster.Create {
		return cluster.Create{At: b.now, ID: id, Primary: "n1", DefaultSize: 1 << 30, Metadata: map[string]string{api.MetadataName: name}}
	}
	b.refused(create("x", "db"), api.CodeConflict, "flocker volumes adopt db")
	b.refused(create("lost", "free"), api.CodeConflict, "flocker volumes adopt")
	name := "db"
	b.refused(cluster.ChangeDataset{At: b.now, ID: "other", Metadata: map[string]*string{api.MetadataName: &name}}, api.CodeConflict, "flocker volumes adopt")
	b.refused(cluster.Adopt{At: b.now, Orphan: "nothing"}, api.CodeNotFound, "no orphan")
	b.refused(cluster.Adopt{At: b.now, Orphan: "db", Name: "other"}, api.CodeConflict, "--name")
	b.do(cluster.ForgetOrphan{Orphan: "db"})
	b.do(create("x", "db"))
}

// TestDeletingWhatWaitsForAnOrphanLeavesTheOrphanAlone checks that no node is asked to
// destroy the volume that the storage has under the dataset's id.
func TestDeletingWhatWaitsForAnOrphanLeavesTheOrphanAlone(t *testing.T) {
	b := newBench(t, "n1")
	b.note("n1", stray("lost", "db"))
	b.do(b.find("n1", api.DatasetSpec{Name: "db"}))
	if d := b.do(cluster.Delete{At: b.now, ID: "lost"}).Dataset; !d.Destroyed || d.Holder != nil {
		t.Errorf("deleted: %+v, want nothing left to do for a node", d)
	}
	b.note("n1", stray("lost", "db"))
	if b.s.CountOrphans() != 1 {
		t.Error("the orphan is forgotten")
	}
	if d := b.do(cluster.Adopt{At: b.now, Orphan: "db"}).Dataset; d.Deleted || d.Volume == nil {
		t.Errorf("adopted: %+v", d)
	}
}

func TestTwoOrphansOfANameAreAdoptedByTheirIDs(t *testing.T) {
	b := newBench(t, "n1")
	b.note("n1", stray("one", "db"), stray("two", "db"))
	b.refused(cluster.Adopt{At: b.now, Orphan: "db"}, api.CodeConflict, "vol-two")
	b.do(b.find("n1", api.DatasetSpec{Name: "db"}))
	b.do(cluster.Adopt{At: b.now, Orphan: "vol-two"})
	if d := b.s.DatasetByName("db"); d == nil || d.ID != "two" {
		t.Fatalf("the name leads to %+v", d)
	}
	b.refused(cluster.Adopt{At: b.now, Orphan: "one"}, api.CodeConflict, "--name")
	b.do(cluster.Adopt{At: b.now, Orphan: "one", Name: "db-old"})
}

// TestANodesWordAboutOrphansHasLimits has a node lie about what its storage has.
func TestANodesWordAboutOrphansHasLimits(t *testing.T) {
	b := newBench(t, "n1", "rogue")
	b.create("mine", "n1", "db")
	b.say("n1", "mine", api.DatasetReport{State: api.DatasetState{Phase: api.PhaseMounted}, Volume: &api.Volume{ID: "v", Backend: "x", Size: 1 << 30}})
	b.note("rogue", stray("mine", "db"), api.InventoryVolume{ID: "v", Dataset: "stolen", Name: "web", Size: 1}, api.InventoryVolume{ID: "mine", Dataset: "stolen2", Size: 1})
	if n := b.s.CountOrphans(); n != 0 {
		t.Errorf("%d orphans are believed that are volumes of a dataset", n)
	}
	stream := b.s.Node("rogue").Stream
	for _, v := range []api.InventoryVolume{{ID: "", Dataset: "x"}, {ID: "v\n", Dataset: "x"}, {ID: "v2", Dataset: "x", Size: -1}} {
		b.refused(cluster.NoteOrphans{At: b.now, Node: "rogue", Stream: stream, Volumes: []api.InventoryVolume{v}}, api.CodeInvalid, "inventory")
	}
	b.note("rogue", stray("invented", "app"))
	id := cluster.OrphanID(api.Volume{ID: "vol-invented"})
	b.do(cluster.DropOrphans{Node: "n1", Stream: b.s.Node("n1").Stream, IDs: []string{id}})
	if b.s.CountOrphans() != 1 {
		t.Error("a node has taken back what another one has found")
	}
	b.do(cluster.DropOrphans{Node: "rogue", Stream: stream, IDs: []string{id}})
	if b.s.CountOrphans() != 0 {
		t.Error("a node cannot take back what it has found")
	}
}

func TestARestoredLogIsAnotherIncarnation(t *testing.T) {
	b := newBench(t, "n1")
	b.s.Put(cluster.Change{Key: cluster.KeyMeta, Meta: &cluster.Meta{Cluster: "c", Created: b.now}})
	once := restored(t, b.s, restoreTime)
	again := restored(t, once, restoreTime.Add(1))
	names := []string{b.s.Incarnation(), once.Incarnation(), again.Incarnation()}
	slices.Sort(names)
	if len(slices.Compact(names)) != 3 || names[0] == "" {
		t.Errorf("incarnations are %q", names)
	}
}

func TestADatasetRenamedAwayFromAnOrphanGetsAVolume(t *testing.T) {
	b := newBench(t, "n1")
	d := b.do(b.find("n1", api.DatasetSpec{Name: "a"})).Dataset
	b.note("n1", stray("lost", "a"))
	if d = b.s.Dataset(d.ID); d.Blocked == "" {
		t.Fatal("a dataset with an orphan's name may get a volume")
	}
	name := "b"
	d = b.do(cluster.ChangeDataset{At: b.now, ID: d.ID, Metadata: map[string]*string{api.MetadataName: &name}}).Dataset
	if d.Blocked != "" {
		t.Errorf("called %q it still waits: %s", d.Name(), d.Blocked)
	}
}

// TestNothingIsMadeUnderAnOrphansName plays any order of commands; the invariants are
// checked after each.
func TestNothingIsMadeUnderAnOrphansName(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := newBench(t, "n1", "n2")
		ids := []api.DatasetID{"i1", "i2", "i3"}
		anyID, anyName := rapid.SampledFrom(ids), rapid.SampledFrom([]string{"a", "b", ""})
		anyNode := rapid.SampledFrom([]api.NodeID{"n1", "n2"})
		made := 0
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			id, name, node := anyID.Draw(r, "id"), anyName.Draw(r, "name"), anyNode.Draw(r, "node")
			stream := b.s.Node(node).Stream
			var cmd cluster.Command
			switch rapid.IntRange(0, 9).Draw(r, "command") {
			case 0, 1:
				cmd = cluster.NoteOrphans{At: b.now, Node: node, Stream: stream, Volumes: []api.InventoryVolume{stray(id, name)}}
			case 2:
				cmd = cluster.DropOrphans{Node: node, Stream: stream, IDs: []string{cluster.OrphanID(api.Volume{ID: "vol-" + string(id)})}}
			case 3:
				cmd = cluster.ForgetOrphan{Orphan: string(id)}
			case 4:
				cmd = cluster.Adopt{At: b.now, Orphan: string(id), Name: name}
			case 5:
				cmd = cluster.Create{At: b.now, ID: id, Primary: node, DefaultSize: 1 << 30, Metadata: map[string]string{api.MetadataName: name}}
			case 6:
				claim := b.find(node, api.DatasetSpec{Name: name})
				made++
				claim.NewID = api.DatasetID(fmt.Sprint("new", made))
				cmd = claim
			case 7:
				cmd = cluster.Delete{At: b.now, ID: id}
			case 8:
				cmd = cluster.ChangeDataset{At: b.now, ID: id, Metadata: map[string]*string{api.MetadataName: &name}}
			case 9:
				d := b.s.Dataset(id)
				if d == nil || !d.HeldBy(node) {
					continue
				}
				before := d.Blocked
				out, err := b.try(cluster.Report{At: b.now, Node: node, Stream: stream, Datasets: []api.DatasetReport{{
					State: api.DatasetState{ID: id, Epoch: d.Epoch, Phase: api.PhaseMounted}, Volume: &api.Volume{ID: "vol-" + string(id), Size: 1 << 30},
				}}})
				if before != "" && (err != nil || out.Refused[id] == nil) {
					t.Fatalf("a volume was registered for %s, although %s", id, before)
				}
				continue
			}
			_, _ = b.try(cmd)
		}
	})
}

// TestAnOrphanIsTheOperatorsUntilItIsGivenAway has owners kept apart, and another one
// wait for the name.
func TestAnOrphanIsTheOperatorsUntilItIsGivenAway(t *testing.T) {
	for owner, want := range map[api.Owner]api.Owner{"": "user:root", "role:web": "role:web", "role:db": "role:db"} {
		b := newBench(t, "n1")
		b.s.Put(cluster.Change{Key: cluster.KeyMeta, Meta: &cluster.Meta{Cluster: "c", Created: b.now, Tenancy: api.TenancyOwners}})
		b.note("n1", stray("lost", "db"))
		claim := b.find("n1", api.DatasetSpec{Name: "db"})
		claim.Owner = "role:web"
		b.do(claim)
		b.refused(cluster.Adopt{At: b.now, Orphan: "db", By: cluster.Actor{Owner: "role:web"}}, api.CodeForbidden, "operators")
		b.refused(cluster.ForgetOrphan{Orphan: "db", By: cluster.Actor{Owner: "role:web"}}, api.CodeForbidden, "operators")
		d := b.do(cluster.Adopt{At: b.now, Orphan: "db", Owner: owner, By: cluster.Actor{Owner: "user:root", Operator: true}}).Dataset
		if d.Owner != want {
			t.Errorf("adopted for %q: got the owner %q, want %q", owner, d.Owner, want)
		}
		if held := d.HeldBy("n1"); held != (want == "role:web") {
			t.Errorf("adopted for %q: the node of role:web holds it: %v", owner, held)
		}
	}
}
