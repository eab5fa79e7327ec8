package cluster_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

const gib = int64(1 << 30)

// connectWith opens a stream of a node whose backend has capabilities.
func (b *bench) connectWith(n api.NodeID, backend string, capabilities ...string) {
	b.t.Helper()
	b.do(cluster.NodeConnect{At: b.now, Node: n, Address: "192.0.2.1", Hello: api.Hello{
		Hostname: "host-" + string(n), Agent: "agent-" + string(n), Era: "era-" + string(n), Backend: backend, Version: "1.2",
		Capabilities: capabilities,
	}})
}

// register has the holder register a volume.
func (b *bench) register(n api.NodeID, id api.DatasetID, size int64) {
	b.t.Helper()
	b.say(n, id, api.DatasetReport{State: api.DatasetState{Phase: api.PhaseMounted}, Volume: &api.Volume{ID: "vol-1", Backend: "ebs", Size: size}})
}

func (b *bench) resize(size int64) cluster.ChangeDataset {
	return cluster.ChangeDataset{At: b.now, ID: "d", Size: size}
}

func (b *bench) label(pairs ...string) cluster.ChangeDataset {
	c := cluster.ChangeDataset{At: b.now, ID: "d", Metadata: map[string]*string{}}
	for _, pair := range pairs {
		key, value, set := strings.Cut(pair, "=")
		if c.Metadata[key] = nil; set {
			c.Metadata[key] = &value
		}
	}
	return c
}

func TestChangeMakesADatasetLarger(t *testing.T) {
	b := newBench(t)
	b.connectWith("a", "ebs", api.CapabilityGrow)
	b.create("d", "a", "db")
	b.register("a", "d", 10*gib)
	before, tag := b.s.Dataset("d"), b.s.Tag()
	d := b.do(b.resize(20 * gib)).Dataset
	if d.Size != 20*gib || d.MaximumSize != 20*gib || d.Revision <= before.Revision || b.s.Tag() == tag {
		t.Errorf("changed dataset: got %+v, want 20 GiB with a new revision and tag", d)
	}
	if *d.Volume != *before.Volume || !d.HeldBy("a") || d.Epoch != before.Epoch {
		t.Errorf("changed dataset: got %+v, want nothing else changed of %+v", d, before)
	}
	if out := b.do(b.resize(20 * gib)); len(out.Changes) > 0 || out.Dataset != b.s.Dataset("d") {
		t.Errorf("the same change again: got %+v, want no changes", out)
	}
	if out := b.do(cluster.ChangeDataset{At: b.now, ID: "d"}); len(out.Changes) > 0 {
		t.Errorf("change of nothing: got %+v, want no changes", out)
	}
}

func TestChangeRecordsASizeThatTheVolumeHas(t *testing.T) {
	b := newBench(t)
	b.connectWith("a", "ebs") // cannot grow
	b.create("d", "a", "db")  // of the default size
	b.register("a", "d", 12*gib)
	if d := b.do(b.resize(10 * gib)).Dataset; d.MaximumSize != 10*gib || d.Size != 10*gib {
		t.Errorf("asked for the size that it has by default: got %+v, want it recorded", d)
	}
	if d := b.do(b.resize(12 * gib)).Dataset; d.Size != 12*gib {
		t.Errorf("asked for what the volume was rounded up to: got %+v, want it recorded", d)
	}
}

func TestChangeNeverMakesAVolumeSmaller(t *testing.T) {
	b := newBench(t)
	b.connectWith("a", "ebs", api.CapabilityGrow)
	b.create("d", "a", "db")
	b.register("a", "d", 10*gib)
	b.refused(b.resize(9*gib), api.CodeInvalid, "size: 9GiB is less than the 10GiB that the dataset has: volumes are never made smaller")
	b.refused(b.resize(10*gib-1024), api.CodeInvalid, "less than the 10GiB")
	b.refused(b.resize(10*gib-1), api.CodeInvalid, "size: ")
	b.refused(b.resize(1000), api.CodeInvalid, "minimum")
	b.refused(b.resize(-gib), api.CodeInvalid, "minimum")
	b.refused(b.resize(2<<60), api.CodeInvalid, "largest size of a volume in this cluster, 64TiB")

	// A growth that has not happened yet can be taken back, no further.
	b.do(b.resize(20 * 1024 * gib))
	if d := b.do(b.resize(10 * gib)).Dataset; d.Size != 10*gib || d.MaximumSize != 10*gib {
		t.Errorf("a growth taken back: got %+v, want 10 GiB", d)
	}
	b.do(b.resize(30 * gib))
	b.register("a", "d", 30*gib)
	b.refused(b.resize(10*gib), api.CodeInvalid, "less than the 30GiB")
}

