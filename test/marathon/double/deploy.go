package double

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// app is an app or a pod.
type app struct {
	id        string
	pod       bool
	raw       map[string]any // its definition
	version   string
	wanted    int
	instances []*instance // oldest first
}

// instance is an instance of an app.
type instance struct {
	id      string
	attempt int
	version string
	host    string
	agent   string
	state   string // "" for one that is scheduled
	staged  time.Time
	started time.Time
	killed  bool
	surplus bool // its place was taken while it could not be reached
}

func (in *instance) scheduled() bool { return in.state == "" }

func (in *instance) taskID(a *app) string {
	if a.pod {
		return in.id
	}
	return fmt.Sprintf("%s._app.%d", in.id, in.attempt)
}

// deployment changes one app, which it locks.
type deployment struct {
	id     string
	app    string
	pod    bool
	action string // StartApplication, ScaleApplication, RestartApplication, StopApplication
}

// ended reports whether a task's state is an end.
func ended(state string) bool {
	switch state {
	case "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_DROPPED", "TASK_GONE", "TASK_GONE_BY_OPERATOR", "TASK_LOST":
		return true
	default:
		return false
	}
}

// become takes over a task's new state and tells of it. The caller has the mutex.
func (d *Double) become(a *app, in *instance, state string) {
	if in.state == state {
		return
	}
	in.state = state
	if state == "TASK_RUNNING" && in.started.IsZero() {
		in.started = time.Now().UTC()
	}
	d.tell("status_update_event", map[string]any{
		"slaveId": in.agent, "taskId": in.taskID(a), "taskStatus": state, "message": "", "appId": a.id, "host": in.host,
		"ipAddresses": []any{}, "ports": []int{}, "version": in.version,
	})
	d.tell("instance_changed_event", map[string]any{
		"instanceId": in.id, "condition": condition(state), "runSpecId": a.id, "agentId": in.agent, "host": in.host, "runSpecVersion": in.version,
	})
	if ended(state) {
		d.over(a, in)
	}
	d.announce()
}

// condition is Marathon's word for a state.
func condition(state string) string {
	if state == "" {
		return "Scheduled"
	}
	word := strings.TrimPrefix(state, "TASK_")
	return word[:1] + strings.ToLower(word[1:])
}

// over has an instance whose task has ended go, or start again: the same one, by
// another attempt, where it ended by itself.
func (d *Double) over(a *app, in *instance) {
	if !in.killed && !in.surplus && in.version == a.version && d.deploying(a.id) != "StopApplication" {
		in.attempt++
		in.state, in.host, in.agent, in.started = "", "", "", time.Time{}
		return
	}
	a.instances = slices.DeleteFunc(a.instances, func(other *instance) bool { return other == in })
}

// deploying returns what a deployment does to an app, "" for nothing.
func (d *Double) deploying(id string) string {
	for _, dep := range d.deployments {
		if dep.app == id {
			return dep.action
		}
	}
	return ""
}

// begin begins a deployment. The caller has the mutex.
func (d *Double) begin(a *app, action string) *deployment {
	dep := &deployment{id: uuid.NewString(), app: a.id, pod: a.pod, action: action}
	d.deployments = slices.DeleteFunc(d.deployments, func(other *deployment) bool { return other.app == a.id })
	d.deployments = append(d.deployments, dep)
	d.tell("deployment_info", map[string]any{"plan": dep.plan(), "currentStep": dep.step()})
	d.advance(a)
	return dep
}

func (dep *deployment) step() map[string]any {
	of := "app"
	if dep.pod {
		of = "pod"
	}
	return map[string]any{"actions": []any{map[string]any{"action": dep.action, of: dep.app}}}
}

func (dep *deployment) plan() map[string]any {
	return map[string]any{"id": dep.id, "version": "2026-03-01T10:00:00.000Z", "steps": []any{dep.step()}}
}

// advance goes on with an app as far as it goes. The caller has the mutex.
func (d *Double) advance(a *app) {
	for d.step(a) {
	}
	d.announce()
}

