package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// connectIn connects nodes of a zone, whose storage binds volumes to it.
func (st *story) connectIn(zone string, nodes ...api.NodeID) {
	st.Helper()
	for _, node := range nodes {
		st.do(cluster.NodeConnect{At: fenceTime, Node: node, Hello: api.Hello{
			Agent: "agent-" + string(node), Era: "era", Instance: "i-" + string(node), Backend: "model", Hostname: string(node),
			Zone: zone, Capabilities: []string{api.CapabilityZones},
		}})
	}
}

// say reports of the dataset as its holder does.
func (st *story) say(node api.NodeID, r api.DatasetReport) {
	st.Helper()
	r.State.ID, r.State.Epoch = "d", st.dataset().Epoch
	out := st.do(cluster.Report{At: fenceTime, Node: node, Stream: st.s.Node(node).Stream, Datasets: []api.DatasetReport{r}})
	if refused := out.Refused["d"]; refused != nil {
		st.Fatalf("the report was refused: %v", refused)
	}
}

func (st *story) register(node api.NodeID, zone string) {
	st.Helper()
	st.say(node, api.DatasetReport{State: api.DatasetState{Phase: api.PhaseMounted}, Volume: &api.Volume{ID: "v", Backend: "model", Size: api.MinSize, Zone: zone}})
}

func (st *story) release(node api.NodeID) {
	st.Helper()
	st.say(node, api.DatasetReport{State: api.DatasetState{Phase: api.PhaseDetached}, Release: true})
}

func (st *story) claimErr(node api.NodeID) error {
	st.Helper()
	_, err := st.try(cluster.Claim{At: fenceTime, Node: node, Stream: st.s.Node(node).Stream, Find: &api.DatasetSpec{Name: "db"}, NewID: "e", DefaultSize: api.MinSize})
	return err
}

func (st *story) why() string {
	st.Helper()
	_, why := cluster.Explain(st.dataset(), st.s.DatasetState("d"), nil, st.s.Node, nil, fenceTime)
	return why
}

