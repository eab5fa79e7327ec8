package control_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// endpoints is the list of all that Flocker's REST API answers, as it was seen
// on the real one.
type endpoints struct {
	Endpoints []struct {
		Method, Path string
		Responses    []struct {
			Status      int
			Description string
			Errors      bool
			When        string
			Notes       string
		}
		Headers struct {
			Response map[string]string
		}
	}
}

// try makes a call, and says which status and, of an error, which text has to
// be answered.
type try struct {
	path, body  string // path "" for that of the endpoint
	status      int    // 0 for the row's
	description string // "" for the row's
	match       string // the condition of the request
	answer      string // of a success, as want takes it
	errors      bool   // a failure that lists mistakes although the row does not
	deviates    string // why it does, where it does not answer as Flocker
}

// Every row of the list is tried. Where we do better on purpose, the row says so.
func TestEveryAnswerOfFlockersEndpoints(t *testing.T) {
	text, err := os.ReadFile("testdata/flocker/endpoints.json")
	if err != nil {
		t.Fatal(err)
	}
	var list endpoints
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	tries := flockersAnswers()
	for _, e := range list.Endpoints {
		for _, row := range e.Responses {
			name := strings.TrimSpace(fmt.Sprintf("%s %s %d %s", e.Method, e.Path, row.Status, row.When))
			tr, ok := tries[name]
			if !ok {
				t.Errorf("the row %q is not tried", name)
				continue
			}
			delete(tries, name)
			if differs := tr.status != 0 && tr.status != row.Status; differs != (tr.deviates != "") {
				t.Errorf("the row %q: another status needs a reason, and only that", name)
			}
			t.Run(name, func(t *testing.T) {
				c := flockersCluster(t)
				path := e.Path
				if tr.path != "" {
					path = tr.path
				}
				status, answer := row.Status, tr.answer
				if tr.status != 0 {
					status = tr.status
				}
				if status >= 400 && answer == "" {
					answer = errorAnswer(t, cmp.Or(tr.description, row.Description), tr.errors || row.Errors && tr.status == 0)
				}
				var header []string
				if tr.match != "" {
					header = []string{"X-If-Configuration-Matches", tr.match}
				}
				resp := c.want(e.Method, path, tr.body, status, answer, header...)
				for name := range e.Headers.Response {
					if resp.Header.Get(name) == "" {
						t.Errorf("there is no header %s", name)
					}
				}
			})
		}
	}
	for name := range tries {
		t.Errorf("there is no row %q", name)
	}
}

// errorAnswer is the whole answer of a failure: its keys are Flocker's and no
// others. In the description, text in angle brackets stands for anything.
func errorAnswer(t *testing.T, description string, withErrors bool) string {
	t.Helper()
	text, err := json.Marshal(description)
	if err != nil {
		t.Fatal(err)
	}
	pattern := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(strings.Trim(string(text), `"`))
	for {
		from, rest, ok := strings.Cut(pattern, "<")
		if !ok {
			break
		}
		_, to, _ := strings.Cut(rest, ">")
		pattern = from + "*" + to
	}
	if withErrors {
		return `{"description":"` + pattern + `","errors":["*"]}`
	}
	return `{"description":"` + pattern + `"}`
}

