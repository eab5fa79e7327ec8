package cluster_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// bench is a cluster for one test: commands go in, the state comes out.
type bench struct {
	t   *testing.T
	s   *cluster.State
	now time.Time
}

func newBench(t *testing.T, nodes ...api.NodeID) *bench {
	t.Helper()
	b := &bench{t: t, s: cluster.New(), now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
	for _, n := range nodes {
		b.connect(n)
	}
	return b
}

// try applies a command and takes over what it changes.
func (b *bench) try(cmd cluster.Command) (cluster.Outcome, error) {
	b.t.Helper()
	out, err := cmd.Apply(b.s)
	if err == nil && len(out.Changes) > 0 {
		next := b.s.Clone()
		next.Put(out.Changes...)
		next.SetRevision(b.s.Revision() + 1)
		b.s = next
		if err := checkState(b.s); err != nil {
			b.t.Fatalf("after %T: %v", cmd, err)
		}
	}
	return out, err
}

func (b *bench) do(cmd cluster.Command) cluster.Outcome {
	b.t.Helper()
	out, err := b.try(cmd)
	if err != nil {
		b.t.Fatalf("%T: %v", cmd, err)
	}
	return out
}

// refused checks that a command is refused with a code and a text, and that it
// would change nothing.
func (b *bench) refused(cmd cluster.Command, code api.Code, text string) {
	b.t.Helper()
	out, err := b.try(cmd)
	if got := api.CodeOf(err); got != code {
		b.t.Fatalf("%T: got %q (%v), want %q", cmd, got, err, code)
	}
	if !strings.Contains(err.Error(), text) {
		b.t.Errorf("%T: got %q, want it to say %q", cmd, err, text)
	}
	if len(out.Changes) > 0 {
		b.t.Errorf("%T: refused, but changes %v", cmd, out.Changes)
	}
}

func (b *bench) connect(n api.NodeID) *api.Node {
	b.t.Helper()
	return b.do(cluster.NodeConnect{At: b.now, Node: n, Address: "192.0.2.1",
		Hello: api.Hello{Hostname: "host-" + string(n), Agent: "agent-" + string(n), Era: "era-" + string(n)}}).Node
}

func (b *bench) create(id api.DatasetID, on api.NodeID, name string) *api.Dataset {
	b.t.Helper()
	return b.do(cluster.Create{At: b.now, ID: id, Primary: on, DefaultSize: 10 << 30,
		Metadata: map[string]string{api.MetadataName: name}}).Dataset
}

func (b *bench) claim(n api.NodeID, id api.DatasetID) *api.Dataset {
	b.t.Helper()
	return b.do(cluster.Claim{At: b.now, Node: n, Stream: b.s.Node(n).Stream, ID: id}).Dataset
}

func (b *bench) find(n api.NodeID, spec api.DatasetSpec) cluster.Claim {
	return cluster.Claim{At: b.now, Node: n, Stream: b.s.Node(n).Stream, Find: &spec, NewID: "new", DefaultSize: 10 << 30}
}

// report sends one part of a report and returns why it was refused, if it was.
func (b *bench) report(n api.NodeID, id api.DatasetID, r api.DatasetReport) *api.Error {
	b.t.Helper()
	r.State.ID = id
	if r.State.Epoch == 0 {
		r.State.Epoch = b.s.Dataset(id).Epoch
	}
	out := b.do(cluster.Report{At: b.now, Node: n, Stream: b.s.Node(n).Stream, Datasets: []api.DatasetReport{r}})
	return out.Refused[id]
}

// say sends one part of a report that must be accepted.
func (b *bench) say(n api.NodeID, id api.DatasetID, r api.DatasetReport) {
	b.t.Helper()
	if err := b.report(n, id, r); err != nil {
		b.t.Fatalf("report by %s: %v", n, err)
	}
}

func (b *bench) release(n api.NodeID, id api.DatasetID) {
	b.t.Helper()
	if err := b.report(n, id, api.DatasetReport{State: api.DatasetState{Phase: api.PhaseDetached}, Release: true}); err != nil {
		b.t.Fatalf("release by %s: %v", n, err)
	}
}

// unpin has a dataset mounted only while it is used, since another node has
// asked for it for a moment.
func (b *bench) unpin(id api.DatasetID, asks api.NodeID) {
	b.t.Helper()
	b.claim(asks, id)
	b.say(asks, id, api.DatasetReport{Withdraw: true})
}

// wantHolder checks who holds a dataset, where it should be, and who waits.
func (b *bench) wantHolder(id api.DatasetID, holder, primary api.NodeID, waiting ...api.NodeID) {
	b.t.Helper()
	d := b.s.Dataset(id)
	var gotHolder api.NodeID
	if d.Holder != nil {
		gotHolder = d.Holder.Node
	}
	var gotWaiting []api.NodeID
	for _, w := range d.Waiting {
		gotWaiting = append(gotWaiting, w.Node)
	}
	if gotHolder != holder || d.Primary != primary || !slices.Equal(gotWaiting, waiting) {
		b.t.Fatalf("got holder %q, primary %q, waiting %v; want %q, %q, %v", gotHolder, d.Primary, gotWaiting, holder, primary, waiting)
	}
}

func TestCreatePinsAndGrantsAtOnce(t *testing.T) {
	b := newBench(t, "a")
	d := b.create("d", "a", "db")
	b.wantHolder("d", "a", "a")
	if !d.Pinned || d.Epoch != 1 || d.Size != 10<<30 || d.MaximumSize != 0 || d.FS != api.FSExt4 {
		t.Errorf("got %+v, want it pinned with epoch 1, the default size and ext4", *d)
	}
}

func TestCreateIsRefused(t *testing.T) {
	b := newBench(t, "a")
	b.create("d", "a", "db")
	many := map[string]string{}
	for i := range 17 {
		many[strings.Repeat("k", i+1)] = ""
	}
	for _, tc := range []struct {
		name string
		cmd  cluster.Create
		code api.Code
		text string
	}{
		{"with an id that is taken", cluster.Create{ID: "d"}, api.CodeConflict, "The provided dataset_id is already in use."},
		{"with a name that is taken", cluster.Create{ID: "e", Metadata: map[string]string{"name": "db"}}, api.CodeConflict,
			`the name "db" is taken by dataset d`},
		{"with a name that is taken, given as ClusterHQ's isolator did", cluster.Create{ID: "e", Metadata: map[string]string{"FLOCKER_ID": "db"}},
			api.CodeConflict, `the name "db" is taken by dataset d`},
		{"too small", cluster.Create{ID: "e", MaximumSize: api.MinSize - 1024}, api.CodeInvalid, "less than the minimum of 67108864"},
		{"with an odd size", cluster.Create{ID: "e", MaximumSize: api.MinSize + 1}, api.CodeInvalid, "not a multiple of 1024"},
		{"with too much metadata", cluster.Create{ID: "e", Metadata: many}, api.CodeInvalid, "17 entries"},
		{"with a long value", cluster.Create{ID: "e", Metadata: map[string]string{"k": strings.Repeat("ü", 257)}}, api.CodeInvalid, "257 characters"},
		{"with an empty key", cluster.Create{ID: "e", Metadata: map[string]string{"": "v"}}, api.CodeInvalid, "empty key"},
		{"on another configuration", cluster.Create{ID: "d", Expect: cluster.Expect{"stale"}}, api.CodePrecondition,
			"Tag doesn't match. Required: stale, current: " + b.s.Tag().String()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := &bench{t: t, s: b.s, now: b.now}
			tc.cmd.Primary, tc.cmd.DefaultSize = "a", api.MinSize
			b.refused(tc.cmd, tc.code, tc.text)
		})
	}
}

