package agent

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// care is what the health of a mounted file system asks for.
type care struct {
	act    action // what the agent does about it, actNone for nothing
	halt   bool   // nothing else is done with it meanwhile
	cause  string // what is wrong, as the beginning of a sentence
	remedy string // what happens next, and what a person can do
}

// need is what a mount is there for.
type need int

const (
	needNone    need = iota // nothing uses it or waits for it
	needAwaited             // nothing uses it, and a consumer that writes waits for it
	needUsed                // something may be using it: nothing is unmounted under a live consumer
)

// treat decides what a mounted file system in some health needs. path is for the texts.
func treat(kind api.HealthKind, has need, path string) care {
	switch kind {
	case api.HealthDeviceGone:
		return failed("its device is gone", has)
	case api.HealthShutDown:
		return failed("the kernel has shut its file system down, and every access fails", has)
	case api.HealthAborted:
		return failed("the kernel has made its file system read-only after an error", has)
	case api.HealthUnmounted:
		return care{
			act: actRestore, halt: true, cause: "it was unmounted behind the agent's back",
			remedy: "The agent mounts it again. Leave unmounting to the agent: end what uses the volume instead",
		}
	case api.HealthCovered:
		return care{
			halt: true, cause: "something else is mounted over it",
			remedy: fmt.Sprintf("New containers wait. Unmount what covers it: umount %s", path),
		}
	case api.HealthReadOnly:
		c := care{
			cause: "it was remounted read-only",
			remedy: fmt.Sprintf("New containers that write wait until nothing uses it, and then it is mounted anew. "+
				"Make it writable again: mount -o remount,rw %s", path),
		}
		if has == needAwaited {
			c.act, c.remedy = actRenew, "Nothing uses it, so the agent unmounts it and mounts it anew for the container that waits"
		}
		return c
	case api.HealthIOErrors:
		return care{
			cause:  "accesses to its device have failed, and written data may be lost",
			remedy: "Look at the storage below it, which may be full or failing. The volume stays in use, and this warning ends a minute after the last error",
		}
	case api.HealthHung:
		return care{
			halt: true, cause: "a look at it does not return",
			remedy: "New containers wait. Look at the storage below it, and at the processes in state D",
		}
	default:
		return care{}
	}
}

// failed is the care for a file system that only a new mount mends.
func failed(cause string, has need) care {
	if has == needUsed {
		return care{halt: true, cause: cause, remedy: "Look at the storage below it, which may be full or failing. " +
			"The volume is mounted anew as soon as nothing uses it: end its containers. New containers wait for that"}
	}
	return care{act: actRenew, cause: cause, remedy: "Nothing uses it, so the agent unmounts it, checks it and mounts it anew"}
}

// usable reports whether a new consumer may have the mount.
func usable(kind api.HealthKind, readOnly bool) bool {
	return kind == "" || kind == api.HealthIOErrors || kind == api.HealthReadOnly && readOnly
}

// serve notes that a consumer may be using the mount from now on.
func (d *dataset) serve(consumer string) {
	if d.served == nil {
		d.served = map[string]bool{}
	}
	d.served[consumer] = true
}

// await notes that a consumer asks for its volumes, which it does not have yet: the
// launch process of a container stops asking when it has them. Nothing else tells that
// a consumer still waits after a restart of the agent, or after an answer was lost.
func (e *engine) await(c *consumer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range c.Volumes {
		if d := e.datasets[v.Dataset]; d != nil && d.served[c.ID] {
			delete(d.served, c.ID)
			e.wake(d)
		}
	}
}

// need is what the mount of a dataset is there for. The caller has the mutex.
func (e *engine) need(d *dataset) need {
	switch {
	case len(d.served) > 0 || e.leases[d.id].HeldBy(e.node):
		return needUsed
	case d.writers():
		return needAwaited
	default:
		return needNone
	}
}

// writers reports whether any consumer may write.
func (d *dataset) writers() bool {
	for _, v := range d.consumers {
		if !v.ReadOnly {
			return true
		}
	}
	return false
}

// condition is the kind of the dataset's health, "" for healthy.
func (d *dataset) condition() api.HealthKind {
	if d.health == nil {
		return ""
	}
	return d.health.Kind
}

// endVigil ends the watch over what is no longer mounted, and tells when a volume that
// had failed is mounted anew. The caller has the mutex.
func (e *engine) endVigil(d *dataset, mounted bool) {
	d.vigil = nil
	if d.health != nil {
		d.mending = d.health
	}
	d.health = nil
	if mounted && d.mending != nil {
		e.tellHealed(d, d.mending)
		d.mending = nil
	}
}

func (e *engine) tellHealed(d *dataset, was *api.Health) {
	e.log.Info("the volume is healthy again", "dataset", d.id, "name", nameOf(d.record), "health", string(was.Kind),
		"after", e.now().Sub(was.Since).Round(time.Millisecond))
}

