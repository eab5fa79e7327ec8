package cluster_test

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// announce connects a node whose agent says that it runs on an instance.
func (b *bench) announce(n api.NodeID, instance string) cluster.NodeConnect {
	return cluster.NodeConnect{At: b.now, Node: n, Address: "192.0.2.1", Hello: api.Hello{
		Hostname: "host-" + string(n), Agent: "agent-" + string(n), Era: "era-" + string(n), Instance: instance, Backend: "ebs"}}
}

func mounted(v api.Volume) api.DatasetReport {
	return api.DatasetReport{State: api.DatasetState{Phase: api.PhaseMounted}, Volume: &v}
}

func TestAVolumeBelongsToOneDataset(t *testing.T) {
	setup := func(t *testing.T) *bench {
		b := newBench(t)
		b.do(b.announce("honest", "i-1"))
		b.do(b.announce("rogue", "i-2"))
		b.create("victim", "honest", "db")
		b.say("honest", "victim", mounted(api.Volume{ID: "vol-1a", Backend: "ebs", Size: 10 << 30}))
		b.create("own", "rogue", "own")
		return b
	}
	size := int64(10 << 30)
	for name, v := range map[string]api.Volume{
		"the same id":                     {ID: "vol-1a", Backend: "ebs", Size: size},
		"in capitals":                     {ID: "VOL-1A", Backend: "ebs", Size: size},
		"with a space":                    {ID: "vol-1a ", Backend: "ebs", Size: size},
		"with a zero byte":                {ID: "vol-1a\x00", Backend: "ebs", Size: size},
		"in full width":                   {ID: "ｖol-1a", Backend: "ebs", Size: size},
		"of another backend than its own": {ID: "vol-1a", Backend: "loopback", Size: size},
		"of the backend in capitals":      {ID: "vol-1a", Backend: "EBS", Size: size},
		"called like the dataset":         {ID: "victim", Backend: "ebs", Size: size},
		"of an exbibyte":                  {ID: "vol-2", Backend: "ebs", Size: 1 << 60},
		"of more bytes than there are":    {ID: "vol-2", Backend: "ebs", Size: 1<<63 - 1},
		"of less than nothing":            {ID: "vol-2", Backend: "ebs", Size: -1},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			if err := b.report("rogue", "own", mounted(v)); err == nil {
				t.Errorf("volume %+v was registered", v)
			}
			if got := b.s.Dataset("own").Volume; got != nil {
				t.Errorf("got volume %+v, want none", got)
			}
		})
	}
	t.Run("also of a deleted and a destroyed dataset", func(t *testing.T) {
		b := setup(t)
		b.do(cluster.Delete{At: b.now, ID: "victim"})
		for range 2 {
			if err := b.report("rogue", "own", mounted(api.Volume{ID: "vol-1a", Backend: "ebs", Size: size})); err == nil || err.Code != api.CodeConflict {
				t.Fatalf("got %v, want a conflict", err)
			}
			if !b.s.Dataset("victim").Destroyed {
				b.say("honest", "victim", api.DatasetReport{State: api.DatasetState{Phase: api.PhaseNonExistent}, Release: true, Destroyed: true})
			}
		}
	})
	t.Run("one after the other in the same report", func(t *testing.T) {
		b := setup(t)
		b.create("own2", "rogue", "own2")
		part := func(id api.DatasetID) api.DatasetReport {
			r := mounted(api.Volume{ID: "vol-9", Backend: "ebs", Size: size})
			r.State.ID, r.State.Epoch = id, 1
			return r
		}
		out := b.do(cluster.Report{At: b.now, Node: "rogue", Stream: 1, Datasets: []api.DatasetReport{part("own"), part("own2")}})
		if len(out.Refused) != 1 || out.Refused["own2"] == nil {
			t.Errorf("got %v refused, want own2", out.Refused)
		}
	})
	t.Run("and is found again from the records", func(t *testing.T) {
		b := setup(t)
		again := cluster.New()
		for d := range b.s.Datasets() {
			again.Put(cluster.Change{Key: cluster.DatasetKey(d.ID), Dataset: d})
		}
		if got := again.VolumeOwner(&api.Volume{ID: "vol-1A", Backend: "ebs"}); got == nil || got.ID != "victim" {
			t.Errorf("got %v, want victim", got)
		}
	})
}