func TestNameIsFreeAgainOnceItsDatasetIsDeleted(t *testing.T) {
	b := newBench(t, "a")
	b.create("d", "a", "db")
	b.do(cluster.Delete{At: b.now, ID: "d"})
	b.create("e", "a", "db")
	if got := b.s.DatasetByName("db").ID; got != "e" {
		t.Errorf("got dataset %s, want e", got)
	}
}

func TestClaimByNameCreatesOnDemand(t *testing.T) {
	b := newBench(t, "a", "b")
	d := b.do(b.find("a", api.DatasetSpec{Name: "db", Size: 1 << 30, FS: api.FSXFS, Profile: "gold"})).Dataset
	b.wantHolder("new", "a", "a")
	if d.Pinned || d.MaximumSize != 1<<30 || d.FS != api.FSXFS || d.Profile() != "gold" {
		t.Errorf("got %+v, want it unpinned and as asked for", *d)
	}
}

func TestClaimByNameReturnsWhatIsThere(t *testing.T) {
	b := newBench(t, "a", "b")
	b.create("d", "a", "db")
	d := b.do(b.find("b", api.DatasetSpec{Name: "db", Size: 1 << 40, Profile: "gold"})).Dataset
	if d.ID != "d" || d.Size != 10<<30 || d.Profile() != "" {
		t.Errorf("got %+v, want dataset d unchanged", *d)
	}
	b.refused(b.find("b", api.DatasetSpec{Name: "db", FS: api.FSXFS}), api.CodeConflict,
		`dataset "db" exists with the file system ext4, not xfs: ask for ext4`)
}