// flockersCluster has a node, a dataset, one that is deleted, and two leases.
func flockersCluster(t *testing.T) *caller {
	t.Helper()
	w := newWorld(t)
	s, _ := w.connect(nodeA)
	user := w.user()
	for _, id := range []api.DatasetID{dataset1, dataset2} {
		if _, err := user.Create(t.Context(), client.CreateRequest{ID: id, Primary: nodeA, MaximumSize: 1 << 30}, ""); err != nil {
			t.Fatal(err)
		}
	}
	w.report(s, api.DatasetReport{
		State:  api.DatasetState{ID: dataset1, Epoch: 1, Phase: api.PhaseMounted, Path: "/flocker/" + dataset1},
		Volume: &api.Volume{ID: "v", Backend: "loopback", Size: 2 << 30},
	})
	if _, err := user.Delete(t.Context(), dataset2, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := user.AcquireLease(t.Context(), dataset1, nodeA, 0); err != nil {
		t.Fatal(err)
	}
	return w.raw()
}

func flockersAnswers() map[string]try {
	const (
		one        = datasets + "/" + dataset1
		notJSON    = "body is not JSON (or is empty or absent)"
		noSchema   = "JSON does not satisfy the request schema"
		noMatch    = "X-If-Configuration-Matches present and none of its values equals the current tag; evaluated before body parsing and before existence checks"
		unknown    = "no configured dataset has exactly this (lower-case) id"
		containers = "/v1/configuration/containers"
		compose    = "/v1/configuration/_compose"
		id         = "/{dataset_id}"
		named      = "/{name}"
		newID      = "cccccccc-0003-4000-8000-00000000000c"
	)
	dataset := func(id, primary, deleted string) string {
		return `{"dataset_id":"` + id + `","primary":"` + primary + `","deleted":` + deleted + `,"metadata":{},"maximum_size":1073741824}`
	}
	tries := map[string]try{
		"GET /v1/version 200": {answer: `{"flocker":"1.2.3"}`},

		"GET " + datasets + " 200":              {answer: "[" + dataset(dataset1, nodeA, "false") + "," + dataset(dataset2, nodeA, "true") + "]"},
		"POST " + datasets + " 201":             {body: `{"primary": "` + nodeB + `", "dataset_id": "` + newID + `", "maximum_size": 1073741824}`, answer: dataset(newID, nodeB, "false")},
		"POST " + datasets + " 400 " + notJSON:  {body: ``},
		"POST " + datasets + " 400 " + noSchema: {body: `{"primary": 1}`},
		"POST " + datasets + " 412 " + noMatch:  {body: `{`, match: "x"},
		"POST " + datasets + " 409 id equals (case-insensitively) any configured dataset's, deleted ones too": {
			body: `{"primary": "` + nodeB + `", "dataset_id": "` + strings.ToUpper(dataset2) + `"}`},
		"POST " + datasets + " 500 'deleted' present": {
			body: `{"primary": "` + nodeB + `", "deleted": false}`, status: 201, answer: `{"dataset_id":*`, deviates: "1: the Go client sends it"},

		"POST " + datasets + id + " 200":             {path: one, body: `{"primary": "` + nodeB + `"}`, answer: dataset(dataset1, nodeB, "false")},
		"POST " + datasets + id + " 400 " + notJSON:  {path: one, body: `{`},
		"POST " + datasets + id + " 400 " + noSchema: {path: one, body: `{"maximum_size": 1073741824}`},
		"POST " + datasets + id + " 412 " + noMatch:  {path: datasets + "/nothing", body: `{`, match: "x"},
		"POST " + datasets + id + " 404 " + unknown:  {path: datasets + "/" + strings.ToUpper(dataset1), body: `{}`},
		"POST " + datasets + id + " 405 the dataset's deleted flag is set": {
			path: datasets + "/" + dataset2, body: `{"primary": "` + nodeB + `"}`},

		"DELETE " + datasets + id + " 200":            {path: one, answer: dataset(dataset1, nodeA, "true")},
		"DELETE " + datasets + id + " 412 " + noMatch: {path: datasets + "/nothing", match: "x"},
		"DELETE " + datasets + id + " 404 " + unknown: {path: datasets + "/nothing"},

		"GET /v1/state/datasets 200": {
			answer: `[{"dataset_id":"` + dataset1 + `","primary":"` + nodeA + `","path":"/flocker/` + dataset1 + `","maximum_size":2147483648}]`},

		"GET " + leases + " 200":                                                             {answer: "[" + leaseAnswer(dataset1, nodeA, "null") + "]"},
		"POST " + leases + " 201 no lease existed for the dataset":                           {body: leaseBody(dataset2, nodeB, "30"), answer: leaseAnswer(dataset2, nodeB, "30.0")},
		"POST " + leases + " 200 the same node already held it: renewed with the new expiry": {body: leaseBody(dataset1, nodeA, "30"), answer: leaseAnswer(dataset1, nodeA, "30.0")},
		"POST " + leases + " 409 another node holds it":                                      {body: leaseBody(dataset1, nodeB, "30")},
		"POST " + leases + " 400 " + notJSON:                                                 {body: `x`, match: "x"},
		"POST " + leases + " 400 " + noSchema:                                                {body: `{}`},
		"POST " + leases + " 500 dataset_id has 36 characters but is not a UUID, or expires overflows a date": {
			body: leaseBody(dataset1, nodeA, "1e15"), status: 400, description: "The provided JSON doesn't match the required schema.", errors: true, deviates: "2: bad input is a 400"},
		"DELETE " + leases + id + " 200":                         {path: leases + "/" + dataset1, answer: leaseAnswer(dataset1, nodeA, "null")},
		"DELETE " + leases + id + " 404 no lease":                {path: leases + "/" + dataset2},
		"DELETE " + leases + id + " 500 id is not a UUID":        {path: leases + "/x", status: 400, description: `dataset_id: "x" is not a UUID`, deviates: "2: bad input is a 400"},
		"GET /v1/state/nodes 200":                                {answer: `[{"uuid":"` + nodeA + `","host":"127.0.0.1"}]`},
		"GET /v1/state/nodes/by_era/{era} 200":                   {path: "/v1/state/nodes/by_era/" + hello(nodeA).Era, answer: `{"uuid":"` + nodeA + `"}`},
		"GET /v1/state/nodes/by_era/{era} 404 unknown era":       {path: "/v1/state/nodes/by_era/" + dataset1},
		"GET /v1/state/nodes/by_era/{era} 500 era is not a UUID": {path: "/v1/state/nodes/by_era/x", status: 400, description: `era: "x" is not a UUID`, deviates: "2: bad input is a 400"},

		"GET " + containers + " 200":   {answer: `[]`},
		"GET /v1/state/containers 200": {answer: `[]`},
	}
	// What ran containers is not taken over: each write says so.
	gone := try{status: 410, description: "Flocker does not run containers any more, Marathon does: <how>", deviates: "Marathon runs containers"}
	for _, row := range []string{
		"POST " + containers + " 201", "POST " + containers + " 400 " + notJSON, "POST " + containers + " 400 " + noSchema,
		"POST " + containers + " 409 name used on any node", "POST " + containers + " 409 external port used by any configured container",
		"POST " + containers + " 409 repeated alias in this request", "POST " + containers + " 409 repeated local_port in this request",
		"POST " + containers + " 409 volume's dataset is configured on another node",
		"POST " + containers + " 409 volume's dataset is attached to a configured container",
		"POST " + containers + " 404 volume's dataset is unknown or deleted",
		"POST " + containers + named + " 200", "POST " + containers + named + " 400 " + notJSON, "POST " + containers + named + " 400 " + noSchema,
		"POST " + containers + named + " 404 unknown name",
		"DELETE " + containers + named + " 200", "DELETE " + containers + named + " 404 unknown name",
	} {
		tr := gone
		if strings.Contains(row, named) {
			tr.path = containers + "/web"
		}
		tries[row] = tr
	}
	gone.description = "flocker-deploy, which replaced the whole configuration at once, was given up: <what now>"
	for _, row := range []string{" 200", " 400 " + notJSON, " 400 " + noSchema, " 400 the documents are not a valid application/deployment pair"} {
		tries["POST "+compose+row] = gone
	}
	return tries
}