func TestChangeLowersTheSizeOfADatasetThatWasNeverMade(t *testing.T) {
	b := newBench(t)
	b.connectWith("a", "ebs", api.CapabilityGrow)
	b.create("d", "a", "db")
	b.do(b.resize(40 * 1024 * gib)) // more than any storage has
	if d := b.do(b.resize(gib)).Dataset; d.Size != gib || d.MaximumSize != gib {
		t.Errorf("got %+v, want 1 GiB", d)
	}
	b.refused(b.resize(gib/1024), api.CodeInvalid, "minimum")
	b.register("a", "d", gib)
	b.refused(b.resize(gib/2), api.CodeInvalid, "less than the 1GiB")

	b.create("e", "a", "other")
	if out := b.do(cluster.Delete{At: b.now, ID: "e"}); out.Dataset == nil || !out.Dataset.Deleted {
		t.Errorf("got %+v, want a dataset that was never made deleted", out.Dataset)
	}
}

func TestChangeAsksWhetherTheVolumeCanGrow(t *testing.T) {
	b := newBench(t)
	b.connectWith("a", "ebs")
	b.create("d", "a", "db")
	const text = "size: the volume of dataset db cannot be made larger than it is: the backend ebs of node host-a, as its agent (version 1.2) says"
	b.refused(b.resize(20*gib), api.CodeConflict, text)
	b.register("a", "d", 10*gib)
	b.refused(b.resize(20*gib), api.CodeConflict, text)

	// The holder counts, whoever else could do it.
	b.connectWith("b", "ebs", api.CapabilityGrow)
	b.refused(b.resize(20*gib), api.CodeConflict, text)
	b.do(cluster.Move{At: b.now, ID: "d", Primary: "b"})
	b.release("a", "d")
	b.wantHolder("d", "b", "b")
	b.do(b.resize(20 * gib))

	// Nobody holds it: some node of the same storage system must be able to.
	b = newBench(t)
	b.connectWith("a", "ebs")
	b.connectWith("c", "loopback", api.CapabilityGrow)
	b.do(cluster.Claim{At: b.now, Node: "a", Stream: 1, Find: &api.DatasetSpec{Name: "db"}, NewID: "d", DefaultSize: 10 * gib})
	b.register("a", "d", 10*gib)
	b.release("a", "d")
	b.refused(b.resize(20*gib), api.CodeConflict, text)
	b.connectWith("b", "ebs", api.CapabilityGrow)
	b.do(b.resize(20 * gib))

	// There is no volume yet: it is made with the size that is wanted then.
	b = newBench(t)
	b.connectWith("a", "ebs")
	b.create("d", "never-there", "db")
	b.do(b.resize(20 * gib))
}

func TestChangeChangesMetadata(t *testing.T) {
	b := newBench(t, "a")
	b.create("d", "a", "db")
	b.create("other", "a", "queue")
	wants := func(want map[string]string) {
		t.Helper()
		if got := b.s.Dataset("d").Metadata; !maps.Equal(got, want) {
			t.Errorf("metadata: got %v, want %v", got, want)
		}
	}
	b.do(b.label("team=blue", "tier=1"))
	wants(map[string]string{"name": "db", "team": "blue", "tier": "1"})
	tag := b.s.Tag()
	b.do(b.label("tier", "missing", "team=red"))
	wants(map[string]string{"name": "db", "team": "red"})
	if b.s.Tag() == tag {
		t.Error("the configuration's tag is the same")
	}
	if out := b.do(b.label("team=red", "tier")); len(out.Changes) > 0 {
		t.Errorf("the same change again: got %+v, want no changes", out)
	}
	b.refused(b.label("=x"), api.CodeInvalid, "metadata: has an empty key")
	b.refused(b.label("team="+strings.Repeat("x", 257)), api.CodeInvalid, "metadata: ")
	many := b.label()
	for key := range strings.SplitSeq("abcdefghijklmnopq", "") {
		many.Metadata[key] = new(string)
	}
	b.refused(many, api.CodeInvalid, "more than the 16")
	wants(map[string]string{"name": "db", "team": "red"})
}