func TestClaimIsRefused(t *testing.T) {
	b := newBench(t, "a", "b")
	b.create("d", "a", "db")
	b.create("gone", "a", "old")
	b.do(cluster.Delete{At: b.now, ID: "gone"})
	for _, tc := range []struct {
		name string
		cmd  cluster.Claim
		code api.Code
		text string
	}{
		{"of nothing", cluster.Claim{}, api.CodeInvalid, "either by its id or by what to find"},
		{"of both", cluster.Claim{ID: "d", Find: &api.DatasetSpec{Name: "db"}}, api.CodeInvalid, "either by its id or by what to find"},
		{"of an unknown id", cluster.Claim{ID: "x"}, api.CodeNotFound, "Dataset not found."},
		{"of a deleted dataset", cluster.Claim{ID: "gone"}, api.CodeDeleted, "The dataset has been deleted."},
		{"without a name", cluster.Claim{Find: &api.DatasetSpec{}}, api.CodeInvalid, "must not be empty"},
		{"with a long name", cluster.Claim{Find: &api.DatasetSpec{Name: strings.Repeat("n", 257)}}, api.CodeInvalid, "257 characters"},
		{"with a name of several lines", cluster.Claim{Find: &api.DatasetSpec{Name: "a\nb"}}, api.CodeInvalid, "control characters"},
		{"with a small size", cluster.Claim{Find: &api.DatasetSpec{Name: "new", Size: 1}}, api.CodeInvalid, "minimum"},
		{"with an unknown file system", cluster.Claim{Find: &api.DatasetSpec{Name: "new", FS: "ntfs"}}, api.CodeInvalid, "choose ext4 or xfs"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := &bench{t: t, s: b.s, now: b.now}
			tc.cmd.Node, tc.cmd.Stream, tc.cmd.NewID = "b", 1, "new"
			b.refused(tc.cmd, tc.code, tc.text)
		})
	}
	b.refused(cluster.Claim{Node: "b", Stream: 9, ID: "d"}, api.CodeStale, "stream 9 of host-b is over")
	b.refused(cluster.Claim{Node: "z", Stream: 1, ID: "d"}, api.CodeStale, "has no stream")
}

func TestWaitingNodesAreServedInTheirOrder(t *testing.T) {
	b := newBench(t, "a", "b", "c")
	b.create("d", "a", "db")
	b.claim("b", "d")
	b.claim("c", "d")
	b.claim("b", "d") // again: keeps its place
	b.wantHolder("d", "a", "a", "b", "c")
	if b.s.Dataset("d").Pinned {
		t.Error("use elsewhere did not end the pin")
	}
	b.release("a", "d")
	b.wantHolder("d", "b", "b", "c")
	b.release("b", "d")
	b.wantHolder("d", "c", "c")
	b.release("c", "d")
	b.wantHolder("d", "", "c")
	if got := b.s.Dataset("d").Epoch; got != 3 {
		t.Errorf("got epoch %d after three holders, want 3", got)
	}
}

func TestClaimByTheHolderChangesNothing(t *testing.T) {
	b := newBench(t, "a", "b")
	b.create("d", "a", "db")
	b.do(cluster.Move{At: b.now, ID: "d", Primary: "b"})
	before := b.s.Dataset("d")
	if b.claim("a", "d"); b.s.Dataset("d") != before {
		t.Errorf("got %+v, want %+v: the holder's claim must not cancel the move", b.s.Dataset("d"), before)
	}
}

