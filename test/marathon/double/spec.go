package double

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// spec is one version of an app or a pod.
type spec struct {
	raw       map[string]any // as Marathon shows it, without its version
	version   string
	scalingAt string // version of the last change of the number of instances
	configAt  string // version of the last change of anything else
}

// wanted returns how many instances there are to be.
func (s *spec) wanted() int {
	if scaling, ok := s.raw["scaling"].(map[string]any); ok {
		return intOf(scaling, "instances", 1)
	}
	return intOf(s.raw, "instances", 1)
}

// scaled returns the definition with another number of instances.
func (s *spec) scaled(n int) map[string]any {
	raw := maps.Clone(s.raw)
	if scaling, ok := raw["scaling"].(map[string]any); ok {
		scaling = maps.Clone(scaling)
		scaling["instances"] = float64(n)
		raw["scaling"] = scaling
		return raw
	}
	raw["instances"] = float64(n)
	return raw
}

// shown is the definition as Marathon shows it.
func (s *spec) shown(pod bool) map[string]any {
	out := maps.Clone(s.raw)
	out["version"] = s.version
	if !pod {
		out["versionInfo"] = map[string]any{"lastScalingAt": s.scalingAt, "lastConfigChangeAt": s.configAt}
	}
	return out
}

// sameConfig reports whether two definitions differ in the number of instances at most.
func sameConfig(a, b map[string]any) bool {
	strip := func(m map[string]any) map[string]any {
		m = maps.Clone(m)
		delete(m, "instances")
		delete(m, "scaling")
		return m
	}
	var x, y any
	_ = json.Unmarshal(must(strip(a)), &x)
	_ = json.Unmarshal(must(strip(b)), &y)
	return reflect.DeepEqual(x, y)
}

// kept are the settings of an app that Marathon knows and shows if they are given.
var kept = []string{
	"acceptedResourceRoles", "args", "cmd", "constraints", "container", "dependencies", "env", "executor", "fetch", "healthChecks", "readinessChecks",
	"residency", "secrets", "taskKillGracePeriodSeconds", "tty", "user", "check", "role",
}

func given(raw map[string]any, name string, otherwise any) any {
	if v, ok := raw[name]; ok && v != nil {
		return v
	}
	return otherwise
}

// defaults fills an object with what it does not say.
func defaults(v any, otherwise map[string]any) map[string]any {
	out := maps.Clone(otherwise)
	given, _ := v.(map[string]any)
	for key, value := range given {
		if value != nil {
			out[key] = value
		}
	}
	return out
}

