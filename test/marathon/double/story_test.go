package double_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/marathon/double"
	"github.com/flocker-mesos/flocker/test/marathon/recording"
)

// replay plays a story against a double: the requests as they were sent, and what Mesos did
// (offers, and the states of tasks) as the recorded events tell it. What the double answers
// and tells of itself is compared with what the real one did.
type replay struct {
	t     *testing.T
	d     *double.Double
	story *recording.Story
	http  *http.Client

	instances map[string]string // the double's, by the recorded ones
	given     map[string]bool   // instances of the double that have a recorded one
	versions  map[string]string // the double's, by the recorded ones
	pending   string            // of the recorded stream
	deployed  map[string]bool
	leader    int
	answered  map[string]bool // deployments that recorded answers name
	unsettled time.Time       // when something was changed last, in a story without events
	changed   map[string]bool // paths
	streamed  bool
}

func newReplay(t *testing.T, name string, opts double.Options) *replay {
	t.Helper()
	opts.Offers, opts.Hosts = true, []string{"node1", "node2"}
	if opts.Heartbeat == 0 {
		opts.Heartbeat = time.Hour
	}
	r := &replay{
		t: t, d: double.Start(t, opts), story: recording.Read(t, name), instances: map[string]string{}, given: map[string]bool{}, versions: map[string]string{},
		deployed: map[string]bool{},
	}
	r.http = &http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(r.http.CloseIdleConnections)
	r.answered, r.changed = map[string]bool{}, map[string]bool{}
	for i := range r.story.Lines {
		l := &r.story.Lines[i]
		r.streamed = r.streamed || l.Chunk != ""
		if l.Exchange() {
			var a struct{ DeploymentID string }
			_ = json.Unmarshal([]byte(l.Response.Text()), &a)
			r.answered[a.DeploymentID], r.answered[l.Response.Header("Marathon-Deployment-Id")] = true, true
		}
	}
	r.prepare()
	return r
}

// all returns the events of the first stream.
func (r *replay) all() []recording.Event {
	streams := r.story.Streams()
	if len(streams) == 0 {
		return nil
	}
	events, err := recording.Events(strings.Join(r.story.Chunks(streams[0]), ""))
	if err != nil {
		r.t.Fatal(err)
	}
	return events
}

// do has the leader answer, whatever the credentials.
func (r *replay) do(method, path string, body any) {
	r.t.Helper()
	if status, answer := r.d.Do(method, path, body); status >= 300 {
		r.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
}

// prepare makes what there was before the story: what the first list of apps and pods has,
// and nothing in the story has made.
func (r *replay) prepare() {
	made := map[string]bool{}
	for _, ev := range r.all() {
		if plan, ok := ev.Data["plan"].(map[string]any); ok {
			for id := range regexpAll(started, string(mustJSON(plan))) {
				made[id] = true
			}
		}
	}
	type running struct {
		id, host string
	}
	var tasks []running
	put := func(kind string, definition map[string]any, of []any, host string) {
		id, _ := definition["id"].(string)
		if made[id] {
			return
		}
		made[id] = true
		for _, key := range []string{"version", "versionInfo", "tasks", "deployments", "tasksRunning", "tasksStaged", "tasksHealthy", "tasksUnhealthy", "lastTaskFailure"} {
			delete(definition, key)
		}
		if kind == "apps" {
			r.do(http.MethodPut, "/v2/apps"+id, definition)
		} else {
			r.do(http.MethodPost, "/v2/pods", definition)
		}
		for _, t := range of {
			task, _ := t.(map[string]any)
			text, _ := task["id"].(string)
			at, _ := task[host].(string)
			r.match(instanceOf.FindString(text), id)
			tasks = append(tasks, running{instanceOf.FindString(text), at})
		}
	}
	lines := slices.Clone(r.story.Lines)
	slices.SortStableFunc(lines, func(a, b recording.Line) int { // lists with tasks first: these tell which instances there are
		with := func(l recording.Line) int {
			if l.Exchange() && l.Request.Method == http.MethodGet && !strings.Contains(l.Request.Path, "tasks") {
				return 1
			}
			return 0
		}
		return with(a) - with(b)
	})
	for i := range lines {
		l := &lines[i]
		if !l.Exchange() || l.Response.Status != 200 && l.Response.Status != 201 {
			continue
		}
		if l.Request.Method != http.MethodGet {
			var body struct{ ID string }
			_ = json.Unmarshal([]byte(l.Request.Body), &body)
			made[body.ID], made[strings.TrimPrefix(l.Request.Path, "/v2/apps/")] = true, true
			continue
		}
		var apps struct{ Apps []map[string]any }
		var pods []struct {
			Spec      map[string]any
			Instances []any
		}
		if strings.HasPrefix(l.Request.Path, "/v2/apps?") || l.Request.Path == "/v2/apps" {
			_ = json.Unmarshal([]byte(l.Response.Text()), &apps)
		}
		if l.Request.Path == "/v2/pods/::status" {
			_ = json.Unmarshal([]byte(l.Response.Text()), &pods)
		}
		for _, a := range apps.Apps {
			of, _ := a["tasks"].([]any)
			put("apps", a, of, "host")
		}
		for _, p := range pods {
			put("pods", p.Spec, p.Instances, "agentHostname")
		}
	}
	for _, task := range tasks {
		own := r.instances[task.id]
		r.d.Offer(own, task.host)
		for _, t := range r.d.Given(own) {
			r.d.Update(t, "TASK_RUNNING")
		}
	}
	r.d.Settle("node2")
}

// started finds the apps and pods that a plan starts.
var started = regexp.MustCompile(`"action":"Start[A-Za-z]+","(?:app|pod)":"([^"]+)"`)

func regexpAll(re *regexp.Regexp, text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		all[m[1]] = true
	}
	return all
}

