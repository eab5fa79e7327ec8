package double

import (
	"maps"
	"net/http"
	"strings"
	"time"
)

// servePods answers about pods. What follows /v2/pods is rest, without its first slash.
func (d *Double) servePods(w http.ResponseWriter, r *http.Request, rest string, body []byte) {
	path, verb, hasVerb := strings.Cut(rest, "::")
	path = strings.Trim(path, "/")
	if path == "" {
		d.serveAllPods(w, r, verb, body)
		return
	}
	id := normal(path)
	a := d.apps[id]
	if a != nil && !a.pod || d.hidden {
		a = nil
	}
	verb, what, _ := strings.Cut(verb, "/")
	switch {
	case !hasVerb && r.Method == http.MethodPut:
		d.putPod(w, r, id, body, false)
	case verb == "instances" && r.Method != http.MethodDelete:
		notAllowed(w)
	case a == nil && !hasVerb && r.Method != http.MethodDelete:
		refuse(w, http.StatusNotFound, `{"message": "pod with `+id+` does not exist"}`, []any{})
	case a == nil:
		refuse(w, http.StatusNotFound, "Pod '"+id+"' does not exist", []any{})
	case verb == "status":
		reply(w, http.StatusOK, shownPod(a))
	case verb == "versions":
		d.servePodVersions(w, a, what)
	case verb == "instances":
		d.killPods(w, r, a, what, body)
	case r.Method == http.MethodDelete:
		out := d.change([]change{{id: id, pod: true}}, forced(r), parent(id), func() {
			d.tell("pod_deleted_event", map[string]any{"clientIp": "127.0.0.1", "uri": r.URL.Path})
		})
		if conflict(w, out) {
			return
		}
		w.Header().Set("Marathon-Deployment-Id", out.deployment.id)
		w.Header().Set("Location", d.leaderURL()+"/"+out.deployment.id)
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		reply(w, http.StatusOK, a.shown(true))
	default:
		notAllowed(w)
	}
}

func (d *Double) serveAllPods(w http.ResponseWriter, r *http.Request, verb string, body []byte) {
	if r.Method == http.MethodPost {
		d.putPod(w, r, "", body, true)
		return
	}
	if verb == "versions" {
		refuse(w, http.StatusUnprocessableEntity, notValid, detail("/",
			`must fully match regular expression '^(([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])\\.)*([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])|(\\.|\\.\\.)$'`))
		return
	}
	list := []any{}
	for _, a := range sortedApps(d.apps) {
		switch {
		case !a.pod || d.hidden:
		case verb == "status":
			list = append(list, shownPod(a))
		default:
			list = append(list, a.shown(true))
		}
	}
	reply(w, http.StatusOK, list)
}

func (d *Double) putPod(w http.ResponseWriter, r *http.Request, id string, body []byte, create bool) {
	v, ok := decode(w, body)
	if !ok {
		return
	}
	raw, _ := v.(map[string]any)
	if status, message, details := invalidPod(raw, body); status != 0 {
		refuse(w, status, message, details)
		return
	}
	text, _ := raw["id"].(string)
	if id == "" {
		id = normal(text)
	} else if text != "" && normal(text) != id {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("\n{\"message\": \"'" + id + "' does not match definition's id ('" + normal(text) + "')\" }\n          "))
		return
	}
	old := d.apps[id]
	if create && old != nil {
		message := "A pod with id [" + id + "] already exists."
		d.groupFailed(parent(id), d.version(), message)
		refuse(w, http.StatusConflict, message, nil)
		return
	}
	kind := "pod_updated_event"
	if create {
		kind = "pod_created_event"
	}
	out := d.change([]change{{id: id, pod: true, to: canonicalPod(id, raw)}}, forced(r), parent(id), func() {
		d.tell(kind, map[string]any{"clientIp": "127.0.0.1", "uri": r.URL.Path})
	})
	if conflict(w, out) {
		return
	}
	w.Header().Set("Marathon-Deployment-Id", out.deployment.id)
	if create {
		w.Header().Set("Location", d.leaderURL()+id)
		reply(w, http.StatusCreated, d.apps[id].shown(true))
		return
	}
	reply(w, http.StatusOK, d.apps[id].shown(true))
}

func (d *Double) servePodVersions(w http.ResponseWriter, a *app, version string) {
	if version == "" {
		reply(w, http.StatusOK, a.versions())
		return
	}
	if s := a.at(version); s != nil {
		reply(w, http.StatusOK, s.shown(true))
		return
	}
	refuse(w, http.StatusNotFound, "Pod '"+a.id+"' does not exist in version "+version, []any{})
}

