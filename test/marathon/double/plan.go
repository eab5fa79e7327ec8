package double

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// What actions of deployments do to an app; of a pod's the name ends in Pod.
const (
	start   = "Start"
	scale   = "Scale"
	restart = "Restart"
	stop    = "Stop"
)

// action is what a step does to an app or pod.
type action struct {
	does, id string
	pod      bool
}

func (a action) json() map[string]any {
	if a.pod {
		return map[string]any{"action": a.does + "Pod", "pod": a.id}
	}
	return map[string]any{"action": a.does + "Application", "app": a.id}
}

// deployment changes apps, which it locks.
type deployment struct {
	id, version string
	steps       [][]action
	current     int
	begun       bool // its first step may act
}

func stepJSON(actions []action) map[string]any {
	all := []any{}
	for _, a := range actions {
		all = append(all, a.json())
	}
	return map[string]any{"actions": all}
}

func (dep *deployment) stepsJSON() []any {
	steps := []any{}
	for _, s := range dep.steps {
		steps = append(steps, stepJSON(s))
	}
	return steps
}

func (dep *deployment) plan() map[string]any {
	return map[string]any{"id": dep.id, "version": dep.version, "steps": dep.stepsJSON()}
}

// affects reports whether a deployment locks an app.
func (dep *deployment) affects(id string) bool {
	return slices.ContainsFunc(dep.steps, func(s []action) bool {
		return slices.ContainsFunc(s, func(a action) bool { return a.id == id })
	})
}

func (dep *deployment) json() map[string]any {
	apps, pods := map[string]bool{}, map[string]bool{}
	for _, s := range dep.steps {
		for _, a := range s {
			if a.pod {
				pods[a.id] = true
			} else {
				apps[a.id] = true
			}
		}
	}
	current := []any{}
	for _, a := range dep.steps[dep.current] {
		action := a.json()
		action["readinessCheckResults"] = []any{}
		current = append(current, action)
	}
	return map[string]any{
		"id": dep.id, "version": dep.version, "steps": dep.stepsJSON(), "affectedApps": append([]string{}, slices.Sorted(maps.Keys(apps))...),
		"affectedPods": append([]string{}, slices.Sorted(maps.Keys(pods))...), "currentActions": current, "currentStep": dep.current + 1,
		"totalSteps": len(dep.steps),
	}
}

// action returns what a deployment does to an app now, "" for nothing.
func (d *Double) action(id string) string {
	for _, dep := range d.deployments {
		for _, a := range dep.steps[dep.current] {
			if a.id == id {
				return a.does
			}
		}
	}
	return ""
}

// change is what is to become of an app or a pod: a definition, or nothing.
type change struct {
	id  string
	pod bool
	to  map[string]any
}

// outcome is what came of changes.
type outcome struct {
	deployment *deployment
	version    string
	conflicts  []string // deployments that have the apps locked
	created    bool
}

// levels orders apps by what they depend on.
func (d *Double) levels(ids []string) map[string]int {
	level := map[string]int{}
	var of func(id string, depth int) int
	of = func(id string, depth int) int {
		if n, ok := level[id]; ok || depth > len(ids) {
			return n
		}
		n := 0
		for _, on := range d.dependencies(id) {
			for _, other := range ids {
				if other != id && (other == on || strings.HasPrefix(other, on+"/")) {
					n = max(n, of(other, depth+1)+1)
				}
			}
		}
		level[id] = n
		return n
	}
	for _, id := range ids {
		of(id, 0)
	}
	return level
}

// dependencies returns what an app and the groups around it depend on.
func (d *Double) dependencies(id string) []string {
	var all []string
	if a := d.apps[id]; a != nil {
		list, _ := a.raw["dependencies"].([]any)
		for _, on := range list {
			if text, ok := on.(string); ok {
				all = append(all, resolve(parent(id), text))
			}
		}
	}
	for g := parent(id); g != "/"; g = parent(g) {
		if known := d.groups[g]; known != nil {
			all = append(all, known.dependencies...)
		}
	}
	return all
}

// planOf returns the steps that changes take.
func (d *Double) planOf(changes []change) [][]action {
	var stops, starts []action
	var rest []action
	for _, c := range changes {
		old := d.apps[c.id]
		switch {
		case c.to == nil && old != nil:
			stops = append(stops, action{stop, c.id, old.pod})
		case c.to == nil:
		case old == nil:
			starts = append(starts, action{start, c.id, c.pod})
			rest = append(rest, action{scale, c.id, c.pod})
		case !sameConfig(old.raw, c.to):
			rest = append(rest, action{restart, c.id, c.pod})
		case old.wanted() != (&spec{raw: c.to}).wanted():
			rest = append(rest, action{scale, c.id, c.pod})
		}
	}
	var ids []string
	for _, a := range rest {
		ids = append(ids, a.id)
	}
	level := d.levels(ids)
	var steps [][]action
	for _, s := range [][]action{stops, starts} {
		if len(s) > 0 {
			steps = append(steps, s)
		}
	}
	for n := 0; n <= len(rest); n++ {
		var s []action
		for _, a := range rest {
			if level[a.id] == n {
				s = append(s, a)
			}
		}
		if len(s) > 0 {
			steps = append(steps, s)
		}
	}
	return steps
}

