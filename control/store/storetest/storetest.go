// Package storetest is what every store.Log has to pass. A new one's test is
//
//	func TestLog(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) storetest.Open {
//			dir := t.TempDir()
//			return func() (store.Log, error) { return mine.Open(dir) }
//		})
//	}
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/control/store"
)

// Open opens a log; calling it again opens the same one again, at once where
// the log is not exclusive, after a Close where it is.
type Open func() (store.Log, error)

// Run runs the suite. NewLog returns how to open a new, empty log.
func Run(t *testing.T, newLog func(t *testing.T) Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"a new log is empty at revision 0":                   testEmpty,
		"what is committed is loaded":                        testCommit,
		"values come back byte for byte":                     testBytes,
		"a change replaces or removes a record":              testChange,
		"a commit on another revision is refused":            testRaced,
		"a commit without changes looks at the revision":     testNoChanges,
		"committing a batch again changes nothing":           testAgain,
		"too large a batch is refused":                       testTooLarge,
		"of all who commit on a revision one succeeds":       testConcurrent,
		"follow returns what changed since":                  testFollow,
		"follow waits for a commit":                          testFollowWaits,
		"follow ends with its context":                       testFollowContext,
		"follow reports a gap":                               testGap,
		"follow reports a log that has gone back":            testRewound,
		"nothing is lost when the log is opened again":       testReopen,
		"a log does not keep or lend slices":                 testAliasing,
		"an ended context commits nothing":                   testEndedContext,
		"a closed log refuses":                               testClosed,
		"a log that is not exclusive shows others' commits":  testShared,
		"an exclusive log is not opened twice":               testExclusive,
		"whoever follows from the start has what load gives": testFollowAll,
	} {
		t.Run(name, func(t *testing.T) { test(t, newLog(t)) })
	}
}

func open(t *testing.T, o Open) store.Log {
	t.Helper()
	log, err := o()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return log
}

func newID() string { return rand.Text() }

func put(key, value string) store.Record { return store.Record{Key: key, Value: []byte(value)} }

func remove(key string) store.Record { return store.Record{Key: key} }

func commit(t *testing.T, log store.Log, after uint64, changes ...store.Record) uint64 {
	t.Helper()
	rev, err := log.Commit(t.Context(), store.Batch{ID: newID(), After: after, Changes: changes})
	if err != nil {
		t.Fatalf("commit on %d: %v", after, err)
	}
	if want := after + 1; len(changes) > 0 && rev != want {
		t.Fatalf("commit: got revision %d, want %d", rev, want)
	}
	return rev
}

func wantRecords(t *testing.T, log store.Log, revision uint64, want map[string]string) {
	t.Helper()
	snap, err := log.Load(t.Context())
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	if snap.Revision != revision {
		t.Errorf("got revision %d, want %d", snap.Revision, revision)
	}
	if got := asMap(t, snap.Records); !maps.Equal(got, want) {
		t.Errorf("got records %v, want %v", got, want)
	}
}

func asMap(t *testing.T, records []store.Record) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, r := range records {
		if _, twice := m[r.Key]; twice {
			t.Errorf("record %s comes twice", r.Key)
		}
		m[r.Key] = string(r.Value)
	}
	return m
}

func wantUpdate(t *testing.T, log store.Log, after, revision uint64, want map[string]string) {
	t.Helper()
	up, err := log.Follow(t.Context(), after)
	if err != nil {
		t.Fatalf("follow after %d: %v", after, err)
	}
	if up.Revision != revision {
		t.Errorf("follow after %d: got revision %d, want %d", after, up.Revision, revision)
	}
	if got := asMap(t, up.Changes); !maps.Equal(got, want) {
		t.Errorf("follow after %d: got %v, want %v", after, got, want)
	}
}

func testEmpty(t *testing.T, o Open) {
	log := open(t, o)
	wantRecords(t, log, 0, nil)
	p := log.Properties()
	if p.Name == "" || p.MaxChanges < 16 || p.MaxBytes < 256<<10 || p.History < 64 {
		t.Errorf("properties: got %+v", p)
	}
}

