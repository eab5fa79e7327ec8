package control

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flocker-mesos/flocker/pki"
)

func TestBucketsRefillForEachIdentity(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBuckets(2, prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}))
	b.now = func() time.Time { return now }
	greedy, other := caller{pki.RoleUser, "a"}, caller{pki.RoleReader, "a"}
	for i := range 2 * writeBurst {
		if err := b.take(greedy); err != nil {
			t.Fatalf("write %d of the burst: %v", i, err)
		}
	}
	busy, ok := errors.AsType[*busyError](b.take(greedy))
	if !ok || busy.after != 1 {
		t.Errorf("got %+v, want it refused for a second", busy)
	}
	if status, body := describe(busy, ""); status != 429 || body.Code != "unavailable" {
		t.Errorf("got %d %+v", status, body)
	}
	if err := b.take(other); err != nil {
		t.Errorf("another role of the same name: %v", err)
	}
	now = now.Add(time.Second)
	for want, n := range []bool{true, true, false} {
		if got := b.take(greedy) == nil; got != n {
			t.Errorf("write %d after a second: got %v, want %v", want, got, n)
		}
	}
	now = now.Add(-time.Hour) // a clock that is set back takes nothing away
	if err := b.take(other); err != nil {
		t.Error(err)
	}
	now = now.Add(24 * time.Hour)
	for range 2 * writeBurst {
		if err := b.take(greedy); err != nil {
			t.Fatal(err)
		}
	}
	if b.take(greedy) == nil {
		t.Error("the burst grew over night")
	}
	for range 10_000 {
		if err := newBuckets(0, nil).take(greedy); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSharesAreOfOneAndOfAll(t *testing.T) {
	var s shares
	a, b := caller{pki.RoleUser, "a"}, caller{pki.RoleUser, "b"}
	take := func(who caller) [2]bool {
		ok, crowded := s.begin(who, 3, 2)
		return [2]bool{ok, crowded}
	}
	for i, c := range []struct {
		who  caller
		want [2]bool
	}{{a, [2]bool{true, false}}, {a, [2]bool{true, false}}, {a, [2]bool{false, false}}, {b, [2]bool{true, false}}, {b, [2]bool{false, true}}} {
		if got := take(c.who); got != c.want {
			t.Errorf("share %d: got %v, want %v", i, got, c.want)
		}
	}
	s.end(a)
	if got := take(b); got != [2]bool{true, false} {
		t.Errorf("after one ended: got %v", got)
	}
}

func TestBucketsOfManyIdentitiesAreForgotten(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBuckets(2, prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}))
	b.now = func() time.Time { return now }
	greedy := caller{pki.RoleUser, "greedy"}
	for b.take(greedy) == nil {
		continue
	}
	for i := range 20 * keptBuckets {
		now = now.Add(10 * time.Millisecond)
		if err := b.take(caller{pki.RoleUser, strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
		if i == keptBuckets/2 {
			for b.take(greedy) == nil {
				continue
			}
		}
	}
	if n := len(b.all); n > 3*keptBuckets {
		t.Errorf("%d buckets are kept", n)
	}
	now = now.Add(-time.Hour) // a clock that is set back gives nobody a new bucket
	for b.take(greedy) == nil {
		continue
	}
	for i := range 4 * keptBuckets {
		_ = b.take(caller{pki.RoleNode, strconv.Itoa(i)})
	}
	if b.take(greedy) == nil {
		t.Error("an identity that wrote too much was forgotten, and writes on")
	}
}
