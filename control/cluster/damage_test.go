package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// TestNothingIsDoneForADatasetWhoseRecordIsDamaged has every command that is
// about one dataset refused, and those about many leave it out.
func TestNothingIsDoneForADatasetWhoseRecordIsDamaged(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	const node, other = "4b2f6f0e-5d8f-4a4a-9a52-0d7ad9e0a111", "9c1d2e3f-7a6b-4c5d-8e9f-102132435465"
	s := cluster.New()
	put := func(changes ...cluster.Change) { s = s.Clone(); s.Put(changes...); s.SetRevision(s.Revision() + 1) }
	put(cluster.Change{Key: cluster.KeyMeta, Meta: &cluster.Meta{Cluster: "c"}})
	do := func(cmd cluster.Command) (cluster.Outcome, error) { return cmd.Apply(s) }
	done := func(cmd cluster.Command) cluster.Outcome {
		t.Helper()
		out, err := do(cmd)
		if err != nil {
			t.Fatalf("%T: %v", cmd, err)
		}
		put(out.Changes...)
		return out
	}
	for _, id := range []api.NodeID{node, other} {
		done(cluster.NodeConnect{At: at, Node: id, Hello: api.Hello{Agent: "a" + string(id), Era: "e" + string(id), Backend: "loopback"}})
	}
	claim := func(name string, on api.NodeID) cluster.Claim {
		return cluster.Claim{At: at, Node: on, Stream: 1, Find: &api.DatasetSpec{Name: name, Size: api.MinSize},
			NewID: api.DatasetID("00000000-0000-4000-8000-0000000" + name), DefaultSize: api.MinSize}
	}
	id := done(claim("00001", node)).Dataset.ID
	whole := done(claim("00002", node)).Dataset.ID
	value, err := s.Stored(cluster.DatasetKey(id))
	if err != nil || value == nil {
		t.Fatalf("got %s, %v", value, err)
	}
	found := []cluster.Damaged{{Key: cluster.DatasetKey(id), What: "was changed", Sum: 7, Value: value}}
	done(cluster.NoteDamage{At: at, Found: found, Limit: 10})

	commands := func(id api.DatasetID, name string) []cluster.Command {
		return []cluster.Command{
			cluster.Claim{At: at, Node: other, Stream: 1, ID: id}, claim(name, other),
			cluster.Delete{At: at, ID: id},
			cluster.Move{At: at, ID: id, Primary: other},
			cluster.AcquireLease{At: at, Dataset: id, Node: node},
			cluster.ChangeDataset{At: at, ID: id, Metadata: map[string]*string{"k": new("v")}},
		}
	}
	for _, cmd := range commands(id, "00001") {
		if _, err := do(cmd); api.CodeOf(err) != api.CodeUnavailable || !strings.Contains(err.Error(), "flocker control repair") {
			t.Errorf("%T: got %v, want it refused", cmd, err)
		}
	}
	for _, cmd := range commands(whole, "00002") {
		if _, err := do(cmd); err != nil {
			t.Errorf("%T of another dataset: %v", cmd, err)
		}
	}
	out, err := do(cluster.Report{At: at, Node: node, Stream: 1, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: id, Epoch: 1, Phase: api.PhaseDetached}, Release: true},
		{State: api.DatasetState{ID: whole, Epoch: 1, Phase: api.PhaseDetached}, Release: true},
	}})
	if err != nil || len(out.Refused) != 1 || out.Refused[id] == nil {
		t.Errorf("a report: got %+v, %v, want the release of one refused", out.Refused, err)
	}
	if err := s.CheckFrozen(out.Changes); err != nil {
		t.Errorf("a report changes it: %v", err)
	}
	// A lost holder is fenced for the one, and left alone for the other.
	for _, name := range []string{"00002"} {
		done(claim(name, other))
	}
	out = done(cluster.NodeDisconnect{At: at, Node: node, Stream: 1})
	if err := s.CheckFrozen(out.Changes); err != nil || s.Dataset(id).Fence != nil || s.Dataset(whole).Fence == nil {
		t.Errorf("after the holder was lost: %v, fences %v and %v", err, s.Dataset(id).Fence, s.Dataset(whole).Fence)
	}
	if s.Due() {
		t.Error("there is upkeep to do that is not done")
	}
	// It is right again.
	done(cluster.NoteDamage{At: at, Limit: 10})
	if s.CountDamage() != 0 {
		t.Error("the note stays")
	}
	if _, err := do(cluster.Delete{At: at, ID: id}); err != nil {
		t.Errorf("delete: %v", err)
	}
}

func TestANoteLearnsWhatWasCommitted(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	s := cluster.New()
	note := func(d cluster.Damaged) int {
		t.Helper()
		out, err := cluster.NoteDamage{At: at, Found: []cluster.Damaged{d}, Limit: 10}.Apply(s)
		if err != nil {
			t.Fatal(err)
		}
		s = s.Clone()
		s.Put(out.Changes...)
		return len(out.Changes)
	}
	unknown := cluster.Damaged{Key: "nodes/x", What: "was changed", Sum: 3}
	known := unknown
	known.Value = []byte("{}")
	if note(unknown) != 1 || note(unknown) != 0 || note(known) != 1 || note(unknown) != 0 || note(known) != 0 {
		t.Error("it is noted too often, or not often enough")
	}
	if d := s.DamageOf("nodes/x"); !d.Mendable() || !d.Since.Equal(at) {
		t.Errorf("got %+v", d)
	}
}
