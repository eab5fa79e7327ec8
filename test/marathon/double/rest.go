package double

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// handler serves one of the Marathons.
func (d *Double) handler(self int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		d.requests[r.Method+" "+r.URL.Path]++
		d.announce()
		leader, status := d.leader, 0
		if d.failing != nil {
			status = d.failing(r)
		}
		d.mu.Unlock()
		switch {
		case status != 0:
			reply(w, status, map[string]any{"message": http.StatusText(status)})
		case !d.known(r):
			w.Header().Set("WWW-Authenticate", `Basic realm="Mesosphere"`)
			reply(w, http.StatusUnauthorized, map[string]any{"message": "Invalid username or password."})
		case leader < 0:
			reply(w, http.StatusBadGateway, map[string]any{"message": "Could not determine the current leader"})
		case leader == self:
			w.Header().Set("X-Marathon-Leader", d.servers[leader].URL)
			d.serve(w, r)
		case strings.HasPrefix(r.URL.Path, "/v2/events"):
			w.Header().Set("Location", d.servers[leader].URL+r.URL.RequestURI())
			w.WriteHeader(http.StatusFound)
		default:
			to, err := url.Parse(d.servers[leader].URL)
			if err != nil {
				panic(err)
			}
			w.Header().Set("X-Marathon-Via", d.servers[self].URL)
			proxy := httputil.NewSingleHostReverseProxy(to)
			proxy.Transport = d.servers[leader].Client().Transport
			proxy.ServeHTTP(w, r)
		}
	})
}

// known reports whether a request has the credentials that are wanted.
func (d *Double) known(r *http.Request) bool {
	got := r.Header.Get("Authorization")
	switch {
	case d.opts.Token != nil:
		return got == "token="+d.opts.Token()
	case d.opts.User != "":
		return got == "Basic "+base64.StdEncoding.EncodeToString([]byte(d.opts.User+":"+d.opts.Password))
	default:
		return true
	}
}

