package agent

import (
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// task is one turn of a worker: what it decided on, and what to do.
type task struct {
	views  []string // mount points at which consumers should see a member of a set
	goal   goal
	act    action
	seen   sight
	record *api.Dataset
}

// plan decides the next turn. It returns false where there is nothing to do.
func (e *engine) plan(d *dataset) (task, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d.dirty = false
	d.seen.doubt, d.suspect = d.seen.doubt || d.suspect, false
	if !e.tracks(d) {
		d.working = false
		return task{}, false
	}
	e.yieldHint(d)
	if d.coming != nil {
		d.coming.see(d.record, e.node)
	}
	t := e.turn(d)
	if (t.act == actUnmount || t.act == actRenew || t.act == actView) && e.recall(d) {
		t = e.turn(d)
	}
	if e.expected(d) || e.bereft(d) {
		e.memberCame()
	}
	if t.act == actNone || (t.act == actWait && t.goal == goalToken) {
		d.working = false
		d.doing = t.act
		d.failure, d.final = nil, false
		d.asked = time.Time{}
		e.forget(d)
		d.announce()
		return t, false
	}
	if d.failure != nil && t.act != actLook && d.failure.Action != string(t.act) {
		d.failure, d.final = nil, false // what failed is not wanted any more
	}
	d.doing = t.act
	d.countTurn(t.act)
	return t, true
}

// turn decides what the dataset needs next. The caller has the mutex.
func (e *engine) turn(d *dataset) task {
	g := decide(e.node, want{
		record:    d.record,
		synced:    e.synced,
		consumers: e.users(d),
		acquiring: d.record != nil && e.names[d.record.Name()] > 0 || e.expected(d),
		spent:     d.spent != 0 && d.record != nil && d.record.Epoch == d.spent,
		leased:    e.leases[d.id].HeldBy(e.node),
		mounted:   d.seen.phase == api.PhaseMounted,
	})
	t := task{goal: g, seen: d.seen, record: d.record, views: e.wantedViews(d)}
	switch {
	case e.synced && e.ownerless(d):
		t.act = actFree
	case g == goalLeave:
		t.act = actNone
	case mustLook(d.seen.phase, d.seen.doubt, d.sameEpoch(), g):
		t.act = actLook
	default:
		t.act = next(d.seen.phase, g, facts{
			registered: d.registered(),
			waiting:    d.record != nil && d.record.AwaitedBy(e.node),
			used:       e.counted(d) > 0,
			wantBind:   d.readOnly(),
			wantViews:  !e.stepper.views.are(d.seen.mounted, t.views),
			bound:      d.seen.bound,
			grows:      e.stepper.grows(d.record, d.seen),
			behind:     e.stepper.behind(d.seen),
			filled:     d.seen.filled,
			unreported: d.registered() && d.seen.volume.Size > d.record.Volume.Size,
			foreign:    d.seen.foreign != nil,
			lost:       d.seen.lost != "",
			trims:      d.trimDue || e.trimRequested(d) != 0,
			unplaced:   d.registered() && unplaced(d.seen.volume, d.record.Volume),
			care:       treat(d.condition(), e.need(d), ""),
		})
	}
	return t
}

// recall takes over consumers that the journal has and the memory lacks, and reports
// whether there were any. The journal is asked before anything is unmounted: a live
// consumer that memory has lost must not lose its volume. The caller has the mutex.
func (e *engine) recall(d *dataset) bool {
	found := false
	for id, vol := range e.stepper.journal.using(d.id) {
		if _, known := d.consumers[id]; !known {
			e.log.Warn("recalled a consumer from the journal", "dataset", d.id, "name", nameOf(d.record), "consumer", id)
			d.consumers[id] = vol
			d.serve(id)
			found = true
		}
	}
	return found
}

// forget drops a dataset that is no concern of this node. The caller has the mutex.
func (e *engine) forget(d *dataset) {
	if e.tracks(d) && d.record == nil && len(d.consumers) == 0 && d.hint == nil && e.synced && down(d.seen.phase) == actNone {
		d.stopRetry()
		delete(e.datasets, d.id)
		e.stepper.forget(d.id)
	}
}
