package consul

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/control/store"
)

func aCommit(revision uint64, keys ...string) committed {
	return committed{Revision: revision, ID: fmt.Sprint("batch-", revision), Keys: keys}
}

func TestHeadComesBackAsItWas(t *testing.T) {
	h := head{}.next(contents{records: 2, sum: 1<<64 - 1}, aCommit(1, "a", `b"\<>&`))
	value, err := encode(h)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeHead(value); err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("got %+v, %v, want %+v", got, err, h)
	}
}

func TestHeadStaysSmall(t *testing.T) {
	h := head{}
	long := strings.Repeat("k", maxKeyBytes)
	for revision := uint64(1); revision < 1000; revision++ {
		keys := []string{fmt.Sprint("dataset/", revision)}
		if revision%10 == 0 {
			for range revision % maxChanges {
				keys = append(keys, long)
			}
		}
		h = h.next(contents{}, aCommit(revision, keys...))
		value, err := encode(h)
		if err != nil {
			t.Fatal(err)
		}
		if limit := maxNewestBytes + maxRecentBytes; len(value) > limit {
			t.Fatalf("revision %d: %d bytes, want at most %d", revision, len(value), limit)
		}
		if _, err := decodeHead(value); err != nil {
			t.Fatalf("revision %d: %v", revision, err)
		}
	}
	if len(h.Recent) < 8 {
		t.Errorf("after many small commits it has %d of them", len(h.Recent))
	}
}

func TestHeadHasTheLastCommits(t *testing.T) {
	h := head{}
	for revision := uint64(1); revision <= 3; revision++ {
		h = h.next(contents{}, aCommit(revision, "a"))
	}
	for revision, want := range map[uint64]bool{0: false, 1: true, 3: true, 4: false} {
		if d, ok := h.recent(revision); ok != want || ok && d.Revision != revision {
			t.Errorf("revision %d: got %+v, %v, want %v", revision, d, ok, want)
		}
	}
	if d, ok := (head{}).recent(0); ok {
		t.Errorf("an empty log has the commit %+v", d)
	}
}

func TestDamagedHeadIsRefused(t *testing.T) {
	for name, value := range map[string]string{
		"nothing":                "",
		"no JSON":                "head",
		"another format":         `{"format":0,"log":"l","revision":1,"sum":"0"}`,
		"no revision":            `{"format":1,"log":"l","sum":"0"}`,
		"no log":                 `{"format":1,"revision":1,"sum":"0"}`,
		"negative revision":      `{"format":1,"log":"l","revision":-1,"sum":"0"}`,
		"commit of elsewhere":    `{"format":1,"log":"l","revision":3,"sum":"0","recent":[{"revision":2,"id":"i"}]}`,
		"more commits than were": `{"format":1,"log":"l","revision":1,"sum":"0","recent":[{"revision":0,"id":"i"},{"revision":1,"id":"i"}]}`,
		"commit without id":      `{"format":1,"log":"l","revision":1,"sum":"0","recent":[{"revision":1}]}`,
		"empty key":              `{"format":1,"log":"l","revision":1,"sum":"0","recent":[{"revision":1,"id":"i","keys":[""]}]}`,
	} {
		if h, err := decodeHead([]byte(value)); err == nil || errors.Is(err, errNewer) {
			t.Errorf("%s: got %+v, %v, want it refused", name, h, err)
		}
	}
}

func TestHeadOfANewerVersionIsToldApart(t *testing.T) {
	if _, err := decodeHead([]byte(`{"format":2,"log":{"is":"an object now"}}`)); !errors.Is(err, errNewer) {
		t.Errorf("got %v, want %v", err, errNewer)
	}
}

func FuzzDecodeHead(f *testing.F) {
	h := head{}
	for revision := uint64(1); revision <= 4; revision++ {
		h = h.next(contents{records: revision, sum: digest(revision << 60)}, aCommit(revision, "a", "b/c", `"`))
		value, err := encode(h)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Add([]byte(`{"format":1,"log":"l","revision":18446744073709551615,"sum":"0","recent":[{"revision":18446744073709551615,"id":"i"}]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		h, err := decodeHead(value)
		if err != nil {
			return
		}
		for i, d := range h.Recent {
			if got, ok := h.recent(d.Revision); !ok || !reflect.DeepEqual(got, h.Recent[i]) {
				t.Errorf("the commit of revision %d is not found", d.Revision)
			}
		}
		again, err := encode(h)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeHead(again); err != nil || back.Revision != h.Revision || back.Sum != h.Sum || len(back.Recent) != len(h.Recent) {
			t.Errorf("got back %+v, %v, want %+v", back, err, h)
		}
		if h.Revision < 1<<63 {
			h.next(contents{}, committed{Revision: h.Revision + 1, ID: "i", Keys: []string{"k"}})
		}
	})
}

func FuzzDecodeCommit(f *testing.F) {
	value, err := encode(aCommit(7, "a", "b/c"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value)
	f.Fuzz(func(t *testing.T, value []byte) {
		d, err := decodeCommitted(value)
		if err != nil {
			return
		}
		again, err := encode(d)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeCommitted(again); err != nil || back.ID != d.ID || back.Revision != d.Revision {
			t.Errorf("got back %+v, %v, want %+v", back, err, d)
		}
	})
}

// TestLargestTransactionIsWithinConsulsLimits makes commits of the most that
// Properties allow, divided in the ways that make them largest for Consul.
func TestLargestTransactionIsWithinConsulsLimits(t *testing.T) {
	l, err := Open(Settings{Prefix: strings.Repeat("p", maxPrefixBytes)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	full := head{Log: strings.Repeat("l", maxIDBytes), Revision: 1<<63 - 2}
	full = full.next(contents{}, committed{Revision: 1<<63 - 1, ID: strings.Repeat("i", maxIDBytes), Keys: []string{strings.Repeat("k", 900)}})
	for name, changes := range largestBatches() {
		batch := store.Batch{ID: strings.Repeat(`"`, maxIDBytes), After: full.Revision, Changes: changes}
		if err := l.check(batch); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b := base{before: position{head: full, index: 1<<63 - 1}, after: contents{records: 1<<63 - 1, sum: 1<<64 - 1}, mark: true}
		_, ops, err := l.transaction(b, batch, newChanges(changes))
		if err != nil {
			t.Fatal(err)
		}
		body, err := encode(ops)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d operations, %d bytes", name, len(ops), len(body))
		if len(ops) > maxOps || len(body) > maxBody-1 { // the library adds an end of line
			t.Errorf("%s: %d operations in %d bytes, want at most %d in %d", name, len(ops), len(body), maxOps, maxBody)
		}
	}
}

// largestBatches returns changes at the edges of what Properties allow.
func largestBatches() map[string][]store.Record {
	value := func(n int) []byte { return []byte(strings.Repeat("v", n)) }
	out := map[string][]store.Record{"one value": {{Key: "k", Value: value(maxBytes - 1)}}}
	for name, char := range map[string]string{"plain keys": "k", "keys of quotes": `"`, "keys of slashes": "/", "keys of angles": "<"} {
		var changes []store.Record
		for i := range maxChanges {
			prefix := fmt.Sprintf("%02d", i)
			key := prefix + strings.Repeat(char, maxKeyBytes-len(prefix))
			changes = append(changes, store.Record{Key: key, Value: value(maxBytes/maxChanges - maxKeyBytes)})
		}
		out[name] = changes
	}
	return out
}
