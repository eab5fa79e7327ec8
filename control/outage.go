package control

import (
	"sync"
	"time"
)

// outage notes since when the log cannot be reached. What this replica shows
// meanwhile is the last that it knew.
type outage struct {
	mu    sync.Mutex
	since time.Time
	cause error
}

// begin notes that the log could not be reached, and reports whether that is new.
func (o *outage) begin(now time.Time, cause error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cause = cause
	if !o.since.IsZero() {
		return false
	}
	o.since = now
	return true
}

// end notes that the log was reached, and returns for how long it was not.
func (o *outage) end(now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		return 0
	}
	lasted := now.Sub(o.since)
	o.since, o.cause = time.Time{}, nil
	return lasted
}

// state returns since when the log cannot be reached, and why; zero where it can.
func (o *outage) state() (since time.Time, cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.since, o.cause
}

func (o *outage) ongoing() bool {
	since, _ := o.state()
	return !since.IsZero()
}
