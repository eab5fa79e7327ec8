package double

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// detail is one mistake, as Marathon tells it.
func detail(path string, errors ...string) []any {
	return []any{map[string]any{"path": path, "errors": errors}}
}

const (
	invalidJSON = "Invalid JSON"
	notValid    = "Object is not valid"
)

var idPart = regexp.MustCompile(`^((([a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])\.)*([a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])|\.|\.\.)$`)

// invalid finds values of the wrong kind in an app: the first one, as Marathon does.
func invalid(raw map[string]any) (status int, message string, details any) {
	wrong := func(path, kind string) (int, string, any) {
		return http.StatusUnprocessableEntity, invalidJSON, detail(path, kind)
	}
	if id, ok := raw["id"].(string); ok {
		for part := range strings.SplitSeq(strings.Trim(id, "/"), "/") {
			if part != "" && !idPart.MatchString(part) {
				return wrong("/id", "error.pattern")
			}
		}
	}
	for _, name := range []string{"cpus", "mem", "disk", "gpus", "instances"} {
		v := raw[name]
		if v == nil {
			continue
		}
		n, isNumber := v.(float64)
		switch {
		case !isNumber:
			return wrong("/"+name, "error.expected.jsnumber")
		case name == "instances" && n != math.Trunc(n):
			return wrong("/"+name, "error.expected.int")
		case n < 0:
			return wrong("/"+name, "error.min")
		}
	}
	if v := raw["labels"]; v != nil {
		labels, isObject := v.(map[string]any)
		if !isObject {
			return wrong("/labels", "error.expected.jsobject")
		}
		for key, value := range labels {
			if _, isText := value.(string); !isText {
				return wrong("/labels/"+key, "error.expected.jsstring")
			}
		}
	}
	if v := raw["constraints"]; v != nil {
		if _, isList := v.([]any); !isList {
			return wrong("/constraints", "error.expected.jsarray")
		}
	}
	if strategy, ok := raw["upgradeStrategy"].(map[string]any); ok {
		for _, name := range []string{"minimumHealthCapacity", "maximumOverCapacity"} {
			if numberOf(strategy, name) > 1 {
				return wrong("/upgradeStrategy/"+name, "error.max")
			}
		}
	}
	return 0, "", nil
}

// refused finds what Marathon refuses of an app with its defaults.
func (d *Double) refused(id string, to map[string]any) (status int, message string, details any) {
	var all []any
	wrong := func(path string, errors ...string) { all = append(all, detail(path, errors...)...) }
	s := &spec{raw: to}
	if status, message, details := refusedVolumes(s); status != 0 {
		return status, message, details
	}
	checks, _ := to["healthChecks"].([]any)
	for _, c := range checks {
		if check, _ := c.(map[string]any); check["protocol"] == "COMMAND" && check["command"] == nil {
			return http.StatusInternalServerError, "illegal protocol COMMAND for non-command health check", nil
		}
	}
	cmd, hasCmd := to["cmd"].(string)
	args, _ := to["args"].([]any)
	var about []string
	if both := hasCmd && len(args) > 0; both || !hasCmd && len(args) == 0 && to["container"] == nil {
		about = append(about, "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.")
	}
	if hasCmd && len(cmd) < 2 {
		about = append(about, "must not be an empty string")
	}
	if len(about) > 0 {
		wrong("/", about...)
	}
	upgrade, _ := to["upgradeStrategy"].(map[string]any)
	expect := func(name string) {
		if n := numberOf(upgrade, name); n != 0 {
			wrong("/upgradeStrategy/"+name, fmt.Sprintf("got %.1f, expected 0.0", n))
		}
	}
	labels, _ := to["labels"].(map[string]any)
	switch {
	case labels["MARATHON_SINGLE_INSTANCE_APP"] == "true":
		expect("maximumOverCapacity")
		expect("minimumHealthCapacity")
		if s.wanted() > 1 {
			wrong("/", "Single instance app may only have one instance")
		}
	case s.external():
		expect("maximumOverCapacity")
	}
	for _, mistake := range refusedConstraints(to["constraints"]) {
		wrong("/constraints", mistake)
	}
	if inactive, expunge, _ := s.unreachable(); inactive > expunge {
		wrong("/unreachableStrategy/inactiveAfterSeconds",
			fmt.Sprintf("inactiveAfterSeconds (%v) must be less or equal to expungeAfterSeconds, which is %v", inactive, expunge))
	}
	if roles, ok := to["acceptedResourceRoles"].([]any); ok && slices.ContainsFunc(roles, func(r any) bool { return r != "*" }) {
		wrong("/acceptedResourceRoles", "acceptedResourceRoles can only contain *")
	}
	top, _, _ := strings.Cut(strings.Trim(id, "/"), "/")
	if role, _ := to["role"].(string); role != "*" && role != top {
		wrong("/role", "got "+role+", expected one of: [*, "+top+"]")
	}
	all = append(all, d.refusedExternal(id, s)...)
	if len(all) > 0 {
		return http.StatusUnprocessableEntity, notValid, all
	}
	return 0, "", nil
}