func TestWithdrawnNodesWaitNoMore(t *testing.T) {
	b := newBench(t, "a", "b", "c")
	b.create("d", "a", "db")
	b.claim("b", "d")
	b.claim("c", "d")
	if err := b.report("b", "d", api.DatasetReport{Withdraw: true}); err != nil {
		t.Fatal(err)
	}
	b.wantHolder("d", "a", "a", "c")
	if err := b.report("b", "d", api.DatasetReport{Withdraw: true}); err != nil {
		t.Errorf("withdrawing again: %v", err)
	}
	b.release("a", "d")
	if err := b.report("c", "d", api.DatasetReport{State: api.DatasetState{Epoch: 1}, Withdraw: true}); err != nil {
		t.Errorf("withdrawing as the token comes: %v", err)
	}
	b.wantHolder("d", "c", "c")
}

func TestMoveWaitsForTheHolder(t *testing.T) {
	b := newBench(t, "a", "b", "c")
	b.create("d", "a", "db")
	b.do(cluster.Move{At: b.now, ID: "d", Primary: "b"})
	b.wantHolder("d", "a", "b")
	b.release("a", "d")
	b.wantHolder("d", "b", "b")
	if !b.s.Dataset("d").Pinned {
		t.Error("a moved dataset is not pinned")
	}
	b.unpin("d", "a")
	b.release("b", "d")
	b.wantHolder("d", "", "b")
	b.do(cluster.Move{At: b.now, ID: "d", Primary: "c"})
	b.wantHolder("d", "c", "c")
}

func TestMoveComesAfterThoseWhoWaitedBefore(t *testing.T) {
	b := newBench(t, "a", "b", "c")
	b.create("d", "a", "db")
	b.claim("c", "d")
	b.do(cluster.Move{At: b.now, ID: "d", Primary: "b"})
	b.release("a", "d")
	b.wantHolder("d", "c", "b")
	b.release("c", "d")
	b.wantHolder("d", "b", "b")
}

func TestMoveIsRefused(t *testing.T) {
	b := newBench(t, "a")
	b.create("d", "a", "db")
	b.do(cluster.Delete{At: b.now, ID: "d"})
	b.refused(cluster.Move{ID: "d", Primary: "b"}, api.CodeDeleted, "The dataset has been deleted.")
	b.refused(cluster.Move{ID: "x", Primary: "b"}, api.CodeNotFound, "Dataset not found.")
	b.refused(cluster.Move{ID: "x", Primary: "b", Expect: cluster.Expect{"no"}}, api.CodePrecondition, "Tag doesn't match.")
}

func TestNodeThatWasNeverThereIsPassedOver(t *testing.T) {
	for name, take := range map[string]func(b *bench){
		"by a move":  func(b *bench) { b.do(cluster.Move{At: b.now, ID: "d", Primary: "a"}) },
		"by a claim": func(b *bench) { b.claim("a", "d") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "a")
			b.create("d", "never", "db")
			b.wantHolder("d", "never", "never")
			take(b)
			b.wantHolder("d", "a", "a")
		})
	}
	t.Run("but not once it has connected", func(t *testing.T) {
		b := newBench(t, "a")
		b.create("d", "late", "db")
		b.connect("late")
		b.claim("a", "d")
		b.wantHolder("d", "late", "late", "a")
	})
	t.Run("by a delete", func(t *testing.T) {
		b := newBench(t, "a")
		b.create("d", "never", "db")
		if d := b.do(cluster.Delete{At: b.now, ID: "d"}).Dataset; !d.Destroyed {
			t.Errorf("got %+v, want it done with: there never was a volume", *d)
		}
	})
}

