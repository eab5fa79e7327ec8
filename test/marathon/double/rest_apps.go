package double

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func noApp(w http.ResponseWriter, id string) {
	refuse(w, http.StatusNotFound, "App '"+id+"' does not exist", []any{})
}

// serveApps answers about apps. What follows /v2/apps/ is rest.
func (d *Double) serveApps(w http.ResponseWriter, r *http.Request, rest string, body []byte) {
	rest = strings.Trim(rest, "/")
	if rest == "" {
		d.serveAllApps(w, r, body)
		return
	}
	if prefix, all := strings.CutSuffix("/"+rest, "/*"); all && r.Method == http.MethodGet {
		list := []any{}
		for _, a := range sortedApps(d.apps) {
			if !a.pod && (prefix == "" || strings.HasPrefix(a.id, prefix+"/")) {
				list = append(list, d.shownApp(a, true))
			}
		}
		reply(w, http.StatusOK, map[string]any{"*": list})
		return
	}
	id, tasks, isTasks := cutSegment(rest, "tasks")
	id, versions, isVersions := cutSegment(id, "versions")
	id, isRestart := strings.CutSuffix(id, "/restart")
	id = normal(id)
	a := d.apps[id]
	if a != nil && a.pod || d.hidden {
		a = nil
	}
	switch {
	case r.Method == http.MethodPut && !isTasks && !isVersions:
		d.putApp(w, r, id, body)
	case a == nil && r.Method == http.MethodDelete && !isTasks:
		refuse(w, http.StatusNotFound, "App '"+id+"' does not exist", nil)
	case a == nil:
		noApp(w, id)
	case isTasks:
		d.serveAppTasks(w, r, a, tasks)
	case isVersions:
		d.serveVersions(w, a, versions)
	case isRestart && r.Method == http.MethodPost:
		d.restartApp(w, r, a)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		shown, embed := d.shownApp(a, true), r.URL.Query()["embed"]
		if a.failure != nil && slices.Contains(embed, "app.lastTaskFailure") {
			shown["lastTaskFailure"] = a.failure
		}
		if slices.Contains(embed, "app.taskStats") {
			shown["tasksStats"] = d.stats(a)
		}
		reply(w, http.StatusOK, map[string]any{"app": shown})
	case r.Method == http.MethodDelete:
		force := r.URL.Query().Get("force") != "false" // the default of the real one
		d.answerChange(w, http.StatusOK, d.change([]change{{id: id}}, force, parent(id), nil))
	default:
		notAllowed(w)
	}
}

// cutSegment cuts a path behind a segment.
func cutSegment(path, segment string) (before, after string, found bool) {
	if head, ok := strings.CutSuffix(path, "/"+segment); ok {
		return head, "", true
	}
	return strings.Cut(path, "/"+segment+"/")
}

func (d *Double) serveAllApps(w http.ResponseWriter, r *http.Request, body []byte) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		query := r.URL.Query()
		selects, err := selector(query.Get("label"))
		if err != nil {
			refuse(w, http.StatusUnprocessableEntity, err.Error(), nil)
			return
		}
		list := []any{}
		for _, a := range sortedApps(d.apps) {
			cmd, _ := a.raw["cmd"].(string)
			labels, _ := a.raw["labels"].(map[string]any)
			if a.pod || d.hidden || !strings.Contains(a.id, query.Get("id")) || !strings.Contains(cmd, query.Get("cmd")) || !selects(labels) {
				continue
			}
			embed := query["embed"]
			shown := d.shownApp(a, slices.Contains(embed, "apps.tasks") || slices.Contains(embed, "apps.failures"))
			if a.failure != nil && (slices.Contains(embed, "apps.lastTaskFailure") || slices.Contains(embed, "apps.failures")) {
				shown["lastTaskFailure"] = a.failure
			}
			if slices.Contains(embed, "apps.readiness") {
				shown["readinessCheckResults"] = []any{}
			}
			if slices.Contains(embed, "apps.taskStats") {
				shown["tasksStats"] = d.stats(a)
			}
			list = append(list, shown)
		}
		reply(w, http.StatusOK, map[string]any{"apps": list})
	case http.MethodPost:
		d.postApp(w, r, body)
	case http.MethodPut, http.MethodPatch:
		d.putApps(w, r, body)
	default:
		notAllowed(w)
	}
}

