package reconcile_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator/reconcile"
)

const protobuf = "application/x-protobuf"

// mesosAgent answers calls of the agent's API with recorded answers.
type mesosAgent struct {
	*httptest.Server
	mu    sync.Mutex
	calls []*agent.Call
	// answers are taken one after the other; the last stays.
	answers []*agent.Response
	flags   reconcile.Flags                   // that GET /flags tells
	each    func(*agent.Call) *agent.Response // instead of answers, if set
}

func serve(t *testing.T, answers ...*agent.Response) *mesosAgent {
	t.Helper()
	a := &mesosAgent{answers: answers}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if r.URL.Path == "/flags" && r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"flags": a.flags})
			return
		}
		if err != nil || r.URL.Path != "/api/v1" || r.Method != http.MethodPost || r.Header.Get("Content-Type") != protobuf {
			t.Errorf("got %s %s, %v", r.Method, r.URL.Path, err)
		}
		call := new(agent.Call)
		if err := proto.Unmarshal(body, call); err != nil {
			t.Error(err)
		}
		answer, err := proto.Marshal(a.next(call))
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", protobuf)
		_, _ = w.Write(answer)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *mesosAgent) next(call *agent.Call) *agent.Response {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, call)
	if a.each != nil {
		return a.each(call)
	}
	answer := a.answers[0]
	if len(a.answers) > 1 {
		a.answers = a.answers[1:]
	}
	return answer
}

// recorded reads a recorded answer. The JSON decoder of mesos-go does not know
// the word CSI_VOLUME, a number to protobuf.
func recorded(t *testing.T, file string) *agent.Response {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	r := new(agent.Response)
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "CSI_VOLUME", "UNKNOWN")), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func connect(t *testing.T, url string) *reconcile.Mesos {
	t.Helper()
	m, err := reconcile.NewMesos(reconcile.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestContainersListsNestedOnesWithTheirParents(t *testing.T) {
	a := serve(t, recorded(t, "agent-GET_CONTAINERS.json"))
	live, err := connect(t, a.URL+"/").Containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{
		"473e0747-5774-4a8f-b48f-1d8ddf2d828b":                                      true,
		"e0b12b7e-44d0-4562-82cd-dd9c9cb64fba":                                      true,
		"e0b12b7e-44d0-4562-82cd-dd9c9cb64fba.65c1b3b3-3310-45c2-bdcd-b2048c6fdfa1": true,
		"e0b12b7e-44d0-4562-82cd-dd9c9cb64fba.546bf515-4f27-40d7-ba61-cb584c7f8c32": true,
		"65c1b3b3-3310-45c2-bdcd-b2048c6fdfa1":                                      false,
		"473e0747-5774-4a8f-b48f-1d8ddf2d828b.65c1b3b3-3310-45c2-bdcd-b2048c6fdfa1": false,
		"7d7dca20-edfa-49ad-a740-e9a39cd58fb6":                                      false,
	} {
		if got := live.Has(id); got != want {
			t.Errorf("%s: got %v, want %v", id, got, want)
		}
	}
	if got := a.calls[0]; got.Type != agent.Call_GET_CONTAINERS || !got.GetContainers.GetShowNested() {
		t.Errorf("got call %v", got)
	}
}

func TestContainersWithoutAStatusMayBeAnybodys(t *testing.T) {
	a := serve(t, &agent.Response{Type: agent.Response_GET_CONTAINERS, GetContainers: &agent.Response_GetContainers{
		Containers: []agent.Response_GetContainers_Container{
			{ContainerID: mesos.ContainerID{Value: "nested"}},
			{ContainerID: mesos.ContainerID{Value: "child", Parent: &mesos.ContainerID{Value: "top"}}},
			{ContainerID: mesos.ContainerID{Value: "top"}, FrameworkID: &mesos.FrameworkID{Value: "f"}},
		},
	}})
	live, err := connect(t, a.URL).Containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"any.nested": true, "top.child": true, "x.child": false, "top": true, "x.top": false} {
		if got := live.Has(id); got != want {
			t.Errorf("%s: got %v, want %v", id, got, want)
		}
	}
}

func TestContainersFails(t *testing.T) {
	answer := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	cut, err := proto.Marshal(recorded(t, "agent-GET_CONTAINERS.json"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := proto.Marshal(recorded(t, "pod-GET_TASKS.json"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"still recovering", answer(503, "text/plain", "Agent has not finished recovery")},
		{"not allowed", answer(401, "text/plain", "")},
		{"moved", answer(307, "text/plain", "")},
		{"not protobuf", answer(200, "application/json", "{}")},
		{"nothing", answer(200, protobuf, "")},
		{"garbage", answer(200, protobuf, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
		{"cut", answer(200, protobuf, string(cut[:len(cut)/2]))},
		{"another answer", answer(200, protobuf, string(other))},
		{"an answer cut by its server", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", protobuf)
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(cut)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			if live, err := connect(t, server.URL).Containers(t.Context()); err == nil {
				t.Errorf("got %v, want an error", live)
			}
		})
	}
	t.Run("down", func(t *testing.T) {
		server := httptest.NewServer(nil)
		server.Close()
		if _, err := connect(t, server.URL).Containers(t.Context()); err == nil {
			t.Error("got no error")
		}
	})
	t.Run("hanging", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // before that a server does not notice its client's end
			<-r.Context().Done()
		}))
		defer server.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := connect(t, server.URL).Containers(ctx); err == nil {
			t.Error("got no error")
		}
	})
}

func TestContainersBoundsTheAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", protobuf)
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	_, err := connect(t, server.URL).Containers(t.Context())
	if err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
}

