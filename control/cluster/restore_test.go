package cluster_test

import (
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

var restoreTime = time.Date(2026, 11, 25, 6, 0, 0, 0, time.UTC)

// records returns everything in s as what a backup has.
func records(tb interface{ Fatal(...any) }, s *cluster.State) []cluster.Change {
	var all []cluster.Change
	stored := dump(s)
	m := s.Meta()
	if m == nil { // the model has none
		m = &cluster.Meta{Cluster: "c", Created: restoreTime}
	}
	value, err := cluster.Encode(cluster.Change{Key: cluster.KeyMeta, Meta: m})
	if err != nil {
		tb.Fatal(err)
	}
	stored[cluster.KeyMeta] = string(value)
	for key, value := range stored {
		c, err := cluster.Decode(key, []byte(value))
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// restored returns the state that a log has which is restored from s.
func restored(tb interface{ Fatal(...any) }, s *cluster.State, at time.Time) *cluster.State {
	revision, changes, err := cluster.Restored(s.Revision(), records(tb, s), at)
	if err != nil {
		tb.Fatal(err)
	}
	next := cluster.New()
	for _, c := range changes {
		value, err := cluster.Encode(c)
		if err != nil {
			tb.Fatal(err)
		}
		if err := next.PutStored(c.Key, value); err != nil {
			tb.Fatal(err)
		}
	}
	next.SetRevision(revision)
	return next
}

func TestLeapsAheadOfWhateverCanHaveBeenSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(0, 1<<40).Draw(t, "n")
		at := restoreTime.Add(time.Duration(rapid.Int64Range(0, int64(20*365*24*time.Hour)).Draw(t, "at")))
		leapt := cluster.Leap(n, at)
		if leapt < n+1<<32 {
			t.Fatalf("%d leaps to %d only", n, leapt)
		}
		if leapt > 1<<53 {
			t.Fatalf("%d leaps to %d, which not every reader of JSON can hold", n, leapt)
		}
		// The same backup is restored again, after the log went on as fast as
		// no log can.
		later := rapid.Int64Range(1, 1e9).Draw(t, "milliseconds later")
		commits := uint64(later-1) * 50
		again := cluster.Leap(n, at.Add(time.Duration(later)*time.Millisecond))
		if again <= leapt+commits {
			t.Fatalf("restored again, %d leaps to %d, and %d was reached before", n, again, leapt+commits)
		}
		if more := cluster.Leap(n+1, at); more < leapt {
			t.Fatalf("%d leaps to %d, but one more to %d", n, leapt, more)
		}
	})
}