func (d *Double) stats(a *app) map[string]any {
	staged, up := 0, 0
	for _, in := range a.instances {
		switch in.condition {
		case running:
			up++
		case provisioned, "Starting":
			staged++
		}
	}
	one := map[string]any{"stats": map[string]any{
		"counts":   map[string]any{"staged": staged, "running": up, "healthy": 0, "unhealthy": 0},
		"lifeTime": map[string]any{"averageSeconds": 0.5, "medianSeconds": 0.5},
	}}
	return map[string]any{"startedAfterLastScaling": one, "withLatestConfig": one, "totalSummary": one}
}

var requirement = regexp.MustCompile(`^([\w.-]+)\s*(==|!=)\s*([\w./-]+)$|^([\w.-]+)\s+(in|notin)\s*\(([^)]*)\)$|^([\w.-]+)$`)

// selector reads a label selector.
func selector(text string) (func(map[string]any) bool, error) {
	if text == "" {
		return func(map[string]any) bool { return true }, nil
	}
	m := requirement.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("Can not parse label selector %s. Reason: end of input expected", text) //nolint:staticcheck // as Marathon says it
	}
	return func(labels map[string]any) bool {
		switch {
		case m[1] != "":
			value, has := labels[m[1]]
			return has && (value == m[3]) == (m[2] == "==")
		case m[4] != "":
			value, has := labels[m[4]].(string)
			in := has && slices.ContainsFunc(strings.Split(m[6], ","), func(s string) bool { return strings.TrimSpace(s) == value })
			return has && in == (m[5] == "in")
		default:
			_, has := labels[m[7]]
			return has
		}
	}, nil
}

func (d *Double) serveVersions(w http.ResponseWriter, a *app, version string) {
	if version == "" {
		reply(w, http.StatusOK, map[string]any{"versions": append(a.versions(), a.asked...)})
		return
	}
	if _, err := time.Parse(time.RFC3339, version); err != nil {
		refuse(w, http.StatusUnprocessableEntity, "Invalid timestamp provided '"+version+"'. Expecting ISO-8601 datetime string.", nil)
		return
	}
	if s := a.at(version); s != nil {
		reply(w, http.StatusOK, s.shown(false))
		return
	}
	a.asked = append(a.asked, version) // it shows up afterwards
	refuse(w, http.StatusNotFound, "App '"+a.id+"' does not exist in version "+version, []any{})
}

func (d *Double) restartApp(w http.ResponseWriter, r *http.Request, a *app) {
	to := maps.Clone(a.raw)
	to["restarted"] = float64(d.clock) // what makes it another one
	d.answerChange(w, http.StatusOK, d.change([]change{{id: a.id, to: to}}, forced(r), parent(a.id), nil))
}

// toldOf tells that an app was put.
func (d *Double) toldOf(r *http.Request, id string) func() {
	return func() {
		a := d.apps[id]
		d.tell("api_post_event", map[string]any{"clientIp": "127.0.0.1", "uri": r.URL.Path, "appDefinition": without(a.shown(false))})
		if list, _ := a.raw["healthChecks"].([]any); a.version == a.history[0].version {
			for _, check := range list {
				d.tell("add_health_check_event", map[string]any{"appId": id, "healthCheck": check, "version": a.version})
			}
		}
	}
}

// without leaves out what is the double's own.
func without(raw map[string]any) map[string]any {
	delete(raw, "restarted")
	return raw
}

