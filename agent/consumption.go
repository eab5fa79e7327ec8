package agent

import (
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// What follows is how Volumes, the front doors' side, touches the engine.

// claiming marks names that a front door is about to claim, and the consumer for
// which it does: what arrives for them by the stream meanwhile is not given back as
// unused. The returned function ends that.
func (e *engine) claiming(consumer string, wants []api.VolumeRequest) (done func()) {
	root := api.RootConsumer(consumer)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.roots[root]++
	for _, w := range wants {
		e.names[w.Name]++
	}
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.roots[root]--; e.roots[root] == 0 {
			delete(e.roots, root)
		}
		e.wakeMembers(root)
		for _, w := range wants {
			if e.names[w.Name]--; e.names[w.Name] == 0 {
				delete(e.names, w.Name)
			}
			if d := e.byName(w.Name); d != nil && len(d.consumers) == 0 {
				e.wake(d)
			}
		}
	}
}

// byName returns the live dataset with a name, nil where none is known here.
// The caller has the mutex.
func (e *engine) byName(name string) *dataset {
	for _, d := range e.datasets {
		if d.record != nil && !d.record.Deleted && d.record.Name() == name {
			return d
		}
	}
	return nil
}

// heldByName returns the record of the live dataset with a name if this node
// holds it.
func (e *engine) heldByName(name string) *api.Dataset {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := e.byName(name); d != nil && e.synced && d.record.HeldBy(e.node) && d.record.Member == nil {
		return d.record
	}
	return nil
}

// recordOf returns a dataset's record, nil where it is not known here.
func (e *engine) recordOf(id api.DatasetID) *api.Dataset {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := e.datasets[id]; d != nil {
		return d.record
	}
	return nil
}

// addConsumer starts bringing a consumer's volumes, for which it has asked at a
// moment, zero for one that an earlier agent has served.
func (e *engine) addConsumer(c *consumer, asked time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range c.Volumes {
		if v.pending() {
			continue
		}
		d := e.track(v.Dataset)
		d.consumers[c.ID] = v
		if asked.IsZero() {
			d.serve(c.ID) // an earlier agent may have done so
		}
		e.endHint(d)
		d.final = false // who comes anew deserves an attempt
		e.ask(d, asked)
		e.wake(d)
	}
}

// removeConsumer lets go of a consumer's volumes.
func (e *engine) removeConsumer(c *consumer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range c.Volumes {
		if v.pending() {
			continue
		}
		d := e.track(v.Dataset)
		delete(d.consumers, c.ID)
		delete(d.served, c.ID)
		e.abandon(d)
		e.wake(d)
	}
	e.wakeMembers(api.RootConsumer(c.ID))
}

// dropVolumes lets go of the volumes that a consumer has no longer.
func (e *engine) dropVolumes(old, c *consumer) {
	gone := *old
	gone.Volumes = slices.DeleteFunc(slices.Clone(old.Volumes), func(v consumedVolume) bool {
		return slices.ContainsFunc(c.Volumes, func(has consumedVolume) bool { return has.Dataset == v.Dataset })
	})
	e.removeConsumer(&gone)
}

// glance is how a dataset is at one moment, for who waits for it.
type glance struct {
	ready   bool
	bound   bool
	held    bool
	others  bool // consumers in other containers than the one that a member belongs to
	views   []string
	device  uint64
	blocked string // why no volume may be made, "" where one may be
	failure *api.Failure
	final   bool
	health  *api.Health     // what is wrong with the mounted file system, nil for nothing
	changed <-chan struct{} // closed when this is no longer true
}

// serves reports whether a consumer can use the dataset now.
func (g glance) serves(vol consumedVolume) bool {
	if g.health != nil && !usable(g.health.Kind, vol.ReadOnly) {
		return false
	}
	if view := vol.view(); view != "" {
		return g.ready && slices.Contains(g.views, view)
	}
	return g.ready && (g.bound || !vol.ReadOnly)
}

// look returns how a dataset is now.
func (e *engine) look(id api.DatasetID) glance {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.glance(e.track(id))
}

// glance is look for a caller that has the mutex.
func (e *engine) glance(d *dataset) glance {
	views := e.stepper.views.on(d.seen.mounted)
	blocked := ""
	if d.record != nil {
		blocked = d.record.Blocked
	}
	return glance{
		blocked: blocked,
		views:   views, others: e.others(d),
		ready: d.ready(e.node), bound: d.seen.bound, device: d.seen.mounted,
		held:    d.record != nil && d.record.HeldBy(e.node),
		failure: d.failure, final: d.final, health: e.healthOf(d), changed: d.changed,
	}
}