// killPods kills instances of a pod: one that the path names, or those of the body.
func (d *Double) killPods(w http.ResponseWriter, r *http.Request, a *app, id string, body []byte) {
	var ids []string
	if id != "" {
		ids = []string{id}
	} else {
		v, ok := decode(w, body)
		if !ok {
			return
		}
		list, _ := v.([]any)
		for _, one := range list {
			text, _ := one.(string)
			ids = append(ids, text)
		}
	}
	list := []any{}
	var found []*instance
	for _, in := range a.instances {
		for _, want := range ids {
			if in.id == want {
				found = append(found, in)
				list = append(list, in.killedPod(a))
			}
		}
	}
	if len(found) == 0 && id != "" {
		refuse(w, http.StatusNotFound, "Instance '"+id+"' does not exist", []any{})
		return
	}
	for _, in := range found {
		if r.URL.Query().Get("wipe") == "true" {
			d.wipe(a, in)
		} else if in.live() && !in.killed {
			d.killTasks(a, in)
		}
	}
	d.advanceAll()
	if id != "" {
		reply(w, http.StatusOK, list[0])
		return
	}
	reply(w, http.StatusOK, list)
}

// killedPod is how Marathon answers with an instance that it kills.
func (in *instance) killedPod(a *app) map[string]any {
	strategy := a.raw["scheduling"].(map[string]any)["unreachableStrategy"]
	state := map[string]any{"condition": in.condition, "since": stamp(in.since), "goal": running}
	if !in.started.IsZero() {
		state["activeSince"] = stamp(in.started)
	}
	return map[string]any{
		"instanceId": in.id, "state": state, "agentInfo": map[string]any{"host": in.host, "agentId": in.agent, "attributes": []any{}},
		"runSpecVersion": in.version, "unreachableStrategy": strategy,
	}
}

// podStates are Marathon's words for how an instance of a pod is.
var podStates = map[string]string{
	scheduled: "PENDING", provisioned: "STAGING", "Starting": "STAGING", "Staging": "STAGING", running: "STABLE",
}

// shownPod is a pod's status as Marathon shows it.
func shownPod(a *app) map[string]any {
	instances := []any{}
	stable := 0
	changed := time.Time{}
	for _, in := range a.instances {
		if in.scheduled() {
			continue
		}
		shown := in.shownPod(a)
		if shown["status"] == "STABLE" {
			stable++
		}
		if in.since.After(changed) {
			changed = in.since
		}
		instances = append(instances, shown)
	}
	spec := maps.Clone(a.shown(true))
	scheduling := maps.Clone(spec["scheduling"].(map[string]any))
	if empty(scheduling["placement"]) {
		delete(scheduling, "placement")
	}
	spec["scheduling"] = scheduling
	status := "DEGRADED"
	if stable >= a.wanted() {
		status = "STABLE"
	}
	now := time.Now()
	if changed.IsZero() {
		changed = now
	}
	return map[string]any{
		"id": a.id, "spec": spec, "status": status, "statusSince": stamp(changed), "instances": instances, "terminationHistory": []any{},
		"lastUpdated": stamp(now), "lastChanged": stamp(changed),
	}
}

func (in *instance) shownPod(a *app) map[string]any {
	status := podStates[in.condition]
	if status == "" {
		status = "DEGRADED"
	}
	if terminal(in.condition) {
		status = "TERMINAL"
	}
	containers := []any{}
	declared, _ := a.raw["containers"].([]any)
	total := map[string]float64{"cpus": 0.1, "mem": 32, "disk": 10, "gpus": 0}
	for i, t := range in.tasks {
		var resources map[string]any
		if i < len(declared) {
			resources, _ = declared[i].(map[string]any)["resources"].(map[string]any)
		}
		for name := range total {
			total[name] += numberOf(resources, name)
		}
		state := t.state
		if state == "" {
			state = "TASK_STAGING"
		}
		shown := map[string]any{
			"name": t.container, "status": state, "statusSince": stamp(t.since), "conditions": []any{}, "containerId": in.taskID(t), "endpoints": []any{},
			"resources": resources, "lastUpdated": stamp(t.since), "lastChanged": stamp(t.since),
		}
		if ended(state) {
			shown["termination"] = map[string]any{"exitCode": 0}
		}
		containers = append(containers, shown)
	}
	networks := []any{}
	if address := in.address(); address != "" {
		networks = []any{map[string]any{"addresses": []any{address}}}
	}
	return map[string]any{
		"id": in.id, "status": status, "statusSince": stamp(in.since), "conditions": []any{}, "agentHostname": in.host, "agentId": in.agent,
		"resources": total, "networks": networks, "containers": containers, "specReference": "/v2/pods" + a.id + "::versions/" + in.version,
		"localVolumes": []any{}, "lastUpdated": stamp(in.since), "lastChanged": stamp(in.since), "role": a.raw["role"],
	}
}