const (
	podExecutor = "a60528c1-69c8-4c98-9325-fcdbb9047db7"
	podTask     = "4ecdfc2e-f135-4144-8dc7-f4c4995f66d7"
)

func TestLabelsFindsTheTaskOfANestedContainer(t *testing.T) {
	tasks := recorded(t, "pod-GET_TASKS.json")
	// The first answer may come before the executor told of the container.
	before := recorded(t, "pod-GET_TASKS.json")
	before.GetTasks.LaunchedTasks[0].Statuses = nil
	m := connect(t, serve(t, before, tasks).URL)
	got, err := m.Labels(t.Context(), podTask, podExecutor)
	want := []api.Label{{Key: "flocker.volume.0", Value: "name=pgdata,path=data,size=1G"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for name, id := range map[string][2]string{
		"another parent": {podTask, "x"}, "another container": {"x", podExecutor}, "nested deeper": {podTask, "x." + podExecutor},
	} {
		if got, err := m.Labels(t.Context(), id[0], id[1]); err != nil || got != nil {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	m = connect(t, serve(t, recorded(t, "agent-GET_TASKS.json")).URL)
	if got, err := m.Labels(t.Context(), podTask, podExecutor); err != nil || got != nil {
		t.Errorf("other tasks: got %v, %v", got, err)
	}
}

func TestLabelsSaysThatMesosDoesNotAnswer(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	_, err := connect(t, server.URL).Labels(t.Context(), "a", "b")
	if api.CodeOf(err) != api.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	m := connect(t, serve(t, recorded(t, "agent-GET_TASKS.json")).URL)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := m.Labels(ctx, "a", "b"); api.CodeOf(err) != api.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestNewMesosRefusesBadURLs(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:5051", "ftp://x", "http://", "http://[::1"} {
		if _, err := reconcile.NewMesos(reconcile.Options{URL: url}); err == nil {
			t.Errorf("%s: got no error", url)
		}
	}
}

func TestMesosSendsCredentials(t *testing.T) {
	var user, password string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		user, password, _ = r.BasicAuth()
	}))
	defer server.Close()
	m, err := reconcile.NewMesos(reconcile.Options{URL: server.URL, Username: "flocker", Password: func() (string, error) { return "secret", nil }})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = m.Containers(t.Context()) // the answer is empty
	if user != "flocker" || password != "secret" {
		t.Errorf("got %s, %s", user, password)
	}
}

func TestTroublesSayWhatIsWrongAndWhatToSet(t *testing.T) {
	answers := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc // nil for nothing that listens
		kind   api.MesosTroubleKind
		want   string
	}{
		{"nothing listens", nil, api.MesosUnheard, "set mesos.agent in agent.yml to its URL"},
		{"recovering", answers(503, "text/plain; charset=utf-8", "Agent has not finished recovery"), api.MesosUnheard, "is not ready: \"Agent has not finished recovery\""},
		{"wrong credentials", answers(401, "text/plain; charset=utf-8", "401 Unauthorized."), api.MesosDenied, "refuses the password of joe"},
		{"not allowed", answers(403, "text/plain; charset=utf-8", ""), api.MesosDenied, "view_containers"},
		{"a web server", answers(404, "text/plain; charset=utf-8", "404 Not Found."), api.MesosOdd, "does not answer as a Mesos agent"},
		{"a proxy", answers(200, "text/html", "<html>"), api.MesosOdd, `"text/html"`},
		{"a master", answers(200, "application/json", `{"flags":{"agent_ping_timeout":"15secs","port":"5050"}}`), api.MesosOdd, "those of a Mesos master"},
		{"no flags", answers(200, "application/json", `{}`), api.MesosOdd, "no launcher"},
		{"a master that does not lead", answers(307, "", ""), api.MesosOdd, "307 Temporary Redirect"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			if tt.answer == nil {
				server.Close()
			}
			m, err := reconcile.NewMesos(reconcile.Options{URL: server.URL, Username: "joe", Password: func() (string, error) { return "wrong", nil }})
			if err != nil {
				t.Fatal(err)
			}
			_, err = m.Flags(t.Context())
			if err == nil {
				t.Fatal("got no error")
			}
			trouble := reconcile.TroubleOf(err)
			if trouble.Kind != tt.kind || !strings.Contains(trouble.Cause, tt.want) || !strings.Contains(trouble.Cause, server.URL) {
				t.Errorf("got %s: %s, want %s: %s", trouble.Kind, trouble.Cause, tt.kind, tt.want)
			}
		})
	}
	t.Run("no password", func(t *testing.T) {
		server := httptest.NewServer(answers(200, "application/json", `{}`))
		defer server.Close()
		m, err := reconcile.NewMesos(reconcile.Options{URL: server.URL, Username: "joe", Password: func() (string, error) { return "", os.ErrNotExist }})
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Flags(t.Context())
		if trouble := reconcile.TroubleOf(err); trouble.Kind != api.MesosDenied || !strings.Contains(trouble.Cause, "mesos.password-file") {
			t.Errorf("got %+v", trouble)
		}
	})
}

func TestFlagsAreAskedOfTheAPIWhereTheOldPathIsRefused(t *testing.T) {
	name, value := "launcher", "linux"
	answer, err := proto.Marshal(&agent.Response{Type: agent.Response_GET_FLAGS, GetFlags: &agent.Response_GetFlags{
		Flags: []mesos.Flag{{Name: name, Value: &value}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/flags" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", protobuf)
		_, _ = w.Write(answer)
	}))
	defer server.Close()
	flags, err := connect(t, server.URL).Flags(t.Context())
	if err != nil || flags["launcher"] != "linux" {
		t.Errorf("got %v, %v", flags, err)
	}
}