// unrecorded makes a change in the double of which the story has the events alone.
func (r *replay) unrecorded(ev recording.Event) {
	plan, _ := ev.Data["plan"].(map[string]any)
	id, _ := plan["id"].(string)
	if ev.Type != "deployment_info" || r.answered[id] {
		return
	}
	r.answered[id] = true
	for _, other := range r.all() {
		definition, ok := other.Data["appDefinition"].(map[string]any)
		if !ok || definition["version"] != plan["version"] {
			continue
		}
		version, _ := plan["version"].(string)
		delete(definition, "version")
		delete(definition, "versionInfo")
		uri, _ := other.Data["uri"].(string)
		_, answer := r.d.Do(http.MethodPut, uri, definition)
		r.learn(fmt.Sprintf(`{"version":%q}`, version), answer)
	}
}

// instanceOf is the part of an instance's or a task's id that names the instance.
var instanceOf = regexp.MustCompile(`[a-z0-9_.-]+\.instance-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// here replaces recorded ids in a text by the double's.
func (r *replay) here(text string) string {
	text = instanceOf.ReplaceAllStringFunc(text, func(id string) string {
		if own := r.instances[id]; own != "" {
			return own
		}
		return id
	})
	for recorded, own := range r.versions {
		text = strings.ReplaceAll(text, recorded, own)
	}
	return text
}

// send sends a request, and returns the answer.
func (r *replay) send(q *recording.Request) (*http.Response, string) {
	r.t.Helper()
	at := r.d.URLs()[r.leader]
	if len(r.d.URLs()) > 1 && (strings.HasSuffix(q.To, ":18082") || q.To == "" && r.story.Name == "rest-06-not-the-leader") {
		at = r.d.URLs()[1]
	}
	req, err := http.NewRequest(q.Method, at, strings.NewReader(r.here(q.Body)))
	if err != nil {
		r.t.Fatal(err)
	}
	path, query, _ := strings.Cut(r.here(q.Path), "?")
	req.URL = &url.URL{Scheme: "http", Host: strings.TrimPrefix(at, "http://"), Opaque: "//" + strings.TrimPrefix(at, "http://") + path, RawQuery: query}
	for _, h := range q.Headers {
		value := strings.ReplaceAll(h[1], "10.78.0.1:18082", strings.TrimPrefix(r.d.URLs()[len(r.d.URLs())-1], "http://"))
		req.Header.Add(h[0], value)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", q.Method, q.Path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, string(body)
}

// headers are those that matter.
var headers = []string{"Content-Type", "Location", "WWW-Authenticate", "X-Marathon-Via", "Marathon-Deployment-Id"}

// exchange plays one exchange.
func (r *replay) exchange(l *recording.Line) {
	r.t.Helper()
	want := l.Response
	name := fmt.Sprintf("%s %s %s", l.At.Format("04:05.000"), l.Request.Method, l.Request.Path)
	resp, body := r.send(l.Request)
	if resp.StatusCode != want.Status {
		r.t.Errorf("%s: got %d %s, want %d %s", name, resp.StatusCode, body, want.Status, want.Text())
		return
	}
	for _, h := range headers {
		if a, b := resp.Header.Get(h), want.Header(h); (a == "") != (b == "") || h == "Content-Type" && a != b && want.Body != nil && body != "" || h == "WWW-Authenticate" && a != b {
			r.t.Errorf("%s: header %s: got %q, want %q", name, h, a, b)
		} else if h == "Location" && path(a) != path(b) && l.Request.Method != http.MethodDelete {
			r.t.Errorf("%s: Location: got %q, want %q", name, a, b)
		}
	}
	if want.Body == nil || l.Request.Method == http.MethodHead {
		return
	}
	r.learn(want.Text(), body)
	for _, difference := range r.compare(want.Text(), body) {
		r.t.Errorf("%s: %s", name, difference)
	}
}

func path(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return location
	}
	return u.Path
}

// learn notes the double's version for a recorded one.
func (r *replay) learn(want, got string) {
	var a, b struct{ Version string }
	if json.Unmarshal([]byte(want), &a) == nil && json.Unmarshal([]byte(got), &b) == nil && a.Version != "" && b.Version != "" {
		r.versions[a.Version] = b.Version
	}
}

// happen has Mesos do in the double what a recorded event tells.
func (r *replay) happen(ev recording.Event) {
	text := func(key string) string { s, _ := ev.Data[key].(string); return s }
	switch ev.Type {
	case "instance_changed_event":
		id := text("instanceId")
		switch text("condition") {
		case "Scheduled":
			r.match(id, text("runSpecId"))
		case "Provisioned":
			r.match(id, text("runSpecId"))
			r.d.Offer(r.instances[id], text("host"))
		}
	case "status_update_event":
		id := instanceOf.FindString(text("taskId"))
		r.match(id, text("appId"))
		r.d.UpdateWith(r.here(text("taskId")), text("taskStatus"), text("message"))
	case "failed_health_check_event":
		r.d.Health(r.instances[text("taskId")], false)
	case "health_status_changed_event":
		if alive, _ := ev.Data["alive"].(bool); alive {
			r.d.Health(r.instances[text("instanceId")], true)
		}
	case "unknown_instance_terminated_event":
		own := r.instances[text("instanceId")]
		if own == "" {
			return
		}
		for _, task := range r.d.Given(own) {
			r.d.UpdateWith(task, "TASK_"+strings.ToUpper(text("condition")), "")
			return
		}
	}
}

// match finds the double's instance that is a recorded one: the first that is no other's.
func (r *replay) match(id, app string) {
	if r.instances[id] != "" {
		return
	}
	for _, own := range r.d.Instances(app) {
		if !r.given[own] {
			r.instances[id], r.given[own] = own, true
			return
		}
	}
}

// late are requests that the real one came to only after it had told of some events more.
var late = map[string]int{
	"events-06-pods DELETE /v2/pods//t/pod::instances?wipe=true": 3,
	"events-06-pods DELETE /v2/pods//t/pod":                      3,
}

// between are answers that were made while the events of one moment were being told.
var between = map[string]bool{"events-08-an-agent-is-lost-and-comes-back 06:35.299": true}

// play plays the whole story, and returns the recorded events and the double's.
func (r *replay) play() (want, got []recording.Event) {
	r.t.Helper()
	var own *listener
	first, after := "", 0
	var deferred *recording.Line
	killed := false
	for i := range r.story.Lines {
		l := &r.story.Lines[i]
		switch {
		case strings.HasPrefix(l.Note, "kill -9 of the leader"):
			r.d.KillLeader()
			killed = true
			fallthrough
		case l.Exchange():
			if l.Request == nil {
				continue
			}
			if strings.HasPrefix(l.Response.Text(), `{"leader":"10.78.0.1:18082"`) {
				if r.leader == 0 {
					r.d.SetLeader(1)
				}
				r.leader = 1
			}
			if !r.streamed {
				changes := l.Request.Method != http.MethodGet && l.Response.Status < 300
				if changes && r.changed[l.Request.Path] || !changes && l.Response.Status < 300 && l.At.Sub(r.unsettled) > time.Second {
					r.d.Settle("node2")
				}
				if changes {
					r.unsettled, r.changed[l.Request.Path] = l.At, true
				}
			}
			if n := late[r.story.Name+" "+l.Request.Method+" "+l.Request.Path]; n > 0 {
				deferred, after = l, n
				continue
			}
			if between[r.story.Name+" "+l.At.Format("04:05.000")] {
				continue
			}
			r.exchange(l)
		case l.Request != nil && l.Stream != "" && (own == nil || killed):
			if own != nil {
				got = own.events(r.t)
			}
			killed = false
			own, first = r.listen(r.d.URLs()[r.leader], l.Request), l.Stream
		case l.Chunk != "" && l.Stream == first:
			r.pending += l.Chunk
			end := strings.LastIndex(r.pending, "\r\n\r\n")
			if end < 0 {
				continue
			}
			events, err := recording.Events(r.pending[:end+4])
			if err != nil {
				r.t.Fatal(err)
			}
			r.pending = r.pending[end+4:]
			for _, ev := range events {
				want = append(want, ev)
				r.unrecorded(ev)
				r.happen(ev)
				if after--; after == 0 {
					r.exchange(deferred)
				}
			}
		}
	}
	if own == nil {
		return want, nil
	}
	r.d.Tell("status_update_event", map[string]any{"end": true})
	for deadline := time.After(10 * time.Second); ; {
		told := own.events(r.t)
		if n := len(told); n > 0 && told[n-1].Data["end"] == true {
			return want, append(got, told[:n-1]...)
		}
		select {
		case <-deadline:
			r.t.Fatalf("the stream does not end: %d events", len(told))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestTheDoubleIsAsTheRecordedMarathon(t *testing.T) {
	only := os.Getenv("STORY")
	for _, name := range recording.Names(t) {
		if only != "" && !strings.Contains(name, only) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			opts := double.Options{}
			switch name {
			case "rest-06-not-the-leader", "events-12-the-leader-dies":
				opts.Marathons = 2
			case "rest-07-credentials":
				opts.User, opts.Password = "joe", "s3cret"
			case "events-11-a-slow-reader":
				t.Skip("its own test plays it")
			}
			r := newReplay(t, name, opts)
			want, got := r.play()
			if len(want) > 0 {
				compareEvents(t, want, got)
			}
		})
	}
}
