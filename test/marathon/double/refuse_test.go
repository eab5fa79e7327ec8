package double_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/marathon/double"
)

// What is wrong with an app or a pod is refused by every road that it takes.
func TestWrongAppsAndPodsAreRefusedInGroupsAndListsToo(t *testing.T) {
	const right = `{"id": "ok", "cmd": "sleep 1"}`
	for _, tc := range []struct{ name, app, path string }{
		{"no command", `{"id": "x"}`, ""},
		{"a text as a number", `{"id": "x", "cmd": "sleep 1", "cpus": "1"}`, "/cpus"},
		{"a label that is no text", `{"id": "x", "cmd": "sleep 1", "labels": {"a": 5}}`, "/labels/a"},
		{"a constraint of one field", `{"id": "x", "cmd": "sleep 1", "constraints": [["hostname"]]}`, "/constraints"},
		{"nothing", `null`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := double.Start(t, double.Options{Auto: true})
			for road, want := range map[string]string{
				"POST /v2/groups {\"id\": \"/g\", \"apps\": [" + right + ", APP]}":                         `"path":"/apps(1)` + tc.path + `"`,
				"PUT /v2/groups//g {\"groups\": [{\"id\": \"in\", \"apps\": [APP]}]}":                      `"path":"/groups(0)/apps(0)` + tc.path + `"`,
				"PUT /v2/apps [" + strings.Replace(right, "ok", "/g/ok", 1) + ", APP]":                     "",
				"POST /v2/pods {\"id\": \"/g/p\", \"containers\": [null]}":                                 `"path":"/containers(0)"`,
				"POST /v2/groups {\"id\": \"/g\", \"pods\": [{\"id\": \"p\", \"containers\": [null, 5]}]}": `"path":"/pods(0)/containers(0)"`,
			} {
				method, rest, _ := strings.Cut(strings.ReplaceAll(road, "APP", tc.app), " ")
				path, body, _ := strings.Cut(rest, " ")
				status, answer := d.Do(method, path, json.RawMessage(body))
				if status != http.StatusUnprocessableEntity || !strings.Contains(answer, want) {
					t.Errorf("%s: got %d %s, want 422 and %s", road, status, answer, want)
				}
			}
			if status, answer := d.Do(http.MethodGet, "/v2/apps", nil); status != http.StatusOK || answer != `{"apps":[]}` {
				t.Errorf("got %d %s, want no app", status, answer)
			}
		})
	}
}

func TestARollBackOfALockedAppIsRefused(t *testing.T) {
	d := double.Start(t, double.Options{}) // in which no deployment comes to its end
	put := func(query string, body any, want int) string {
		t.Helper()
		status, answer := d.Do(http.MethodPut, "/v2/apps//app"+query, body)
		if status != want {
			t.Fatalf("got %d %s, want %d", status, answer, want)
		}
		return answer
	}
	var first struct{ Version string }
	if err := json.Unmarshal([]byte(put("", map[string]any{"cmd": "sleep 1"}, http.StatusCreated)), &first); err != nil {
		t.Fatal(err)
	}
	put("?force=true", map[string]any{"cmd": "sleep 2"}, http.StatusOK)
	put("", map[string]any{"version": first.Version}, http.StatusConflict)
	put("?force=true", map[string]any{"version": first.Version}, http.StatusOK)
}

func TestARefusedVolumeIsShown(t *testing.T) {
	const right = `{"containerPath": "a", "mode": "RW", "external": {"provider": "csi", "name": "a", "options": {"capability": {"accessType": "mount", "accessMode": "SINGLE_NODE_WRITER", "fsType": "ext4"}}}}`
	wrong := strings.Replace(strings.Replace(right, `"accessMode": "SINGLE_NODE_WRITER", `, "", 1), `"name": "a"`, `"name": "the wrong one"`, 1)
	d := double.Start(t, double.Options{})
	body := `{"id": "x", "cmd": "sleep 1", "container": {"type": "MESOS", "volumes": [` + right + `, ` + wrong + `]}}`
	status, answer := d.Do(http.MethodPost, "/v2/apps", json.RawMessage(body))
	if status != http.StatusUnprocessableEntity || !strings.Contains(answer, "volumes(1)/hostPath") || !strings.Contains(answer, "the wrong one") {
		t.Errorf("got %d %s, want the second volume", status, answer)
	}
}