func TestReportIsRefused(t *testing.T) {
	volume := &api.Volume{ID: "vol-1", Backend: "loopback", Size: 1 << 30}
	b := newBench(t, "a", "b")
	b.create("d", "a", "db")
	b.claim("b", "d")
	if err := b.report("a", "d", api.DatasetReport{Volume: volume}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		from api.NodeID
		r    api.DatasetReport
		code api.Code
	}{
		{"from a node that does not hold it", "b", api.DatasetReport{State: api.DatasetState{Phase: api.PhaseMounted}}, api.CodeStale},
		{"that releases what another holds", "b", api.DatasetReport{Release: true}, api.CodeStale},
		{"that withdraws and releases what another holds", "b", api.DatasetReport{Release: true, Withdraw: true}, api.CodeStale},
		{"of an old epoch", "a", api.DatasetReport{State: api.DatasetState{Epoch: 99}, Release: true}, api.CodeStale},
		{"of another volume", "a", api.DatasetReport{Volume: &api.Volume{ID: "vol-2", Backend: "loopback"}}, api.CodeConflict},
		{"of a volume of another backend", "a", api.DatasetReport{Volume: &api.Volume{ID: "vol-1", Backend: "ebs"}}, api.CodeConflict},
		{"of a volume without id", "a", api.DatasetReport{Volume: &api.Volume{}}, api.CodeInvalid},
		{"that it is destroyed though nobody deleted it", "a", api.DatasetReport{Destroyed: true}, api.CodeConflict},
		{"that gives up a mounted volume", "a", api.DatasetReport{State: api.DatasetState{Phase: api.PhaseMounted}, Release: true}, api.CodeInvalid},
		{"that gives up an attached volume", "a", api.DatasetReport{State: api.DatasetState{Phase: api.PhaseForeign}, Release: true}, api.CodeInvalid},
		{"that is endless", "a", api.DatasetReport{State: api.DatasetState{Failure: &api.Failure{Cause: strings.Repeat("x", 5000)}}}, api.CodeInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := &bench{t: t, s: b.s, now: b.now}
			before := b.s
			err := b.report(tc.from, "d", tc.r)
			if err == nil || err.Code != tc.code {
				t.Errorf("got %v, want %s", err, tc.code)
			}
			if b.s != before {
				t.Error("a refused report changed the state")
			}
		})
	}
	if err := b.report("a", "d", api.DatasetReport{Volume: volume}); err != nil {
		t.Errorf("the same volume again: %v", err)
	}
	b.refused(cluster.Report{Node: "a", Stream: 7}, api.CodeStale, "is over")
}

func TestReportAcceptsAPartAndRefusesAnother(t *testing.T) {
	b := newBench(t, "a", "b")
	b.create("d", "a", "db")
	b.create("e", "b", "other")
	out := b.do(cluster.Report{At: b.now, Node: "a", Stream: 1, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: "e", Epoch: 1, Phase: api.PhaseMounted}},
		{State: api.DatasetState{ID: "unknown", Epoch: 1}},
		{State: api.DatasetState{ID: "d", Epoch: 1, Phase: api.PhaseMounted, Path: "/flocker/d"}},
		{State: api.DatasetState{ID: "d", Epoch: 1, Phase: api.PhaseDetached}, Release: true},
	}})
	if len(out.Refused) != 2 || out.Refused["e"].Code != api.CodeStale || out.Refused["unknown"].Code != api.CodeNotFound {
		t.Errorf("refused: got %v, want e as stale and unknown as not found", out.Refused)
	}
	if b.wantHolder("d", "a", "a"); b.s.Dataset("d").Epoch != 2 {
		t.Errorf("got epoch %d, want the release to have counted", b.s.Dataset("d").Epoch)
	}
	if st := b.s.DatasetState("d"); st.Phase != api.PhaseDetached || st.Node != "a" {
		t.Errorf("got state %+v, want the last that node a reported", *st)
	}
}

func TestReportThatSaysNothingNewChangesNothing(t *testing.T) {
	b := newBench(t, "a")
	b.create("d", "a", "db")
	r := api.DatasetReport{State: api.DatasetState{Phase: api.PhaseMounted, Since: b.now, Consumers: []api.Consumer{{ID: "c"}}}}
	b.say("a", "d", r)
	before := b.s
	if b.say("a", "d", r); b.s != before {
		t.Error("the same report again was committed")
	}
}

