package follow

import (
	"context"

	"github.com/flocker-mesos/flocker/marathon/client"
)

// Round has a follower read once, as for an event that it has heard or for
// everything, and do what follows from that.
func Round(ctx context.Context, f *Follower, ev client.Event, full bool) {
	f.dirty.event(ev)
	w := f.dirty.take()
	w.full = full
	if w.empty() {
		return
	}
	if _, err := f.round(ctx, w); err != nil {
		f.failed(ctx, err, 0)
	}
}