func (d *Double) putApp(w http.ResponseWriter, r *http.Request, id string, body []byte) {
	v, ok := decode(w, body)
	if !ok {
		return
	}
	raw, isObject := v.(map[string]any)
	if !isObject { // it changes nothing
		raw = map[string]any{}
	}
	old := d.apps[id]
	if version, ok := raw["version"].(string); ok && old != nil {
		d.rollBack(w, r, old, version, raw)
		return
	}
	if status, message, details := invalid(raw); status != 0 {
		refuse(w, status, message, details)
		return
	}
	if old != nil && r.URL.Query().Get("partialUpdate") != "false" {
		raw = merged(old.raw, raw)
	}
	to := canonicalApp(id, raw)
	if old != nil {
		keepPorts(old.raw, to, raw)
	}
	if status, message, details := d.refused(id, to); status != 0 {
		refuse(w, status, message, details)
		return
	}
	out := d.change([]change{{id: id, to: to}}, forced(r), parent(id), d.toldOf(r, id))
	status := http.StatusOK
	if out.created {
		w.Header().Set("Location", d.leaderURL()+id)
		status = http.StatusCreated
	}
	d.answerChange(w, status, out)
}

// merged returns a definition with a partial update: what is null stays.
func merged(old, update map[string]any) map[string]any {
	whole := maps.Clone(old)
	for key, value := range update {
		if value != nil {
			whole[key] = value
		}
	}
	return whole
}

// keepPorts has a definition without ports of its own keep those that it was given.
func keepPorts(old, to, raw map[string]any) {
	list, _ := raw["portDefinitions"].([]any)
	if len(list) == 0 || len(list) == 1 && numberOf(first(list), "port") == 0 {
		to["portDefinitions"] = old["portDefinitions"]
	}
}

func first(list []any) map[string]any {
	m, _ := list[0].(map[string]any)
	return m
}

// assignPorts gives service ports to those that have none.
func (d *Double) assignPorts(raw map[string]any) {
	list, _ := raw["portDefinitions"].([]any)
	for i, p := range list {
		port, _ := p.(map[string]any)
		if numberOf(port, "port") != 0 {
			continue
		}
		port = maps.Clone(port)
		port["port"] = float64(d.freePort())
		list[i] = port
	}
}

func (d *Double) freePort() int {
	used := map[int]bool{}
	for _, apps := range []map[string]*app{d.apps, d.dying} {
		for _, a := range apps {
			list, _ := a.raw["portDefinitions"].([]any)
			for _, p := range list {
				m, _ := p.(map[string]any)
				used[intOf(m, "port", 0)] = true
			}
		}
	}
	for port := 10000; ; port++ {
		if !used[port] {
			return port
		}
	}
}

func (d *Double) rollBack(w http.ResponseWriter, r *http.Request, a *app, version string, raw map[string]any) {
	for key := range raw {
		if key != "version" && key != "id" {
			refuse(w, http.StatusUnprocessableEntity, notValid, detail("/", "The 'version' field may only be combined with the 'id' field."))
			return
		}
	}
	if s := a.at(version); s != nil {
		d.answerChange(w, http.StatusOK, d.change([]change{{id: a.id, to: s.raw}}, forced(r), parent(a.id), d.toldOf(r, a.id)))
		return
	}
	d.groupFailed(parent(a.id), d.version(), "App '"+a.id+"' does not exist")
	refuse(w, http.StatusNotFound, "App '"+a.id+"' does not exist", nil)
}

func (d *Double) postApp(w http.ResponseWriter, r *http.Request, body []byte) {
	v, ok := decode(w, body)
	if !ok {
		return
	}
	raw, isObject := v.(map[string]any)
	if !isObject {
		refuse(w, http.StatusUnprocessableEntity, "Invalid JSON", detail("/id", string(body)+" is not an object"))
		return
	}
	if status, message, details := invalid(raw); status != 0 {
		refuse(w, status, message, details)
		return
	}
	text, _ := raw["id"].(string)
	id := normal(text)
	to := canonicalApp(id, raw)
	status, message, details := d.refused(id, to)
	switch {
	case status != 0:
		refuse(w, status, message, details)
		return
	case d.apps[id] != nil:
		message := "An app with id [" + id + "] already exists."
		d.groupFailed(parent(id), d.version(), message)
		refuse(w, http.StatusConflict, message, nil)
		return
	}
	asked := canonicalApp(id, raw)
	out := d.change([]change{{id: id, to: to}}, forced(r), parent(id), d.toldOf(r, id))
	if conflict(w, out) {
		return
	}
	w.Header().Set("Location", d.leaderURL()+id)
	w.Header().Set("Marathon-Deployment-Id", out.deployment.id)
	maps.Copy(asked, map[string]any{
		"version": out.version, "tasksStaged": 0, "tasksRunning": 0, "tasksHealthy": 0, "tasksUnhealthy": 0,
		"deployments": []any{map[string]any{"id": out.deployment.id}},
	})
	reply(w, http.StatusCreated, asked)
}

