package control

import (
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/control/store"
)

func TestCommitsWaitForThoseWhoWereJustAnswered(t *testing.T) {
	const forever = time.Hour
	cases := map[string]struct {
		limit            time.Duration
		more, there, max int
		come, want       int // commands that come while it waits
	}{
		"nothing is waited for without a load":        {there: 1, max: 64, want: 1},
		"all that were answered are waited for":       {limit: forever, more: 16, there: 4, max: 64, come: 16, want: 20},
		"a commit that is full waits for nothing":     {limit: forever, more: 16, there: 10, max: 10, want: 10},
		"a commit that becomes full waits no longer":  {limit: forever, more: 16, there: 4, max: 10, come: 6, want: 10},
		"whoever stays away is waited for to a limit": {limit: time.Millisecond, more: 16, there: 1, max: 64, want: 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := &Replica{commands: make(chan *pending), props: store.Properties{MaxChanges: c.max}}
			go func() {
				for range c.come {
					r.commands <- &pending{}
				}
			}()
			if got := len(r.collect(make([]*pending, c.there), c.limit, c.more)); got != c.want {
				t.Errorf("got %d commands, want %d", got, c.want)
			}
		})
	}
}

func TestOnlyUnderLoadMoreCommandsAreWaitedForAndNotForLong(t *testing.T) {
	cases := map[string]struct {
		last  pace
		limit time.Duration
		more  int
	}{
		"at the start":                {},
		"after a small commit":        {last: pace{busy - 1, time.Second}},
		"after a large commit":        {last: pace{busy, 2 * time.Millisecond}, limit: time.Millisecond, more: busy},
		"after one that took long":    {last: pace{64, time.Hour}, limit: maxLinger, more: 64},
		"after one that took nothing": {last: pace{64, 0}, more: 64},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			limit, more := c.last.linger()
			if limit != c.limit || more != c.more {
				t.Errorf("got %d more within %s, want %d within %s", more, limit, c.more, c.limit)
			}
		})
	}
}
