package double_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/marathon/recording"
)

// compare compares two bodies: the same keys, kinds and values, but for ids, times, hosts
// and what the real one has from where it ran.
func (r *replay) compare(want, got string) []string {
	var a, b any
	if json.Unmarshal([]byte(want), &a) != nil || json.Unmarshal([]byte(got), &b) != nil {
		if plain(want) != plain(got) {
			return []string{fmt.Sprintf("got %q, want %q", got, want)}
		}
		return nil
	}
	return differences("", r.sorted(a), r.sorted(b))
}

// plain leaves the stack of a Java program out.
func plain(text string) string {
	before, _, _ := strings.Cut(text, "</pre></p>")
	return strings.ReplaceAll(before, "\r", "")
}

// sorted puts lists whose order means nothing into one.
func (r *replay) sorted(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = r.sorted(value)
			if list, ok := v[key].([]any); ok && slices.Contains([]string{"versions", "tasks", "apps", "*", "instances", "affectedApps", "deployments", "containers"}, key) {
				slices.SortFunc(list, func(a, b any) int { return strings.Compare(order(a), order(b)) })
			}
		}
	case []any:
		for i := range v {
			v[i] = r.sorted(v[i])
		}
	}
	return v
}

// order is by what elements of a list are put into order.
func order(v any) string {
	m, _ := v.(map[string]any)
	return fmt.Sprint(m["id"] != nil, m["appId"], instanceOf.ReplaceAllString(fmt.Sprint(m["id"]), "instance"), m["host"], m["state"], m["name"])
}

// open are keys whose values differ from run to run.
var open = regexp.MustCompile(`(^|\.)(id|version|versions.*|deploymentId|slaveId|agentId|host|agentHostname|stagedAt|startedAt|ports.*|ipAddress|lastScalingAt|lastConfigChangeAt|` +
	`timestamp|taskId|instanceId|leader|frameworkId|since|activeSince|statusSince|lastUpdated|lastChanged|containerId|specReference|addresses.*|name|version|hostname|` +
	`runSpecVersion|averageSeconds|medianSeconds|remoteAddress|clientIp|http_port|https_port|zk|master|mesos_leader_ui_url|timeLeftSeconds|overdue|processed|declined|` +
	`processedOffersCount|unusedOffersCount|message|cpus|firstSuccess|lastSuccess|lastFailure|consecutiveFailures|servicePorts.*|queue|condition)$`)

// version is the form of versions, which lists have without a key.
var version = regexp.MustCompile(`^\d{4}-\d\d-\d\dT[\d:.]+Z$`)

// absent are keys that are not always there: what they tell depends on offers.
var absent = []string{"lastUsedOfferAt", "lastUnusedOfferAt", "http_config", "details"}

func differences(at string, want, got any) []string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: got %v, want an object %v", at, got, want)}
		}
		var all []string
		for _, key := range slices.Sorted(maps.Keys(w)) {
			if _, has := g[key]; !has {
				if !slices.Contains(absent, key) {
					all = append(all, fmt.Sprintf("%s.%s is missing, want %v", at, key, w[key]))
				}
				continue
			}
			if !slices.Contains(absent, key) {
				all = append(all, differences(at+"."+key, w[key], g[key])...)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(g)) {
			if _, has := w[key]; !has && !slices.Contains(absent, key) {
				all = append(all, fmt.Sprintf("%s.%s is too much: %v", at, key, g[key]))
			}
		}
		return all
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			if ok && open.MatchString(at) {
				return nil
			}
			return []string{fmt.Sprintf("%s: got %v, want %v", at, got, want)}
		}
		var all []string
		for i := range w {
			all = append(all, differences(at, w[i], g[i])...)
		}
		return all
	}
	if a, ok := want.(string); ok {
		if b, ok := got.(string); ok && version.MatchString(a) && version.MatchString(b) {
			return nil
		}
	}
	if open.MatchString(at) {
		if reflect.TypeOf(want) != reflect.TypeOf(got) {
			return []string{fmt.Sprintf("%s: got %v, want a value such as %v", at, got, want)}
		}
		return nil
	}
	if !reflect.DeepEqual(want, got) {
		return []string{fmt.Sprintf("%s: got %v, want %v", at, got, want)}
	}
	return nil
}