func TestClaimFromAnotherZoneIsRefusedWithTheRemedy(t *testing.T) {
	st := newStory(t)
	st.connectIn("east", "a", "a2")
	st.connectIn("west", "b")
	st.claim("a", false)
	st.register("a", "east")
	check := func() {
		t.Helper()
		err := st.claimErr("b")
		const want = `zone: volume db is in zone east, and b in zone west, where it can never be attached: ` +
			`keep the app in the volume's zone, by the constraint ["@zone", "IS", "east"]`
		if !api.IsZoneError(err) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	check() // while it is in use
	st.release("a")
	check() // while it is not
	if why := st.why(); !strings.Contains(why, `The first node of zone east that asks for it gets it. A node of another zone is refused: keep its app there by the constraint ["@zone", "IS", "east"].`) {
		t.Errorf("got %s", why)
	}
	if d := st.claim("a2", false); !d.HeldBy("a2") {
		t.Errorf("got %+v, want another node of the zone to get it", d.Holder)
	}
	_, err := st.try(cluster.Move{At: fenceTime, ID: "d", Primary: "b"})
	if !api.IsZoneError(err) || !strings.Contains(err.Error(), "choose a node of zone east") {
		t.Errorf("got %v, want the move to be refused", err)
	}
}

func TestWhoWaitedInAnotherZoneIsSentHomeWhenTheZoneBecomesKnown(t *testing.T) {
	st := newStory(t)
	st.connectIn("east", "a", "a2")
	st.connectIn("west", "b")
	st.claim("a", false)
	for _, node := range []api.NodeID{"b", "a2"} {
		if d := st.claim(node, false); !d.AwaitedBy(node) {
			t.Fatalf("got %+v, want %s to wait: nobody knows where the volume will be", d, node)
		}
	}
	st.register("a", "east")
	if d := st.dataset(); d.AwaitedBy("b") || !d.AwaitedBy("a2") {
		t.Errorf("got %v, want a2 alone to wait", d.Waiting)
	}
	if err := st.claimErr("b"); !api.IsZoneError(err) {
		t.Errorf("got %v", err)
	}
	st.release("a")
	if d := st.dataset(); !d.HeldBy("a2") {
		t.Errorf("got %+v, want a2 to have it", d.Holder)
	}
}

func TestUsersPlaceInAnotherZoneIsGivenUpWhenTheZoneBecomesKnown(t *testing.T) {
	st := newStory(t)
	st.connectIn("east", "a")
	st.connectIn("west", "b")
	st.claim("a", false)
	st.do(cluster.Move{At: fenceTime, ID: "d", Primary: "b"})
	st.register("a", "east")
	if d := st.dataset(); d.Pinned || d.Primary != "a" || !d.HeldBy("a") {
		t.Errorf("got %+v, want it to stay where it is", *d)
	}
}

func TestNodeWhoseZoneBecomesKnownLaterGetsNothingOfAnotherZone(t *testing.T) {
	st := newStory(t, "b")
	st.connectIn("east", "a")
	st.claim("a", false)
	st.register("a", "east")
	if d := st.claim("b", false); !d.AwaitedBy("b") {
		t.Fatalf("got %+v, want b to wait: its zone is not known", d)
	}
	st.connectIn("west", "b") // as its agent is updated, before anybody has missed it
	released := *st
	released.release("a")
	if d := released.dataset(); d.Holder != nil {
		t.Errorf("got %+v, want nobody to have it", d.Holder)
	}
	st.do(cluster.Upkeep{At: fenceTime, Limit: 10})
	if d := st.dataset(); d.AwaitedBy("b") {
		t.Errorf("got %v, want nobody to wait", d.Waiting)
	}
}

func TestLastUserInAnotherZoneDoesNotDestroy(t *testing.T) {
	st := newStory(t, "b")
	st.connectIn("east", "a")
	st.claim("a", false)
	st.register("a", "east")
	st.release("a")
	st.claim("b", false)
	st.release("b")
	st.connectIn("west", "b")
	st.do(cluster.Delete{At: fenceTime, ID: "d"})
	if d := st.dataset(); !d.HeldBy("a") {
		t.Errorf("got %+v, want a node of the zone to destroy it", d.Holder)
	}
}

func TestPlaceOfAUserIsKeptWhileTheNodeTellsAnotherZone(t *testing.T) {
	st := newStory(t)
	st.connectIn("east", "a", "b")
	st.do(cluster.Create{At: fenceTime, ID: "d", Primary: "b", DefaultSize: api.MinSize, Metadata: map[string]string{"name": "db"}})
	st.register("b", "east")
	st.claim("a", false)
	st.release("b")
	st.do(cluster.Move{At: fenceTime, ID: "d", Primary: "b"})
	st.lose("b")
	st.connectIn("west", "b") // as its operator has set by mistake
	st.release("a")
	st.do(cluster.Upkeep{At: fenceTime, Limit: 10})
	if d := st.dataset(); d.HeldBy("b") || !d.Pinned {
		t.Errorf("got %+v, want it to wait for the mistake's end", *d)
	}
	st.lose("b")
	st.connectIn("east", "b")
	st.do(cluster.Upkeep{At: fenceTime, Limit: 10})
	if d := st.dataset(); !d.HeldBy("b") {
		t.Errorf("got %+v, want it back where its user has put it", d.Holder)
	}
}

func TestOnlyANodeOfTheZoneFences(t *testing.T) {
	for name, register := range map[string]bool{"a volume": true, "one that may have been made": false} {
		t.Run(name, func(t *testing.T) {
			st := newStory(t)
			st.connectIn("east", "a")
			st.connectIn("west", "b")
			st.claim("a", false)
			if register {
				st.register("a", "east")
				st.do(cluster.Delete{At: fenceTime, ID: "d"})
			} else if d := st.claim("b", false); !d.AwaitedBy("b") {
				t.Fatalf("got %+v, want b to wait", d)
			}
			st.lose("a")
			if f := st.dataset().Fence; f != nil {
				t.Errorf("got %+v, want nobody to fence: no node there sees the volume", f)
			}
			st.connectIn("east", "a2")
			st.do(cluster.Upkeep{At: fenceTime, Limit: 10})
			if f := st.dataset().Fence; f == nil || f.Node != "a2" {
				t.Errorf("got %+v, want a2 to fence", f)
			}
		})
	}
}

func TestOnlyANodeOfTheZoneDestroys(t *testing.T) {
	st := newStory(t)
	st.connectIn("east", "a", "a2")
	st.connectIn("west", "b")
	st.claim("a", false)
	st.register("a", "east")
	st.release("a")
	st.lose("a")
	st.lose("a2")
	st.do(cluster.Delete{At: fenceTime, ID: "d"})
	if d := st.dataset(); !d.HeldBy("a") {
		t.Errorf("got %+v, want it to wait for its last user", d.Holder)
	}
}

func TestVolumesZoneIsLearnedLater(t *testing.T) {
	st := newStory(t, "a")
	st.claim("a", false)
	st.register("a", "")
	st.register("a", "east")
	if v := st.dataset().Volume; v.Zone != "east" {
		t.Errorf("got %+v, want its zone", v)
	}
	st.register("a", "") // by an older agent
	if v := st.dataset().Volume; v.Zone != "east" {
		t.Errorf("got %+v, want the zone to stay known", v)
	}
}

func TestZoneCanGetAnotherName(t *testing.T) {
	st := newStory(t)
	st.connectIn("east", "a", "a2")
	st.connectIn("west", "b")
	st.claim("a", false)
	st.register("a", "east")
	st.release("a")
	st.lose("a")
	st.connectIn("orient", "a")
	if err := st.claimErr("a"); !api.IsZoneError(err) {
		t.Errorf("got %v, want no volume of the zone that another node is in still", err)
	}
	st.lose("a2")
	st.connectIn("orient", "a2")
	if d := st.claim("a", false); !d.HeldBy("a") {
		t.Fatalf("got %+v, want the node to look for it", d.Holder)
	}
	if err := st.claimErr("b"); !api.IsZoneError(err) {
		t.Errorf("got %v, want nobody else to wait", err)
	}
	st.register("a", "orient")
	if v := st.dataset().Volume; v.Zone != "orient" {
		t.Errorf("got %+v", v)
	}
	if d := st.claim("a2", false); !d.AwaitedBy("a2") {
		t.Errorf("got %+v, want a2 to wait", d)
	}
}

func TestHolderInAnotherZoneIsExplained(t *testing.T) {
	st := newStory(t, "b")
	st.connectIn("east", "a")
	st.claim("a", false)
	st.register("a", "east")
	st.release("a")
	if d := st.claim("b", false); !d.HeldBy("b") {
		t.Fatalf("got %+v, want b to have it: its zone is not known", d)
	}
	st.say("b", api.DatasetReport{State: api.DatasetState{Phase: api.PhaseElsewhere}})
	st.lose("b")
	st.connectIn("west", "b")
	if why := st.why(); !strings.Contains(why, `but its volume v is in zone east and b in zone west, where it can never be attached: keep its app in the volume's zone, by the constraint ["@zone", "IS", "east"].`) {
		t.Errorf("got %s", why)
	}
}

// member has a container of a set with two members ask for one.
func (st *story) member(node api.NodeID, consumer, instance string) cluster.Outcome {
	st.Helper()
	return st.do(cluster.ClaimMember{
		At: fenceTime, Node: node, Stream: st.s.Node(node).Stream, Consumer: consumer, Instance: instance, Find: api.DatasetSpec{Name: "kafka"}, Each: 2,
		NewID: api.DatasetID("d" + consumer), DefaultSize: api.MinSize,
	})
}

func (st *story) registerMember(d *api.Dataset, zone string) {
	st.Helper()
	node := d.Holder.Node
	out := st.do(cluster.Report{At: fenceTime, Node: node, Stream: st.s.Node(node).Stream, Datasets: []api.DatasetReport{{
		State:  api.DatasetState{ID: d.ID, Epoch: d.Epoch, Phase: api.PhaseMounted},
		Volume: &api.Volume{ID: "v" + string(d.ID), Backend: "model", Size: api.MinSize, Zone: zone},
	}}})
	if len(out.Refused) > 0 {
		st.Fatal(out.Refused)
	}
}

func TestInstanceDoesNotWaitForItsPredecessorInAnotherZone(t *testing.T) {
	st := newStory(t)
	st.connectIn("east", "a")
	st.connectIn("west", "b")
	st.registerMember(st.member("a", "1", "i").Dataset, "east")
	if d := st.member("b", "2", "i").Dataset; d == nil || d.Member.Index != 1 {
		t.Errorf("got %+v, want another member at once", d)
	}
}

func TestLostMemberIsSoughtForWhoCanHaveIt(t *testing.T) {
	st := newStory(t)
	st.connectIn("east", "a", "a2")
	st.connectIn("west", "b")
	for i, consumer := range []string{"1", "2"} {
		d := st.member("a", consumer, "").Dataset
		st.registerMember(d, "east")
		if d.Member.Index != i {
			t.Fatalf("got %s, want member %d", d.Member, i)
		}
	}
	st.lose("a")
	sought := func() (n int) {
		for d := range st.s.Members("kafka") {
			if d.Member.Sought {
				n++
			}
		}
		return n
	}
	if out := st.member("b", "3", ""); out.Dataset != nil || sought() != 0 {
		t.Errorf("got %+v, %d sought, want none for who could not have it", out.Dataset, sought())
	}
	if out := st.member("a2", "4", ""); out.Dataset != nil || sought() != 1 {
		t.Errorf("got %+v, %d sought, want one for who can have it", out.Dataset, sought())
	}
}

func TestInstanceIsNotGivenAMemberOfAnotherZone(t *testing.T) {
	st := newStory(t)
	st.connectIn("east", "a")
	st.connectIn("west", "b")
	member := func(node api.NodeID, consumer string, index *int) (cluster.Outcome, error) {
		return st.try(cluster.ClaimMember{
			At: fenceTime, Node: node, Stream: st.s.Node(node).Stream, Consumer: consumer, Find: api.DatasetSpec{Name: "kafka"}, Each: 1, Index: index,
			NewID: api.DatasetID("d" + consumer), DefaultSize: api.MinSize,
		})
	}
	out, err := member("a", "1", nil)
	if err != nil || out.Dataset == nil {
		t.Fatal(out, err)
	}
	d := out.Dataset
	report := func(r api.DatasetReport) {
		r.State.ID, r.State.Epoch = d.ID, d.Epoch
		if out := st.do(cluster.Report{At: fenceTime, Node: "a", Stream: st.s.Node("a").Stream, Datasets: []api.DatasetReport{r}}); len(out.Refused) > 0 {
			t.Fatal(out.Refused)
		}
	}
	report(api.DatasetReport{State: api.DatasetState{Phase: api.PhaseMounted}, Volume: &api.Volume{ID: "v", Backend: "model", Size: api.MinSize, Zone: "east"}})
	report(api.DatasetReport{Free: d.Member.User.Claim})
	out, err = member("b", "2", nil)
	if err != nil || out.Dataset != nil {
		t.Fatalf("got %+v, %v, want it to wait", out.Dataset, err)
	}
	why := st.s.ExplainWaiting("kafka", "b", "2", fenceTime)
	if !strings.Contains(why, "kafka.0: free, but in zone east, and b is in zone west: an instance in their zone can have them.") {
		t.Errorf("got %s", why)
	}
	zero := 0
	if _, err := member("b", "3", &zero); !api.IsZoneError(err) {
		t.Errorf("got %v, want the one member that will do to be refused", err)
	}
	if out, err := member("a", "4", nil); err != nil || out.Dataset == nil {
		t.Errorf("got %+v, %v, want who came later and is in its zone to have it", out, err)
	}
}

func TestAppInAnotherZoneGetsNoHintAndIsExplained(t *testing.T) {
	m := newMarathonState(t)
	for node, zone := range map[api.NodeID]string{"n1": "east", "n2": "west"} {
		m.must(cluster.NodeDisconnect{At: m.now, Node: node, Stream: m.s.Node(node).Stream})
		m.must(cluster.NodeConnect{At: m.now, Node: node, Hello: api.Hello{Agent: "a" + string(node), Era: "e" + string(node), Hostname: string(node), Zone: zone}})
	}
	d := m.must(cluster.Claim{At: m.now, Node: "n1", Stream: m.s.Node("n1").Stream, Find: &api.DatasetSpec{Name: "db"}, NewID: "d", DefaultSize: api.MinSize}).Dataset
	m.must(cluster.Report{At: m.now, Node: "n1", Stream: m.s.Node("n1").Stream, Datasets: []api.DatasetReport{{
		State: api.DatasetState{ID: "d", Epoch: d.Epoch, Phase: api.PhaseMounted}, Volume: &api.Volume{ID: "v", Backend: "model", Size: api.MinSize, Zone: "east"},
	}}})
	for node, want := range map[api.NodeID]bool{"n1": true, "n2": false} {
		m.follow("/db", map[string]api.Hint{"db": {Node: node, Instance: "i", Until: m.now.Add(time.Minute)}}, api.VolumeRequest{Key: "data", Name: "db"})
		if got := m.s.Hint("d").For(node); got != want {
			t.Errorf("%s: got a hint: %v, want %v", node, got, want)
		}
	}
	a := &api.App{ID: "/db", Instances: []api.AppInstance{{ID: "i1", Node: "n1"}, {ID: "i2", Node: "n2"}}}
	const want = `Marathon has put the instance i2 on n2, which is in zone west, where the volume, which is in zone east, can never be attached: ` +
		`keep the app in the volume's zone, by the constraint ["@zone", "IS", "east"].`
	if got := m.s.ExplainPlaces(a, m.s.Dataset("d")); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
