package cluster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// marathonState is a cluster of which replica r follows Marathon, with nodes n1
// and n2.
type marathonState struct {
	t   *testing.T
	s   *cluster.State
	now time.Time
	ids int
}

func newMarathonState(t *testing.T) *marathonState {
	t.Helper()
	m := &marathonState{t: t, s: cluster.New(), now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
	m.s.Put(cluster.Change{Key: cluster.KeyMeta, Meta: &cluster.Meta{Cluster: "c"}},
		cluster.Change{Key: cluster.ReplicaKey("r"), Replica: &api.Replica{ID: "r"}})
	m.s.SetRevision(1)
	for _, id := range []api.NodeID{"n1", "n2"} {
		m.must(cluster.NodeConnect{At: m.now, Node: id, Hello: api.Hello{Agent: "a" + string(id), Era: "e" + string(id), Hostname: string(id)}})
	}
	m.must(cluster.TakeJob{At: m.now, Name: api.JobMarathon, Replica: "r"})
	return m
}

func (m *marathonState) do(cmd cluster.Command) (cluster.Outcome, error) {
	m.t.Helper()
	out, err := cmd.Apply(m.s)
	if err != nil || len(out.Changes) == 0 {
		return out, err
	}
	next := m.s.Clone()
	next.Put(out.Changes...)
	next.SetRevision(m.s.Revision() + 1)
	if err := checkState(next); err != nil {
		m.t.Fatalf("after %T: %v", cmd, err)
	}
	m.s = next
	return out, nil
}

func (m *marathonState) must(cmd cluster.Command) cluster.Outcome {
	m.t.Helper()
	out, err := m.do(cmd)
	if err != nil {
		m.t.Fatalf("%T: %v", cmd, err)
	}
	return out
}

func (m *marathonState) follow(id string, hints map[string]api.Hint, specs ...api.VolumeRequest) cluster.Outcome {
	m.t.Helper()
	a := api.App{ID: id, Framework: "f", Wanted: 1}
	for _, spec := range specs {
		a.Volumes = append(a.Volumes, api.AppVolume{Key: spec.Key, Name: spec.Name, Reclaim: spec.Reclaim, Grace: spec.Grace, Spec: &spec})
	}
	return m.must(cluster.FollowApp{At: m.now, Replica: "r", App: a, Hints: hints, DefaultSize: api.DefaultSizeBytes, NewID: m.newID})
}

func (m *marathonState) newID() api.DatasetID {
	m.ids++
	return api.DatasetID(fmt.Sprintf("d%d", m.ids))
}

func spec(name string) api.VolumeRequest {
	return api.VolumeRequest{Key: "data", Name: name, Reclaim: api.ReclaimDelete, Grace: time.Hour}
}

func TestWhatAnAppCannotHaveIsSaidWithItsVolume(t *testing.T) {
	m := newMarathonState(t)
	m.follow("/first", nil, spec("db"))
	for want, v := range map[string]api.VolumeRequest{
		"":                  {Name: "new"},
		"multiple of 1024":  {Name: "odd", Size: 1<<30 + 1},
		"volumes grow":      {Name: "db", Size: 100 << 30},
		"file system ext4":  {Name: "db", FS: api.FSXFS},
		"is not a file sys": {Name: "fat", FS: "fat"},
	} {
		out := m.follow("/other", nil, v)
		if got := out.App.Volumes[0].Failure; !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%+v: got %q, want %q", v, got, want)
		}
	}
	if d := m.s.DatasetByName("new"); d == nil || d.Size != api.DefaultSizeBytes || d.Primary != "" || d.Holder != nil {
		t.Errorf("got %+v, want a dataset of the default size on no node", d)
	}
	again := m.follow("/first", nil, spec("db"))
	if len(again.Changes) > 0 {
		t.Errorf("the same again: got %d changes, want none", len(again.Changes))
	}
}

func TestVeryManyVolumesTakeSeveralCommits(t *testing.T) {
	m := newMarathonState(t)
	var specs []api.VolumeRequest
	for i := range 100 {
		specs = append(specs, spec(fmt.Sprint("db", i)))
	}
	commits := 0
	for len(m.follow("/many", nil, specs...).Changes) > 0 {
		if commits++; commits > 20 {
			t.Fatal("it does not come to an end")
		}
	}
	if got := m.s.CountDatasets(); got != 100 || commits < 2 {
		t.Errorf("%d datasets after %d commits, want 100 after several", got, commits)
	}
}

func TestHintsAreForNodesThatAreThereAndEnd(t *testing.T) {
	m := newMarathonState(t)
	hint := func(node api.NodeID, lasts time.Duration) map[string]api.Hint {
		return map[string]api.Hint{"db": {Node: node, Instance: "i-" + string(node), Until: m.now.Add(lasts)}}
	}
	m.follow("/db", hint("n1", 24*time.Hour), spec("db"))
	id := m.s.DatasetByName("db").ID
	if h := m.s.Hint(id); !h.For("n1") || h.Until.After(m.now.Add(cluster.MaxHint)) || h.App != "/db" {
		t.Errorf("got %+v, want one for n1 that is bounded", h)
	}
	m.follow("/db", hint("n2", time.Minute), spec("db"))
	if h := m.s.Hint(id); !h.For("n2") {
		t.Errorf("got %+v, want one for n2", h)
	}
	m.must(cluster.DrainNode{At: m.now, Node: "n2"})
	m.follow("/db", hint("n2", time.Minute), spec("db"))
	if h := m.s.Hint(id); h != nil {
		t.Errorf("got %+v for a node that is emptied", h)
	}
	for name, none := range map[string]map[string]api.Hint{
		"no such node": hint("n9", time.Minute), "over already": hint("n1", -time.Minute), "not its dataset": {"other": {Node: "n1", Until: m.now.Add(time.Hour)}},
	} {
		m.follow("/db", none, spec("db"))
		if h := m.s.Hint(id); h != nil {
			t.Errorf("%s: got %+v, want none", name, h)
		}
	}
	if d := m.s.Dataset(id); d.Holder != nil || d.Epoch > 0 {
		t.Errorf("hints have moved the token: %+v", d)
	}
}

