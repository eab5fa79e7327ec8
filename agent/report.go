package agent

import (
	"maps"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// What follows is how the reporter reads and settles what the engine knows.

// state is what the agent reports of a dataset, with the effects of a step. It
// returns false where there is nothing to say.
func (e *engine) state(id api.DatasetID) (api.DatasetState, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d, ok := e.datasets[id]
	if !ok || d.record == nil {
		return api.DatasetState{}, false
	}
	s := api.DatasetState{
		ID: id, Node: e.node, Phase: d.seen.phase, Since: d.since, Action: string(d.doing),
		Size: d.seen.volume.Size, Device: d.seen.device.Path, Failure: d.failure, Trim: d.trim,
	}
	if d.record.HeldBy(e.node) {
		s.Epoch = d.record.Holder.Epoch
	}
	if s.Phase == api.PhaseMounted {
		s.Path, s.Health = e.stepper.path(id), e.healthOf(d)
	}
	for _, c := range slices.SortedFunc(maps.Keys(d.consumers), strings.Compare) {
		if full := e.stepper.consumer(c); full != nil {
			user := full.Consumer
			user.Key, user.ReadOnly = d.consumers[c].Key, d.consumers[c].ReadOnly
			s.Consumers = append(s.Consumers, user)
		}
	}
	if d.hintLives() {
		s.Consumers = append(s.Consumers, d.expected())
	}
	return s, true
}

// spend marks an epoch as given up, just before the control service is told.
func (e *engine) spend(id api.DatasetID, epoch uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d, ok := e.datasets[id]; ok {
		d.spent = epoch
	}
}

// settle takes over what an acknowledged report has changed, so that the
// worker need not wait for the control service to say it again.
func (e *engine) settle(id api.DatasetID, eff effects) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d, ok := e.datasets[id]
	if !ok || d.record == nil {
		return
	}
	r := d.record.Clone()
	if eff.volume != nil && (r.Volume == nil || r.Volume.Size < eff.volume.Size || eff.volume.Zone != "") {
		r.Volume = eff.volume
	}
	if eff.release && r.Holder != nil && r.Holder.Epoch == eff.epoch {
		r.Holder = nil
		r.Destroyed = r.Destroyed || eff.destroyed
	}
	if f := eff.fence; f != nil && r.Fence != nil && r.Epoch == eff.epoch {
		r.Fence.Begun = r.Fence.Begun || f.Begin
		r.Fence.Finding = f.Finding
		if f.Done {
			r.Holder, r.Fence = nil, nil
		}
	}
	if u := r.UserOn(e.node); u != nil && u.Claim == eff.free {
		r.Member.User = nil
	}
	if eff.withdraw {
		r.Waiting = slices.DeleteFunc(r.Waiting, func(w api.Waiter) bool { return w.Node == e.node })
	}
	d.record = r
	e.arrived(d) // before its waiters hear of it, and another one asks
	d.announce()
}

// all returns the ids of everything that is tracked.
func (e *engine) all() []api.DatasetID {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.datasets))
}