// healthOf returns the health of a dataset with what can be done about it, nil for
// healthy. The caller has the mutex.
func (e *engine) healthOf(d *dataset) *api.Health {
	if d.health == nil {
		return nil
	}
	h := *d.health
	h.Remedy = treat(h.Kind, e.need(d), e.stepper.path(d.id)).remedy
	return &h
}

// ward is one mounted volume that the watcher looks at.
type ward struct {
	id    api.DatasetID
	vigil *host.Vigil
	views []string // further mounts of it that there should be
	turn  uint64
	rests bool // the worker leaves the mounts alone
}

// wards returns the mounted volumes, in no order.
func (e *engine) wards() []ward {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]ward, 0, len(e.datasets))
	for _, d := range e.datasets {
		if w, ok := e.ward(d); ok {
			all = append(all, w)
		}
	}
	return all
}

// mounted returns about how many volumes are mounted.
func (e *engine) mounted() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.datasets)
}

// ward returns what to watch of a dataset. The caller has the mutex.
func (e *engine) ward(d *dataset) (ward, bool) {
	if d.seen.phase != api.PhaseMounted || d.seen.mounted == 0 {
		return ward{}, false
	}
	if d.vigil == nil {
		d.vigil = host.NewVigil(e.stepper.path(d.id), d.seen.mounted)
		d.vigil.Unsure, d.vigil.Since = e.stacked[string(d.id)], d.logged
	}
	w := ward{id: d.id, vigil: d.vigil, turn: d.turns, rests: !d.working || !changesMounts(d.doing)}
	if d.seen.bound {
		w.views = append(w.views, e.stepper.viewPath(d.id))
	}
	for _, name := range e.stepper.views.on(d.seen.mounted) {
		w.views = append(w.views, e.stepper.root.Path(name))
	}
	return w, true
}

// changesMounts reports whether a look during an action may see what the action does.
func changesMounts(act action) bool {
	switch act {
	case actMount, actBind, actView, actUnmount, actRenew, actRestore:
		return true
	default:
		return false
	}
}

// countTurn voids looks at mounts before and during an action that changes them.
func (d *dataset) countTurn(act action) {
	if changesMounts(act) {
		d.turns++
	}
}

// observe takes over how a ward was found, unless its mounts have changed since.
func (e *engine) observe(w ward, found host.Diagnosis, viewGone bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.datasets[w.id]
	if d == nil || d.vigil != w.vigil || !w.rests || d.turns != w.turn {
		return
	}
	if viewGone && found.Condition == host.Healthy {
		e.log.Warn("a view of the volume was unmounted behind the agent's back", "dataset", d.id, "name", nameOf(d.record))
		d.seen.doubt = true // have the worker look, and bind it again
		e.wake(d)
	}
	kind := api.HealthKind(found.Condition)
	if kind == d.condition() && (kind == "" || d.health.Cause == causeOf(kind, found.Detail)) {
		return
	}
	was := d.health
	if kind == "" {
		d.health = nil
		e.tellHealed(d, was)
	} else {
		d.health = &api.Health{Kind: kind, Cause: causeOf(kind, found.Detail), Since: e.now()}
		if was != nil && was.Kind == kind {
			d.health.Since = was.Since
		}
		e.log.Warn("the volume is not healthy", "dataset", d.id, "name", nameOf(d.record), "path", w.vigil.Target,
			"health", string(kind), "cause", d.health.Cause, "remedy", e.healthOf(d).Remedy, "used_by", slices.Sorted(maps.Keys(d.served)))
	}
	e.reports.note(d.id)
	e.wake(d)
}

func causeOf(kind api.HealthKind, detail string) string {
	cause := treat(kind, needNone, "").cause
	if detail != "" {
		cause += ": " + strings.TrimRight(detail, ". ")
	}
	return cause
}

// hand gives the volumes of a consumer to it, all or none: it reports whether all are
// ready. From then on they are in use.
func (e *engine) hand(c *consumer) bool {
	e.inspect(c)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range c.Volumes {
		if v.pending() || !e.glance(e.track(v.Dataset)).serves(v) {
			return false
		}
	}
	for _, v := range c.Volumes {
		d := e.track(v.Dataset)
		if _, there := d.consumers[c.ID]; there && !d.served[c.ID] {
			d.serve(c.ID)
			if d.health != nil {
				e.reports.note(d.id) // the remedy has changed
			}
		}
	}
	return true
}

// inspect looks at the volumes of a consumer that is about to have them: what the
// watcher has not seen yet must not be handed out.
func (e *engine) inspect(c *consumer) {
	for _, v := range c.Volumes {
		e.mu.Lock()
		d, ok := e.datasets[v.Dataset]
		var w ward
		if ok && d.condition() != api.HealthHung {
			w, ok = e.ward(d)
		}
		e.mu.Unlock()
		if ok && w.rests {
			e.observe(w, w.vigil.Glance(time.Now()), false)
		}
	}
}

// unwell returns how many mounted volumes have which health.
func (e *engine) unwell() map[api.HealthKind]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := map[api.HealthKind]int{}
	for _, d := range e.datasets {
		if d.health != nil {
			n[d.health.Kind]++
		}
	}
	return n
}