func TestDeleteHasTheHolderDestroyTheVolume(t *testing.T) {
	b := newBench(t, "a", "b")
	b.create("d", "a", "db")
	b.say("a", "d", api.DatasetReport{Volume: &api.Volume{ID: "vol-1"}})
	b.claim("b", "d")
	d := b.do(cluster.Delete{At: b.now, ID: "d"}).Dataset
	b.wantHolder("d", "a", "a")
	if !d.Deleted || d.Destroyed {
		t.Fatalf("got %+v, want it deleted, not destroyed", *d)
	}
	if err := b.report("a", "d", api.DatasetReport{State: api.DatasetState{Phase: api.PhaseNonExistent}, Release: true, Destroyed: true}); err != nil {
		t.Fatal(err)
	}
	if d := b.s.Dataset("d"); !d.Destroyed || d.Holder != nil || !d.DestroyedAt.Equal(b.now) {
		t.Errorf("got %+v, want it destroyed", *d)
	}
	before := b.s
	if b.do(cluster.Delete{At: b.now, ID: "d"}); b.s != before {
		t.Error("deleting again changed something")
	}
	b.refused(cluster.Delete{ID: "x"}, api.CodeNotFound, "Dataset not found.")
}

func TestDeleteOfAnUnheldDatasetFindsSomebodyToDestroyIt(t *testing.T) {
	for _, tc := range []struct {
		name         string
		disconnected []api.NodeID
		want         api.NodeID
	}{
		{"its primary", nil, "b"},
		{"anybody who is there while its primary is not", []api.NodeID{"b"}, "a"},
		{"its primary when it comes back", []api.NodeID{"a", "b"}, "b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, "a", "b")
			b.create("d", "b", "db")
			b.say("b", "d", api.DatasetReport{Volume: &api.Volume{ID: "vol-1"}})
			b.unpin("d", "a")
			b.release("b", "d")
			for _, n := range tc.disconnected {
				b.do(cluster.NodeDisconnect{At: b.now, Node: n, Stream: 1})
			}
			b.do(cluster.Delete{At: b.now, ID: "d"})
			b.wantHolder("d", tc.want, "b")
		})
	}
}

func TestDatasetDeletedWhileItIsReleasedIsDestroyedAllTheSame(t *testing.T) {
	b := newBench(t, "a")
	b.create("d", "a", "db")
	b.say("a", "d", api.DatasetReport{Volume: &api.Volume{ID: "vol-1"}})
	b.do(cluster.Delete{At: b.now, ID: "d"})
	b.release("a", "d") // the agent had not heard of the delete
	b.wantHolder("d", "a", "a")
	if got := b.s.Dataset("d").Epoch; got != 2 {
		t.Errorf("got epoch %d, want 2: the first is given up", got)
	}
}

func TestVolumeThatWasNeverRegisteredIsDestroyedToo(t *testing.T) {
	b := newBench(t, "a")
	b.create("d", "a", "db")
	b.release("a", "d") // phase detached: there is a volume, which the agent did not come to register
	if d := b.do(cluster.Delete{At: b.now, ID: "d"}).Dataset; d.Destroyed || !d.HeldBy("a") {
		t.Errorf("got %+v, want node a to destroy it", *d)
	}
}

func TestPruneForgetsWhatIsLongGone(t *testing.T) {
	b := newBench(t, "a")
	for _, id := range []api.DatasetID{"old1", "old2", "young", "live"} {
		b.create(id, "never", string(id))
	}
	b.do(cluster.Delete{At: b.now.Add(-time.Hour), ID: "old1"})
	b.do(cluster.Delete{At: b.now.Add(-time.Hour), ID: "old2"})
	b.do(cluster.Delete{At: b.now, ID: "young"})
	b.do(cluster.Prune{DestroyedBefore: b.now, Limit: 1})
	b.do(cluster.Prune{DestroyedBefore: b.now, Limit: 1})
	if out := b.do(cluster.Prune{DestroyedBefore: b.now, Limit: 1}); len(out.Changes) > 0 {
		t.Errorf("got %v, want nothing left to prune", out.Changes)
	}
	var left []api.DatasetID
	for d := range b.s.Datasets() {
		left = append(left, d.ID)
	}
	if want := []api.DatasetID{"live", "young"}; !slices.Equal(left, want) {
		t.Errorf("got %v left, want %v", left, want)
	}
}

