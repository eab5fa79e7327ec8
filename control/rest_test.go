package control_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control"
)

// caller makes raw requests as a user.
type caller struct {
	*world
	http *http.Client
}

func (w *world) raw() *caller {
	w.Helper()
	return w.rawAs("user-alice")
}

// rawAs is raw for a certificate of a common name.
func (w *world) rawAs(cn string) *caller {
	w.Helper()
	t := &http.Transport{TLSClientConfig: w.ca.client(cn), ForceAttemptHTTP2: true}
	w.Cleanup(t.CloseIdleConnections)
	return &caller{w, &http.Client{Transport: t}}
}

// open makes a request whose answer may have no end.
func (c *caller) open(path string) *http.Response {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), http.MethodGet, "https://"+c.cfg.Listen+path, http.NoBody)
	if err != nil {
		c.Fatal(err)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		c.Fatalf("%s: %v", path, err)
	}
	c.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// do makes a request and returns the answer with its body read.
func (c *caller) do(method, path, body string, header ...string) (*http.Response, string) {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), method, "https://"+c.cfg.Listen+path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := c.http.Do(r)
	if err != nil {
		c.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Fatalf("%s %s: %v", method, path, err)
	}
	c.described(method, path, resp, text)
	return resp, string(text)
}

// described holds an answer against the API's document.
func (c *caller) described(method, path string, resp *http.Response, text []byte) {
	c.Helper()
	if code := resp.Header.Get(api.HeaderError); (resp.StatusCode >= 400) != (code != "") {
		c.Errorf("%s %s: got status %d and %s %q, want the code of a failure", method, path, resp.StatusCode, api.HeaderError, code)
	}
	if method == http.MethodHead {
		return
	}
	path, _, _ = strings.Cut(path, "?")
	op := operationOf(c, method, path)
	if op == nil {
		return
	}
	if err := op.CheckAnswer(resp.StatusCode, resp.Header.Get("Content-Type"), text); err != nil {
		c.Errorf("%s %s: %v\n%s", method, path, err, text)
	}
}

// want makes a request and checks status and body; * in the body stands for
// anything.
func (c *caller) want(method, path, body string, status int, answer string, header ...string) *http.Response {
	c.Helper()
	resp, text := c.do(method, path, body, header...)
	if resp.StatusCode != status || !matches(text, answer) {
		c.Errorf("%s %s %.100s:\ngot  %d %s\nwant %d %s", method, path, body, resp.StatusCode, text, status, answer)
	}
	if got := resp.Header.Get("Content-Type"); text != "" && got != "application/json" {
		c.Errorf("%s %s: got content type %q", method, path, got)
	}
	return resp
}