func TestChangeRenames(t *testing.T) {
	b := newBench(t, "a")
	b.create("d", "a", "db")
	b.create("other", "a", "queue")
	b.refused(b.label("name=queue"), api.CodeConflict, "metadata: the name \"queue\" is taken by dataset other")
	b.do(b.label("name=ledger"))
	if got := b.s.DatasetByName("ledger"); got == nil || got.ID != "d" {
		t.Errorf("dataset of the new name: got %+v, want d", got)
	}
	if got := b.s.DatasetByName("db"); got != nil {
		t.Errorf("dataset of the old name: got %+v, want none", got)
	}
	b.create("third", "a", "db") // is free again

	// Without a name of its own, the one of ClusterHQ's isolator counts.
	b.refused(b.label("name", "FLOCKER_ID=queue"), api.CodeConflict, "\"queue\" is taken")
	b.do(b.label("FLOCKER_ID=queue"))
	b.refused(b.label("name"), api.CodeConflict, "\"queue\" is taken")
	b.do(b.label("FLOCKER_ID=old", "name"))
	if got := b.s.DatasetByName("old"); got == nil || got.ID != "d" {
		t.Errorf("dataset of the isolator's name: got %+v, want d", got)
	}
	b.do(b.label("FLOCKER_ID"))
	if name := b.s.Dataset("d").Name(); name != "" {
		t.Errorf("name: got %q, want none", name)
	}
	b.do(b.label("name=ledger"))
	b.do(cluster.Delete{At: b.now, ID: "other"})
	b.do(b.label("name=queue")) // the deleted one's name is free
}

func TestChangeLeavesTheProfileOfAVolumeAlone(t *testing.T) {
	b := newBench(t, "a")
	b.create("d", "a", "db")
	b.do(b.label(api.MetadataProfile + "=gold"))
	b.register("a", "d", 10*gib)
	b.refused(b.label(api.MetadataProfile+"=silver"), api.CodeConflict, "is chosen when the volume is made")
	b.do(b.label(api.MetadataProfile+"=gold", "team=red"))
}

func TestChangeIsRefused(t *testing.T) {
	b := newBench(t, "a")
	b.create("d", "a", "db")
	b.refused(cluster.ChangeDataset{At: b.now, ID: "unknown", Size: 20 * gib}, api.CodeNotFound, "not found")
	wrong := b.label("team=red")
	wrong.Expect = cluster.Expect{"something else"}
	b.refused(wrong, api.CodePrecondition, "Tag doesn't match")
	right := b.label("team=red")
	right.Expect = cluster.Expect{b.s.Tag().String()}
	b.do(right)
	b.do(cluster.Delete{At: b.now, ID: "d"})
	b.refused(b.label("team=blue"), api.CodeDeleted, "deleted")

	// Which names are taken is not known.
	b = newBench(t, "a")
	b.create("d", "a", "db")
	next := b.s.Clone()
	if err := next.PutStored(cluster.DatasetKey("later"), []byte(`{"schema":1000,"record":{}}`)); err == nil {
		t.Fatal("a record of a later version was read")
	}
	b.s = next
	b.refused(b.label("name=ledger"), api.CodeUnavailable, "renames none")
	b.do(b.label("team=red"))
}

func TestReportTellsThatAVolumeHasGrown(t *testing.T) {
	b := newBench(t)
	b.connectWith("a", "ebs", api.CapabilityGrow)
	b.create("d", "a", "db")
	b.register("a", "d", 10*gib)
	b.do(b.resize(20 * gib))
	b.register("a", "d", 20*gib)
	if v := b.s.Dataset("d").Volume; v.Size != 20*gib || v.ID != "vol-1" {
		t.Errorf("volume: got %+v, want 20 GiB", v)
	}
	late := api.DatasetReport{State: api.DatasetState{Phase: api.PhaseMounted}, Volume: &api.Volume{ID: "vol-1", Backend: "ebs", Size: 10 * gib}}
	if err := b.report("a", "d", late); api.CodeOf(err) != api.CodeConflict || !strings.Contains(err.Error(), "has not become") {
		t.Errorf("report of a smaller volume: got %v, want a conflict", err)
	}
	revision := b.s.Dataset("d").Revision
	b.register("a", "d", 20*gib)
	if got := b.s.Dataset("d"); got.Volume.Size != 20*gib || got.Revision != revision {
		t.Errorf("the same report again: got %+v, want no change since revision %d", got, revision)
	}
}