// threads puts events into the threads whose order means something: those of a deployment and
// of an instance, in the order in which the threads begin; and counts all others.
func threads(events []recording.Event) (sequences map[string][]string, counts map[string]int) {
	sequences, counts = map[string][]string{}, map[string]int{}
	name := map[string]string{}
	begun := map[string]int{}
	thread := func(kind, id string) string {
		if name[id] == "" {
			begun[kind]++
			name[id] = fmt.Sprintf("%s #%d", kind, begun[kind])
		}
		return name[id]
	}
	for _, ev := range events {
		text := func(key string) string { s, _ := ev.Data[key].(string); return s }
		switch ev.Type {
		case "event_stream_attached", "event_stream_detached", "instance_health_changed_event", "failed_health_check_event", "health_status_changed_event":
		case "deployment_info", "deployment_step_success", "deployment_success", "deployment_failed":
			plan, _ := ev.Data["plan"].(map[string]any)
			id, _ := plan["id"].(string)
			sortActions(plan["steps"])
			sortActions([]any{ev.Data["currentStep"]})
			steps, _ := json.Marshal([]any{plan["steps"], ev.Data["currentStep"], ev.Data["reason"]})
			sequences[thread("deployment "+string(mustJSON(plan["steps"])), id)] = append(sequences[thread("", id)], ev.Type+" "+string(steps))
		case "status_update_event", "instance_changed_event", "unknown_instance_terminated_event":
			id := text("instanceId")
			task := text("taskId")
			if strings.HasPrefix(text("appId"), "/n/") { // of before the story
				continue
			}
			if id == "" {
				id = instanceOf.FindString(task)
			}
			app := text("runSpecId") + text("appId")
			sequences[thread("instance of "+app, id)] = append(sequences[thread("", id)],
				fmt.Sprintf("%s %s%s %s %s", ev.Type, text("condition"), text("taskStatus"), strings.TrimPrefix(task, id), text("message")))
		default:
			counts[fmt.Sprint(ev.Type, " ", text("groupId"), text("appId"), text("runSpecId"), text("uri"), text("reason"))]++
		}
	}
	return sequences, counts
}

// sortActions puts the actions of each step into one order: in a step it means nothing.
func sortActions(steps any) {
	list, _ := steps.([]any)
	for _, s := range list {
		step, _ := s.(map[string]any)
		actions, _ := step["actions"].([]any)
		slices.SortFunc(actions, func(a, b any) int { return strings.Compare(string(mustJSON(a)), string(mustJSON(b))) })
	}
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// fields are the fields of an event with their kinds.
func fields(ev recording.Event) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(ev.Data)) {
		kind := fmt.Sprintf("%T", ev.Data[key])
		if ev.Data[key] == nil || key == "agentId" || key == "host" || key == "healthy" {
			kind = "*"
		}
		all = append(all, key+" "+kind)
	}
	return strings.Join(all, ", ")
}

func compareEvents(t *testing.T, want, got []recording.Event) {
	t.Helper()
	kinds := map[string]string{}
	for _, ev := range want {
		kinds[ev.Type] = fields(ev)
	}
	for _, ev := range got {
		if kind, known := kinds[ev.Type]; known && kind != fields(ev) {
			t.Errorf("%s has %s, want %s", ev.Type, fields(ev), kind)
			delete(kinds, ev.Type)
		} else if _, was := kinds[ev.Type]; !known && !was && ev.Type != "event_stream_detached" && ev.Type != "event_stream_attached" {
			t.Errorf("%s was never told: %s", ev.Type, ev.Raw)
			kinds[ev.Type] = fields(ev)
		}
	}
	wantThreads, wantCounts := threads(want)
	gotThreads, gotCounts := threads(got)
	for _, name := range slices.Sorted(maps.Keys(wantThreads)) {
		if begin := wantThreads[name][0]; strings.HasPrefix(begin, "deployment_step_success") { // it had begun before the stream
			continue
		}
		if !slices.Equal(wantThreads[name], gotThreads[name]) {
			t.Errorf("%s: got\n\t%s\nwant\n\t%s", name, strings.Join(gotThreads[name], "\n\t"), strings.Join(wantThreads[name], "\n\t"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(gotThreads)) {
		if wantThreads[name] == nil {
			t.Errorf("%s is too much: %q", name, gotThreads[name])
		}
	}
	if !maps.Equal(wantCounts, gotCounts) {
		for _, name := range slices.Sorted(maps.Keys(wantCounts)) {
			if wantCounts[name] != gotCounts[name] {
				t.Errorf("%q came %d times, want %d", name, gotCounts[name], wantCounts[name])
			}
		}
		for _, name := range slices.Sorted(maps.Keys(gotCounts)) {
			if wantCounts[name] == 0 {
				t.Errorf("%q is too much", name)
			}
		}
	}
}
