package double

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// serveAppTasks answers about an app's tasks, all of them or one.
func (d *Double) serveAppTasks(w http.ResponseWriter, r *http.Request, a *app, id string) {
	var found []*instance
	for _, in := range a.instances {
		host := r.URL.Query().Get("host")
		if in.scheduled() || id != "" && in.taskID(in.tasks[0]) != id || host != "" && in.host != host {
			continue
		}
		found = append(found, in)
	}
	switch {
	case r.Method == http.MethodGet && id == "":
		list := []any{}
		for _, in := range found {
			list = append(list, d.shownTask(a, in, false))
		}
		reply(w, http.StatusOK, map[string]any{"tasks": list})
	case r.Method != http.MethodDelete:
		notAllowed(w)
	case r.URL.Query().Get("scale") == "true" && r.URL.Query().Get("wipe") == "true":
		refuse(w, http.StatusBadRequest, "You cannot use scale and wipe at the same time.", nil)
	case id != "" && len(found) == 0:
		refuse(w, http.StatusNotFound, "Task '"+id+"' does not exist", []any{})
	default:
		d.killFound(w, r, map[*app][]*instance{a: found}, id != "")
	}
}

// killFound kills instances, with scale for good, with wipe so that nothing of them is kept.
func (d *Double) killFound(w http.ResponseWriter, r *http.Request, found map[*app][]*instance, one bool) {
	query := r.URL.Query()
	if query.Get("scale") == "true" {
		var changes []change
		for a, instances := range found {
			changes = append(changes, change{id: a.id, pod: a.pod, to: a.scaled(a.wanted() - len(instances))})
		}
		out := d.change(changes, forced(r), "/", func() {
			for a, instances := range found {
				for _, in := range instances {
					d.decommission(a, in)
				}
			}
		})
		d.answerChange(w, http.StatusOK, out)
		return
	}
	list := []any{}
	apps := slices.SortedFunc(maps.Keys(found), func(a, b *app) int { return strings.Compare(a.id, b.id) })
	for _, a := range apps {
		for _, in := range found[a] {
			list = append(list, d.shownTask(a, in, false))
		}
	}
	for _, a := range apps {
		for _, in := range found[a] {
			switch {
			case query.Get("wipe") == "true":
				d.wipe(a, in)
			case in.live() && !in.killed:
				d.killTasks(a, in)
			}
		}
	}
	d.advanceAll()
	if one && len(list) == 1 {
		reply(w, http.StatusOK, map[string]any{"task": list[0]})
		return
	}
	reply(w, http.StatusOK, map[string]any{"tasks": list})
}

// serveTasks answers about the tasks of all apps.
func (d *Double) serveTasks(w http.ResponseWriter, r *http.Request, rest string, body []byte) {
	if rest == "delete" && r.Method == http.MethodPost {
		v, ok := decode(w, body)
		if !ok {
			return
		}
		raw, _ := v.(map[string]any)
		ids, _ := raw["ids"].([]any)
		found := map[*app][]*instance{}
		for _, id := range ids {
			text, _ := id.(string)
			if !strings.Contains(text, ".instance-") {
				refuse(w, http.StatusBadRequest, "Invalid task id '"+text+"'. [taskId "+text+" no valid identifier (of class java.lang.String)]", nil)
				return
			}
			if a, in, _ := d.find(text); in != nil && !in.expunged && !a.destroyed {
				found[a] = append(found[a], in)
			}
		}
		d.killFound(w, r, found, false)
		return
	}
	list := []any{}
	for _, a := range sortedApps(d.apps) {
		for _, in := range a.instances {
			want := r.URL.Query().Get("status")
			if a.pod || d.hidden || in.scheduled() || want == "running" && in.condition != running || want == "staging" && in.condition == running {
				continue
			}
			list = append(list, d.shownTask(a, in, true))
		}
	}
	reply(w, http.StatusOK, map[string]any{"tasks": list})
}

// reasons are those for which offers are declined, in Marathon's order.
var reasons = []string{
	"UnfulfilledRole", "UnfulfilledConstraint", "NoCorrespondingReservationFound", "AgentMaintenance", "InsufficientCpus", "InsufficientMemory",
	"InsufficientDisk", "InsufficientGpus", "InsufficientPorts", "DeclinedScarceResources",
}

// serveQueue answers what waits to be launched.
func (d *Double) serveQueue(w http.ResponseWriter, r *http.Request, rest string, _ []byte) {
	if id, ok := strings.CutSuffix("/"+strings.Trim(rest, "/"), "/delay"); ok && r.Method == http.MethodDelete {
		if a := d.apps[normal(id)]; a == nil || len(d.queued(a)) == 0 {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write(must(map[string]any{"message": "Application " + normal(id) + " not found in tasks queue.", "details": []any{}}))
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	list := []any{}
	for _, a := range sortedApps(d.apps) {
		waiting := d.queued(a)
		if len(waiting) == 0 {
			continue
		}
		var summary []any
		for _, reason := range reasons {
			summary = append(summary, map[string]any{"reason": reason, "declined": 0, "processed": 0})
		}
		item := map[string]any{
			"count": len(waiting), "role": a.raw["role"], "delay": map[string]any{"timeLeftSeconds": 0, "overdue": true}, "since": stamp(waiting[0].since),
			"processedOffersSummary": map[string]any{
				"processedOffersCount": 0, "unusedOffersCount": 0, "rejectSummaryLastOffers": summary, "rejectSummaryLaunchAttempt": summary,
			},
		}
		if a.pod {
			item["pod"] = a.shown(true)
		} else {
			item["app"] = without(a.shown(false))
		}
		list = append(list, item)
	}
	reply(w, http.StatusOK, map[string]any{"queue": list})
}

func (d *Double) queued(a *app) []*instance {
	var all []*instance
	for _, in := range a.instances {
		if d.waiting[in.id] {
			all = append(all, in)
		}
	}
	return all
}
