package master_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/mesos/master"
	"github.com/flocker-mesos/flocker/test/mesos/story"
)

var (
	node1 = master.Agent{ID: "S0", Hostname: "node1", Address: "10.78.0.11"}
	node2 = master.Agent{ID: "S1", Hostname: "node2", Address: "10.78.0.12"}
)

func load(t *testing.T, name string) []story.Line {
	t.Helper()
	lines, err := story.Load(filepath.Join("../testdata/recordings/operator-api-2", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// replay sends the exchanges of a story to the masters, by the port that they were
// recorded at, and compares the answers.
func replay(t *testing.T, lines []story.Line, masters map[string]*master.Master) {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	// A leader is named by its address, and /slaves and /state are told in short.
	unlike := func(difference string) bool {
		for _, known := range []string{
			"Location", ".discovery", ".container: ", ".labels: is missing", ".slaves[].", ".flags.", ".version: ", ".domain: ", ".allocated_resources", ".offered_resources", ".slaves.slaves[].info.",
		} {
			if strings.Contains(difference, known) {
				return true
			}
		}
		return false
	}
	compared := 0
	for i, l := range lines {
		m := masters[port(&l)]
		if !l.IsExchange() || m == nil || l.Request.Path == "/state" {
			continue
		}
		compared++
		found, err := l.Check(t.Context(), transport, m.URL, []string{"type", "healthy", "active", "deactivated"}, unlike)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range found {
			t.Errorf("%d: %s: %s", i, &l, d)
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

func port(l *story.Line) string {
	if l.Request == nil {
		return ""
	}
	return l.Request.To[strings.LastIndexByte(l.Request.To, ':')+1:]
}

func world(t *testing.T, count int) (*master.Cluster, []*master.Master) {
	t.Helper()
	c := master.New()
	var all []*master.Master
	for range count {
		m, err := c.Listen()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		all = append(all, m)
	}
	c.Register(node2)
	c.Register(node1)
	return c, all
}

func TestALeaderAnswersAsRecorded(t *testing.T) {
	_, m := world(t, 1)
	for _, name := range []string{"master-01-about-itself", "master-02-errors"} {
		t.Run(name, func(t *testing.T) { replay(t, load(t, name), map[string]*master.Master{"15050": m[0]}) })
	}
}

func TestALeaderWithTasksAnswersAsRecorded(t *testing.T) {
	c, m := world(t, 1)
	c.RunGroup("executor", node2.ID, "writer", "reader")
	c.Run("one", node1.ID)
	c.Run("ended", node1.ID)
	c.Kill("ended")
	replay(t, load(t, "master-04-pod-csi-docker-volume-images"), map[string]*master.Master{"15050": m[0]})
}

// The story has a task that runs and was started before; when it has been killed there
// is none.
func TestALeaderAnswersAboutATaskAsRecorded(t *testing.T) {
	c, m := world(t, 1)
	c.Run("earlier", node2.ID)
	c.Kill("earlier")
	c.Run("one", node2.ID)
	lines := load(t, "master-03-subscribe-a-task")
	asks := func(l story.Line) bool { return l.IsExchange() && l.Request.Call() == "GET_TASKS" }
	last := len(lines) - 1
	for !asks(lines[last]) {
		last--
	}
	ports := map[string]*master.Master{"15050": m[0]}
	replay(t, lines[:last], ports)
	c.Kill("one")
	replay(t, lines[last:], ports)
}

func TestAFollowerAnswersAsRecorded(t *testing.T) {
	c, m := world(t, 2)
	ports := map[string]*master.Master{"15050": m[0], "15051": m[1]}
	t.Run("master-06", func(t *testing.T) { replay(t, load(t, "master-06-not-the-leader"), ports) })
	c.Want("joe", "s3cret")
	t.Run("master-08", func(t *testing.T) { replay(t, load(t, "master-08-with-credentials-not-the-leader"), ports) })
}

func TestANewLeaderWithCredentialsAnswersAsRecorded(t *testing.T) {
	c, m := world(t, 2)
	c.Run("t1", node1.ID)
	c.Unreachable(node1.ID)
	c.Register(node1)
	c.Want("joe", "s3cret")
	if err := m[0].Close(); err != nil {
		t.Fatal(err)
	}
	c.Lead(nil)
	c.Lead(m[1])
	replay(t, load(t, "master-09-with-credentials-leading"), map[string]*master.Master{"15051": m[1]})
}

// record is what a test compares of an event.
type record struct {
	Type  string `json:"type"`
	Added struct {
		Task struct {
			State    string `json:"state"`
			Statuses []struct {
				State string `json:"state"`
			} `json:"statuses"`
		} `json:"task"`
	} `json:"task_added"`
	Updated struct {
		State  string `json:"state"`
		Status struct {
			Reason string `json:"reason"`
			Source string `json:"source"`
		} `json:"status"`
	} `json:"task_updated"`
}

// read reads a record of RecordIO.
func read(r *bufio.Reader, into any) error {
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	length, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return err
	}
	data := make([]byte, length)
	if _, err := io.ReadFull(r, data); err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// next reads an event, and returns it in a few words.
func next(r *bufio.Reader) (string, error) {
	var ev record
	if err := read(r, &ev); err != nil {
		return "", err
	}
	lost := slices.ContainsFunc(ev.Added.Task.Statuses, func(s struct {
		State string `json:"state"`
	}) bool {
		return s.State == "TASK_UNREACHABLE"
	})
	text := fmt.Sprintf("%s %s%s %s %s", ev.Type, ev.Added.Task.State, ev.Updated.State, ev.Updated.Status.Reason, ev.Updated.Status.Source)
	if lost {
		text += " with a status of its loss"
	}
	return strings.TrimSpace(text), nil
}

// recordedEvents returns the events of a story's stream in JSON, without the
// heartbeats after the first one.
func recordedEvents(t *testing.T, name string) []string {
	t.Helper()
	var text strings.Builder
	for _, l := range load(t, name) {
		if strings.HasSuffix(l.Stream, "/json") {
			text.Write(l.Bytes())
		}
	}
	var events []string
	r := bufio.NewReader(strings.NewReader(text.String()))
	for ev, err := next(r); err == nil; ev, err = next(r) {
		if ev != "HEARTBEAT" || len(events) == 1 {
			events = append(events, ev)
		}
	}
	return events
}

// subscribe returns the stream of a master in JSON.
func subscribe(t *testing.T, m *master.Master) *bufio.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.URL+"/api/v1", strings.NewReader(`{"type":"SUBSCRIBE"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return bufio.NewReader(resp.Body)
}

// wantEvents compares the next events of a stream with recorded ones.
func wantEvents(t *testing.T, r *bufio.Reader, want []string) {
	t.Helper()
	for i, w := range want {
		if got, err := next(r); err != nil || got != w {
			t.Fatalf("event %d: got %q, %v, recorded %q", i, got, err, w)
		}
	}
}

func TestAStreamTellsOfATaskAsRecorded(t *testing.T) {
	c, m := world(t, 1)
	r := subscribe(t, m[0])
	want := recordedEvents(t, "master-03-subscribe-a-task")
	wantEvents(t, r, want[:2])
	c.Run("t1", node2.ID)
	c.Kill("t1")
	wantEvents(t, r, want[2:])
}

func TestAStreamTellsOfAnAgentThatIsLostAndComesBackAsRecorded(t *testing.T) {
	c, m := world(t, 1)
	for i := range 6 {
		c.Run(fmt.Sprint("t", i), node2.ID)
	}
	r := subscribe(t, m[0])
	want := recordedEvents(t, "master-05-an-agent-is-lost-and-comes-back")
	want = want[:slices.Index(want, "AGENT_ADDED")+1]
	wantEvents(t, r, want[:2])
	c.Disconnect(node2.ID, true) // of which the stream does not tell
	c.Unreachable(node2.ID)
	c.Register(node2)
	wantEvents(t, r, want[2:])
}

// A new leader begins with neither agents nor tasks, and agents come back to it with
// their tasks.
func TestAStreamOfANewLeaderBeginsAsRecorded(t *testing.T) {
	c, m := world(t, 2)
	c.Run("t1", node2.ID)
	c.Lead(m[1])
	var first struct {
		Subscribed struct {
			State struct {
				Tasks struct {
					Tasks []any `json:"tasks"`
				} `json:"get_tasks"`
				Agents struct {
					Agents    []any `json:"agents"`
					Recovered []any `json:"recovered_agents"`
				} `json:"get_agents"`
			} `json:"get_state"`
		} `json:"subscribed"`
	}
	r := subscribe(t, m[1])
	if err := read(r, &first); err != nil {
		t.Fatal(err)
	}
	s := first.Subscribed.State
	if len(s.Tasks.Tasks) != 0 || len(s.Agents.Agents) != 0 || len(s.Agents.Recovered) != 2 {
		t.Errorf("got %+v, want two recovered agents and nothing else", s)
	}
	c.Register(node2)
	wantEvents(t, r, []string{"HEARTBEAT", "TASK_ADDED TASK_RUNNING", "AGENT_ADDED"})
}