func refusedConstraints(v any) (mistakes []string) {
	list, _ := v.([]any)
	for _, c := range list {
		fields, _ := c.([]any)
		if len(fields) < 2 || len(fields) > 3 {
			mistakes = append(mistakes, "Each constraint must have either 2 or 3 fields")
			continue
		}
		operator, _ := fields[1].(string)
		switch {
		case !slices.Contains([]string{"UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "MAX_PER", "UNLIKE", "IS"}, operator):
			mistakes = append(mistakes, "operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER, UNLIKE or IS")
		case strings.HasSuffix(operator, "LIKE") && len(fields) == 2:
			mistakes = append(mistakes, "LIKE and UNLIKE require a non-empty, regular expression value")
		}
	}
	return mistakes
}

// refusedVolumes finds CSI volumes that Marathon cannot read, of most of which it makes
// a status 500.
func refusedVolumes(s *spec) (status int, message string, details any) {
	for i, v := range s.volumes() {
		volume, _ := v.(map[string]any)
		e, _ := volume["external"].(map[string]any)
		if e["provider"] != "csi" {
			continue
		}
		options, _ := e["options"].(map[string]any)
		capability, has := options["capability"].(map[string]any)
		kind, _ := capability["accessType"].(string)
		mode, hasMode := capability["accessMode"].(string)
		_, hasFS := capability["fsType"].(string)
		switch {
		case !has:
			return http.StatusInternalServerError, "Bug. CSIVolumeValidator applied to DVDI external volume", nil
		case !hasMode:
			return http.StatusUnprocessableEntity, invalidJSON,
				detail(fmt.Sprintf("/container/volumes(%d)/hostPath", i), "'hostPath' is undefined on object: "+string(must(volume)))
		case kind != "mount" && kind != "block":
			return http.StatusInternalServerError, kind + " (of class java.lang.String)", nil
		case kind == "mount" && !hasFS:
			return http.StatusInternalServerError, "fsType must be specified with mount access type CSI volumes. This is a bug. Validation should have prevented this", nil
		case !strings.HasPrefix(mode, "SINGLE_NODE_") && !strings.HasPrefix(mode, "MULTI_NODE_"):
			return http.StatusInternalServerError, "CSI options.access.mode is invalid. This is a bug. Validation should have prevented this.", nil
		}
	}
	return 0, "", nil
}

// refusedExternal finds what is wrong with an app's external volumes.
func (d *Double) refusedExternal(id string, s *spec) []any {
	var all []any
	names := map[string]int{}
	for i, v := range s.volumes() {
		volume, _ := v.(map[string]any)
		e, ok := volume["external"].(map[string]any)
		if !ok {
			continue
		}
		at := fmt.Sprintf("/container/volumes(%d)", i)
		options, _ := e["options"].(map[string]any)
		name, _ := e["name"].(string)
		names[name]++
		switch e["provider"] {
		case "dvdi":
			if options["dvdi/driver"] == nil {
				all = append(all, detail(at+`/external/options("dvdi/driver")`, "not defined")...)
			}
		case "csi":
			capability, _ := options["capability"].(map[string]any)
			if mode, _ := capability["accessMode"].(string); strings.HasSuffix(mode, "READER_ONLY") && volume["mode"] != "RO" {
				all = append(all, detail(at+"/volume", "CSI volume must be mounted readonly with a read-only access mode")...)
			}
		default:
			all = append(all, detail(at+"/external/provider", "is unknown provider")...)
		}
	}
	for name, n := range names {
		if n > 1 {
			all = append(all, detail("/container/volumes", "Volume names must be unique")...)
			all = append(all, detail("/", fmt.Sprintf("Requested DVDI volume '%s' is declared more than once within app %s", name, id))...)
		}
	}
	if s.external() && s.wanted() > 1 {
		all = append(all, detail("/", "Number of instances is limited to 1 when declaring DVDI volumes in app ["+id+"]")...)
	}
	return all
}

// invalidPod finds what Marathon refuses of a pod.
func invalidPod(raw map[string]any, body []byte) (status int, message string, details any) {
	containers, has := raw["containers"].([]any)
	if !has {
		var compact any
		_ = json.Unmarshal(body, &compact)
		return http.StatusUnprocessableEntity, invalidJSON, detail("/containers", "'containers' is undefined on object: "+string(must(compact)))
	}
	var names []string
	for i, c := range containers {
		container, isObject := c.(map[string]any)
		if !isObject {
			return http.StatusUnprocessableEntity, invalidJSON, detail(fmt.Sprintf("/containers(%d)", i), "error.expected.jsobject")
		}
		name, _ := container["name"].(string)
		if slices.Contains(names, name) {
			return http.StatusUnprocessableEntity, notValid, detail("/containers", "container names must be unique")
		}
		names = append(names, name)
	}
	if scaling, ok := raw["scaling"].(map[string]any); ok && numberOf(scaling, "instances") < 0 {
		return http.StatusUnprocessableEntity, notValid, detail("/scaling/instances", fmt.Sprintf("got %v, expected 0 or more", numberOf(scaling, "instances")))
	}
	return 0, "", nil
}
