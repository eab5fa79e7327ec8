package control

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func changesOf(ids ...int) []cluster.Change {
	changes := make([]cluster.Change, len(ids))
	for i, id := range ids {
		changes[i].Key = cluster.DatasetKey(api.DatasetID(fmt.Sprint(id)))
	}
	return changes
}

func TestHistoryTellsWhatHasChangedSince(t *testing.T) {
	var h history
	h.begin(10)
	if _, _, _, known := h.since(9); known {
		t.Error("it knows what was before it began")
	}
	keys, to, more, known := h.since(10)
	if len(keys) != 0 || to != 10 || !known {
		t.Errorf("got %v up to %d, %v", keys, to, known)
	}
	h.add(11, changesOf(1, 2))
	select {
	case <-more:
	default:
		t.Error("who waits is not woken")
	}
	h.add(12, []cluster.Change{{Key: cluster.ReplicaKey("beats")}})
	h.add(13, changesOf(1))
	for after, want := range map[uint64]string{10: "[datasets/1 datasets/2]", 11: "[datasets/1]", 12: "[datasets/1]", 13: "[]", 20: "[]"} {
		keys, to, _, known := h.since(after)
		slices.Sort(keys)
		if got := fmt.Sprint(keys); got != want || to != max(13, after) || !known {
			t.Errorf("since %d: got %s up to %d, %v; want %s", after, got, to, known, want)
		}
	}
}

// Whoever goes through a history step by step sees every change, or is told
// that it cannot.
func TestHistoryForgetsNothingUnnoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h history
		h.begin(0)
		last := map[cluster.Key]uint64{} // revisions of the newest changes
		seen := map[cluster.Key]uint64{}
		var revision, position uint64
		for range rapid.IntRange(1, 30).Draw(t, "commits") {
			revision += uint64(rapid.IntRange(1, 3).Draw(t, "step"))
			changes := changesOf(rapid.SliceOfN(rapid.IntRange(0, 50), 0, 20).Draw(t, "ids")...)
			if rapid.IntRange(0, 9).Draw(t, "large") == 0 {
				changes = append(changes, changesOf(slices.Collect(upTo(rapid.IntRange(0, maxHistory+10).Draw(t, "many")))...)...)
			}
			h.add(revision, changes)
			for _, c := range changes {
				last[c.Key] = revision
			}
			if rapid.Bool().Draw(t, "behind") {
				continue
			}
			keys, to, _, known := h.since(position)
			if !known {
				seen = map[cluster.Key]uint64{}
				maps.Copy(seen, last)
				position = revision
				continue
			}
			for _, key := range keys {
				seen[key] = last[key]
			}
			position = to
			for key, at := range last {
				if seen[key] != at {
					t.Fatalf("%s changed at %d, and was last seen as of %d", key, at, seen[key])
				}
			}
		}
	})
}

func upTo(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// A comment is what keeps a quiet watch from being taken for dead.
func TestQuietWatchShowsThatItIsAlive(t *testing.T) {
	rec := httptest.NewRecorder()
	st := &watchStream{out: bufio.NewWriter(rec), rc: http.NewResponseController(rec)}
	if err := st.comment(); err != nil {
		t.Fatal(err)
	}
	if got := rec.Body.String(); got != ":\n\n" || !rec.Flushed {
		t.Errorf("got %q, flushed %v", got, rec.Flushed)
	}
}