// step does one thing about an app, and reports whether there may be more.
func (d *Double) step(a *app) bool {
	switch d.deploying(a.id) {
	case "StopApplication":
		if len(a.instances) > 0 {
			return d.killAny(a, a.instances)
		}
		delete(d.apps, a.id)
		if !a.pod {
			d.tell("app_terminated_event", map[string]any{"appId": a.id})
		}
		d.finish(a)
		return false
	case "RestartApplication":
		return d.replace(a)
	default:
		return d.scale(a)
	}
}

// finish ends an app's deployment.
func (d *Double) finish(a *app) {
	for _, dep := range d.deployments {
		if dep.app == a.id {
			d.tell("deployment_step_success", map[string]any{"plan": dep.plan(), "currentStep": dep.step()})
			d.tell("deployment_success", map[string]any{"id": dep.id, "plan": dep.plan()})
		}
	}
	d.deployments = slices.DeleteFunc(d.deployments, func(dep *deployment) bool { return dep.app == a.id })
}

// scale brings an app to as many instances as are wanted. One that cannot be
// reached does not count (unreachableStrategy 0/0), and is killed if it comes back.
func (d *Double) scale(a *app) bool {
	var active []*instance
	for _, in := range a.instances {
		if in.state == "TASK_UNREACHABLE" {
			in.surplus = true
		}
		if !in.surplus && !in.killed {
			active = append(active, in)
		}
		if in.surplus && in.state == "TASK_RUNNING" && !in.killed {
			d.kill(a, in)
			return true
		}
	}
	switch {
	case len(active) > a.wanted:
		d.kill(a, victim(active))
		return true
	case len(active) < a.wanted:
		a.instances = append(a.instances, d.newInstance(a))
		return true
	}
	if d.launchScheduled(a) {
		return true
	}
	for _, in := range active {
		if in.state != "TASK_RUNNING" {
			return false
		}
	}
	if len(a.instances) == len(active) || !slices.ContainsFunc(a.instances, func(in *instance) bool { return in.killed && !in.surplus }) {
		d.finish(a)
	}
	return false
}

// victim chooses whom scaling down kills: who has not come far first, then the
// youngest.
func victim(active []*instance) *instance {
	order := []string{"", "TASK_STAGING", "TASK_STARTING", "TASK_RUNNING"}
	best := active[len(active)-1]
	for _, in := range slices.Backward(active) {
		if slices.Index(order, in.state) < slices.Index(order, best.state) {
			best = in
		}
	}
	return best
}

// replace replaces the instances of earlier versions, as Marathon's
// TaskReplaceActor does: by upgradeStrategy.
func (d *Double) replace(a *app) bool {
	var old, fresh, healthy []*instance
	// An instance of an earlier version that was never launched is not launched any more.
	a.instances = slices.DeleteFunc(a.instances, func(in *instance) bool { return in.version != a.version && in.host == "" })
	for _, in := range a.instances {
		gone := in.state == "TASK_UNREACHABLE" // which counts as an end here
		switch {
		case in.version == a.version:
			fresh = append(fresh, in)
		case !gone:
			old = append(old, in)
		}
		if in.state == "TASK_RUNNING" && !in.killed {
			healthy = append(healthy, in)
		}
	}
	minHealthy, capacity := d.bounds(a, len(healthy))
	if len(healthy) > minHealthy {
		for _, in := range old {
			if !in.killed {
				d.kill(a, in)
				return true
			}
		}
	}
	if len(fresh) < a.wanted && len(old)+len(fresh) < capacity {
		a.instances = append(a.instances, d.newInstance(a))
		return true
	}
	if d.launchScheduled(a) {
		return true
	}
	running := 0
	for _, in := range fresh {
		if in.state == "TASK_RUNNING" {
			running++
		}
	}
	if running == a.wanted && len(fresh) == a.wanted {
		if len(old) == 0 {
			d.finish(a)
			return false
		}
		return d.killAny(a, old)
	}
	return false
}

