package reconcile_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator/reconcile"
	"github.com/flocker-mesos/flocker/test/mesos/story"
)

// recordedAgent plays a real agent back: to every call the first recorded answer in
// protobuf or, where there is none, the one in JSON made into protobuf. Credentials
// are wanted as recorded.
func recordedAgent(t *testing.T, name, at string) (*httptest.Server, []story.Line) {
	t.Helper()
	lines, err := story.Load(filepath.Join("../../test/mesos/testdata/recordings/operator-api-2", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		wanted := name == "agent-07-with-credentials" || name == "agent-08-another-cgroups-root"
		if wanted && (user != "joe" || password != "s3cret") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		call := new(agent.Call)
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				err = call.Unmarshal(body)
			}
			if err != nil {
				t.Error(err)
			}
		}
		nested := call.GetGetContainers().GetShowNested()
		for _, accept := range []string{"application/x-protobuf", "application/json"} {
			for _, l := range lines {
				if !l.IsExchange() || l.Response.Status != 200 || at != "" && !strings.HasPrefix(l.Request.To, at) || l.Request.Path != r.URL.Path {
					continue
				}
				if r.Method == http.MethodGet {
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write(l.Response.Body())
					return
				}
				if l.Request.Call() != call.Type.String() || story.Header(l.Request.Headers, "Accept") != accept ||
					nested != strings.Contains(string(l.Request.Body()), "show_nested") && name == "agent-06-pod-csi-docker-volume-images" {
					continue
				}
				w.Header().Set("Content-Type", "application/x-protobuf")
				body := l.Response.Body()
				if accept == "application/json" {
					body = inProtobuf(t, body)
				}
				_, _ = w.Write(body)
				return
			}
		}
		w.WriteHeader(http.StatusNotImplemented)
	}))
	t.Cleanup(server.Close)
	return server, lines
}

func inProtobuf(t *testing.T, text []byte) []byte {
	t.Helper()
	r := new(agent.Response)
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "CSI_VOLUME", "UNKNOWN")), r); err != nil {
		t.Error(err)
	}
	data, err := r.Marshal()
	if err != nil {
		t.Error(err)
	}
	return data
}

func TestStoriesOfAgents(t *testing.T) {
	joe := func(url string) *reconcile.Mesos {
		m, err := reconcile.NewMesos(reconcile.Options{URL: url, Username: "joe", Password: func() (string, error) { return "s3cret", nil }})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	has := func(t *testing.T, m *reconcile.Mesos, want map[string]bool) {
		t.Helper()
		live, err := m.Containers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for id, running := range want {
			if live.Has(id) != running {
				t.Errorf("%s: got %v, want %v", id, !running, running)
			}
		}
	}
	t.Run("nothing has run", func(t *testing.T) {
		a, _ := recordedAgent(t, "agent-01-nothing-running", "")
		m := connect(t, a.URL)
		has(t, m, map[string]bool{"828d7dc9-c9ce-4ae3-8f8e-b0f9dc3ce04f": false})
		if _, err := reconcile.NewRoles(m).Role(t.Context(), "f"); err == nil || !strings.Contains(err.Error(), "does not know framework f") {
			t.Errorf("the role of nothing: got %v", err)
		}
	})
	t.Run("its flags", func(t *testing.T) {
		a, _ := recordedAgent(t, "agent-02-about-itself", "")
		flags, err := connect(t, a.URL).Flags(t.Context())
		if err != nil || flags["cgroups_root"] != "mesos-mar1" || !strings.Contains(flags["modules"], "flocker-isolator-prepare") {
			t.Errorf("got %v, %v", flags, err)
		}
	})
	t.Run("a task, and after it", func(t *testing.T) {
		a, _ := recordedAgent(t, "agent-04-a-command-task", "10.78.0.12")
		has(t, connect(t, a.URL), map[string]bool{"828d7dc9-c9ce-4ae3-8f8e-b0f9dc3ce04f": true})
		a, _ = recordedAgent(t, "agent-05-after-a-command-task", "10.78.0.12")
		has(t, connect(t, a.URL), map[string]bool{"828d7dc9-c9ce-4ae3-8f8e-b0f9dc3ce04f": false})
	})
	t.Run("a pod", func(t *testing.T) {
		const pod, writer = "8c88c85c-08cd-4ee1-9803-9c28ccdd71ae", "c700348b-dfee-4aba-bce5-b581d783a7f5"
		a, _ := recordedAgent(t, "agent-06-pod-csi-docker-volume-images", "10.78.0.12")
		m := connect(t, a.URL)
		has(t, m, map[string]bool{pod: true, pod + "." + writer: true, writer: false, "c7633921-ca90-4223-9693-86ec2d78ab5f": true})
		labels, err := m.Labels(t.Context(), writer, pod)
		if err != nil || len(labels) == 0 || !strings.HasPrefix(labels[0].Key, "flocker.volume.") {
			t.Errorf("got %v, %v", labels, err)
		}
	})
	t.Run("credentials", func(t *testing.T) {
		a, _ := recordedAgent(t, "agent-07-with-credentials", "")
		has(t, joe(a.URL), map[string]bool{"x": false})
		_, err := connect(t, a.URL).Containers(t.Context())
		if err == nil || reconcile.TroubleOf(err).Kind != api.MesosDenied {
			t.Errorf("without: got %v", err)
		}
	})
	t.Run("another cgroups root", func(t *testing.T) {
		const id = "d8f6cdef-40df-47f9-8b48-88ca7288f48d"
		a, lines := recordedAgent(t, "agent-08-another-cgroups-root", "")
		m := joe(a.URL)
		has(t, m, map[string]bool{id: true})
		flags, err := m.Flags(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// The recorded group of its executor is all that is known of the machine, but for
		// the root directory.
		proc, hierarchy := emptyProc(t), t.TempDir()
		if err := os.MkdirAll(filepath.Join(hierarchy, "freezer", flags["cgroups_root"]), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(proc, "1204"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if l.Text != "" {
				if err := os.WriteFile(filepath.Join(proc, "1204/cgroup"), []byte(l.Text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		flags["cgroups_hierarchy"] = hierarchy
		groups, err := reconcile.Cgroups{Proc: proc}.Find(flags)
		if err != nil {
			t.Fatal(err)
		}
		if !groups.Alive(id) || groups.Alive("another") {
			t.Error("its executor is not found by its group")
		}
	})
}