func TestRestoredLogBelievesNothingThatMayHaveEnded(t *testing.T) {
	ended := restoreTime.Add(-time.Hour)
	s := cluster.New()
	s.Put(
		cluster.Change{Key: cluster.KeyMeta, Meta: &cluster.Meta{Cluster: "c", Created: ended, Settings: api.Settings{OnLostNode: api.FenceForce}}},
		cluster.Change{Key: cluster.NodeKey("a"), Node: &api.Node{ID: "a", Stream: 7, Since: ended, GivenUp: ended, Backend: "model"}},
		cluster.Change{Key: cluster.NodeKey("b"), Node: &api.Node{ID: "b", Stream: 3, Since: ended, Connected: true, Replica: "r", Draining: ended, Backend: "model"}},
		cluster.Change{Key: cluster.NodeKey("new"), Node: &api.Node{ID: "new", Since: ended}},
		cluster.Change{Key: cluster.ReplicaKey("r"), Replica: &api.Replica{ID: "r", Beat: 9}},
		cluster.Change{Key: cluster.DatasetKey("d"), Dataset: &api.Dataset{
			ID: "d", Primary: "a", Revision: 40, Size: api.MinSize, FS: api.FSExt4, Created: ended, Epoch: 5,
			Holder: &api.Holder{Node: "a", Epoch: 5, Since: ended}, Waiting: []api.Waiter{{Node: "b", Since: ended, Preempt: true}},
			Fence: &api.Fence{Node: "b", Holder: "a", Epoch: 5, Policy: api.FenceForce, Vouched: true, Begun: true, Since: ended},
		}},
		cluster.Change{Key: cluster.StateKey("d"), State: &api.DatasetState{ID: "d", Node: "a", Epoch: 5, Phase: api.PhaseMounted}},
		cluster.Change{Key: cluster.DatasetKey("e"), Dataset: &api.Dataset{
			ID: "e", Primary: "b", Revision: 41, Size: api.MinSize, FS: api.FSExt4, Created: ended, Epoch: 2,
		}},
		cluster.Change{Key: cluster.StateKey("e"), State: &api.DatasetState{ID: "e", Node: "b", Epoch: 1, Phase: api.PhaseDetached}},
		cluster.Change{Key: cluster.LeaseKey("d"), Lease: &api.Lease{Dataset: "d", Node: "a", Revision: 42, Acquired: ended, Expires: ended}},
		cluster.Change{Key: cluster.LeaseKey("e"), Lease: &api.Lease{Dataset: "e", Node: "b", Revision: 43, Acquired: ended}},
	)
	s.SetRevision(50)
	r := restored(t, s, restoreTime)

	d := r.Dataset("d")
	high := cluster.Leap(5, restoreTime)
	if d.Epoch != high || d.Holder.Epoch != high || !d.HeldBy("a") || d.Revision < 1<<32 || d.Revision > r.Revision() {
		t.Errorf("dataset: got epoch %d, holder %+v, revision %d of %d", d.Epoch, d.Holder, d.Revision, r.Revision())
	}
	if d.Fence != nil || d.Preempted() || !d.AwaitedBy("b") {
		t.Errorf("dataset: got fence %+v, waiting %+v, want b to wait and nothing else", d.Fence, d.Waiting)
	}
	if st := r.DatasetState("d"); st.Epoch != high || st.Phase != api.PhaseMounted {
		t.Errorf("what the holder reported: got %+v, want it to be of its tenure still", st)
	}
	if st := r.DatasetState("e"); st.Epoch != 1 {
		t.Errorf("what a former holder reported: got epoch %d, want 1", st.Epoch)
	}
	// As if a's agent were there until it had the time to come back.
	if a := r.Node("a"); !a.Connected || !a.GivenUp.IsZero() || a.Stream < 1<<32 || !a.Since.Equal(restoreTime) {
		t.Errorf("the holder: got %+v", a)
	}
	if r.Due() {
		t.Error("upkeep is due: a node would be fenced that had no time to come back")
	}
	if b := r.Node("b"); b.Connected || b.Replica != "" || b.Draining.IsZero() {
		t.Errorf("a node that holds nothing: got %+v", b)
	}
	if n := r.Node("new"); n.Stream != 0 || n.Connected {
		t.Errorf("a node that never came: got %+v", n)
	}
	// It may have been renewed since, so whoever has it gets the time to do so again.
	if l := r.Lease("d"); !l.HeldBy("a") || !l.Expires.After(restoreTime) || l.Revision < 1<<32 || l.Revision > r.Revision() {
		t.Errorf("a lease that was to expire: got %+v", l)
	}
	if l := r.Lease("e"); !l.HeldBy("b") || !l.Expires.IsZero() {
		t.Errorf("a lease that was not to expire: got %+v", l)
	}
	if r.Replica("r") != nil {
		t.Error("a replica is still there")
	}
	if m := r.Meta(); m == nil || m.Cluster != "c" || m.Settings.OnLostNode != api.FenceForce {
		t.Errorf("meta: got %+v", m)
	}
	if _, _, err := cluster.Restored(1, nil, restoreTime); err == nil {
		t.Error("records without the one of which cluster they are were taken")
	}
}

// restore has the log of a world restored from what it has, with its agents
// running on.
func (w *world) restore(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
		return
	}
	before := w.s
	w.s = restored(w.t, w.s, w.now)
	w.seen["restored"]++
	if err := checkState(w.s); err != nil {
		w.t.Fatalf("after restoring: %v", err)
	}
	if err := checkStep(before, w.s); err != nil {
		w.t.Fatalf("restoring: %v", err)
	}
	for id := range maps.Keys(w.dead) { // none of those that hold something is fenced at once
		if n := w.s.Node(id); n != nil && n.Lost() {
			for d := range w.s.Concerning(id) {
				if d.HeldBy(id) {
					w.t.Fatalf("dataset %s is held by node %s, which is lost as soon as the log is restored", d.ID, id)
				}
			}
		}
	}
}

func TestNodeThatWasTakenOverIsFencedOnlyAtAnOperatorsWord(t *testing.T) {
	st := newStory(t, "b")
	st.s.Put(
		cluster.Change{Key: cluster.NodeKey("old"), Node: &api.Node{ID: "old", Backend: "model", Since: fenceTime}},
		cluster.Change{Key: cluster.DatasetKey("d"), Dataset: &api.Dataset{
			ID: "d", Primary: "old", Pinned: true, Metadata: map[string]string{"name": "db"}, Revision: 1, Size: api.MinSize, FS: api.FSExt4,
			Created: fenceTime, Epoch: 1, Holder: &api.Holder{Node: "old", Epoch: 1, Since: fenceTime},
		}},
	)
	if d := st.claim("b", false); d.HeldBy("b") || !d.AwaitedBy("b") || d.Fence != nil {
		t.Fatalf("got %+v, want b to wait for a node of which nothing is known", d)
	}
	st.do(cluster.GiveUpNode{At: fenceTime, Node: "old"})
	if f := st.dataset().Fence; f == nil || !f.Vouched || f.Node != "b" {
		t.Fatalf("got fence %+v, want b to fence it at the operator's word", f)
	}
}
