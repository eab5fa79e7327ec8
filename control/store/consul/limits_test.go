package consul_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/consul"
	servers "github.com/flocker-mesos/flocker/test/consul"
)

// TestLargeLogs has one server for all its parts.
func TestLargeLogs(t *testing.T) {
	c := servers.Start(t, 1)
	for name, test := range map[string]func(*testing.T, consul.Settings){
		"the largest commits are taken":                    testLargestCommits,
		"ten thousand records are loaded":                  testTenThousand,
		"a slow follower gets large commits whole":         testSlowFollower,
		"whoever follows many writers reads whole commits": testFollowUnderLoad,
		"a record that nobody understands passes":          testForeignRecord,
		"a replica has a handful of connections":           testConnections,
	} {
		t.Run(name, func(t *testing.T) { test(t, settings(t, c.Addresses()...)) })
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func testLargestCommits(t *testing.T, s consul.Settings) {
	log := open(t, s)
	p := log.Properties()
	one := store.Record{Key: "one", Value: random(p.MaxBytes - len("one"))}
	var many []store.Record
	for i := range p.MaxChanges {
		key := fmt.Sprintf("%02d", i) + strings.Repeat(`"`, 254) // the worst there are
		many = append(many, store.Record{Key: key, Value: random(p.MaxBytes/p.MaxChanges - len(key))})
	}
	commit(t, log, 0, one)
	commit(t, log, 1, many...)
	want := asMap(append(slices.Clone(many), one))
	for _, log := range []*consul.Log{log, open(t, s)} {
		if got := asMap(load(t, log).Records); !maps.Equal(got, want) {
			t.Error("other records were loaded than were committed")
		}
	}
	up, err := open(t, s).Follow(t.Context(), 1)
	if err != nil || up.Revision != 2 || !maps.Equal(asMap(up.Changes), asMap(many)) {
		t.Errorf("followed to revision %d with %d changes, %v", up.Revision, len(up.Changes), err)
	}
	one.Value = append(one.Value, 'x')
	if _, err := log.Commit(t.Context(), newBatch(2, one)); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a byte more: got %v, want %v", err, store.ErrTooLarge)
	}
	if _, err := log.Commit(t.Context(), newBatch(2, append(many, put("x", "x"))...)); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a record more: got %v, want %v", err, store.ErrTooLarge)
	}
}

// fill commits n records of 1 KB and returns the revision afterwards.
func fill(t testing.TB, log store.Log, n int) (after uint64) {
	t.Helper()
	var changes []store.Record
	value := bytes.Repeat([]byte("0123456789abcdef"), 64)
	for i := range n {
		changes = append(changes, store.Record{Key: fmt.Sprintf("dataset/%08d", i), Value: value})
		if len(changes) == log.Properties().MaxChanges || i == n-1 {
			commit(t, log, after, changes...)
			after++
			changes = nil
		}
	}
	return after
}

func testTenThousand(t *testing.T, s consul.Settings) {
	const n = 10_500
	log := open(t, s)
	after := fill(t, log, n)
	for _, log := range []*consul.Log{log, open(t, s)} {
		snap := load(t, log)
		if snap.Revision != after || len(snap.Records) != n {
			t.Errorf("got %d records at revision %d, want %d at %d", len(snap.Records), snap.Revision, n, after)
		}
	}
	commit(t, open(t, s), after, put("dataset/00000000", "changed"))
}

func testSlowFollower(t *testing.T, s consul.Settings) {
	log, slow := open(t, s), open(t, s)
	p := log.Properties()
	want := map[string]string{}
	for revision := range uint64(30) {
		var changes []store.Record
		for i := range p.MaxChanges {
			changes = append(changes, put(fmt.Sprintf("dataset/%d/%d", revision, i), fmt.Sprint(revision)))
		}
		apply(want, changes)
		commit(t, log, revision, changes...)
	}
	got := map[string]string{}
	up, err := slow.Follow(t.Context(), 0)
	if err != nil || up.Revision != 30 {
		t.Fatalf("got revision %d, %v, want 30", up.Revision, err)
	}
	apply(got, up.Changes)
	if !maps.Equal(got, want) {
		t.Errorf("got %d records, want %d", len(got), len(want))
	}
}

