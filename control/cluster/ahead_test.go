package cluster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// deployed follows an app with one volume of its own name.
func (m *marathonState) deployed(id string, change func(*api.App)) api.DatasetID {
	m.t.Helper()
	name := strings.TrimPrefix(id, "/")
	a := api.App{ID: id, Framework: "f", Wanted: 1, Volumes: []api.AppVolume{{Key: "data", Name: name, Spec: &api.VolumeRequest{Name: name}}}}
	if change != nil {
		change(&a)
	}
	m.must(cluster.FollowApp{At: m.now, Replica: "r", App: a, DefaultSize: api.DefaultSizeBytes, NewID: m.newID})
	if d := m.s.DatasetByName(name); d != nil {
		return d.ID
	}
	return ""
}

func (m *marathonState) ahead() []*api.Hint {
	m.t.Helper()
	var hints []*api.Hint
	for _, c := range m.must(cluster.MakeAhead{At: m.now, Replica: "r", Limit: 100}).Changes {
		hints = append(hints, c.Hint)
	}
	return hints
}

// claimAhead has a node claim what it is to make.
func (m *marathonState) claimAhead(id api.DatasetID, node api.NodeID) error {
	_, err := m.do(cluster.Claim{At: m.now, Node: node, Stream: 1, ID: id, Ahead: true})
	return err
}

func (m *marathonState) reported(id api.DatasetID, volume *api.Volume, release bool) {
	m.t.Helper()
	d := m.s.Dataset(id)
	m.must(cluster.Report{At: m.now, Node: d.Holder.Node, Stream: 1, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: id, Epoch: d.Epoch, Phase: api.PhaseDetached}, Volume: volume, Release: release},
	}})
}

func TestAVolumeIsMadeAheadAndNoMoreOnceItIsRegistered(t *testing.T) {
	m := newMarathonState(t)
	id := m.deployed("/db", nil)
	hints := m.ahead()
	if len(hints) != 1 || !hints[0].Make || hints[0].Dataset != id || hints[0].App != "/db" || hints[0].Instance != "" || hints[0].Attempt != 0 {
		t.Fatalf("got %+v, want one hint to make the volume", hints)
	}
	node := hints[0].Node
	if again := m.ahead(); len(again) > 0 {
		t.Errorf("while it is being made: got %+v, want nothing", again[0])
	}
	m.deployed("/db", nil) // read anew
	if h := m.s.Hint(id); !h.For(node) || !h.Make {
		t.Errorf("after the app was read again: got %+v, want the hint as it was", h)
	}
	if err := m.claimAhead(id, node); err != nil {
		t.Fatal(err)
	}
	m.reported(id, &api.Volume{ID: "vol", Backend: "b", Size: api.DefaultSizeBytes}, false)
	if h := m.s.Hint(id); h != nil {
		t.Errorf("once it is registered: got the hint %+v, want none", h)
	}
	m.reported(id, nil, true)
	m.now = m.now.Add(time.Hour)
	if again := m.ahead(); len(again) > 0 {
		t.Errorf("after it was given back: got %+v, want nothing", again[0])
	}
}

func TestWhatIsNotMadeAhead(t *testing.T) {
	for name, change := range map[string]func(*api.App){
		"an instance is staged": func(a *api.App) {
			a.Instances = []api.AppInstance{{ID: "i", State: api.TaskStaging, Host: "x"}}
		},
		"no instance is wanted":    func(a *api.App) { a.Wanted = 0 },
		"Marathon has not the app": func(a *api.App) { a.Missing = time.Unix(1, 0) },
		"Marathon destroys it":     func(a *api.App) { a.Stopped = time.Unix(1, 0) },
		"it cannot be had":         func(a *api.App) { a.Volumes[0].Spec.Size = 1<<30 + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMarathonState(t)
			id := m.deployed("/db", nil)
			m.deployed("/db", change)
			if hints := m.ahead(); len(hints) > 0 {
				t.Errorf("got %+v, want nothing", hints[0])
			}
			m.deployed("/db", nil)
			if len(m.ahead()) != 1 {
				t.Error("after that has changed: got nothing, want a hint")
			}
			m.deployed("/db", change)
			if h := m.s.Hint(id); h != nil {
				t.Errorf("after it has changed again: got %+v, want that the hint is taken back", h)
			}
		})
	}
	for name, happens := range map[string]func(m *marathonState, id api.DatasetID){
		"a node has it": func(m *marathonState, id api.DatasetID) {
			m.must(cluster.Claim{At: m.now, Node: "n1", Stream: 1, ID: id})
		},
		"a user has moved it": func(m *marathonState, id api.DatasetID) { m.must(cluster.Move{At: m.now, ID: id, Primary: "n9"}) },
		"it was deleted":      func(m *marathonState, id api.DatasetID) { m.must(cluster.Delete{At: m.now, ID: id}) },
		"no app asks for it": func(m *marathonState, _ api.DatasetID) {
			m.must(cluster.ForgetApp{At: m.now, Replica: "r", ID: "/db", Revision: m.s.App("/db").Revision})
		},
		"no node is there": func(m *marathonState, _ api.DatasetID) {
			m.must(cluster.DrainNode{At: m.now, Node: "n1"})
			m.must(cluster.NodeDisconnect{At: m.now, Node: "n2", Stream: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMarathonState(t)
			happens(m, m.deployed("/db", nil))
			if hints := m.ahead(); len(hints) > 0 {
				t.Errorf("got %+v, want nothing", hints[0])
			}
		})
	}
	t.Run("by a replica that does not follow Marathon", func(t *testing.T) {
		m := newMarathonState(t)
		m.deployed("/db", nil)
		if _, err := m.do(cluster.MakeAhead{At: m.now, Replica: "other", Limit: 1}); api.CodeOf(err) != api.CodeStale {
			t.Errorf("got %v, want a refusal", err)
		}
	})
}

