package control

import (
	"maps"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flocker-mesos/flocker/api"
)

// Bounds of what one identity gets of a replica.
const (
	// writeBurst is for how many seconds of its rate an identity can write at once:
	// a node starts many containers together.
	writeBurst = 20
	// reportsPerWrite is how many reports count as a write: an agent sends one at a
	// time, several for each volume that it brings.
	reportsPerWrite = 10
	// maxWaits bounds long polls, waitsOfOne those of one identity.
	maxWaits, waitsOfOne = 10_000, 1000
	// watchesOfOne is an identity's share of maxWatches.
	watchesOfOne = maxWatches / 10
)

// buckets bound how often each identity writes, by a token bucket for each. The zero
// value bounds nothing.
type buckets struct {
	rate    float64 // tokens a second
	burst   float64
	now     func() time.Time
	refused prometheus.Counter

	mu      sync.Mutex
	all     map[caller]*bucket
	pruneAt int // of how many buckets those that are full are forgotten
}

// keptBuckets is of how many buckets none is forgotten.
const keptBuckets = 1024

type bucket struct {
	tokens float64
	at     time.Time
}

func newBuckets(rate float64, refused prometheus.Counter) *buckets {
	return &buckets{rate: rate, burst: rate * writeBurst, now: time.Now, refused: refused, all: map[caller]*bucket{}, pruneAt: keptBuckets}
}

// take takes a token of an identity, or says in how many seconds there is one.
func (b *buckets) take(who caller) error {
	if b == nil || b.rate <= 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	of := b.all[who]
	if of == nil {
		b.prune(now)
		of = &bucket{tokens: b.burst, at: now}
		b.all[who] = of
	}
	if past := now.Sub(of.at); past > 0 {
		of.tokens, of.at = min(b.burst, of.tokens+past.Seconds()*b.rate), now
	}
	if of.tokens < 1 {
		b.refused.Inc()
		return &busyError{who: who, after: max(1, int(math.Ceil((1-of.tokens)/b.rate)))}
	}
	of.tokens--
	return nil
}

// prune forgets the buckets that are full again, which is what a new one is: else
// certificates of many names would fill the memory. The caller has the mutex.
func (b *buckets) prune(now time.Time) {
	if len(b.all) < b.pruneAt {
		return
	}
	maps.DeleteFunc(b.all, func(_ caller, of *bucket) bool {
		return of.tokens+now.Sub(of.at).Seconds()*b.rate >= b.burst
	})
	b.pruneAt = max(keptBuckets, 2*len(b.all))
}

// limited bounds how often each identity calls a handler.
func limited(b *buckets, h handler) handler {
	return func(w http.ResponseWriter, r *http.Request, who caller) error {
		if err := b.take(who); err != nil {
			return err
		}
		return h(w, r, who)
	}
}

// busyError refuses what one identity asks for too often.
type busyError struct {
	who   caller
	after int // seconds
}

func (e *busyError) Error() string { return e.api().Error() }

func (e *busyError) api() *api.Error {
	return api.Errorf(api.CodeUnavailable, "%s %s changes more than one certificate may at this time: try again in %d s; write-rate of the control service sets the bound",
		e.who.role, e.who.name, e.after)
}

func (e *busyError) Unwrap() error { return &httpError{http.StatusTooManyRequests, e.api()} }

func (e *busyError) retryAfter() string { return strconv.Itoa(e.after) }

// shares bound how many of something identities have at once: all together, and each.
// The zero value is ready to use.
type shares struct {
	mu  sync.Mutex
	n   int
	all map[caller]int
}

// begin takes a share, which end gives back, or reports that there is none for this
// identity, or for any.
func (s *shares) begin(who caller, total, each int) (ok, crowded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n >= total || s.all[who] >= each {
		return false, s.n >= total
	}
	if s.all == nil {
		s.all = map[caller]int{}
	}
	s.n++
	s.all[who]++
	return true, false
}

func (s *shares) end(who caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n--
	if s.all[who]--; s.all[who] == 0 {
		delete(s.all, who)
	}
}

// errNoShare says that no share is left, as a 429 for one identity alone.
func errNoShare(who caller, what string, crowded bool, total, each int) error {
	if crowded {
		return api.Errorf(api.CodeUnavailable, "%d clients are %s already, which is all that this replica serves", total, what)
	}
	return &httpError{http.StatusTooManyRequests, api.Errorf(api.CodeUnavailable,
		"%s %s has %d clients that are %s already, the limit of one certificate", who.role, who.name, each, what)}
}