func TestOnlyANodeThatDrivesItsBackendDestroysAVolume(t *testing.T) {
	b := newBench(t)
	b.do(b.announce("a", "i-1"))
	b.create("d", "a", "db")
	b.say("a", "d", mounted(api.Volume{ID: "vol-1", Backend: "ebs", Size: 10 << 30}))
	b.claim("a", "d")
	other := b.announce("b", "i-2")
	other.Hello.Backend = "loopback"
	b.do(other)
	b.unpin("d", "b")
	b.release("a", "d")
	b.do(cluster.NodeDisconnect{At: b.now, Node: "a", Stream: b.s.Node("a").Stream})
	b.do(cluster.Delete{At: b.now, ID: "d"})
	if d := b.s.Dataset("d"); d.HeldBy("b") {
		t.Errorf("node b, of another backend, is to destroy the volume and would take it for gone")
	}
}

func TestAnInstanceBelongsToOneNode(t *testing.T) {
	b := newBench(t)
	b.do(b.announce("a", "i-1"))
	b.refused(b.announce("rogue", "i-1"), api.CodeConflict, "belongs to node a")
	b.refused(b.announce("rogue", "I-1"), api.CodeConflict, "belongs to node a")
	b.refused(b.announce("rogue", " i-1"), api.CodeConflict, "belongs to node a")
	b.do(b.announce("rogue", "i-2"))
	b.refused(b.announce("rogue", "i-1"), api.CodeConflict, "allow-instance rogue i-1")
	b.refused(b.announce("rogue", "i-3"), api.CodeConflict, "now says i-3")
	b.refused(b.announce("rogue", ""), api.CodeConflict, "now says none")

	t.Log("it stays a lost node's")
	b.do(cluster.NodeDisconnect{At: b.now, Node: "a", Stream: 1})
	b.refused(b.announce("rogue", "i-1"), api.CodeConflict, "belongs to node a")
	b.refused(b.announce("new", "i-1"), api.CodeConflict, "belongs to node a")

	t.Log("an operator allows another one, once")
	b.do(cluster.AllowInstance{At: b.now, Node: "rogue", Instance: "i-3"})
	b.refused(b.announce("new", "i-2"), api.CodeConflict, "belongs to node rogue")
	b.do(b.announce("rogue", "i-3"))
	b.refused(b.announce("rogue", "i-2"), api.CodeConflict, "now says i-2")

	t.Log("a lost node that holds nothing gives it up, also to a node that never came")
	b.do(cluster.AllowInstance{At: b.now, Node: "new", Instance: "i-1"})
	b.do(b.announce("new", "i-1"))
	if got := b.s.Node("a").Instance; got != "" {
		t.Errorf("node a has instance %q still", got)
	}
	b.refused(b.announce("a", "i-1"), api.CodeConflict, "belongs to node new")

	t.Log("a connected node, and one that holds something, keeps it")
	b.refused(cluster.AllowInstance{At: b.now, Node: "a", Instance: "i-1"}, api.CodeConflict, "is connected since")
	b.create("d", "new", "db")
	b.do(cluster.NodeDisconnect{At: b.now, Node: "new", Stream: 1})
	b.refused(cluster.AllowInstance{At: b.now, Node: "a", Instance: "i-1"}, api.CodeConflict, "holds dataset db")
	b.refused(cluster.AllowInstance{At: b.now, Node: "a", Instance: " "}, api.CodeInvalid, "must not be empty")
	b.refused(cluster.AllowInstance{At: b.now, Node: "a", Instance: "i\x1b"}, api.CodeInvalid, "U+001B")
}

// A log of before may have two nodes with one instance.
func TestADoubtfulInstanceIsNotFenced(t *testing.T) {
	st := newStory(t, "a", "b", "c")
	st.claim("a", false)
	twin := *st.s.Node("c")
	twin.Instance = "I-A"
	next := st.s.Clone()
	next.Put(cluster.Change{Key: cluster.NodeKey("c"), Node: &twin})
	st.s = next
	st.claim("b", false)
	st.lose("a")
	if f := st.s.Dataset("d").Fence; f != nil {
		t.Errorf("got fence %+v of an instance that two nodes have", f)
	}
	st.do(cluster.GiveUpNode{At: fenceTime, Node: "a"})
	if st.s.Dataset("d").Fence == nil {
		t.Error("an operator's word begins no fence")
	}
}