// bounds are how many must be healthy and how many there may be. Where that would
// leave no room for a step, a plain app may have one more.
func (d *Double) bounds(a *app, healthy int) (minHealthy, capacity int) {
	least, over := 1.0, 1.0
	if a.external() {
		least, over = 0.5, 0
	}
	strategy, _ := a.raw["upgradeStrategy"].(map[string]any)
	if scheduling, ok := a.raw["scheduling"].(map[string]any); ok && a.pod {
		strategy, _ = scheduling["upgrade"].(map[string]any)
	}
	if v, ok := strategy["minimumHealthCapacity"].(float64); ok {
		least = v
	}
	if v, ok := strategy["maximumOverCapacity"].(float64); ok {
		over = v
	}
	n := float64(a.wanted)
	minHealthy, capacity = int(math.Ceil(n*least)), int(n*(1+over))
	if minHealthy == capacity && capacity <= healthy {
		capacity++
	}
	return minHealthy, capacity
}

// external reports whether an app has an external volume.
func (a *app) external() bool {
	container, _ := a.raw["container"].(map[string]any)
	volumes, _ := container["volumes"].([]any)
	return slices.ContainsFunc(volumes, func(v any) bool {
		m, _ := v.(map[string]any)
		return m["external"] != nil
	})
}

// killAny kills those that are not being killed, and reports whether it did.
func (d *Double) killAny(a *app, instances []*instance) bool {
	for _, in := range slices.Clone(instances) {
		if !in.killed {
			d.kill(a, in)
			return true
		}
	}
	return false
}

// kill kills an instance.
func (d *Double) kill(a *app, in *instance) {
	in.killed = true
	if in.scheduled() {
		d.over(a, in)
		return
	}
	task := in.taskID(a)
	switch {
	case d.opts.Auto:
		d.become(a, in, "TASK_KILLED")
	case d.opts.Launcher != nil:
		d.become(a, in, "TASK_KILLING")
		d.opts.Launcher.Kill(task)
	default:
		d.become(a, in, "TASK_KILLING")
	}
}

func (d *Double) newInstance(a *app) *instance {
	in := &instance{
		id: strings.ReplaceAll(strings.Trim(a.id, "/"), "/", "_") + ".instance-" + uuid.NewString(), attempt: 1, version: a.version,
	}
	d.byInstance[in.id] = a
	return in
}

// launchScheduled launches the first instance that is not launched yet.
func (d *Double) launchScheduled(a *app) bool {
	for _, in := range a.instances {
		if !in.scheduled() || in.killed {
			continue
		}
		in.host = d.place(a)
		if in.host == "" {
			return false // no offer fits
		}
		in.agent, in.staged = "agent-"+in.host, time.Now().UTC()
		d.become(a, in, "TASK_STAGING")
		if l := d.opts.Launcher; l != nil {
			l.Launch(Launch{Task: in.taskID(a), App: a.id, Host: in.host, Definition: must(a.raw), Pod: a.pod})
		} else if d.opts.Auto {
			d.become(a, in, "TASK_RUNNING")
		}
		return true
	}
	return false
}

// place chooses a host: the one that a constraint names, or the next.
func (d *Double) place(a *app) string {
	constraints, _ := a.raw["constraints"].([]any)
	for _, c := range constraints {
		if parts, _ := c.([]any); len(parts) == 3 && (parts[0] == "hostname" || parts[0] == "@hostname") {
			host, _ := parts[2].(string)
			if slices.Contains(d.opts.Hosts, host) {
				return host
			}
			return ""
		}
	}
	host := d.opts.Hosts[d.next%len(d.opts.Hosts)]
	d.next++
	return host
}

// intOf reads a whole number of a definition.
func intOf(raw map[string]any, key string, otherwise int) int {
	switch v := raw[key].(type) {
	case float64:
		return int(v)
	case json.Number:
		n, err := v.Int64()
		if err == nil {
			return int(n)
		}
	}
	return otherwise
}
