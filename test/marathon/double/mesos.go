package double

import (
	"slices"
	"strings"
	"time"
)

// Given returns the tasks of an instance that have not ended, also of one that was given up.
func (d *Double) Given(instance string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	in := d.byInstance[instance]
	if in == nil {
		return nil
	}
	var ids []string
	for _, t := range in.tasks {
		if !ended(t.state) {
			ids = append(ids, in.taskID(t))
		}
	}
	return ids
}

// Settle has Mesos do all that it is asked for: instances are launched, run, and end.
func (d *Double) Settle(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for again := true; again; {
		again = false
		for id, in := range d.byInstance {
			a := d.owners[id]
			switch {
			case in.expunged || a.instances == nil || !slices.Contains(a.instances, in):
			case d.waiting[id] && !in.goalStop:
				d.launch(a, in, host)
				again = true
			case in.live() && in.killed:
				d.all(a, in, "TASK_KILLED")
				again = true
			case in.live() && in.condition != running && !strings.HasPrefix(in.condition, "Unreachable"):
				d.all(a, in, "TASK_STARTING")
				d.all(a, in, "TASK_RUNNING")
				again = true
			}
		}
		d.advanceAll()
	}
}

// Health says what a health check of an instance has found.
func (d *Double) Health(instance string, alive bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	in, a := d.byInstance[instance], d.owners[instance]
	if in == nil {
		return
	}
	checks, _ := a.raw["healthChecks"].([]any)
	if !alive && len(checks) > 0 {
		d.tell("failed_health_check_event", map[string]any{"appId": a.id, "healthCheck": checks[0], "taskId": in.id})
	}
	changed := in.healthy == nil && alive || in.healthy != nil && *in.healthy != alive
	in.healthy = &alive
	now := stamp(time.Now())
	if in.checked == nil {
		in.checked = map[string]any{"instanceId": "instance [" + in.id + "]"}
	}
	in.checked["alive"], in.checked["consecutiveFailures"] = alive, 0
	if alive {
		if in.checked["firstSuccess"] == nil {
			in.checked["firstSuccess"] = now
		}
		in.checked["lastSuccess"] = now
	} else {
		in.checked["consecutiveFailures"], in.checked["lastFailure"], in.checked["lastFailureCause"] = 1, now, ""
	}
	if changed {
		d.tell("health_status_changed_event", map[string]any{"appId": a.id, "instanceId": in.id, "version": in.version, "alive": alive})
	}
	d.tell("instance_health_changed_event", map[string]any{"instanceId": in.id, "runSpecId": a.id, "healthy": alive, "runSpecVersion": in.version})
	d.advanceAll()
}
