package agent

import (
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Hints are a head start: Marathon has chosen this node for a container, and
// while Mesos fetches its image, the volume can be on its way. The agent then
// uses the volume on behalf of the container that is expected, and claims it like
// any consumer. That use is the weakest there is: it ends when the container has
// come and uses the volume itself, when its time is over, and when anybody else
// waits for the volume. It is kept in memory alone: the control service tells it
// anew on every stream, before which nothing is given back. Where an earlier
// container of the app is still there, it bridges the time between the two.
//
// A hint to make a volume expects nobody: the control service has the volume made
// when its app is deployed. It ends when the volume is registered, which is when it
// has been formatted, and it never waits for a dataset that another node has.

// maxHint bounds for how long a container is expected, whatever the clock of
// who said so is.
const maxHint = 30 * time.Minute

// hint is what is expected of a dataset on this node. The engine's mutex guards
// it.
type hint struct {
	*api.Hint
	over  bool // it has had its effect, or has none any more
	since time.Time
	end   *time.Timer
}

// live reports whether a container is still expected.
func (h *hint) live() bool { return h != nil && !h.over }

// same reports whether two hints are about the same container.
func (h *hint) same(other *api.Hint) bool {
	return h != nil && h.Node == other.Node && h.App == other.App && h.Instance == other.Instance && h.Make == other.Make && h.Attempt == other.Attempt
}

// news says what a hint is about, missed what it is when its time is over.
func (h *hint) news() string {
	if h.Make {
		return "the volume is to be made ahead of its first use"
	}
	return "a container is expected that will use the dataset"
}

func (h *hint) missed() string {
	if h.Make {
		return "the volume could not be made ahead of its first use"
	}
	return "the container that was expected has not come"
}

// hintLives reports whether a container is expected that will use the dataset.
func (d *dataset) hintLives() bool { return d.hint.live() }

// users is how many use the dataset here, the container that is expected among
// them. The caller has the mutex.
func (e *engine) users(d *dataset) int {
	if d.hintLives() {
		return e.counted(d) + 1
	}
	return e.counted(d)
}

// takeHint takes over a hint for this node. One that has had its effect has none
// again. The caller has the mutex.
func (e *engine) takeHint(h *api.Hint) {
	d := e.track(h.Dataset)
	if d.hint.same(h) {
		return
	}
	e.dropHint(d)
	now := e.now()
	left := min(h.Until.Sub(now), maxHint)
	d.hint = &hint{Hint: h, since: now, over: left <= 0 || e.closed}
	if d.hint.over {
		return
	}
	mine := d.hint
	d.hint.end = time.AfterFunc(left, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if d.hint == mine && mine.live() {
			e.log.Info(mine.missed(), "dataset", d.id, "name", nameOf(d.record), "app", mine.App, "instance", mine.Instance)
			e.endHint(d)
			e.wake(d)
		}
	})
	e.log.Info(d.hint.news(), "dataset", d.id, "app", h.App, "instance", h.Instance, "until", h.Until)
	e.wake(d)
}

// endHint ends the effect of a hint. The caller has the mutex.
func (e *engine) endHint(d *dataset) {
	if d.hintLives() {
		d.hint.over = true
		d.hint.end.Stop()
	}
}

// dropHint forgets a hint. The caller has the mutex.
func (e *engine) dropHint(d *dataset) {
	e.endHint(d)
	d.hint = nil
}

// unhint takes over that a dataset's hint is no longer for this node. The caller
// has the mutex.
func (e *engine) unhint(id api.DatasetID) {
	d, ok := e.datasets[id]
	if !ok || d.hint == nil {
		return
	}
	e.dropHint(d)
	e.wake(d)
}

// syncHints takes over all hints for this node, as they are on a new stream. The
// caller has the mutex, and wakes all datasets.
func (e *engine) syncHints(hints []*api.Hint) {
	current := map[api.DatasetID]bool{}
	for _, h := range hints {
		current[h.Dataset] = true
		e.takeHint(h)
	}
	for id, d := range e.datasets {
		if !current[id] {
			e.dropHint(d)
		}
	}
}

// yieldHint ends a hint where somebody else waits for the dataset, which nobody
// uses here yet, and one to make a volume where that is made. The caller has the
// mutex.
func (e *engine) yieldHint(d *dataset) {
	if !d.hintLives() {
		return
	}
	awaited := len(d.consumers) == 0 && d.record != nil && d.record.HeldBy(e.node) && len(d.record.Waiting) > 0
	if awaited || d.hint.Make && d.registered() {
		e.endHint(d)
	}
}

// overtaken ends a hint where the control service says by err that the dataset is
// not to be had because of it, and reports whether it did. Who comes meanwhile asks
// for himself.
func (e *engine) overtaken(d *dataset, err error) bool {
	switch api.CodeOf(err) {
	case api.CodeConflict, api.CodeNotFound, api.CodeDeleted, api.CodeForbidden:
	default:
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !d.hintLives() || len(d.consumers) > 0 {
		return false
	}
	e.log.Info("a hint has no effect any more", "dataset", d.id, "app", d.hint.App, "instance", d.hint.Instance, "cause", err)
	e.endHint(d)
	return true
}

// expected is the consumer that a hint stands for, as it is reported.
func (d *dataset) expected() api.Consumer {
	kind := api.ConsumerHint
	if d.hint.Make {
		kind = api.ConsumerMake
	}
	return api.Consumer{ID: d.hint.Instance, Kind: kind, App: d.hint.App, Since: d.hint.since}
}
