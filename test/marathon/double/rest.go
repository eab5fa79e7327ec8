package double

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// serve answers as the leader.
func (d *Double) serve(w http.ResponseWriter, r *http.Request) {
	boilerplate(w)
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
	if path == "/ping" {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte("pong"))
		return
	}
	resource, rest, deeper := strings.Cut(strings.TrimPrefix(path, "/v2/"), "/")
	if !strings.HasPrefix(path, "/v2/") {
		resource = ""
	}
	base, _, _ := strings.Cut(resource, "::")
	routes := map[string]func(http.ResponseWriter, *http.Request, string, []byte){
		"info": d.serveInfo, "leader": d.serveInfo, "deployments": d.serveDeployments, "queue": d.serveQueue, "tasks": d.serveTasks,
		"apps": d.serveApps, "pods": d.servePods, "groups": d.serveGroups,
	}
	serve := routes[base]
	switch accept := r.Header.Get("Accept"); {
	case serve == nil:
		refuse(w, http.StatusInternalServerError, "URI not found", nil)
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusInternalServerError)
	case accept != "" && !strings.Contains(accept, "json") && !strings.Contains(accept, "*/*") && !strings.Contains(accept, "application/*"):
		refuse(w, http.StatusNotAcceptable, "Not Acceptable", nil)
	case r.Header.Get("Content-Type") != "" && len(body) > 0 && !strings.Contains(r.Header.Get("Content-Type"), "json"):
		refuse(w, http.StatusUnsupportedMediaType, "Unsupported Media Type", nil)
	default:
		if suffix, ok := strings.CutPrefix(resource, base+"::"); ok {
			if deeper {
				suffix += "/" + rest
			}
			rest = "::" + suffix
		}
		serve(w, r, rest, body)
	}
}

func (d *Double) serveInfo(w http.ResponseWriter, r *http.Request, _ string, _ []byte) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		notAllowed(w)
		return
	}
	leader := strings.TrimPrefix(strings.TrimPrefix(d.leaderURL(), "http://"), "https://")
	if strings.HasSuffix(r.URL.Path, "/leader") {
		reply(w, http.StatusOK, map[string]any{"leader": leader})
		return
	}
	host, _, _ := strings.Cut(leader, ":")
	reply(w, http.StatusOK, map[string]any{
		"name": "marathon", "version": "1.11.24", "buildref": "unknown", "elected": true, "leader": leader, "frameworkId": d.framework,
		"marathon_config": map[string]any{
			"access_control_allow_origin": nil, "checkpoint": true, "decline_offer_duration": 120000, "default_network_name": nil, "env_vars_prefix": nil,
			"executor": "//cmd", "failover_timeout": 604800, "features": []string{"external_volumes", "task_killing"}, "framework_name": "marathon", "ha": true,
			"hostname": host, "launch_token": 100, "launch_token_refresh_interval": 30000, "leader_proxy_connection_timeout_ms": 5000,
			"leader_proxy_read_timeout_ms": 10000, "local_port_max": 20000, "local_port_min": 10000, "master": "zk://127.0.0.1:2181/mesos",
			"max_instances_per_offer": 5, "mesos_bridge_name": "mesos-bridge", "mesos_heartbeat_failure_threshold": 5, "mesos_heartbeat_interval": 15000,
			"mesos_leader_ui_url": "http://127.0.0.1:5050/", "mesos_role": "*", "mesos_user": "root", "new_group_enforce_role": "Off",
			"min_revive_offers_interval": 5000, "offer_matching_timeout": 3000, "on_elected_prepare_timeout": 180000, "reconciliation_initial_delay": 15000,
			"reconciliation_interval": 600000, "scale_apps_initial_delay": 15000, "scale_apps_interval": 300000, "store_cache": true,
			"task_launch_confirm_timeout": 300000, "task_launch_timeout": 300000, "task_lost_expunge_initial_delay": 300000,
			"task_lost_expunge_interval": 30000, "task_reservation_timeout": 20000, "webui_url": nil, "maintenance_mode": true,
		},
		"zookeeper_config": map[string]any{
			"zk": "zk://127.0.0.1:2181/marathon", "zk_compression": true, "zk_compression_threshold": 65536, "zk_connection_timeout": 10000,
			"zk_max_node_size": 1024000, "zk_max_versions": 50, "zk_session_timeout": 10000, "zk_timeout": 10000,
		},
		"http_config": map[string]any{"http_port": 8080, "https_port": 8443},
	})
}