// canonicalApp returns an app with Marathon's defaults.
func canonicalApp(id string, raw map[string]any) map[string]any {
	out := map[string]any{
		"id": id, "backoffFactor": 1.15, "backoffSeconds": 1, "cpus": 1, "disk": 0, "executor": "", "instances": 1, "labels": map[string]any{},
		"maxLaunchDelaySeconds": 300, "mem": 128, "gpus": 0, "networks": []any{map[string]any{"mode": "host"}}, "requirePorts": false,
		"killSelection": "YOUNGEST_FIRST", "role": "*",
	}
	for key := range out {
		if key != "id" {
			out[key] = given(raw, key, out[key])
		}
	}
	for _, key := range kept {
		v := given(raw, key, nil)
		if empty(v) {
			continue
		}
		out[key] = v
	}
	if c, ok := out["container"].(map[string]any); ok {
		out["container"] = canonicalContainer(c)
	}
	if checks, ok := out["healthChecks"].([]any); ok {
		all := make([]any, len(checks))
		for i, c := range checks {
			all[i] = defaults(c, map[string]any{
				"gracePeriodSeconds": 300, "intervalSeconds": 60, "maxConsecutiveFailures": 3, "timeoutSeconds": 20, "delaySeconds": 15, "ipProtocol": "IPv4",
			})
		}
		out["healthChecks"] = all
	}
	if fetch, ok := out["fetch"].([]any); ok {
		all := make([]any, len(fetch))
		for i, f := range fetch {
			all[i] = defaults(f, map[string]any{"cache": false, "executable": false, "extract": true})
		}
		out["fetch"] = all
	}
	a := &app{spec: spec{raw: out}}
	upgrade, unreachable := map[string]any{"minimumHealthCapacity": 1, "maximumOverCapacity": 1}, any(map[string]any{"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0})
	if a.external() || a.resident() {
		upgrade = map[string]any{"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}
	}
	if a.resident() {
		unreachable = "disabled"
	}
	out["upgradeStrategy"] = defaults(raw["upgradeStrategy"], upgrade)
	out["unreachableStrategy"] = unreachableOf(raw["unreachableStrategy"], unreachable)
	ports := []any{map[string]any{"port": float64(0), "name": "default", "protocol": "tcp"}}
	if list, ok := raw["portDefinitions"].([]any); ok {
		ports = nil
		for _, p := range list {
			ports = append(ports, defaults(p, map[string]any{"port": float64(0), "protocol": "tcp"}))
		}
	}
	out["portDefinitions"] = append([]any{}, ports...)
	return out
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	default:
		return false
	}
}

// unreachableOf reads an unreachableStrategy: a word other than "disabled" is the default.
func unreachableOf(v, otherwise any) any {
	switch v := v.(type) {
	case string:
		if strings.EqualFold(v, "disabled") {
			return "disabled"
		}
	case map[string]any:
		return defaults(v, map[string]any{"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0})
	}
	return otherwise
}

func canonicalContainer(c map[string]any) map[string]any {
	out := maps.Clone(c)
	kind, _ := out["type"].(string)
	out["type"] = strings.ToUpper(kind)
	if kind == "" {
		out["type"] = "DOCKER"
	}
	if docker, ok := out["docker"].(map[string]any); ok {
		out["docker"] = defaults(docker, map[string]any{"forcePullImage": false, "parameters": []any{}, "privileged": false})
	}
	volumes, _ := out["volumes"].([]any)
	all := []any{}
	for _, v := range volumes {
		volume, _ := v.(map[string]any)
		volume = maps.Clone(volume)
		if e, ok := volume["external"].(map[string]any); ok && e["provider"] == "dvdi" {
			volume["external"] = defaults(e, map[string]any{"shared": false})
		}
		all = append(all, volume)
	}
	out["volumes"] = all
	return out
}

// canonicalPod returns a pod with Marathon's defaults.
func canonicalPod(id string, raw map[string]any) map[string]any {
	scheduling, _ := raw["scheduling"].(map[string]any)
	out := map[string]any{
		"id": id, "role": given(raw, "role", "*"),
		"scaling": defaults(raw["scaling"], map[string]any{"kind": "fixed", "instances": 1}),
		"scheduling": map[string]any{
			"backoff":             defaults(scheduling["backoff"], map[string]any{"backoff": 1, "backoffFactor": 1.15, "maxLaunchDelay": 300}),
			"upgrade":             defaults(scheduling["upgrade"], map[string]any{"minimumHealthCapacity": 1, "maximumOverCapacity": 1}),
			"placement":           defaults(scheduling["placement"], map[string]any{}),
			"killSelection":       given(scheduling, "killSelection", "YOUNGEST_FIRST"),
			"unreachableStrategy": unreachableOf(scheduling["unreachableStrategy"], map[string]any{"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0}),
		},
		"executorResources": defaults(raw["executorResources"], map[string]any{"cpus": 0.1, "mem": 32, "disk": 10}),
	}
	for _, key := range []string{"labels", "environment", "user", "volumes", "networks", "secrets"} {
		if v := given(raw, key, nil); !empty(v) {
			out[key] = v
		}
	}
	containers, _ := raw["containers"].([]any)
	all := []any{}
	for _, c := range containers {
		container, _ := c.(map[string]any)
		container = maps.Clone(container)
		container["resources"] = defaults(container["resources"], map[string]any{"cpus": 0.1, "mem": 32, "disk": 0, "gpus": 0})
		for _, key := range []string{"labels", "environment", "endpoints", "volumeMounts"} {
			if empty(container[key]) {
				delete(container, key)
			}
		}
		all = append(all, container)
	}
	out["containers"] = all
	return out
}

// containers returns the names of a pod's containers.
func (s *spec) containers() []string {
	var names []string
	list, _ := s.raw["containers"].([]any)
	for _, c := range list {
		container, _ := c.(map[string]any)
		name, _ := container["name"].(string)
		names = append(names, name)
	}
	return names
}

// external reports whether an app has an external volume.
func (s *spec) external() bool { return s.hasVolume("external") }

// resident reports whether an app has a volume on its machine's disk.
func (s *spec) resident() bool { return s.hasVolume("persistent") }

func (s *spec) volumes() []any {
	container, _ := s.raw["container"].(map[string]any)
	volumes, _ := container["volumes"].([]any)
	return volumes
}

func (s *spec) hasVolume(kind string) bool {
	return slices.ContainsFunc(s.volumes(), func(v any) bool {
		m, _ := v.(map[string]any)
		return m[kind] != nil
	})
}

// unreachable returns when a task on a silent machine is replaced and forgotten;
// never where it is disabled.
func (s *spec) unreachable() (inactive, expunge float64, never bool) {
	raw := s.raw["unreachableStrategy"]
	if scheduling, ok := s.raw["scheduling"].(map[string]any); ok {
		raw = scheduling["unreachableStrategy"]
	}
	strategy, enabled := raw.(map[string]any)
	if !enabled {
		return 0, 0, raw == "disabled"
	}
	return numberOf(strategy, "inactiveAfterSeconds"), numberOf(strategy, "expungeAfterSeconds"), false
}

func numberOf(raw map[string]any, key string) float64 {
	switch v := raw[key].(type) {
	case float64:
		return v
	case int:
		return float64(v)
	default:
		return 0
	}
}

// intOf reads a whole number of a definition.
func intOf(raw map[string]any, key string, otherwise int) int {
	switch v := raw[key].(type) {
	case float64:
		return int(v)
	case int:
		return v
	default:
		return otherwise
	}
}