// serve answers as the leader.
func (d *Double) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if path == "/v2/events" {
		d.serveEvents(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch id, isApp := strings.CutPrefix(path, "/v2/apps"); {
	case path == "/ping":
		_, _ = w.Write([]byte("pong"))
	case path == "/v2/info":
		reply(w, http.StatusOK, map[string]any{
			"name": "marathon", "version": "1.11.24", "elected": true, "leader": strings.TrimPrefix(d.servers[d.leader].URL, "http://"),
			"frameworkId": d.framework, "marathon_config": map[string]any{"features": []string{"external_volumes"}, "task_launch_timeout": 300000},
		})
	case path == "/v2/deployments":
		list := []any{}
		for _, dep := range d.deployments {
			list = append(list, dep.json())
		}
		reply(w, http.StatusOK, list)
	case path == "/v2/queue":
		reply(w, http.StatusOK, map[string]any{"queue": []any{}})
	case isApp:
		d.serveApps(w, r, id, body)
	default:
		if id, ok := strings.CutPrefix(path, "/v2/pods"); ok {
			d.servePods(w, r, id, body)
			return
		}
		reply(w, http.StatusNotFound, map[string]any{"message": "HTTP 404 Not Found"})
	}
}

func (dep *deployment) json() map[string]any {
	out := map[string]any{
		"id": dep.id, "version": "2026-03-01T10:00:00.000Z", "affectedApps": []string{dep.app}, "affectedPods": []string{},
		"steps": []any{dep.step()}, "currentActions": dep.step()["actions"], "currentStep": 1, "totalSteps": 1,
	}
	if dep.pod {
		out["affectedApps"], out["affectedPods"] = []string{}, []string{dep.app}
	}
	return out
}

// serveApps answers about apps. What follows /v2/apps is rest.
func (d *Double) serveApps(w http.ResponseWriter, r *http.Request, rest string, body []byte) {
	rest = strings.TrimSuffix(rest, "/")
	if rest == "" {
		switch r.Method {
		case http.MethodGet:
			list := []any{}
			for _, a := range sortedApps(d.apps) {
				if !a.pod && !d.hidden {
					list = append(list, d.shownApp(a))
				}
			}
			reply(w, http.StatusOK, map[string]any{"apps": list})
		case http.MethodPost:
			d.put(w, r, "", body, false, true)
		default:
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
		return
	}
	id, task, isTask := strings.Cut(rest, "/tasks/")
	id, restart := strings.CutSuffix(id, "/restart")
	a := d.apps[normal(id)]
	if r.Method == http.MethodPut {
		d.put(w, r, id, body, false, false)
		return
	}
	if a == nil || a.pod || d.hidden {
		reply(w, http.StatusNotFound, map[string]any{"message": "App '" + normal(id) + "' does not exist"})
		return
	}
	switch {
	case r.Method == http.MethodGet:
		reply(w, http.StatusOK, map[string]any{"app": d.shownApp(a)})
	case r.Method == http.MethodDelete && isTask:
		for _, in := range a.instances {
			if in.taskID(a) == task && !in.killed {
				d.kill(a, in)
				d.advance(a)
				reply(w, http.StatusOK, map[string]any{"task": map[string]any{"id": task}})
				return
			}
		}
		reply(w, http.StatusNotFound, map[string]any{"message": "No task found with id " + task})
	case d.locked(w, r, a):
	case r.Method == http.MethodDelete:
		d.answerDeployment(w, a, d.begin(a, "StopApplication"))
	case r.Method == http.MethodPost && restart:
		a.version = d.version()
		d.answerDeployment(w, a, d.begin(a, "RestartApplication"))
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (d *Double) answerDeployment(w http.ResponseWriter, a *app, dep *deployment) {
	w.Header().Set("Marathon-Deployment-Id", dep.id)
	reply(w, http.StatusOK, map[string]any{"version": a.version, "deploymentId": dep.id})
}

// locked answers that a deployment has an app locked, if one has.
func (d *Double) locked(w http.ResponseWriter, r *http.Request, a *app) bool {
	if r.URL.Query().Get("force") == "true" {
		return false
	}
	for _, dep := range d.deployments {
		if dep.app == a.id {
			reply(w, http.StatusConflict, map[string]any{
				"message":     "App is locked by one or more deployments. Override with the option '?force=true'.",
				"deployments": []any{map[string]any{"id": dep.id}},
			})
			return true
		}
	}
	return false
}

// put creates or changes an app or a pod.
func (d *Double) put(w http.ResponseWriter, r *http.Request, id string, body []byte, pod, create bool) {
	raw := map[string]any{}
	if err := json.Unmarshal(body, &raw); err != nil {
		reply(w, http.StatusBadRequest, map[string]any{"message": "Invalid JSON", "details": []any{}})
		return
	}
	if text, ok := raw["id"].(string); ok && id == "" {
		id = text
	}
	id = normal(id)
	old := d.apps[id]
	switch {
	case create && old != nil:
		reply(w, http.StatusConflict, map[string]any{"message": "An app with id [" + id + "] already exists."})
		return
	case old != nil && d.locked(w, r, old):
		return
	}
	if old != nil { // a partial update
		whole := maps.Clone(old.raw)
		maps.Copy(whole, raw)
		raw = whole
	}
	raw["id"] = id
	a := &app{id: id, pod: pod, raw: raw, wanted: intOf(raw, "instances", 1)}
	if scaling, ok := raw["scaling"].(map[string]any); ok && pod {
		a.wanted = intOf(scaling, "instances", 1)
	}
	if a.external() && a.wanted > 1 {
		reply(w, http.StatusUnprocessableEntity, map[string]any{"message": "Object is not valid", "details": []any{map[string]any{
			"path": "/", "errors": []string{"Number of instances is limited to 1 when declaring DVDI volumes in app [" + id + "]"},
		}}})
		return
	}
	action := "StartApplication"
	if old != nil {
		a.instances, action = old.instances, "RestartApplication"
		a.version = old.version
		if onlyScales(old.raw, raw) {
			action = "ScaleApplication"
			if old.wanted == a.wanted {
				action = ""
			}
		}
	}
	if old == nil || action == "RestartApplication" {
		a.version = d.version()
	}
	d.apps[id] = a
	if pod {
		kind := "pod_updated_event"
		if create {
			kind = "pod_created_event"
		}
		d.tell(kind, map[string]any{"clientIp": "127.0.0.1", "uri": "/v2/pods" + id})
	} else {
		d.tell("api_post_event", map[string]any{"clientIp": "127.0.0.1", "uri": r.URL.Path, "appDefinition": raw})
	}
	d.tell("group_change_success", map[string]any{"groupId": "/", "version": a.version})
	dep := &deployment{}
	if action != "" {
		dep = d.begin(a, action)
	}
	w.Header().Set("Marathon-Deployment-Id", dep.id)
	if create {
		reply(w, http.StatusCreated, raw)
		return
	}
	reply(w, http.StatusOK, map[string]any{"version": a.version, "deploymentId": dep.id})
}

// onlyScales reports whether two definitions differ in the number of instances
// alone.
func onlyScales(a, b map[string]any) bool {
	strip := func(m map[string]any) []byte {
		c := map[string]any{}
		for k, v := range m {
			if k != "instances" && k != "scaling" {
				c[k] = v
			}
		}
		return must(c)
	}
	return bytes.Equal(strip(a), strip(b))
}

// shownApp is an app as Marathon shows it.
func (d *Double) shownApp(a *app) map[string]any {
	out := maps.Clone(a.raw)
	tasks := []any{}
	for _, in := range a.instances {
		if in.scheduled() {
			continue
		}
		task := map[string]any{
			"appId": a.id, "id": in.taskID(a), "host": in.host, "slaveId": in.agent, "state": in.state, "version": in.version,
			"ports": []int{}, "servicePorts": []int{}, "stagedAt": in.staged.Format("2006-01-02T15:04:05.000Z"), "localVolumes": []any{},
		}
		if !in.started.IsZero() {
			task["startedAt"] = in.started.Format("2006-01-02T15:04:05.000Z")
		}
		tasks = append(tasks, task)
	}
	out["version"], out["instances"], out["tasks"], out["deployments"] = a.version, a.wanted, tasks, d.locks(a)
	return out
}

func (d *Double) locks(a *app) []any {
	list := []any{}
	for _, dep := range d.deployments {
		if dep.app == a.id {
			list = append(list, map[string]any{"id": dep.id})
		}
	}
	return list
}

// servePods answers about pods. What follows /v2/pods is rest.
func (d *Double) servePods(w http.ResponseWriter, r *http.Request, rest string, body []byte) {
	if all := strings.Trim(rest, "/"); r.Method == http.MethodGet && (all == "" || all == "::status") {
		list := []any{}
		for _, a := range sortedApps(d.apps) {
			switch {
			case !a.pod || d.hidden:
			case all == "":
				list = append(list, a.raw)
			default:
				list = append(list, shownPod(a))
			}
		}
		reply(w, http.StatusOK, list)
		return
	}
	id, status := strings.CutSuffix(rest, "::status")
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		d.put(w, r, id, body, true, r.Method == http.MethodPost)
		return
	}
	a := d.apps[normal(id)]
	switch {
	case a == nil || !a.pod || d.hidden:
		reply(w, http.StatusNotFound, map[string]any{"message": "Pod '" + normal(id) + "' does not exist"})
	case r.Method == http.MethodGet && status:
		reply(w, http.StatusOK, shownPod(a))
	case r.Method == http.MethodGet:
		reply(w, http.StatusOK, a.raw)
	case d.locked(w, r, a):
	case r.Method == http.MethodDelete:
		d.tell("pod_deleted_event", map[string]any{"clientIp": "127.0.0.1", "uri": r.URL.Path})
		dep := d.begin(a, "StopApplication")
		w.Header().Set("Marathon-Deployment-Id", dep.id)
		w.WriteHeader(http.StatusAccepted)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// shownPod is a pod's status as Marathon shows it.
func shownPod(a *app) map[string]any {
	instances := []any{}
	for _, in := range a.instances {
		if in.scheduled() {
			continue
		}
		state := map[string]string{"TASK_STAGING": "STAGING", "TASK_STARTING": "STAGING", "TASK_RUNNING": "STABLE"}[in.state]
		if state == "" {
			state = "DEGRADED"
		}
		instances = append(instances, map[string]any{
			"id": in.id, "status": state, "statusSince": in.staged.Format("2006-01-02T15:04:05.000Z"), "agentHostname": in.host, "agentId": in.agent,
			"containers": []any{map[string]any{"name": "c", "status": in.state}},
		})
	}
	spec := maps.Clone(a.raw)
	spec["version"] = a.version
	return map[string]any{"id": a.id, "spec": spec, "status": "STABLE", "instances": instances}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(must(body))
}