// locked is what Marathon says of an app that another deployment changes.
const locked = "App is locked by one or more deployments. Override with the option '?force=true'. View details at '/v2/deployments/<DEPLOYMENT_ID>'."

// change carries out changes, unless deployments have the apps locked. Events that go with
// it are told by also, after the deployment has begun.
func (d *Double) change(changes []change, force bool, group string, also func()) outcome {
	out := outcome{version: d.version()}
	dep := &deployment{id: uuid.NewString(), version: out.version, steps: d.planOf(changes)}
	out.deployment = dep
	var inTheWay []*deployment
	for _, other := range d.deployments {
		if slices.ContainsFunc(changes, func(c change) bool { return dep.affects(c.id) && other.affects(c.id) }) {
			inTheWay = append(inTheWay, other)
			out.conflicts = append(out.conflicts, other.id)
		}
	}
	if len(inTheWay) > 0 && !force {
		d.tell("deployment_failed", map[string]any{"id": dep.id, "plan": dep.plan(), "reason": locked})
		d.groupFailed(group, out.version, locked)
		return out
	}
	out.conflicts = nil
	for _, other := range inTheWay {
		d.cancel(other)
	}
	for _, c := range changes {
		out.created = d.take(c, out.version) || out.created
	}
	d.snapshot(out.version)
	if len(dep.steps) == 0 {
		d.tell("deployment_success", map[string]any{"id": dep.id, "plan": dep.plan()})
	} else {
		d.deployments = append(d.deployments, dep)
		d.tellStep("deployment_info", dep)
		for dep.steps[dep.current][0].does == start && dep.current+1 < len(dep.steps) {
			d.tellStep("deployment_step_success", dep)
			dep.current++
			d.tellStep("deployment_info", dep)
		}
	}
	if also != nil {
		also()
	}
	d.tell("group_change_success", map[string]any{"groupId": group, "version": out.version})
	dep.begun = true
	d.advanceAll()
	return out
}

func (d *Double) groupFailed(group, version, reason string) {
	d.tell("group_change_failed", map[string]any{"groupId": group, "version": version, "reason": reason})
}

// cancel ends a deployment that another one replaces.
func (d *Double) cancel(dep *deployment) {
	d.deployments = slices.DeleteFunc(d.deployments, func(other *deployment) bool { return other == dep })
	d.tell("deployment_failed", map[string]any{"id": dep.id, "plan": dep.plan(), "reason": "The upgrade has been cancelled"})
}

func (d *Double) tellStep(kind string, dep *deployment) {
	d.tell(kind, map[string]any{"plan": dep.plan(), "currentStep": stepJSON(dep.steps[dep.current])})
}

// take takes a change over into the records, and reports whether that makes an app.
func (d *Double) take(c change, version string) (created bool) {
	old := d.apps[c.id]
	d.touch(c.id, version)
	switch {
	case c.to == nil && old != nil:
		old.destroyed = true
		delete(d.apps, c.id)
		d.dying[c.id] = old
		if d.checks(old) {
			d.tell("remove_health_check_event", map[string]any{"appId": c.id})
		}
	case c.to == nil:
	case old == nil:
		s := spec{raw: c.to, version: version, scalingAt: version, configAt: version}
		d.assignPorts(s.raw)
		d.apps[c.id] = &app{id: c.id, pod: c.pod, spec: s, history: []spec{s}}
		return true
	default:
		s := old.spec
		switch {
		case !sameConfig(old.raw, c.to):
			s.configAt, s.scalingAt = version, version
		case old.wanted() != (&spec{raw: c.to}).wanted():
			s.scalingAt = version
		default:
			return false
		}
		s.raw, s.version = c.to, version
		old.spec = s
		old.history = append(old.history, s)
	}
	return false
}

// checks reports whether an app has health checks.
func (d *Double) checks(a *app) bool {
	list, _ := a.raw["healthChecks"].([]any)
	return len(list) > 0
}

// advanceAll goes on with everything as far as it goes. The caller has the mutex.
func (d *Double) advanceAll() {
	for again := true; again; {
		again = false
		for _, dep := range slices.Clone(d.deployments) {
			again = d.advance(dep) || again
		}
		for _, a := range sortedApps(d.apps) {
			if d.action(a.id) == "" && !d.locks(a.id) {
				d.toCount(a)
				d.launchWaiting(a)
			}
		}
	}
	d.announce()
}

// locks reports whether a deployment locks an app.
func (d *Double) locks(id string) bool {
	return slices.ContainsFunc(d.deployments, func(dep *deployment) bool { return dep.affects(id) })
}

