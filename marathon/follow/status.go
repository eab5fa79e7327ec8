package follow

import (
	"context"
	"errors"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// failed makes known that Marathon cannot be read. Nothing else changes.
func (f *Follower) failed(ctx context.Context, err error, pause time.Duration) {
	if _, ours := errors.AsType[*api.Error](err); ours {
		f.log.Warn("what Marathon says cannot be put into the log, will try again", "cause", err, "next_try", pause)
		return
	}
	f.mu.Lock()
	first := f.state.DownSince.IsZero()
	if first {
		f.state.DownSince = f.cluster.Now().Round(0)
	}
	f.unread = err.Error()
	f.state.Cause = f.cause()
	f.mu.Unlock()
	if first {
		f.log.Warn("Marathon cannot be read; until it can, nothing changes for volumes", "cause", err, "next_try", pause)
	}
	f.note(ctx)
}

// update changes what is known of Marathon.
func (f *Follower) update(change func(*api.MarathonStatus)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.state)
	f.state.Cause = f.cause()
}

// cause returns why Marathon is not followed as it should be, "" where it is. The
// caller holds the mutex.
func (f *Follower) cause() string {
	switch {
	case !f.state.DownSince.IsZero():
		return f.unread
	case !f.state.Events:
		return f.noEvents
	default:
		return ""
	}
}

// note makes known how well Marathon can be followed, where that has changed.
func (f *Follower) note(ctx context.Context) {
	f.mu.Lock()
	status, same := f.state, f.state == f.noted
	f.mu.Unlock()
	if same {
		return
	}
	if err := f.cluster.Note(ctx, status); err != nil {
		if ctx.Err() == nil && api.CodeOf(err) != api.CodeStale {
			f.log.Warn("cannot make known how Marathon is", "cause", err)
		}
		return
	}
	f.mu.Lock()
	f.noted = status
	f.mu.Unlock()
}
