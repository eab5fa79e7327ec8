package double

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// group is a group of apps, pods and groups.
type group struct {
	dependencies []string
	version      string
}

// noVersion is that of a root group to which nothing has happened.
const noVersion = "1970-01-01T00:00:00.000Z"

// group returns a group that is known, made if it is not.
func (d *Double) group(id string) *group {
	g := d.groups[id]
	if g == nil {
		g = &group{version: noVersion}
		d.groups[id] = g
	}
	return g
}

// touch gives the groups around an app a new version.
func (d *Double) touch(id, version string) {
	for g := parent(id); ; g = parent(g) {
		d.group(g).version = version
		if g == "/" {
			return
		}
	}
}

// known reports whether there is a group.
func (d *Double) known(id string) bool {
	return id == "/" || d.groups[id] != nil || len(d.within(id)) > 0
}

// within returns the ids of the apps and pods of a group, those of its groups too.
func (d *Double) within(id string) []string {
	prefix := strings.TrimSuffix(id, "/") + "/"
	var ids []string
	for _, a := range sortedApps(d.apps) {
		if strings.HasPrefix(a.id, prefix) {
			ids = append(ids, a.id)
		}
	}
	return ids
}

// snapshot remembers how the apps of all groups are at a version.
func (d *Double) snapshot(version string) {
	all := map[string]map[string]any{}
	for _, a := range d.apps {
		all[a.id] = a.raw
	}
	d.rootVersions[version] = all
}

func noGroup(w http.ResponseWriter, id string, details any) {
	refuse(w, http.StatusNotFound, "Group '"+id+"' does not exist", details)
}

// serveGroups answers about groups. What follows /v2/groups/ is rest.
func (d *Double) serveGroups(w http.ResponseWriter, r *http.Request, rest string, body []byte) {
	rest = strings.Trim(rest, "/")
	rest, version, isVersions := cutSegment("/"+rest, "versions")
	id := normal(rest)
	switch {
	case isVersions && r.Method == http.MethodGet:
		all := []any{}
		for _, v := range slices.Backward(slices.Sorted(maps.Keys(d.rootVersions))) {
			if version == "" && (id == "/" || len(d.apps) > 0) {
				all = append(all, v)
			}
		}
		if len(all) == 0 {
			all = append(all, noVersion)
		}
		reply(w, http.StatusOK, all)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		if !d.known(id) {
			noGroup(w, id, []any{})
			return
		}
		embed := r.URL.Query()["embed"]
		reply(w, http.StatusOK, d.shownGroup(id, embed))
	case r.Method == http.MethodDelete:
		d.deleteGroup(w, r, id)
	case r.Method == http.MethodPut, r.Method == http.MethodPost:
		d.putGroup(w, r, id, body)
	default:
		notAllowed(w)
	}
}

func (d *Double) shownGroup(id string, embed []string) map[string]any {
	apps, pods, groups := []any{}, []any{}, []any{}
	children := map[string]bool{}
	prefix := strings.TrimSuffix(id, "/") + "/"
	for _, member := range d.within(id) {
		rest := strings.TrimPrefix(member, prefix)
		if head, _, deeper := strings.Cut(rest, "/"); deeper {
			children[prefix+head] = true
			continue
		}
		a := d.apps[member]
		switch {
		case a.pod:
			shown := shownPod(a)
			shown["spec"] = a.shown(true)
			pods = append(pods, shown)
		default:
			shown := without(a.shown(false))
			if slices.Contains(embed, "group.apps.tasks") {
				whole := d.shownApp(a, true)
				shown["tasks"], shown["deployments"] = whole["tasks"], whole["deployments"]
			}
			apps = append(apps, shown)
		}
	}
	for known := range d.groups {
		if rest, ok := strings.CutPrefix(known, prefix); ok && rest != "" {
			head, _, _ := strings.Cut(rest, "/")
			children[prefix+head] = true
		}
	}
	for _, child := range slices.Sorted(maps.Keys(children)) {
		groups = append(groups, d.shownGroup(child, embed))
	}
	g := d.groups[id]
	if g == nil {
		g = &group{version: noVersion}
	}
	dependencies := []any{}
	for _, on := range g.dependencies {
		dependencies = append(dependencies, on)
	}
	out := map[string]any{"id": id, "apps": apps, "pods": pods, "groups": groups, "dependencies": dependencies, "version": g.version}
	if id != "/" && parent(id) == "/" {
		out["enforceRole"] = false
	}
	if len(embed) > 0 {
		for _, name := range []string{"apps", "pods", "groups"} {
			if !slices.ContainsFunc(embed, func(e string) bool { return e == "group."+name || strings.HasPrefix(e, "group."+name+".") }) {
				out[name] = []any{}
			}
		}
	}
	return out
}

func (d *Double) deleteGroup(w http.ResponseWriter, r *http.Request, id string) {
	if !d.known(id) {
		noGroup(w, id, nil)
		return
	}
	var changes []change
	for _, member := range d.within(id) {
		changes = append(changes, change{id: member, pod: d.apps[member].pod})
	}
	out := d.change(changes, forced(r), parent(id), func() {
		for known := range d.groups {
			if known == id && id != "/" || strings.HasPrefix(known, strings.TrimSuffix(id, "/")+"/") {
				delete(d.groups, known)
			}
		}
	})
	d.answerChange(w, http.StatusOK, out)
}

