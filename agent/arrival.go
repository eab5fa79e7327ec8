package agent

import (
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// arrival is a volume's way to who asked for it first: from when that was, until
// it is ready for all who have asked meanwhile. The engine's mutex guards it.
type arrival struct {
	asked time.Time // with the monotonic clock

	fenced, created, waited, attached bool
}

// way is the way that it has taken so far.
func (a *arrival) way() api.VolumeWay {
	switch {
	case a.fenced:
		return api.WayFence
	case a.created:
		return api.WayCreate
	case a.waited:
		return api.WayMove
	case a.attached:
		return api.WayAttach
	default:
		return api.WayHere
	}
}

// see takes over what the dataset's record tells of the way.
func (a *arrival) see(record *api.Dataset, node api.NodeID) {
	if record == nil {
		return
	}
	a.fenced = a.fenced || record.Fence != nil && !record.HeldBy(node)
	a.waited = a.waited || record.AwaitedBy(node)
}

// step takes over a step that was taken.
func (a *arrival) step(act action) {
	switch act {
	case actCreate, actFormat:
		a.created = true
	case actAttach:
		a.attached = true
	case actFence:
		a.fenced = true
	}
}

// ask notes that somebody asks for a dataset. Asked is zero for those that an
// earlier agent of this node has served: how long they waited nobody can tell.
// The caller has the mutex.
func (e *engine) ask(d *dataset, asked time.Time) {
	if asked.IsZero() || d.coming != nil {
		return
	}
	d.coming = &arrival{asked: asked}
	d.coming.see(d.record, e.node)
	e.arrived(d)
}

// arrived counts a dataset that is ready for all who ask for it. The caller has
// the mutex.
func (e *engine) arrived(d *dataset) {
	if d.coming == nil || !d.ready(e.node) || d.readOnly() && !d.seen.bound {
		return
	}
	e.times.ready(d.coming.way(), d.record.Size, time.Since(d.coming.asked))
	d.coming = nil
}

// abandon notes that nobody asks for a dataset any more that has not arrived. The
// caller has the mutex.
func (e *engine) abandon(d *dataset) {
	if d.coming == nil || len(d.consumers) > 0 {
		return
	}
	if d.record != nil && time.Since(d.coming.asked) >= e.waitLimit {
		e.times.abandoned(d.coming.way(), d.record.Size)
	}
	d.coming = nil
}