// members follows an app with a volume set.
func (m *marathonState) members(wanted, each int) {
	m.t.Helper()
	m.deployed("/kafka", func(a *api.App) {
		a.Wanted, a.Volumes = wanted, nil
		for i := range each {
			a.Volumes = append(a.Volumes, api.AppVolume{
				Key: "data", Name: api.MemberName("kafka", i), Set: "kafka", Spec: &api.VolumeRequest{Name: "kafka", Each: each},
			})
		}
	})
}

func TestMembersAreMadeAheadForAsManyInstancesAsThereAreToBe(t *testing.T) {
	m := newMarathonState(t)
	m.members(2, 3)
	hints := m.ahead()
	if len(hints) != 2 {
		t.Fatalf("got %d hints, want one for each of two instances", len(hints))
	}
	for _, h := range hints {
		if d := m.s.Dataset(h.Dataset); d.Member.Index > 1 {
			t.Errorf("got a hint for %s, want those of the lowest numbers", d.Member)
		}
		if err := m.claimAhead(h.Dataset, h.Node); err != nil {
			t.Errorf("claim of a member ahead: %v", err)
		}
	}
	// Who comes gets one all the same, and it is nobody else's.
	out := m.must(cluster.ClaimMember{At: m.now, Node: "n1", Stream: 1, Consumer: "c1", Find: api.DatasetSpec{Name: "kafka"}, Each: 3,
		NewID: m.newID(), DefaultSize: api.DefaultSizeBytes})
	if out.Dataset == nil || out.Dataset.UserOn("n1") == nil || !out.Dataset.HeldBy("n1") && !out.Dataset.AwaitedBy("n1") {
		t.Errorf("got %+v, want a member", out.Dataset)
	}
}

func TestVolumesAreMadeAheadByAllNodesAFewAtOnce(t *testing.T) {
	m := newMarathonState(t)
	const apps, most = 40, 4
	for i := range apps {
		m.deployed(fmt.Sprintf("/db%d", i), nil)
	}
	made, by := 0, map[api.NodeID]int{}
	for rounds := 0; made < apps; rounds++ {
		hints := m.ahead()
		if len(hints) == 0 || rounds > apps {
			t.Fatalf("%d of %d were made, and no more are", made, apps)
		}
		now := map[api.NodeID]int{}
		for _, h := range hints {
			now[h.Node]++
			by[h.Node]++
			if err := m.claimAhead(h.Dataset, h.Node); err != nil {
				t.Fatal(err)
			}
			if now[h.Node] > most {
				t.Fatalf("%s makes %d at once, want %d at the most", h.Node, now[h.Node], most)
			}
		}
		for _, h := range hints {
			m.reported(h.Dataset, &api.Volume{ID: "v" + string(h.Dataset), Backend: "b", Size: api.DefaultSizeBytes}, true)
			made++
		}
	}
	if by["n1"] < apps/4 || by["n2"] < apps/4 {
		t.Errorf("they were made by %v, want about as many by each", by)
	}
}

// With one volume at a time each is made by the first of its own order of nodes.
func TestEachDatasetHasItsOwnOrderOfNodes(t *testing.T) {
	m := newMarathonState(t)
	by := map[api.NodeID]int{}
	const apps = 60
	for i := range apps {
		id := m.deployed(fmt.Sprintf("/db%d", i), nil)
		h := m.ahead()[0]
		by[h.Node]++
		if err := m.claimAhead(id, h.Node); err != nil {
			t.Fatal(err)
		}
		m.reported(id, &api.Volume{ID: "v" + string(id), Backend: "b", Size: api.DefaultSizeBytes}, true)
	}
	if by["n1"] < apps/4 || by["n2"] < apps/4 {
		t.Errorf("they were made by %v, want about as many by each", by)
	}
}