func matches(text, pattern string) bool {
	parts := strings.Split(pattern, "*")
	for i, part := range parts {
		at := strings.Index(text, part)
		if at < 0 || i == 0 && at > 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return text == "" || parts[len(parts)-1] == ""
}

const (
	datasets = "/v1/configuration/datasets"
	dataset1 = "aaaaaaaa-0001-4000-8000-000000000001"
)

const (
	notJSON = `{"description":"The request body could not be decoded according to the value of the\nContent-Type header."}`
	// oursMistaken is mistaken on a path that Flocker does not have.
	oursMistaken = `{"code":"invalid",` + mistakenText
	mistaken     = `{` + mistakenText
	mistakenText = `"description":"The provided JSON doesn't match the required schema.","errors":[`
)

func TestDatasetsAreCreatedMovedAndDeletedAsInFlocker(t *testing.T) {
	c := newWorld(t).raw()
	c.want("GET", "/v1/version", "", 200, `{"flocker":"1.2.3"}`)
	c.want("GET", datasets, "", 200, `[]`)

	c.want("POST", datasets, `{"primary": "`+strings.ToUpper(nodeA)+`", "dataset_id": "`+strings.ToUpper(dataset1)+`",
		"maximum_size": 1073741824, "metadata": {"name": "db", "owner": "ops"}, "deleted": false}`, 201,
		`{"dataset_id":"`+dataset1+`","primary":"`+nodeA+`","deleted":false,"metadata":{"name":"db","owner":"ops"},"maximum_size":1073741824}`)
	c.want("POST", datasets, `{"primary": "`+nodeA+`", "maximum_size": null}`, 201,
		`{"dataset_id":"*","primary":"`+nodeA+`","deleted":false,"metadata":{}}`)
	c.want("POST", datasets, `{"primary": "`+nodeB+`", "dataset_id": "`+dataset1+`"}`, 409,
		`{"description":"The provided dataset_id is already in use."}`)
	c.want("POST", datasets, `{"primary": "`+nodeB+`", "metadata": {"name": "db"}}`, 409,
		`{"description":"metadata: the name \"db\" is taken by dataset `+dataset1+`*`)

	path := datasets + "/" + dataset1
	moved := `{"dataset_id":"` + dataset1 + `","primary":"` + nodeB + `","deleted":false,"metadata":{"name":"db","owner":"ops"},"maximum_size":1073741824}`
	c.want("POST", path, `{"primary": "`+nodeB+`"}`, 200, moved)
	c.want("POST", path, `{}`, 200, moved)
	c.want("POST", datasets+"/"+strings.ToUpper(dataset1), `{}`, 404, `{"description":"Dataset not found."}`)
	c.want("POST", datasets+"/whatever", `{}`, 404, `{"description":"Dataset not found."}`)

	deleted := strings.Replace(moved, `"deleted":false`, `"deleted":true`, 1)
	c.want("DELETE", path, "", 200, deleted)
	c.want("DELETE", path, "", 200, deleted)
	c.want("POST", path, `{"primary": "`+nodeB+`"}`, 405, `{"description":"The dataset has been deleted."}`)
	c.want("DELETE", datasets+"/whatever", "", 404, `{"description":"Dataset not found."}`)
	c.want("GET", datasets, "", 200, `[*"dataset_id":"`+dataset1+`"*"deleted":true*]`)
}

func TestBodiesOfWritesAreChecked(t *testing.T) {
	c := newWorld(t).raw()
	primary := `"primary": "` + nodeA + `"`
	for _, tc := range []struct{ name, body, answer string }{
		{"no body", ``, notJSON},
		{"no JSON", `{`, notJSON},
		{"no UTF-8", "{\"primary\": \"\xff\"}", notJSON},
		{"two texts", `{} {}`, notJSON},
		{"an array", `[]`, mistaken + `"[] is not of type 'object'"]}`},
		{"null", `null`, mistaken + `"null is not of type 'object'"]}`},
		{"no primary", `{}`, mistaken + `"'primary' is a required property"]}`},
		{"a primary of null", `{"primary": null}`, mistaken + `"primary: null is not of type 'string'"]}`},
		{"a primary that is no UUID", `{"primary": "x"}`, mistaken + `"primary: \"x\" is not a version 4 UUID"]}`},
		{"a primary of version 1", `{"primary": "4b2f6f0e-5d8f-1a4a-9a52-0d7ad9e0a111"}`, mistaken + `"primary: *is not a version 4 UUID"]}`},
		{"an unknown property", `{` + primary + `, "size": 1}`, mistaken + `"Additional properties are not allowed ('size' was unexpected)"]}`},
		{"deleted", `{` + primary + `, "deleted": true}`, mistaken + `"deleted: true is not false*`},
		{"a size with a point", `{` + primary + `, "maximum_size": 67108864.0}`, mistaken + `"maximum_size: 67108864.0 is not of type 'integer'"]}`},
		{"a size with an exponent", `{` + primary + `, "maximum_size": 1e9}`, mistaken + `"maximum_size: 1e9 is not of type 'integer'"]}`},
		{"a size as text", `{` + primary + `, "maximum_size": "1073741824"}`, mistaken + `"maximum_size: *is not of type 'integer' or 'null'"]}`},
		{"a small size", `{` + primary + `, "maximum_size": 1024}`, mistaken + `"maximum_size: 1024 is less than the minimum*`},
		{"an odd size", `{` + primary + `, "maximum_size": 1000000000}`, mistaken + `"maximum_size: 1000000000 is not a multiple of 1024"]}`},
		{"an enormous size", `{` + primary + `, "maximum_size": 1180591620717411303424}`, mistaken + `"maximum_size: 1180591620717411303424 is out of range"]}`},
		{"metadata of null", `{` + primary + `, "metadata": null}`, mistaken + `"metadata: null is not of type 'object'"]}`},
		{"metadata with a number", `{` + primary + `, "metadata": {"a": 1}}`, mistaken + `"metadata.a: 1 is not of type 'string'"]}`},
		{"metadata with a long key", `{` + primary + `, "metadata": {"` + strings.Repeat("k", 257) + `": ""}}`, mistaken + `"metadata: the key \"kkk*has 257 characters*`},
		{"several mistakes", `{"primary": 1, "maximum_size": 1, "x": 2}`, mistaken + `"Additional*","maximum_size*","primary*"]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &caller{&world{TB: t, cfg: c.cfg}, c.http}
			c.want("POST", datasets, tc.body, 400, tc.answer)
		})
	}
	c.want("POST", datasets+"/"+dataset1, `{"maximum_size": 1073741824}`, 400, mistaken+`"Additional properties*`)
	c.want("POST", datasets, strings.Repeat(" ", 1<<20)+`{}`, 413, `{"description":"the request body is larger than the 1048576 bytes*`)
	c.want("GET", datasets, "", 200, `[]`)
	// Duplicate keys: the last one wins, as in Flocker.
	c.want("POST", datasets, `{"primary": "x", `+primary+`}`, 201, `*`)
}

func TestConditionalWritesHoldForTheConfigurationTheyWereMadeFor(t *testing.T) {
	w := newWorld(t)
	c := w.raw()
	c.want("POST", datasets, `{"primary": "`+nodeA+`", "dataset_id": "`+dataset1+`"}`, 201, `*`)
	tag := c.want("GET", datasets, "", 200, `*`).Header.Get("X-Configuration-Tag")
	if len(tag) != 32 {
		t.Fatalf("got tag %q", tag)
	}
	const field, stale = "X-If-Configuration-Matches", "00000000000000000000000000000000"
	path := datasets + "/" + dataset1
	mismatch := `{"description":"Tag doesn't match. Required: ` + stale + `, current: ` + tag + `"}`
	for _, tc := range []struct{ name, method, path, body string }{
		{"create", "POST", datasets, `{"primary": "` + nodeA + `"}`},
		{"create of what is there", "POST", datasets, `{"primary": "` + nodeA + `", "dataset_id": "` + dataset1 + `"}`},
		{"create with a bad body", "POST", datasets, `{`},
		{"move", "POST", path, `{"primary": "` + nodeB + `"}`},
		{"move of nothing", "POST", datasets + "/nothing", `{}`},
		{"delete", "DELETE", path, ``},
		{"delete of nothing", "DELETE", datasets + "/nothing", ``},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &caller{&world{TB: t, cfg: c.cfg}, c.http}
			c.want(tc.method, tc.path, tc.body, 412, mismatch, field, stale)
		})
	}
	c.want("POST", datasets, `{"primary": "`+nodeA+`"}`, 412, `*`, field, strings.ToUpper(tag))

	// What agents do is no change of the configuration.
	s, _ := w.connect(nodeB)
	if _, err := s.Claim(t.Context(), api.ClaimRequest{ID: dataset1}); api.CodeOf(err) != api.CodeForbidden {
		t.Fatalf("got %v for the claim of another owner's dataset, want %s", err, api.CodeForbidden)
	}
	c.want("POST", "/v1/owners/"+dataset1, `{"owner": "*"}`, 200, `*`)
	if _, err := s.Claim(t.Context(), api.ClaimRequest{ID: dataset1}); err != nil {
		t.Fatal(err)
	}
	if got := c.want("GET", datasets, "", 200, `*`).Header.Get("X-Configuration-Tag"); got == tag {
		t.Error("the dataset went to another node and the tag is the same")
	} else {
		tag = got
	}
	w.connect(nodeA)
	c.want("POST", datasets, `{"primary": "`+nodeA+`"}`, 201, `*`, field, stale, field, tag)
	c.want("POST", datasets, `{"primary": "`+nodeA+`"}`, 412, `*`, field, tag)
}

func TestUnchangedConfigurationIsNotSentAgain(t *testing.T) {
	c := newWorld(t).raw()
	etag := c.want("GET", datasets, "", 200, `[]`).Header.Get("ETag")
	c.want("GET", datasets, "", 304, ``, "If-None-Match", etag)
	c.want("POST", datasets, `{"primary": "`+nodeA+`"}`, 201, `*`)
	c.want("GET", datasets, "", 200, `[{*}]`, "If-None-Match", etag)
}

func TestPathsAndMethods(t *testing.T) {
	c := newWorld(t).raw()
	nothing := `{"description":"There is nothing at this path."}`
	c.want("GET", "/", "", 404, nothing)
	c.want("GET", "/v1/configuration/datasets/", "", 404, nothing)
	c.want("GET", "/v1/Version", "", 404, nothing)
	c.want("GET", "/v1//version", "", 200, `{"flocker":"1.2.3"}`)
	c.want("POST", "/v1/configuration/_compose", "{}", 410, `{"description":"flocker-deploy*`)
	c.want("POST", "/v1/configuration/containers", "{}", 410, `{"description":"Flocker does not run containers any more, Marathon does: *`)
	c.want("HEAD", datasets, "", 200, ``)
	if got := c.want("PUT", datasets, "", 405, `{"description":"PUT is not allowed here*`).Header.Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("got Allow %q, want GET, HEAD, POST", got)
	}
	c.want("GET", datasets+"/"+dataset1, "", 405, `*`)
	c.want("GET", "/v1/configuration/containers", "", 200, `[]`)
	c.want("GET", "/v1/state/containers", "", 200, `[]`)
	c.want("GET", "/health", "", 200, `{"status":"ok","cluster":"`+clusterID+`","revision":2,"store":"*control.db"}`)
}

