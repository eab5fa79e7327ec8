package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/control/store"
)

// OpenRestorer opens what restores the log that an Open opens; where the log
// is exclusive, while that is closed.
type OpenRestorer func() (store.Restorer, error)

// RunRestore runs the suite of a store.Restorer. NewLog returns how to open a
// new, empty log and what restores it.
func RunRestore(t *testing.T, newLog func(t *testing.T) (Open, OpenRestorer)) {
	for name, test := range map[string]func(*testing.T, Open, OpenRestorer){
		"a restored log has the snapshot at its revision":       testRestored,
		"a restored log goes on":                                testRestoredGoesOn,
		"a restored log of many records is whole":               testRestoredMany,
		"nothing is known of what was before a restore":         testRestoredPast,
		"a log that is not empty is replaced only when told to": testRestoreReplaces,
		"a log that is open while it is replaced is damaged":    testRestoredUnderneath,
		"what is committed meanwhile is not replaced":           testRestoreRaces,
		"a restorer does not keep slices":                       testRestoreAliasing,
	} {
		t.Run(name, func(t *testing.T) {
			o, r := newLog(t)
			test(t, o, r)
		})
	}
}

// restoredAt is a revision as high as those that logs are restored at.
const restoredAt = 1 << 47

func snapshot(records ...store.Record) store.Snapshot {
	return store.Snapshot{Revision: restoredAt, Records: records}
}

func openRestorer(t *testing.T, r OpenRestorer) store.Restorer {
	t.Helper()
	restorer, err := r()
	if err != nil {
		t.Fatalf("open restorer: %v", err)
	}
	t.Cleanup(func() {
		if err := restorer.Close(); err != nil {
			t.Errorf("close restorer: %v", err)
		}
	})
	return restorer
}

// restore restores a log and returns what was there.
func restore(t *testing.T, r OpenRestorer, snap store.Snapshot, replace bool) store.Remains {
	t.Helper()
	restorer := openRestorer(t, r)
	remains, err := restorer.Remains(t.Context())
	if err != nil {
		t.Fatalf("remains: %v", err)
	}
	if err := restorer.Restore(t.Context(), snap, replace); err != nil {
		t.Fatalf("restore: %v", err)
	}
	if err := restorer.Close(); err != nil {
		t.Fatalf("close restorer: %v", err)
	}
	return remains
}

func testRestored(t *testing.T, o Open, r OpenRestorer) {
	if remains := restore(t, r, snapshot(put("a", "1"), put("b/c", "2\x00")), false); !remains.Empty || remains.What == "" {
		t.Errorf("got %+v, want that it was empty", remains)
	}
	wantRecords(t, open(t, o), restoredAt, map[string]string{"a": "1", "b/c": "2\x00"})
}

func testRestoredGoesOn(t *testing.T, o Open, r OpenRestorer) {
	restore(t, r, snapshot(put("a", "1"), put("b", "1")), false)
	log := open(t, o)
	commit(t, log, restoredAt, put("a", "2"))
	commit(t, log, restoredAt+1, remove("b"))
	wantUpdate(t, log, restoredAt, restoredAt+2, map[string]string{"a": "2", "b": ""})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log = open(t, o)
	wantUpdate(t, log, restoredAt+1, restoredAt+2, map[string]string{"b": ""})
	for i := range log.Properties().History + 2 {
		commit(t, log, restoredAt+2+i, put("c", fmt.Sprint(i)))
	}
	wantRecords(t, log, restoredAt+4+log.Properties().History, map[string]string{"a": "2", "c": fmt.Sprint(log.Properties().History + 1)})
}

func testRestoredMany(t *testing.T, o Open, r OpenRestorer) {
	want := map[string]string{}
	var records []store.Record
	for i := range 5000 {
		record := put(fmt.Sprint("datasets/", i), strings.Repeat(fmt.Sprint(i), 1+i%40))
		records = append(records, record)
		want[record.Key] = string(record.Value)
	}
	large := put("large", strings.Repeat("large", 50<<10))
	want["large"] = string(large.Value)
	restore(t, r, snapshot(append(records, large)...), false)
	wantRecords(t, open(t, o), restoredAt, want)
}