func TestWhatKeepsADatasetFromBeingReclaimed(t *testing.T) {
	for name, keep := range map[string]func(m *marathonState, id api.DatasetID){
		"":                   func(*marathonState, api.DatasetID) {},
		"an app asks for it": func(m *marathonState, _ api.DatasetID) { m.follow("/again", nil, spec("db")) },
		"a user moved it":    func(m *marathonState, id api.DatasetID) { m.must(cluster.Move{At: m.now, ID: id, Primary: "n1"}) },
		"it was taken back":  func(m *marathonState, id api.DatasetID) { m.must(cluster.Undelete{At: m.now, ID: id}) },
		"a node claims it": func(m *marathonState, id api.DatasetID) {
			m.must(cluster.Claim{At: m.now, Node: "n1", Stream: 1, ID: id})
		},
		"there is a lease": func(m *marathonState, id api.DatasetID) {
			m.must(cluster.AcquireLease{At: m.now, Dataset: id, Node: "n1"})
		},
		"its time is not over":  func(m *marathonState, _ api.DatasetID) { m.now = m.now.Add(-2 * time.Hour) },
		"another replica reads": func(m *marathonState, _ api.DatasetID) { m.must(cluster.StopReplica{ID: "r"}); m.takeOver() },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMarathonState(t)
			out := m.follow("/db", nil, spec("db"))
			id := m.s.DatasetByName("db").ID
			m.must(cluster.ForgetApp{At: m.now, Replica: "r", ID: "/db", Revision: out.App.Revision, Reclaim: true, Grace: time.Minute})
			if at, some := m.s.NextReclaim(m.now); !some || !at.Equal(m.now.Add(time.Hour)) {
				t.Fatalf("the next is at %s (%t), want in an hour, as the label says", at, some)
			}
			m.now = m.now.Add(time.Hour)
			keep(m, id)
			_, err := m.do(cluster.Reclaim{At: m.now, Replica: "r", ID: id})
			if deleted := m.s.Dataset(id).Deleted; deleted != (name == "") {
				t.Errorf("deleted: %t (%v)", deleted, err)
			}
		})
	}
}

// takeOver makes another replica follow Marathon.
func (m *marathonState) takeOver() {
	m.s = m.s.Clone()
	m.s.Put(cluster.Change{Key: cluster.ReplicaKey("s"), Replica: &api.Replica{ID: "s"}})
	m.must(cluster.TakeJob{At: m.now, Name: api.JobMarathon, Replica: "s"})
}

func TestARestoredLogDeletesNothingByItself(t *testing.T) {
	m := newMarathonState(t)
	out := m.follow("/db", map[string]api.Hint{"db": {Node: "n1", Until: m.now.Add(time.Minute)}}, spec("db"))
	gone := *out.App
	gone.Stopped, gone.Missing = m.now, m.now
	m.must(cluster.FollowApp{At: m.now, Replica: "r", App: gone, NewID: m.newID})
	other := m.follow("/other", nil, spec("other"))
	m.must(cluster.ForgetApp{At: m.now, Replica: "r", ID: "/other", Revision: other.App.Revision, Reclaim: true, Grace: time.Minute})
	var changes []cluster.Change
	for key, value := range dump(m.s) {
		c, err := cluster.Decode(key, []byte(value))
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, c)
	}
	changes = append(changes, cluster.Change{Key: cluster.KeyMeta, Meta: m.s.Meta()})
	_, restored, err := cluster.Restored(m.s.Revision(), changes, m.now)
	if err != nil {
		t.Fatal(err)
	}
	s := cluster.New()
	s.Put(restored...)
	if a := s.App("/db"); a == nil || !a.Stopped.IsZero() || !a.Missing.IsZero() {
		t.Errorf("app: got %+v, want it without what was said of its end", a)
	}
	if d := s.DatasetByName("other"); d == nil || d.Reclaim != nil {
		t.Errorf("got %+v, want that it is kept", d)
	}
	if s.Job(api.JobMarathon) != nil || s.Hint(s.DatasetByName("db").ID) != nil {
		t.Error("a job or a hint of before is there")
	}
}

func TestKeysOfAppsFitIntoALog(t *testing.T) {
	for _, id := range []string{"/prod/db", "/" + strings.Repeat("x", 1000), "/with space", "/日本"} {
		key := cluster.AppKey(id)
		if len(key) > 256 || strings.ContainsFunc(string(key), func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q: got the key %q", id, key)
		}
		value, err := cluster.Encode(cluster.Change{Key: key, App: &api.App{ID: id}})
		if err != nil {
			t.Fatal(err)
		}
		s := cluster.New()
		if err := s.PutStored(key, value); err != nil || s.App(id) == nil {
			t.Errorf("%q is not found again: %v", id, err)
		}
	}
}