func TestAnEraOfTwoConnectedNodesNamesNeither(t *testing.T) {
	b := newBench(t, "a")
	rogue := b.announce("rogue", "i-2")
	rogue.Hello.Era = "ERA-A"
	b.do(rogue)
	if got := b.s.NodeByEra("era-a"); got != nil {
		t.Errorf("got %s, want none", got.ID)
	}
	b.do(cluster.NodeDisconnect{At: b.now, Node: "rogue", Stream: 1})
	if got := b.s.NodeByEra("era-a"); got == nil || got.ID != "a" {
		t.Errorf("got %v, want the connected node", got)
	}
}

func TestTheAgentsIdentityIsKeptAsAHash(t *testing.T) {
	b := newBench(t, "a")
	if got := b.s.Node("a").Agent; strings.Contains(got, "agent-a") || !strings.HasPrefix(got, "sha256:") {
		t.Errorf("the record has %q", got)
	}
	thief := b.announce("a", "")
	thief.Hello.Agent = b.s.Node("a").Agent
	b.refused(thief, api.CodeConflict, "has an agent already")
	b.connect("a")

	t.Log("a record of before has the identity itself")
	old := *b.s.Node("a")
	old.Agent = "agent-a"
	next := b.s.Clone()
	next.Put(cluster.Change{Key: cluster.NodeKey("a"), Node: &old})
	b.s = next
	b.connect("a")
	if got := b.s.Node("a").Agent; got == "agent-a" {
		t.Error("the record has the identity still")
	}
}

func TestControlCharactersAreRefusedOrEscaped(t *testing.T) {
	for name, text := range map[string]string{
		"escape": "a\x1b[2J", "delete": "a\x7f", "C1": "a\u009b", "line": "a\nb", "override": "a\u202eb", "isolate": "a\u2066b",
		"zero width": "a\u200bb", "byte order mark": "\ufeffa", "line separator": "a\u2028b", "not UTF-8": "a\xff", "tag": "a\U000e0041",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "a")
			for _, key := range []string{api.MetadataName, "owner", api.MetadataProfile} {
				b.refused(cluster.Create{ID: "x", Primary: "a", Metadata: map[string]string{key: text}}, api.CodeInvalid, "metadata")
			}
			b.refused(cluster.Create{ID: "x", Primary: "a", Metadata: map[string]string{text: "v"}}, api.CodeInvalid, "metadata")
			b.refused(b.find("a", api.DatasetSpec{Name: text}), api.CodeInvalid, "name")
			b.refused(b.find("a", api.DatasetSpec{Name: "db", Profile: text}), api.CodeInvalid, "profile")
			for field, set := range map[string]func(*api.Hello){
				"hostname": func(h *api.Hello) { h.Hostname = text }, "era": func(h *api.Hello) { h.Era = text },
				"agent": func(h *api.Hello) { h.Agent = text }, "instance": func(h *api.Hello) { h.Instance = text },
				"backend": func(h *api.Hello) { h.Backend = text }, "version": func(h *api.Hello) { h.Version = text },
				"zone": func(h *api.Hello) { h.Zone = text }, "capabilities": func(h *api.Hello) { h.Capabilities = []string{text} },
			} {
				c := b.announce("z", "i-z")
				set(&c.Hello)
				b.refused(c, api.CodeInvalid, field)
			}
			b.refused(cluster.ClaimMember{Node: "a", Stream: b.s.Node("a").Stream, Consumer: text, Find: api.DatasetSpec{Name: "set"}, Each: api.EachInstance}, api.CodeInvalid, "consumer")
			b.refused(cluster.ClaimMember{Node: "a", Stream: b.s.Node("a").Stream, Consumer: "c", Instance: text, Find: api.DatasetSpec{Name: "set"}, Each: api.EachInstance}, api.CodeInvalid, "instance")
			b.create("d", "a", "db")
			b.say("a", "d", api.DatasetReport{State: api.DatasetState{Phase: api.PhaseMounted, Action: text, Path: text, Device: text,
				Consumers: []api.Consumer{{ID: text, Kind: text, App: text, Key: text}}, Failure: &api.Failure{Action: text, Cause: text}}})
			st := b.s.DatasetState("d")
			c, f := st.Consumers[0], st.Failure
			for _, got := range []string{st.Action, st.Path, st.Device, c.ID, c.Kind, c.App, c.Key, f.Action, f.Cause} {
				if api.CheckText("", got) != nil || got == "" {
					t.Errorf("the record has %q", got)
				}
			}
		})
	}
}