func (d *Double) serveDeployments(w http.ResponseWriter, r *http.Request, id string, _ []byte) {
	if r.Method == http.MethodDelete {
		i := slices.IndexFunc(d.deployments, func(dep *deployment) bool { return dep.id == id })
		if i < 0 {
			refuse(w, http.StatusNotFound, "Deployment '"+id+"' does not exist", []any{})
			return
		}
		d.undo(w, r, d.deployments[i])
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		notAllowed(w)
		return
	}
	list := []any{}
	for _, dep := range slices.Backward(d.deployments) {
		list = append(list, dep.json())
	}
	reply(w, http.StatusOK, list)
}

// undo ends a deployment: with force it stays as far as it has come, else another one
// takes it back.
func (d *Double) undo(w http.ResponseWriter, r *http.Request, dep *deployment) {
	if forced(r) {
		d.cancel(dep)
		w.WriteHeader(http.StatusAccepted)
		return
	}
	var back []change
	for _, s := range dep.steps {
		for _, act := range s {
			a := d.apps[act.id]
			if a == nil || slices.ContainsFunc(back, func(c change) bool { return c.id == act.id }) {
				continue
			}
			c := change{id: a.id, pod: a.pod}
			if n := len(a.history); n > 1 {
				c.to = a.history[n-2].raw
			}
			back = append(back, c)
		}
	}
	d.answerChange(w, http.StatusOK, d.change(back, true, "/", nil))
}

// answerChange answers with a deployment, or that others have the apps locked.
func (d *Double) answerChange(w http.ResponseWriter, status int, out outcome) {
	if conflict(w, out) {
		return
	}
	w.Header().Set("Marathon-Deployment-Id", out.deployment.id)
	reply(w, status, map[string]any{"version": out.version, "deploymentId": out.deployment.id})
}

// conflict answers that deployments have apps locked, if they have.
func conflict(w http.ResponseWriter, out outcome) bool {
	if len(out.conflicts) == 0 {
		return false
	}
	list := []any{}
	for _, id := range out.conflicts {
		list = append(list, map[string]any{"id": id})
	}
	reply(w, http.StatusConflict, map[string]any{"message": locked, "deployments": list})
	return true
}

// forced reports whether a request overrides locks. Only the word true does.
func forced(r *http.Request) bool { return r.URL.Query().Get("force") == "true" }

// errEmpty says that there is no body.
var errEmpty = errors.New("no body")

// decode reads a body, and answers where it is no JSON.
func decode(w http.ResponseWriter, body []byte) (any, bool) {
	var v any
	err := json.Unmarshal(body, &v)
	if len(body) == 0 {
		err = errEmpty
	}
	switch {
	case errors.Is(err, errEmpty):
		refuse(w, http.StatusBadRequest, "Please specify data in JSON format", "No content to map due to end-of-input\n at [Source: (byte[])\"\"; line: 1, column: 0]")
	case err != nil:
		refuse(w, http.StatusBadRequest, "Invalid JSON", err.Error())
	}
	return v, err == nil
}

// normal writes an id as Marathon does.
func normal(id string) string { return resolve("/", id) }

// resolve returns an id that may be relative to a group.
func resolve(base, id string) string {
	if !strings.HasPrefix(id, "/") {
		id = base + "/" + id
	}
	var parts []string
	for part := range strings.SplitSeq(id, "/") {
		switch part {
		case "", ".":
		case "..":
			parts = parts[:max(len(parts)-1, 0)]
		default:
			parts = append(parts, part)
		}
	}
	return "/" + strings.Join(parts, "/")
}

// parent returns the group of an id.
func parent(id string) string {
	if i := strings.LastIndex(id, "/"); i > 0 {
		return id[:i]
	}
	return "/"
}