func TestNodesAreShown(t *testing.T) {
	w := newWorld(t)
	c := w.raw()
	c.want("GET", "/v1/state/nodes", "", 200, `[]`)
	c.want("GET", "/v1/nodes", "", 200, `[]`)
	w.connect(nodeA)
	era := hello(nodeA).Era
	c.want("GET", "/v1/state/nodes", "", 200, `[{"uuid":"`+nodeA+`","host":"127.0.0.1"}]`)
	for _, spelling := range []string{era, strings.ToUpper(era), strings.ReplaceAll(era, "-", ""), "urn:uuid:" + era, "%7B" + era + "%7D"} {
		c.want("GET", "/v1/state/nodes/by_era/"+spelling, "", 200, `{"uuid":"`+nodeA+`"}`)
	}
	c.want("GET", "/v1/state/nodes/by_era/"+dataset1, "", 404, `{"description":"No node found with given era."}`)
	c.want("GET", "/v1/state/nodes/by_era/x", "", 400, `{"description":"era: *"}`)
	c.want("GET", "/v1/nodes", "", 200, `[{"uuid":"`+nodeA+`","hostname":"host-4b2f","host":"127.0.0.1",*"connected":true*}]`)
}

func TestVolumesAreExplained(t *testing.T) {
	w := newWorld(t)
	c := w.raw()
	c.want("GET", "/v1/volumes", "", 200, `[]`)
	c.want("GET", "/v1/volumes/db", "", 404, `{"code":"not-found","description":"there is no dataset with the name or id \"db\""}`)
	name := `team/ü 1.`
	c.want("POST", datasets, fmt.Sprintf(`{"primary": %q, "dataset_id": %q, "metadata": {"name": %q}}`, nodeA, dataset1, name), 201, `*`)
	for _, path := range []string{dataset1, "team/%C3%BC%201.", "team%2F%C3%BC%201."} {
		c.want("GET", "/v1/volumes/"+path, "", 200, `{"dataset":{"dataset_id":"`+dataset1+`",*"status":"waiting","why":"Dataset `+name+
			` was put on node `+nodeA+`*no agent has ever connected as that node.*`)
	}
	if got, err := w.user().Volume(t.Context(), name); err != nil || got.Dataset.ID != dataset1 {
		t.Errorf("client: got %+v, %v", got, err)
	}
	c.want("DELETE", datasets+"/"+dataset1, "", 200, `*`)
	c.want("GET", "/v1/volumes", "", 200, `[]`)
	c.want("GET", "/v1/volumes?deleted=true", "", 200, `[{*"status":"destroyed"*}]`)
	c.want("GET", "/v1/volumes/"+dataset1, "", 200, `*"status":"destroyed"*`)
}