func testCommit(t *testing.T, o Open) {
	log := open(t, o)
	commit(t, log, 0, put("datasets/1", "one"), put("nodes/1", "node"))
	commit(t, log, 1, put("datasets/2", "two"))
	wantRecords(t, log, 2, map[string]string{"datasets/1": "one", "datasets/2": "two", "nodes/1": "node"})
}

func testBytes(t *testing.T, o Open) {
	log := open(t, o)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 8<<10) // 128 KiB
	key := strings.Repeat("k", 256)
	commit(t, log, 0, store.Record{Key: "bytes", Value: all}, store.Record{Key: key, Value: large}, put("zero", "\x00"))
	wantRecords(t, log, 1, map[string]string{"bytes": string(all), key: string(large), "zero": "\x00"})
}

func testChange(t *testing.T, o Open) {
	log := open(t, o)
	commit(t, log, 0, put("a", "1"), put("b", "1"))
	commit(t, log, 1, put("a", "2"), remove("b"), remove("never-there"))
	wantRecords(t, log, 2, map[string]string{"a": "2"})
	commit(t, log, 2, put("b", "3"))
	wantRecords(t, log, 3, map[string]string{"a": "2", "b": "3"})
}

func testRaced(t *testing.T, o Open) {
	log := open(t, o)
	commit(t, log, 0, put("a", "1"))
	commit(t, log, 1, put("a", "2"))
	for _, after := range []uint64{0, 1, 3, 99} {
		for _, changes := range [][]store.Record{{put("a", "x"), put("b", "x")}, nil} {
			_, err := log.Commit(t.Context(), store.Batch{ID: newID(), After: after, Changes: changes})
			if !errors.Is(err, store.ErrRaced) {
				t.Errorf("commit of %d changes on %d: got %v, want ErrRaced", len(changes), after, err)
			}
		}
	}
	wantRecords(t, log, 2, map[string]string{"a": "2"})
}

func testNoChanges(t *testing.T, o Open) {
	log := open(t, o)
	commit(t, log, 0, put("a", "1"))
	for range 2 {
		if rev := commit(t, log, 1); rev != 1 {
			t.Errorf("got revision %d, want 1", rev)
		}
	}
	wantRecords(t, log, 1, map[string]string{"a": "1"})
}

func testAgain(t *testing.T, o Open) {
	log := open(t, o)
	batch := store.Batch{ID: newID(), Changes: []store.Record{put("a", "1")}}
	for range 2 {
		if rev, err := log.Commit(t.Context(), batch); err != nil || rev != 1 {
			t.Fatalf("got revision %d, error %v, want 1", rev, err)
		}
	}
	commit(t, log, 1, put("a", "2"))
	if rev, err := log.Commit(t.Context(), batch); err != nil || rev != 1 {
		t.Errorf("after another commit: got revision %d, error %v, want 1", rev, err)
	}
	wantRecords(t, log, 2, map[string]string{"a": "2"})
}

func testTooLarge(t *testing.T, o Open) {
	log := open(t, o)
	p := log.Properties()
	most := make([]store.Record, p.MaxChanges)
	for i := range most {
		most[i] = put(fmt.Sprintf("key-%d", i), "v")
	}
	commit(t, log, 0, most...)
	for name, changes := range map[string][]store.Record{
		"changes": append(slices.Clone(most), put("one-more", "v")),
		"bytes":   {{Key: "large", Value: make([]byte, p.MaxBytes)}},
	} {
		_, err := log.Commit(t.Context(), store.Batch{ID: newID(), After: 1, Changes: changes})
		if !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("too many %s: got %v, want ErrTooLarge", name, err)
		}
	}
	if snap, err := log.Load(t.Context()); err != nil || snap.Revision != 1 || len(snap.Records) != p.MaxChanges {
		t.Errorf("got revision %d with %d records, error %v, want 1 with %d", snap.Revision, len(snap.Records), err, p.MaxChanges)
	}
}