// testFollowUnderLoad has several writers touch so many keys in each commit
// that a follower needs several reads, between which more is committed.
func testFollowUnderLoad(t *testing.T, s consul.Settings) {
	const commits = 150
	var done sync.WaitGroup
	for writer := range 2 {
		log := open(t, s)
		done.Go(func() {
			for {
				snap, err := log.Load(t.Context())
				if err != nil {
					t.Errorf("load: %v", err)
					return
				}
				if snap.Revision >= commits {
					return
				}
				revision := fmt.Sprint(snap.Revision + 1)
				var changes []store.Record
				for i := range 50 {
					changes = append(changes, put(fmt.Sprintf("%d/%d", writer, i), revision))
				}
				batch := newBatch(snap.Revision, append(changes, put("revision", revision))...)
				if _, err := log.Commit(t.Context(), batch); err != nil && !errors.Is(err, store.ErrRaced) {
					t.Errorf("commit: %v", err)
					return
				}
			}
		})
	}
	follower := open(t, s)
	records, after := map[string]string{}, uint64(0)
	for after < commits {
		up, err := follower.Follow(t.Context(), after)
		if err != nil {
			t.Fatalf("follow after %d: %v", after, err)
		}
		apply(records, up.Changes)
		after = up.Revision
		checkWhole(t, records, after)
	}
	done.Wait()
	if got := asMap(load(t, follower).Records); !maps.Equal(got, records) {
		t.Errorf("followed to other records than there are")
	}
}

// checkWhole checks that records are as some commits left them, the last being
// that of a revision.
func checkWhole(t *testing.T, records map[string]string, revision uint64) {
	t.Helper()
	newest := 0
	for writer := range 2 {
		of, ok := records[fmt.Sprintf("%d/0", writer)]
		for i := range 50 {
			if got := records[fmt.Sprintf("%d/%d", writer, i)]; got != of {
				t.Fatalf("revision %d: a commit was read in part: %s and %s", revision, of, got)
			}
		}
		if n, err := strconv.Atoi(of); err == nil && ok {
			newest = max(newest, n)
		}
	}
	if want := fmt.Sprint(revision); records["revision"] != want || fmt.Sprint(newest) != want {
		t.Fatalf("revision %d: got records of %s and %d", revision, records["revision"], newest)
	}
}

func testForeignRecord(t *testing.T, s consul.Settings) {
	foreign := store.Record{Key: "newer/kind of record", Value: append([]byte(`{"schema":99}`), 0, 255, '\n')}
	commit(t, open(t, s), 0, foreign)
	log := open(t, s)
	for revision := range uint64(300) { // more than history
		commit(t, log, revision+1, put("a", fmt.Sprint(revision)))
	}
	if got := asMap(load(t, open(t, s)).Records)[foreign.Key]; got != string(foreign.Value) {
		t.Errorf("got %q, want %q", got, foreign.Value)
	}
}

func testConnections(t *testing.T, s consul.Settings) {
	log := open(t, s)
	commit(t, log, 0, put("a", "0"))
	before := connections(t, s.Addresses[0])
	var done sync.WaitGroup
	for i := range 40 {
		done.Go(func() {
			if i%2 == 0 {
				if _, err := log.Follow(t.Context(), 1); err != nil {
					t.Errorf("follow: %v", err)
				}
				return
			}
			for range 20 {
				if _, err := log.Load(t.Context()); err != nil {
					t.Errorf("load: %v", err)
				}
			}
		})
	}
	most := 0
	for range 200 {
		most = max(most, connections(t, s.Addresses[0])-before)
	}
	commit(t, log, 1, put("a", "1"))
	done.Wait()
	if most < 1 || most > 6 {
		t.Errorf("got up to %d connections beside the first, want 6 at most", most)
	}
}

// connections counts the established connections to an address.
func connections(t *testing.T, address string) int {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	ip := net.ParseIP(host).To4()
	remote := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], number)
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(string(table)) {
		const established = "01"
		if f := strings.Fields(line); len(f) > 3 && f[2] == remote && f[3] == established {
			count++
		}
	}
	return count
}