// putGroup creates or changes a group.
func (d *Double) putGroup(w http.ResponseWriter, r *http.Request, at string, body []byte) {
	v, ok := decode(w, body)
	if !ok {
		return
	}
	raw, _ := v.(map[string]any)
	var changes []change
	id := at
	if text, ok := raw["id"].(string); ok {
		id = resolve(at, text)
	}
	switch by, scales := raw["scaleBy"].(float64); {
	case scales:
		for _, member := range d.within(at) {
			a := d.apps[member]
			changes = append(changes, change{id: member, pod: a.pod, to: a.scaled(int(float64(a.wanted()) * by))})
		}
		d.answerChange(w, http.StatusOK, d.change(changes, forced(r), parent(at), nil))
		return
	case raw["version"] != nil:
		version, _ := raw["version"].(string)
		was, ok := d.rootVersions[version]
		if !ok {
			refuse(w, http.StatusNotFound, "Group '"+at+"' does not exist in version "+version, nil)
			return
		}
		for _, member := range d.within(at) {
			changes = append(changes, change{id: member, pod: d.apps[member].pod, to: was[member]})
		}
		d.answerChange(w, http.StatusOK, d.change(changes, forced(r), parent(at), nil))
		return
	}
	if status, message, details := d.refusedMembers(raw, id, ""); status != 0 {
		refuse(w, status, message, details)
		return
	}
	deps := map[string][]string{}
	d.readGroup(raw, id, deps, &changes)
	d.leftOut(raw, id, &changes)
	if d.groups[id] != nil && len(changes) > 0 && d.hasGroups(id) {
		var details []any
		for i, known := range slices.Sorted(maps.Keys(d.groups)) {
			if strings.HasPrefix(known, id+"/") {
				details = append(details, detail(fmt.Sprintf("/groups(%d)/enforceRole", i),
					"enforceRole cannot be modified in a request that adds, removes or modifies services; please make these changes in separate requests.")[0])
			}
		}
		refuse(w, http.StatusUnprocessableEntity, notValid, details)
		return
	}
	if r.URL.Query().Get("dryRun") == "true" {
		was := map[string]*group{}
		maps.Copy(was, d.groups)
		for g, on := range deps {
			d.groups[g] = &group{dependencies: on}
		}
		steps := (&deployment{steps: d.planOf(changes)}).stepsJSON()
		d.groups = was
		reply(w, http.StatusOK, map[string]any{"steps": steps})
		return
	}
	for g, on := range deps {
		d.group(g).dependencies = on
	}
	d.answerChange(w, http.StatusOK, d.change(changes, forced(r), parent(at), nil))
}

// refusedMembers finds what Marathon refuses of a group's apps and pods: values of the
// wrong kind first, each with the path that leads there.
func (d *Double) refusedMembers(raw map[string]any, id, path string) (status int, message string, details any) {
	for _, kind := range []string{"apps", "pods", "groups"} {
		members, _ := raw[kind].([]any)
		for i, m := range members {
			at := fmt.Sprintf("%s/%s(%d)", path, kind, i)
			member, isObject := m.(map[string]any)
			if !isObject {
				return http.StatusUnprocessableEntity, invalidJSON, detail(at, "error.expected.jsobject")
			}
			text, _ := member["id"].(string)
			switch kind {
			case "groups":
				status, message, details = d.refusedMembers(member, resolve(id, text), at)
			case "pods":
				status, message, details = invalidPod(member, must(member))
			default:
				if status, message, details = invalid(member); status == 0 {
					status, message, details = d.refused(resolve(id, text), canonicalApp(resolve(id, text), member))
				}
			}
			if status == 0 {
				continue
			}
			if kind != "groups" {
				details = below(at, details)
			}
			return status, message, details
		}
	}
	return 0, "", nil
}

// below puts a path before those of details.
func below(at string, details any) any {
	list, _ := details.([]any)
	for _, d := range list {
		one := d.(map[string]any)
		one["path"] = strings.TrimSuffix(at+one["path"].(string), "/")
	}
	return details
}

// hasGroups reports whether a group has groups.
func (d *Double) hasGroups(id string) bool {
	for known := range d.groups {
		if strings.HasPrefix(known, id+"/") {
			return true
		}
	}
	return false
}

// leftOut adds the members of a group that its new definition does not have, of the kinds
// that it gives.
func (d *Double) leftOut(raw map[string]any, id string, changes *[]change) {
	for _, member := range d.within(id) {
		a, kind := d.apps[member], "groups"
		if parent(member) == id {
			kind = map[bool]string{true: "pods", false: "apps"}[a.pod]
		}
		if raw[kind] != nil && !slices.ContainsFunc(*changes, func(c change) bool { return c.id == member }) {
			*changes = append(*changes, change{id: member, pod: a.pod})
		}
	}
}

// readGroup collects what a group's definition has.
func (d *Double) readGroup(raw map[string]any, id string, deps map[string][]string, changes *[]change) {
	if id != "/" {
		deps[id] = nil
	}
	list, _ := raw["dependencies"].([]any)
	for _, on := range list {
		if text, ok := on.(string); ok {
			deps[id] = append(deps[id], resolve(id, text))
		}
	}
	for _, kind := range []string{"apps", "pods", "groups"} {
		members, _ := raw[kind].([]any)
		for _, m := range members {
			member, _ := m.(map[string]any)
			text, _ := member["id"].(string)
			at := resolve(id, text)
			switch kind {
			case "groups":
				d.readGroup(member, at, deps, changes)
			case "pods":
				*changes = append(*changes, change{id: at, pod: true, to: canonicalPod(at, member)})
			default:
				to := canonicalApp(at, member)
				if old := d.apps[at]; old != nil {
					keepPorts(old.raw, to, member)
				}
				*changes = append(*changes, change{id: at, to: to})
			}
		}
	}
}