func TestStreamsOfANode(t *testing.T) {
	b := newBench(t, "a")
	again := b.connect("a")
	if again.Stream != 2 || !again.Connected {
		t.Errorf("got %+v, want stream 2: a restarted agent replaces itself", *again)
	}
	second := cluster.NodeConnect{At: b.now, Node: "a", Address: "192.0.2.2", Hello: api.Hello{Agent: "second", Era: "e2"}}
	b.refused(second, api.CodeConflict, "host-a, connected from 192.0.2.1 since 2026-03-01T10:00:00Z")

	b.do(cluster.NodeDisconnect{At: b.now, Node: "a", Stream: 1})
	if !b.s.Node("a").Connected {
		t.Fatal("the end of an older stream disconnected the node")
	}
	b.do(cluster.NodeDisconnect{At: b.now, Node: "a", Stream: 2})
	if b.s.Node("a").Connected {
		t.Fatal("the node is connected though its stream has ended")
	}
	b.refused(cluster.Report{Node: "a", Stream: 2}, api.CodeStale, "open a new one")
	if n := b.do(second).Node; n.Stream != 3 {
		t.Errorf("got %+v, want stream 3 for an agent that was installed anew", *n)
	}
	if got := b.s.NodeByEra("e2"); got == nil || got.ID != "a" {
		t.Errorf("era e2: got %v, want node a", got)
	}
	if got := b.s.NodeByEra("era-a"); got != nil {
		t.Errorf("the old era still leads to %v", got)
	}
	b.refused(cluster.NodeConnect{Node: "z", Hello: api.Hello{Era: "e"}}, api.CodeInvalid, "must not be empty")
	b.refused(cluster.NodeConnect{Node: "z", Hello: api.Hello{Agent: "a"}}, api.CodeInvalid, "must not be empty")
	b.refused(cluster.NodeDisconnect{Node: "z"}, api.CodeNotFound, "never connected")
}

func TestTagChangesWithTheConfigurationOnly(t *testing.T) {
	b := newBench(t, "a", "b")
	steps := []struct {
		name    string
		do      func()
		changes bool
	}{
		{"create", func() { b.create("d", "a", "db") }, true},
		{"report", func() { b.say("a", "d", api.DatasetReport{Volume: &api.Volume{ID: "v"}}) }, false},
		{"connect", func() { b.connect("b") }, false},
		{"wait", func() { b.claim("b", "d") }, false},
		{"move to where it is", func() { b.do(cluster.Move{At: b.now, ID: "d", Primary: "a"}) }, false},
		{"hand over", func() { b.release("a", "d") }, false}, // a user had it pinned to a
		{"move", func() { b.do(cluster.Move{At: b.now, ID: "d", Primary: "b"}) }, true},
		{"delete", func() { b.do(cluster.Delete{At: b.now, ID: "d"}) }, true},
		{"delete again", func() { b.do(cluster.Delete{At: b.now, ID: "d"}) }, false},
	}
	seen := map[string]string{}
	for _, step := range steps {
		before := b.s.Tag().String()
		step.do()
		after := b.s.Tag().String()
		if (before != after) != step.changes {
			t.Errorf("%s: tag %s became %s", step.name, before, after)
		}
		if step.changes {
			if other, ok := seen[after]; ok {
				t.Errorf("%s: the same tag as after %s", step.name, other)
			}
			seen[after] = step.name
		}
		if len(after) != 32 {
			t.Errorf("got tag %q, want 32 hex digits", after)
		}
	}
}

func TestDatasetThatIsMovedAwayAndBackComesBack(t *testing.T) {
	b := newBench(t, "a", "b")
	d := b.create("d", "a", "db")
	b.do(cluster.Move{At: b.now, ID: d.ID, Primary: "b"})
	// The agent of a lets go, and before that is heard a user changes his mind.
	b.do(cluster.Move{At: b.now, ID: d.ID, Primary: "a"})
	b.do(cluster.Report{At: b.now, Node: "a", Stream: 1, Datasets: []api.DatasetReport{{
		State: api.DatasetState{ID: d.ID, Epoch: d.Epoch, Phase: api.PhaseDetached}, Release: true,
	}}})
	if got := b.s.Dataset(d.ID); !got.HeldBy("a") || got.Epoch != d.Epoch+1 {
		t.Errorf("got holder %+v, want node a with a new epoch", got.Holder)
	}
}