// putApps creates or changes several apps.
func (d *Double) putApps(w http.ResponseWriter, r *http.Request, body []byte) {
	v, ok := decode(w, body)
	if !ok {
		return
	}
	list, _ := v.([]any)
	var changes []change
	for i, item := range list {
		raw, isObject := item.(map[string]any)
		if !isObject {
			refuse(w, http.StatusUnprocessableEntity, invalidJSON, detail(fmt.Sprintf("(%d)", i), "error.expected.jsobject"))
			return
		}
		text, _ := raw["id"].(string)
		id := normal(text)
		if status, message, details := invalid(raw); status != 0 {
			refuse(w, status, message, details)
			return
		}
		old := d.apps[id]
		if old != nil && r.URL.Query().Get("partialUpdate") != "false" {
			raw = merged(old.raw, raw)
		}
		to := canonicalApp(id, raw)
		if old == nil && raw["portDefinitions"] == nil {
			to["portDefinitions"] = []any{} // of several at once none gets a port
		}
		if status, message, details := d.refused(id, to); status != 0 {
			refuse(w, status, message, below(fmt.Sprintf("(%d)", i), details))
			return
		}
		changes = append(changes, change{id: id, to: to})
	}
	d.answerChange(w, http.StatusOK, d.change(changes, forced(r), "/", nil))
}

// shownApp is an app as Marathon shows it.
func (d *Double) shownApp(a *app, withTasks bool) map[string]any {
	out := without(a.shown(false))
	counts := map[string]int{}
	tasks := []any{}
	for _, in := range a.instances {
		if in.scheduled() {
			continue
		}
		switch in.condition {
		case running:
			counts["tasksRunning"]++
		case provisioned, "Starting":
			counts["tasksStaged"]++
		}
		if in.healthy != nil && in.condition == running {
			if *in.healthy {
				counts["tasksHealthy"]++
			} else {
				counts["tasksUnhealthy"]++
			}
		}
		tasks = append(tasks, d.shownTask(a, in, false))
	}
	for _, name := range []string{"tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy"} {
		out[name] = counts[name]
	}
	if withTasks {
		out["tasks"] = tasks
	}
	list := []any{}
	for _, dep := range d.deployments {
		if dep.affects(a.id) {
			list = append(list, map[string]any{"id": dep.id})
		}
	}
	out["deployments"] = list
	return out
}

// shownTask is a task as Marathon shows it. One that has ended is shown until its instance
// is launched again.
func (d *Double) shownTask(a *app, in *instance, servicePorts bool) map[string]any {
	out := map[string]any{
		"appId": a.id, "healthCheckResults": []any{}, "host": in.host, "id": in.taskID(in.tasks[0]), "slaveId": in.agent, "state": stateOf(in.condition),
		"localVolumes": []any{}, "role": a.raw["role"], "servicePorts": []any{},
	}
	if in.checked != nil {
		out["healthCheckResults"] = []any{in.checked}
	}
	if servicePorts {
		ports := []any{}
		list, _ := a.raw["portDefinitions"].([]any)
		for _, p := range list {
			m, _ := p.(map[string]any)
			ports = append(ports, m["port"])
		}
		out["servicePorts"] = ports
	}
	out["ports"], out["ipAddresses"] = in.ports(a), in.addresses()
	if terminal(in.condition) {
		out["ports"] = []any{}
		return out
	}
	out["version"], out["stagedAt"] = in.version, stamp(in.staged)
	if !in.started.IsZero() {
		out["startedAt"] = stamp(in.started)
	}
	return out
}
