package mesos_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	agentapi "github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// ask calls the operator API from the agent's own host.
func ask(t *testing.T, a *mesos.Agent, h *lab.Host, contentType string, body []byte) []byte {
	t.Helper()
	transport := &http.Transport{DialContext: h.Dial}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(deadline(t), http.MethodPost, a.URL()+"/api/v1", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", contentType)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s: %s %v", body, resp.Status, data, err)
	}
	return data
}

// shape is a JSON value with every text, number and array replaced by its
// kind, so that two answers can be compared.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = shape(v[key])
		}
		return v
	case []any:
		if len(v) == 0 {
			return "[]"
		}
		return []any{shape(v[0])}
	case string:
		return "text"
	default:
		return "value"
	}
}

func TestPrepareFindsItsLabelsInGetTasks(t *testing.T) {
	t.Parallel()
	a, h := agent(t, script{"prepare": `case $directory in */containers/*)
		until [ -e /srv/go ]; do sleep 0.01; done;; esac`}, mesos.Config{})
	g := launchGroup(t, a, &mesos.Group{Tasks: []*mesos.Task{{
		ID: "g1a", Command: "true", Labels: []mesos.Label{{Key: "flocker.volume.0", Value: "name=pgdata"}},
	}}})
	until(t, "prepare of the nested container runs", func() bool {
		id := strings.Split(g.Runs[0].ContainerID(), ".")
		return len(id) == 2 && strings.Contains(strings.Join(noted(t, h), "\n"), "prepare "+id[1]+" begin")
	})
	data := ask(t, a, h, "application/json", []byte(`{"type":"GET_TASKS"}`))
	var answer agentapi.Response
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Fatal(err)
	}
	task := answer.GetTasks.LaunchedTasks[0]
	id := task.Statuses[0].ContainerStatus.ContainerID
	if got := id.Parent.Value + "." + id.Value; got != g.Runs[0].ContainerID() {
		t.Errorf("container of the task is %q, want %q", got, g.Runs[0].ContainerID())
	}
	if l := task.Labels.Labels[0]; l.Key != "flocker.volume.0" || *l.Value != "name=pgdata" {
		t.Errorf("label is %+v", l)
	}
	recorded, err := os.ReadFile("testdata/recordings/pod-with-health-check/03-prepare.agent-GET_TASKS.json")
	if err != nil {
		t.Fatal(err)
	}
	want, got := launchedTask(t, recorded), launchedTask(t, data)
	delete(want, "health_check") // this task has none
	if g, w := asText(t, shape(got)), asText(t, shape(want)); g != w {
		t.Errorf("launched task is\n%s\nrecorded\n%s", g, w)
	}
	write(t, h.Path("/srv/go"))
	groupGone(t, g)
}

func launchedTask(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var answer struct {
		GetTasks struct {
			Launched []map[string]any `json:"launched_tasks"`
		} `json:"get_tasks"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.GetTasks.Launched[0]
}

func asText(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// listed returns the shapes of the containers in an answer to GET_CONTAINERS.
func listed(t *testing.T, data []byte) []string {
	t.Helper()
	var answer struct {
		GetContainers struct {
			Containers []map[string]any `json:"containers"`
		} `json:"get_containers"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range answer.GetContainers.Containers {
		delete(c, "resource_statistics") // nobody has to read them
		all = append(all, asText(t, shape(c)))
	}
	return all
}

func TestGetContainersHasTheRecordedShape(t *testing.T) {
	t.Parallel()
	a, h := agent(t, nil, mesos.Config{})
	r := launch(t, a, &mesos.Task{ID: "app", Command: "sleep 1000"})
	if err := r.Await(deadline(t), mesos.StateRunning); err != nil {
		t.Fatal(err)
	}
	g := launchGroup(t, a, &mesos.Group{Tasks: []*mesos.Task{{ID: "one", Command: "sleep 1000"}}})
	if err := g.Runs[0].Await(deadline(t), mesos.StateRunning); err != nil {
		t.Fatal(err)
	}
	recorded, err := os.ReadFile("testdata/recordings/operator-api/agent-GET_CONTAINERS.json")
	if err != nil {
		t.Fatal(err)
	}
	all := `{"type":"GET_CONTAINERS","get_containers":{"show_nested":true,"show_standalone":true}}`
	got, want := listed(t, ask(t, a, h, "application/json", []byte(all))), listed(t, recorded)
	if len(got) != 3 {
		t.Fatalf("%d containers, want 3", len(got))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("container %d is %s, recorded %s", i, got[i], want[i])
		}
	}
	if got := listed(t, ask(t, a, h, "application/json", []byte(`{"type":"GET_CONTAINERS"}`))); len(got) != 2 {
		t.Errorf("%d containers without the nested, want 2", len(got))
	}
	call, err := (&agentapi.Call{Type: agentapi.Call_GET_CONTAINERS}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var answer agentapi.Response
	if err := answer.Unmarshal(ask(t, a, h, "application/x-protobuf", call)); err != nil {
		t.Fatal(err)
	}
	if got := answer.GetContainers.Containers[0].ContainerID.Value; got != r.ContainerID() {
		t.Errorf("container is %q, want %q", got, r.ContainerID())
	}
	r.Kill()
	g.Kill()
	gone(t, r)
	groupGone(t, g)
}

func TestGetContainersWaitsWhileACommandRuns(t *testing.T) {
	t.Parallel()
	a, h := agent(t, script{"prepare": `until [ -e /srv/go ]; do sleep 0.01; done`}, mesos.Config{})
	r := launch(t, a, &mesos.Task{ID: "app", Command: "true"})
	until(t, "prepare runs", func() bool { return strings.HasSuffix(noted(t, h)[0], "begin") })
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		ask(t, a, h, "application/json", []byte(`{"type":"GET_CONTAINERS"}`))
	}()
	for _, call := range []string{"GET_HEALTH", "GET_TASKS", "GET_AGENT"} {
		ask(t, a, h, "application/json", []byte(`{"type":"`+call+`"}`))
	}
	select {
	case <-answered:
		t.Error("GET_CONTAINERS was answered while prepare ran")
	case <-time.After(100 * time.Millisecond):
	}
	write(t, h.Path("/srv/go"))
	<-answered
	gone(t, r)
}