func testConcurrent(t *testing.T, o Open) {
	log := open(t, o)
	logs := []store.Log{log}
	if !log.Properties().Exclusive {
		logs = append(logs, open(t, o), open(t, o))
	}
	const clients, commits = 4, 20
	var wg sync.WaitGroup
	for i := range clients {
		log := logs[i%len(logs)]
		wg.Go(func() {
			for done := 0; done < commits; {
				snap, err := log.Load(t.Context())
				if err != nil {
					t.Errorf("load: %v", err)
					return
				}
				count := 0
				for _, r := range snap.Records {
					_, _ = fmt.Sscan(string(r.Value), &count)
				}
				_, err = log.Commit(t.Context(), store.Batch{ID: newID(), After: snap.Revision,
					Changes: []store.Record{put("count", fmt.Sprint(count+1))}})
				switch {
				case err == nil:
					done++
				case !errors.Is(err, store.ErrRaced):
					t.Errorf("commit: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	wantRecords(t, log, clients*commits, map[string]string{"count": fmt.Sprint(clients * commits)})
}

func testFollow(t *testing.T, o Open) {
	log := open(t, o)
	commit(t, log, 0, put("a", "1"), put("b", "1"))
	commit(t, log, 1, put("a", "2"))
	commit(t, log, 2, remove("b"), put("c", "3"))
	wantUpdate(t, log, 0, 3, map[string]string{"a": "2", "b": "", "c": "3"})
	wantUpdate(t, log, 1, 3, map[string]string{"a": "2", "b": "", "c": "3"})
	wantUpdate(t, log, 2, 3, map[string]string{"b": "", "c": "3"})
}

func testFollowWaits(t *testing.T, o Open) {
	log := open(t, o)
	commit(t, log, 0, put("a", "1"))
	got := make(chan store.Update)
	const followers = 3
	for range followers {
		go func() {
			up, err := log.Follow(t.Context(), 1)
			if err != nil {
				t.Errorf("follow: %v", err)
			}
			got <- up
		}()
	}
	commit(t, log, 1, put("a", "2"))
	for range followers {
		if up := <-got; up.Revision != 2 || len(up.Changes) != 1 || string(up.Changes[0].Value) != "2" {
			t.Errorf("got %v, want a as of revision 2", up)
		}
	}
}

func testFollowContext(t *testing.T, o Open) {
	log := open(t, o)
	commit(t, log, 0, put("a", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := log.Follow(ctx, 1)
		failed <- err
	}()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func testGap(t *testing.T, o Open) {
	log := open(t, o)
	history := log.Properties().History
	for rev := range history + 1 {
		commit(t, log, rev, put("a", fmt.Sprint(rev)))
	}
	newest := map[string]string{"a": fmt.Sprint(history)}
	wantUpdate(t, log, 1, history+1, newest)
	if _, err := log.Follow(t.Context(), 0); !errors.Is(err, store.ErrGap) {
		t.Errorf("follow after 0: got %v, want ErrGap", err)
	}
}

func testRewound(t *testing.T, o Open) {
	log := open(t, o)
	commit(t, log, 0, put("a", "1"))
	if _, err := log.Follow(t.Context(), 2); !errors.Is(err, store.ErrRewound) {
		t.Errorf("got %v, want ErrRewound", err)
	}
}

func testReopen(t *testing.T, o Open) {
	log := open(t, o)
	last := store.Batch{ID: newID(), After: 1, Changes: []store.Record{put("b", "2")}}
	commit(t, log, 0, put("a", "1"))
	if _, err := log.Commit(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	log = open(t, o)
	wantRecords(t, log, 2, map[string]string{"a": "1", "b": "2"})
	wantUpdate(t, log, 1, 2, map[string]string{"b": "2"})
	if rev, err := log.Commit(t.Context(), last); err != nil || rev != 2 {
		t.Errorf("the last batch again: got revision %d, error %v, want 2", rev, err)
	}
	commit(t, log, 2, put("c", "3"))
}

func testAliasing(t *testing.T, o Open) {
	log := open(t, o)
	value := []byte("value")
	commit(t, log, 0, store.Record{Key: "a", Value: value})
	clear(value)
	snap, err := log.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	up, err := log.Follow(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	clear(snap.Records[0].Value)
	clear(up.Changes[0].Value)
	wantRecords(t, log, 1, map[string]string{"a": "value"})
}

func testEndedContext(t *testing.T, o Open) {
	log := open(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := log.Commit(ctx, store.Batch{ID: newID(), Changes: []store.Record{put("a", "1")}}); !errors.Is(err, context.Canceled) {
		t.Errorf("commit: got %v, want %v", err, context.Canceled)
	}
	if _, err := log.Follow(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("follow: got %v, want %v", err, context.Canceled)
	}
	wantRecords(t, log, 0, nil)
}

func testClosed(t *testing.T, o Open) {
	log := open(t, o)
	commit(t, log, 0, put("a", "1"))
	waiting := make(chan error)
	go func() {
		_, err := log.Follow(t.Context(), 1)
		waiting <- err
	}()
	if err := log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if err := <-waiting; !errors.Is(err, store.ErrClosed) {
		t.Errorf("a follow that waited: got %v, want ErrClosed", err)
	}
	if err := log.Close(); err != nil {
		t.Errorf("close twice: %v", err)
	}
	_, loadErr := log.Load(t.Context())
	_, commitErr := log.Commit(t.Context(), store.Batch{ID: newID(), After: 1, Changes: []store.Record{put("a", "2")}})
	_, followErr := log.Follow(t.Context(), 0)
	for op, err := range map[string]error{"load": loadErr, "commit": commitErr, "follow": followErr} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", op, err)
		}
	}
}

func testShared(t *testing.T, o Open) {
	one := open(t, o)
	if one.Properties().Exclusive {
		t.Skip("the log is exclusive")
	}
	other := open(t, o)
	commit(t, one, 0, put("a", "1"))
	wantRecords(t, other, 1, map[string]string{"a": "1"})
	got := make(chan store.Update)
	go func() {
		up, err := other.Follow(t.Context(), 1)
		if err != nil {
			t.Errorf("follow: %v", err)
		}
		got <- up
	}()
	commit(t, one, 1, put("b", "2"))
	if up := <-got; up.Revision != 2 || len(up.Changes) != 1 || up.Changes[0].Key != "b" {
		t.Errorf("got %v, want b as of revision 2", up)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	commit(t, other, 2, put("c", "3"))
}

func testExclusive(t *testing.T, o Open) {
	log := open(t, o)
	if !log.Properties().Exclusive {
		t.Skip("the log is not exclusive")
	}
	commit(t, log, 0, put("a", "1"))
	if _, err := o(); !errors.Is(err, store.ErrInUse) {
		t.Fatalf("opened a second time: got %v, want ErrInUse", err)
	}
	commit(t, log, 1, put("a", "2"))
}

func testFollowAll(t *testing.T, o Open) {
	log := open(t, o)
	const commits = 50
	followed := make(chan map[string]string)
	go func() {
		records := map[string]string{}
		for rev := uint64(0); rev < commits; {
			up, err := log.Follow(t.Context(), rev)
			if err != nil {
				t.Errorf("follow after %d: %v", rev, err)
				break
			}
			for _, c := range up.Changes {
				if len(c.Value) == 0 {
					delete(records, c.Key)
				} else {
					records[c.Key] = string(c.Value)
				}
			}
			rev = up.Revision
		}
		followed <- records
	}()
	for i := range uint64(commits) {
		if i%7 == 3 {
			commit(t, log, i, remove(fmt.Sprint("key-", i%5)), put("last", fmt.Sprint(i)))
		} else {
			commit(t, log, i, put(fmt.Sprint("key-", i%5), fmt.Sprint(i)))
		}
	}
	select {
	case records := <-followed:
		wantRecords(t, log, commits, records)
	case <-time.After(time.Minute):
		t.Fatal("the follower never got to the end")
	}
}