// advance goes on with a deployment, and reports whether it has come further.
func (d *Double) advance(dep *deployment) bool {
	if !dep.begun {
		return false
	}
	done := true
	for _, act := range dep.steps[dep.current] {
		if !slices.Contains(d.deployments, dep) { // one of its events has ended it
			return false
		}
		done = d.act(act) && done
	}
	if !done || !slices.Contains(d.deployments, dep) {
		return false
	}
	d.tellStep("deployment_step_success", dep)
	if dep.current+1 < len(dep.steps) {
		dep.current++
		d.tellStep("deployment_info", dep)
		return true
	}
	d.deployments = slices.DeleteFunc(d.deployments, func(other *deployment) bool { return other == dep })
	d.tell("deployment_success", map[string]any{"id": dep.id, "plan": dep.plan()})
	return true
}

// act does what an action has to do now, and reports whether it is over.
func (d *Double) act(act action) bool {
	if act.does == stop {
		return d.stopApp(act.id)
	}
	a := d.apps[act.id]
	switch {
	case a == nil, act.does == start:
		return true
	case act.does == scale:
		d.toCount(a)
		d.launchWaiting(a)
		return d.complete(a, "")
	default:
		return d.replace(a)
	}
}

// stopApp ends an app's instances, and reports whether none is left.
func (d *Double) stopApp(id string) bool {
	a := d.dying[id]
	if a == nil {
		return true
	}
	for _, in := range slices.Clone(a.instances) {
		d.decommission(a, in)
	}
	if d.dying[id] == nil {
		return true
	}
	if slices.ContainsFunc(a.instances, (*instance).live) {
		return false
	}
	delete(d.dying, id)
	d.tell("app_terminated_event", map[string]any{"appId": id})
	return true
}

// active returns the instances that count.
func (a *app) active() []*instance {
	var all []*instance
	for _, in := range a.instances {
		if !in.goalStop && in.condition != "UnreachableInactive" {
			all = append(all, in)
		}
	}
	return all
}

// toCount brings an app to as many instances as are wanted.
func (d *Double) toCount(a *app) {
	for len(a.active()) > a.wanted() {
		d.decommission(a, victim(a.active()))
	}
	for len(a.active()) < a.wanted() {
		d.newInstance(a)
	}
}

// complete reports whether all instances that are wanted run, none of them of before a
// version, and no others are left.
func (d *Double) complete(a *app, configAt string) bool {
	n := 0
	for _, in := range a.instances {
		switch {
		case in.goalStop:
			return false
		case in.condition == running && in.version >= configAt && (!d.checks(a) || in.healthy != nil && *in.healthy || d.opts.Auto):
			n++
		}
	}
	return n == a.wanted()
}

// victim chooses what scaling down kills: first what has not come far, then the youngest.
func victim(active []*instance) *instance {
	order := []string{scheduled, provisioned, "Starting", running}
	best := active[len(active)-1]
	for _, in := range slices.Backward(active) {
		if slices.Index(order, in.condition) < slices.Index(order, best.condition) {
			best = in
		}
	}
	return best
}

// replace replaces the instances of earlier versions, as Marathon's TaskReplaceActor does: by
// upgradeStrategy. It reports whether that is over.
func (d *Double) replace(a *app) bool {
	for {
		var old, fresh, healthy []*instance
		for _, in := range slices.Clone(a.instances) {
			switch {
			case in.version >= a.configAt:
				fresh = append(fresh, in)
			case in.scheduled(): // one that was never launched is not launched any more
				d.drop(a, in)
				delete(d.waiting, in.id)
				continue
			case !strings.HasPrefix(in.condition, "Unreachable"):
				old = append(old, in)
			}
			if in.condition == running && !in.killed {
				healthy = append(healthy, in)
			}
		}
		minHealthy, capacity := d.bounds(a, len(healthy))
		left := slices.IndexFunc(old, func(in *instance) bool { return !in.goalStop })
		freshRunning := 0
		for _, in := range fresh {
			if in.condition == running {
				freshRunning++
			}
		}
		switch {
		case len(fresh) > a.wanted():
			d.decommission(a, victim(fresh))
		case left >= 0 && (len(healthy) > minHealthy || freshRunning == a.wanted()):
			d.decommission(a, old[left])
		case len(fresh) < a.wanted() && len(old)+len(fresh) < capacity:
			d.newInstance(a)
		default:
			d.launchWaiting(a)
			return d.complete(a, a.configAt)
		}
	}
}

// bounds are how many must be healthy and how many there may be. Where that would
// leave no room for a step, a plain app may have one more.
func (d *Double) bounds(a *app, healthy int) (minHealthy, capacity int) {
	strategy, _ := a.raw["upgradeStrategy"].(map[string]any)
	if scheduling, ok := a.raw["scheduling"].(map[string]any); ok && a.pod {
		strategy, _ = scheduling["upgrade"].(map[string]any)
	}
	n := float64(a.wanted())
	minHealthy, capacity = int(math.Ceil(n*numberOf(strategy, "minimumHealthCapacity"))), int(n*(1+numberOf(strategy, "maximumOverCapacity")))
	if minHealthy == capacity && capacity <= healthy {
		capacity++
	}
	return minHealthy, capacity
}