func TestEveryAnswerIsJSON(t *testing.T) {
	c := newWorld(t).raw()
	for _, path := range []string{"/v1/version", datasets, "/v1/state/datasets", "/v1/state/nodes", "/v1/nodes", "/v1/volumes", "/nothing", "/health"} {
		_, text := c.do("GET", path, "")
		if !json.Valid([]byte(text)) {
			t.Errorf("%s: got %q", path, text)
		}
	}
}

func TestMonitoringIsServedToThisMachine(t *testing.T) {
	w := newWorld(t, func(c *control.Config) { c.MetricsListen = "127.0.0.1:0" })
	w.raw().want("POST", datasets, `{"primary": "`+nodeA+`"}`, 201, `*`)
	get := func(path string) string {
		resp, err := http.Get("http://" + w.service.MetricsAddr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(bytes.TrimSpace(text))
	}
	for _, want := range []string{
		`flocker_control_commands_total{command="create",outcome="done"} 1`,
		`flocker_control_requests_total{method="POST",route="/v1/configuration/datasets",status="201"} 1`,
		`flocker_control_datasets{status="waiting"} 1`,
		`flocker_control_datasets{status="mounted"} 0`,
		`flocker_control_deleted_datasets{status="deleting"} 0`,
		`flocker_control_nodes{state="connected"} 0`,
		`flocker_build_info{`,
	} {
		if text := get("/metrics"); !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if got := get("/health"); !strings.HasPrefix(got, `{"status":"ok"`) {
		t.Errorf("health: got %s", got)
	}
}