func TestWhatWasNotMadeIsMadeByAnotherNodeAndAfterWhatWasNotTried(t *testing.T) {
	m := newMarathonState(t)
	id := m.deployed("/db", nil)
	first := m.ahead()[0]
	if _, next := m.s.Ahead(m.now, 1); !next.Equal(first.Until) {
		t.Errorf("it is to be looked again at %s, want when the hint ends, %s", next, first.Until)
	}
	if err := m.claimAhead(id, first.Node); err != nil {
		t.Fatal(err)
	}
	m.now = first.Until
	if held := m.ahead(); len(held) > 0 {
		t.Errorf("while the first node has it: got %+v, want nothing", held[0])
	}
	m.reported(id, nil, true)
	other := m.deployed("/new", nil)
	hints := m.ahead()
	if len(hints) != 2 || hints[0].Dataset != other || hints[1].Dataset != id || hints[1].Node == first.Node || hints[1].Attempt != 1 {
		t.Fatalf("got %+v, want first what was never tried, then the other by another node than %s", hints, first.Node)
	}
	if err := m.claimAhead(id, first.Node); api.CodeOf(err) != api.CodeConflict {
		t.Errorf("a claim by the first node, late: got %v, want a conflict", err)
	}
	m.must(cluster.DrainNode{At: m.now, Node: hints[1].Node})
	again := m.ahead()
	if len(again) == 0 || again[0].Node == hints[1].Node {
		t.Errorf("when the node is emptied: got %+v, want one for the other", again)
	}
}

func TestAHintToMakeAVolumeTakesNothingThatSomebodyHas(t *testing.T) {
	m := newMarathonState(t)
	id := m.deployed("/db", nil)
	h := m.ahead()[0]
	other := api.NodeID("n1")
	if h.Node == other {
		other = "n2"
	}
	m.must(cluster.Claim{At: m.now, Node: other, Stream: 1, ID: id})
	before := m.s.Dataset(id)
	if err := m.claimAhead(id, h.Node); api.CodeOf(err) != api.CodeConflict {
		t.Errorf("claim of what another node has: got %v, want a conflict", err)
	}
	if m.s.Dataset(id) != before {
		t.Errorf("it has changed: %+v", m.s.Dataset(id))
	}
	if err := m.claimAhead(id, other); api.CodeOf(err) != api.CodeConflict {
		t.Errorf("claim because of a hint for another node: got %v, want a conflict", err)
	}
}

func TestNothingIsMadeAheadWhereNodesDifferInTheirBackends(t *testing.T) {
	m := newMarathonState(t)
	m.deployed("/db", nil)
	m.must(cluster.NodeConnect{At: m.now, Node: "n3", Hello: api.Hello{Agent: "a3", Era: "e3", Hostname: "n3", Backend: "ebs"}})
	if hints := m.ahead(); len(hints) > 0 {
		t.Fatalf("got %+v, want nothing", hints[0])
	}
	if why := m.s.ExplainAhead(m.s.App("/db")); !strings.Contains(why, "different backends (, ebs)") {
		t.Errorf("got %q, want why", why)
	}
	m.must(cluster.DrainNode{At: m.now, Node: "n3"})
	if why := m.s.ExplainAhead(m.s.App("/db")); why != "" || len(m.ahead()) != 1 {
		t.Errorf("without the other one: got %q, want a hint", why)
	}
}

// inZone connects a node that binds volumes to its zone.
func (m *marathonState) inZone(id api.NodeID, zone string) {
	m.t.Helper()
	m.must(cluster.NodeConnect{At: m.now, Node: id, Hello: api.Hello{
		Agent: "a" + string(id), Era: "e" + string(id), Hostname: string(id), Zone: zone, Capabilities: []string{api.CapabilityZones},
	}})
}

func TestAVolumeIsMadeAheadOnlyWhereItsAppIsKeptInAZone(t *testing.T) {
	m := newMarathonState(t)
	m.inZone("n1", "a")
	m.inZone("n2", "b")
	id := m.deployed("/db", nil)
	if hints := m.ahead(); len(hints) > 0 {
		t.Errorf("an app that may run in both: got %+v, want nothing", hints[0])
	}
	if why := m.s.ExplainAhead(m.s.App("/db")); !strings.Contains(why, "no constraint keeps the app in one of them (a, b)") {
		t.Errorf("got %q, want why", why)
	}
	in := func(zone string) func(*api.App) { return func(a *api.App) { a.Zone = zone } }
	m.deployed("/db", in("c"))
	if why := m.s.ExplainAhead(m.s.App("/db")); !strings.Contains(why, "no node of zone c") || len(m.ahead()) > 0 {
		t.Errorf("a zone without nodes: got %q, want why there is no hint", why)
	}
	m.deployed("/db", in("b"))
	if hints := m.ahead(); len(hints) != 1 || hints[0].Node != "n2" || hints[0].Dataset != id {
		t.Errorf("got %+v, want a hint for the node of zone b", hints)
	}
}