func testRestoredPast(t *testing.T, o Open, r OpenRestorer) {
	restore(t, r, snapshot(put("a", "1")), false)
	log := open(t, o)
	commit(t, log, restoredAt, put("a", "2"))
	for _, after := range []uint64{0, 1, restoredAt - 1} {
		if _, err := log.Follow(t.Context(), after); !errors.Is(err, store.ErrGap) {
			t.Errorf("follow after %d: got %v, want ErrGap", after, err)
		}
		_, err := log.Commit(t.Context(), store.Batch{ID: newID(), After: after, Changes: []store.Record{put("late", "x")}})
		if !errors.Is(err, store.ErrRaced) {
			t.Errorf("commit on %d: got %v, want ErrRaced", after, err)
		}
	}
	if _, err := log.Follow(t.Context(), restoredAt+2); !errors.Is(err, store.ErrRewound) {
		t.Errorf("got %v, want ErrRewound", err)
	}
}

func testRestoreReplaces(t *testing.T, o Open, r OpenRestorer) {
	log := open(t, o)
	commit(t, log, 0, put("a", "1"), put("old", "1"))
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	restorer := openRestorer(t, r)
	remains, err := restorer.Remains(t.Context())
	if err != nil || remains.Empty || !strings.Contains(remains.What, "revision 1 with 2 records") || remains.Becomes == "" {
		t.Fatalf("remains: got %+v, %v, want that it is not empty", remains, err)
	}
	if err := restorer.Restore(t.Context(), snapshot(put("a", "new")), false); !errors.Is(err, store.ErrNotEmpty) {
		t.Fatalf("got %v, want ErrNotEmpty", err)
	}
	if err := restorer.Close(); err != nil {
		t.Fatal(err)
	}
	log = open(t, o)
	wantRecords(t, log, 1, map[string]string{"a": "1", "old": "1"})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	restore(t, r, snapshot(put("a", "new")), true)
	wantRecords(t, open(t, o), restoredAt, map[string]string{"a": "new"})
}

func testRestoredUnderneath(t *testing.T, o Open, r OpenRestorer) {
	log := open(t, o)
	commit(t, log, 0, put("a", "1"))
	wantRecords(t, log, 1, map[string]string{"a": "1"})
	if log.Properties().Exclusive {
		if _, err := r(); !errors.Is(err, store.ErrInUse) {
			t.Errorf("got %v, want ErrInUse", err)
		}
		return
	}
	followed := make(chan error)
	go func() {
		_, err := log.Follow(t.Context(), 1)
		followed <- err
	}()
	restore(t, r, snapshot(put("a", "new")), true)
	_, loadErr := log.Load(t.Context())
	_, commitErr := log.Commit(t.Context(), store.Batch{ID: newID(), After: 1, Changes: []store.Record{put("late", "x")}})
	for op, err := range map[string]error{"load": loadErr, "commit": commitErr, "a follow that waited": <-followed} {
		if _, damaged := errors.AsType[*store.DamagedError](err); !damaged {
			t.Errorf("%s: got %v, want a DamagedError", op, err)
		}
	}
	wantRecords(t, open(t, o), restoredAt, map[string]string{"a": "new"})
}

func testRestoreRaces(t *testing.T, o Open, r OpenRestorer) {
	log := open(t, o)
	if log.Properties().Exclusive {
		t.Skip("nobody can commit meanwhile")
	}
	restorer := openRestorer(t, r)
	for _, replace := range []bool{false, true} {
		if _, err := restorer.Remains(t.Context()); err != nil {
			t.Fatal(err)
		}
		snap, err := log.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		commit(t, log, snap.Revision, put("a", "1"))
		if err := restorer.Restore(t.Context(), snapshot(put("a", "new")), replace); !errors.Is(err, store.ErrRaced) {
			t.Errorf("replace %t: got %v, want ErrRaced", replace, err)
		}
	}
	wantRecords(t, log, 2, map[string]string{"a": "1"})
}

func testRestoreAliasing(t *testing.T, o Open, r OpenRestorer) {
	value := []byte("value")
	restore(t, r, snapshot(store.Record{Key: "a", Value: value}), false)
	clear(value)
	wantRecords(t, open(t, o), restoredAt, map[string]string{"a": "value"})
}
