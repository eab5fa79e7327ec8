package consul_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/consul"
	servers "github.com/flocker-mesos/flocker/test/consul"
)

// times are what was measured, by name.
type times map[string][]time.Duration

func (m times) measure(name string, what func()) {
	start := time.Now()
	what()
	m[name] = append(m[name], time.Since(start))
}

func (m times) median(name string) time.Duration {
	slices.Sort(m[name])
	return m[name][len(m[name])/2]
}

// BenchmarkLog measures the log on three servers in turns with its floor: plain
// transactions of as many records through the same client, and a plain wait and
// get of a key that was changed. Run it with -benchtime 200x or more.
func BenchmarkLog(b *testing.B) {
	c := servers.Start(b, 3)
	leader := c.Addresses()[c.Leader()]
	small, large := newBenchLog(b, leader, "small", 100), newBenchLog(b, leader, "large", 10_000)
	f := newFloor(b, leader)
	m := times{}
	turns := []struct {
		name string
		what func()
	}{
		{"floor-txn-2", func() { f.transaction(2) }},
		{"commit-2", func() { large.commit(2) }},
		{"commit-2-of-100", func() { small.commit(2) }},
		{"floor-txn-61", func() { f.transaction(61) }},
		{"commit-61", func() { large.commit(61) }},
		{"floor-follow", f.follow},
		{"follow", large.follow},
		{"follow-of-100", small.follow},
	}
	for range b.N {
		for _, i := range rand.Perm(len(turns)) { // so that none always comes after the same
			m.measure(turns[i].name, turns[i].what)
		}
	}
	for _, name := range []string{"floor-txn-2", "commit-2", "floor-txn-61", "commit-61", "floor-follow", "follow"} {
		b.ReportMetric(float64(m.median(name).Microseconds()), name+"-us")
	}
	for name, pair := range map[string][2]string{
		"commit-2/floor":        {"commit-2", "floor-txn-2"},
		"commit-61/floor":       {"commit-61", "floor-txn-61"},
		"follow/floor":          {"follow", "floor-follow"},
		"commit-of-10000/100":   {"commit-2", "commit-2-of-100"},
		"follow-beside-10k/100": {"follow", "follow-of-100"},
	} {
		b.ReportMetric(float64(m.median(pair[0]))/float64(m.median(pair[1])), name)
	}
	b.ReportMetric(0, "ns/op")
}

var benchValue = bytes.Repeat([]byte("0123456789abcdef"), 64)

func benchKey(n int) string { return fmt.Sprintf("dataset/%08d-90f1-4b6e-9a6e-b9a1d4fd6a1e", n) }

// benchLog is a log with some records, and a replica that follows it.
type benchLog struct {
	b         *testing.B
	log       *consul.Log
	revision  uint64
	next      int
	records   int
	following store.Log
}

func newBenchLog(b *testing.B, address, name string, records int) *benchLog {
	s := consul.Settings{Addresses: []string{address}, Prefix: "bench/" + name}
	l := &benchLog{b: b, log: open(b, s), records: records, following: open(b, s)}
	l.revision = fill(b, l.log, records)
	load(b, l.following)
	return l
}

func (l *benchLog) changes(n int) []store.Record {
	var out []store.Record
	for range n {
		l.next++
		value := fmt.Appendf(nil, "%08d", l.next)
		out = append(out, store.Record{Key: fmt.Sprintf("dataset/%08d", l.next%l.records), Value: append(value, benchValue...)})
	}
	return out
}

func (l *benchLog) commit(n int) {
	commit(l.b, l.log, l.revision, l.changes(n)...)
	l.revision++
}

// follow commits a record and waits until another replica has it.
func (l *benchLog) follow() {
	followed := make(chan error)
	go func() {
		for after := l.revision; after <= l.revision; {
			up, err := l.following.Follow(l.b.Context(), after)
			if err != nil || up.Revision > l.revision {
				followed <- err
				return
			}
			after = up.Revision
		}
	}()
	commit(l.b, l.log, l.revision, l.changes(1)...)
	if err := <-followed; err != nil {
		l.b.Fatal(err)
	}
	l.revision++
}

// floor is what Consul does without a log.
type floor struct {
	b      *testing.B
	client *api.Client
	next   int
}

func newFloor(b *testing.B, address string) *floor {
	f := &floor{b: b, client: client(b, address, "")}
	f.transaction(61)
	return f
}

func (f *floor) transaction(n int) {
	f.next++
	var ops api.TxnOps
	for i := range n {
		value := fmt.Appendf(nil, "%08d", f.next)
		ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVSet, Key: "bench/floor/" + benchKey(i), Value: append(value, benchValue...)}})
	}
	ok, _, _, err := f.client.Txn().Txn(ops, nil)
	if err != nil || !ok {
		f.b.Fatalf("got %v, %v", ok, err)
	}
}

// follow changes two keys and waits until another client, which waits for the
// first, has got the second.
func (f *floor) follow() {
	pair, meta, err := f.client.KV().Get("bench/floor/"+benchKey(0), nil)
	if err != nil || pair == nil {
		f.b.Fatalf("got %v, %v", pair, err)
	}
	followed := make(chan error)
	go func() {
		_, _, err := f.client.KV().Get("bench/floor/"+benchKey(0), &api.QueryOptions{WaitIndex: meta.LastIndex})
		if err == nil {
			_, _, err = f.client.KV().Get("bench/floor/"+benchKey(1), nil)
		}
		followed <- err
	}()
	f.transaction(2)
	if err := <-followed; err != nil {
		f.b.Fatal(err)
	}
}

// BenchmarkInspect measures the comparison of a log with what was committed, which
// every replica makes at most a two-hundredth of the time.
func BenchmarkInspect(b *testing.B) {
	c := servers.Start(b, 1)
	large := newBenchLog(b, c.Addresses()[0], "large", 10_000)
	for b.Loop() {
		if damage, err := large.log.Inspect(b.Context()); err != nil || len(damage) > 0 {
			b.Fatalf("got %v, %v", damage, err)
		}
	}
}
