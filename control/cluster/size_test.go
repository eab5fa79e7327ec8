package cluster_test

import (
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

const tib = 1 << 40

// TestSizesAreBounded asks for too much by every road, in a cluster whose largest
// size is the default, on a node whose backend can hold less.
func TestSizesAreBounded(t *testing.T) {
	b := newBench(t, "a")
	b.do(cluster.NodeConnect{At: b.now, Node: "small", Address: "192.0.2.2", Hello: api.Hello{
		Hostname: "host-small", Agent: "agent-small", Era: "era-small", Backend: "loopback", MaxSize: 16 * tib,
		Capabilities: []string{api.CapabilityGrow},
	}})
	const cluster64, node16 = "65TiB is more than the largest size of a volume in this cluster, 64TiB: ask for less, or have max-size of the control service raised",
		"17TiB is more than the backend loopback of node host-small can hold, 16TiB: ask for less"
	create := func(n api.NodeID, size int64) cluster.Create {
		return cluster.Create{At: b.now, ID: "d", Primary: n, MaximumSize: size, DefaultSize: 10 << 30}
	}
	b.refused(create("a", 65*tib), api.CodeInvalid, "maximum_size: "+cluster64)
	b.refused(create("small", 17*tib), api.CodeInvalid, "maximum_size: "+node16)
	b.refused(b.find("a", api.DatasetSpec{Name: "db", Size: 65 * tib}), api.CodeInvalid, "size: "+cluster64)
	b.refused(b.find("small", api.DatasetSpec{Name: "db", Size: 17 * tib}), api.CodeInvalid, "size: "+node16)
	member := func(n api.NodeID, size int64) cluster.ClaimMember {
		return cluster.ClaimMember{
			At: b.now, Node: n, Stream: b.s.Node(n).Stream, Consumer: "c", NewID: "m", DefaultSize: 10 << 30, Each: 3,
			Find: api.DatasetSpec{Name: "set", Size: size},
		}
	}
	b.refused(member("a", 65*tib), api.CodeInvalid, "size: "+cluster64)
	b.refused(member("small", 17*tib), api.CodeInvalid, "size: "+node16)

	b.do(create("small", 10<<30))
	b.refused(b.resize(65*tib), api.CodeInvalid, "size: "+cluster64)
	b.refused(b.resize(17*tib), api.CodeInvalid, "size: "+node16)
	b.do(b.resize(16 * tib))
	// What exists is used as it is, whatever the label says.
	b.do(cluster.ChangeDataset{At: b.now, ID: "d", Metadata: map[string]*string{api.MetadataName: new("db")}})
	b.do(b.find("small", api.DatasetSpec{Name: "db", Size: 65 * tib}))
}

// TestSmallXFSIsRefused asks for what mkfs.xfs would never make, by every road.
func TestSmallXFSIsRefused(t *testing.T) {
	b := newBench(t, "a")
	const want = "size: 299MiB is too small for XFS, which needs at least 300MiB: ask for more, or for ext4"
	spec := func(size int64) api.DatasetSpec { return api.DatasetSpec{Name: "db", FS: api.FSXFS, Size: size} }
	claim := b.find("a", spec(0))
	claim.DefaultSize = 299 << 20
	b.refused(claim, api.CodeInvalid, want)
	b.refused(b.find("a", spec(299<<20)), api.CodeInvalid, want)
	b.refused(cluster.ClaimMember{
		At: b.now, Node: "a", Stream: b.s.Node("a").Stream, Consumer: "c", NewID: "m", DefaultSize: 10 << 30, Each: 3, Find: spec(299 << 20),
	}, api.CodeInvalid, want)
	b.do(b.find("a", spec(300<<20)))
}

func TestOwnerIsRecorded(t *testing.T) {
	b := newBench(t, "a")
	d := b.do(cluster.Create{At: b.now, ID: "d", Primary: "a", DefaultSize: 10 << 30, User: "1000", Permissions: "750"}).Dataset
	if d.User != "1000:1000" || d.Permissions != "0750" {
		t.Errorf("created: got user %q and permissions %q", d.User, d.Permissions)
	}
	// A claim may name the user of a task.
	if d := b.do(b.find("a", api.DatasetSpec{Name: "db", User: "postgres", Permissions: "0700"})).Dataset; d.User != "postgres" || d.Permissions != "0700" {
		t.Errorf("claimed: got user %q and permissions %q", d.User, d.Permissions)
	}
	for _, bad := range []cluster.Create{{User: "postgres"}, {User: "1:2:3"}, {User: "4294967295"}} {
		bad.ID, bad.Primary, bad.DefaultSize = "e", "a", 10<<30
		b.refused(bad, api.CodeInvalid, "user: ")
	}
	for _, permissions := range []string{"4755", "1777", "8", "rwx"} {
		b.refused(cluster.Create{ID: "e", Primary: "a", DefaultSize: 10 << 30, Permissions: permissions}, api.CodeInvalid, "permissions: ")
	}
	for _, user := range []string{"a:b", "a b", "a/b", "a\x00", "4294967295"} {
		b.refused(b.find("a", api.DatasetSpec{Name: "other", User: user}), api.CodeInvalid, "user: ")
	}
	m := cluster.ClaimMember{
		At: b.now, Node: "a", Stream: b.s.Node("a").Stream, Consumer: "c", NewID: "m", DefaultSize: 10 << 30, Each: 3,
		Find: api.DatasetSpec{Name: "set", User: "7:8", Permissions: "0700"},
	}
	if d := b.do(m).Dataset; d == nil || d.User != "7:8" || d.Permissions != "0700" {
		t.Errorf("member of a set: got %+v", d)
	}
}
