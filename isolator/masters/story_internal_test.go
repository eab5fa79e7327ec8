package masters

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/mesos/story"
)

func recording(t *testing.T, name string) []story.Line {
	t.Helper()
	lines, err := story.Load(filepath.Join("../../test/mesos/testdata/recordings/operator-api-2", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// asMessage decodes recorded JSON, without the words that mesos-go's JSON refuses.
func asMessage(t *testing.T, text []byte, m any) {
	t.Helper()
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	var clean func(v any)
	clean = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, unknown := range []string{"capabilities", "volumes", "health_check", "kill_policy", "offer_constraints"} {
				delete(v, unknown)
			}
			for _, field := range v {
				clean(field)
			}
		case []any:
			for _, field := range v {
				clean(field)
			}
		}
	}
	clean(tree)
	data, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, m); err != nil {
		t.Fatalf("%v: %.200s", err, text)
	}
}

// told plays a story to a watcher, as a master would tell it, and calls see after
// every line with what is known of a node by then.
func told(t *testing.T, name, node string, see func(l *story.Line, m *api.MesosAgent, events []Event)) {
	t.Helper()
	client, err := New(Options{URLs: []string{"http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	var now time.Time
	w := NewWatcher(client, slog.New(slog.DiscardHandler), func() time.Time { return now })
	var events []Event
	streams := map[string]*bytes.Buffer{}
	for _, l := range recording(t, name) {
		now = l.At
		switch {
		case l.Stream != "" && len(l.Bytes()) > 0 && !strings.Contains(l.Stream, "protobuf"):
			if streams[l.Stream] == nil {
				streams[l.Stream] = new(bytes.Buffer)
			}
			streams[l.Stream].Write(l.Bytes())
			f := newFrames(streams[l.Stream], 1<<20)
			for record, err := f.next(); err == nil; record, err = f.next() {
				m := new(master.Event)
				asMessage(t, record, m)
				if ev, ok := eventOf(m); ok {
					events = append(events, ev)
					w.take(ev)
				}
			}
		case l.Stream != "" && l.End != "":
			w.stream = false
			delete(streams, l.Stream)
		case l.IsExchange() && l.Response.Status == 200:
			w.heard = now
			tellAnswer(t, w, &l)
		}
		see(&l, w.Agents([]*api.Node{{ID: "n", Hostname: node}})["n"], events)
	}
}

func tellAnswer(t *testing.T, w *Watcher, l *story.Line) {
	t.Helper()
	if strings.HasSuffix(l.Request.Path, "/registry") {
		if r, err := parseRegistry(l.Response.Body()); err == nil {
			w.view.register(r)
		}
		return
	}
	if story.Header(l.Request.Headers, "Accept") == protobuf {
		if err := decode(new(master.Response), l.Response.Body()); err != nil {
			t.Errorf("%s: %v", l, err)
		}
		return
	}
	switch l.Request.Call() {
	case "GET_AGENTS":
		r := new(master.Response)
		asMessage(t, l.Response.Body(), r)
		w.view.list(listingOf(r.GetAgents), w.now())
	case "GET_TASKS":
		r := new(master.Response)
		asMessage(t, l.Response.Body(), r)
		if !w.stream {
			w.view.replace(tasksOf(r.GetTasks))
		}
	}
}

func TestStoryOfAnAgentThatIsLostAndComesBack(t *testing.T) {
	var states []api.MesosState
	var atReturn *api.MesosAgent
	ended := false
	told(t, "master-05-an-agent-is-lost-and-comes-back", "node2", func(_ *story.Line, m *api.MesosAgent, events []Event) {
		if m == nil {
			return
		}
		if len(states) == 0 || states[len(states)-1] != m.State {
			states = append(states, m.State)
		}
		if n := len(events); n > 0 && events[n-1].Added != "" && atReturn == nil {
			atReturn = m
		}
		ended = m.Tasks["TASK_UNREACHABLE"] == 0 && m.State == api.MesosRegistered && atReturn != nil
	})
	want := []api.MesosState{api.MesosRegistered, api.MesosDisconnected, api.MesosUnreachable, api.MesosRegistered}
	// The stream tells that its tasks are lost a moment before it is missing from the list.
	if !slices.Equal(slices.Compact(states), want) {
		t.Errorf("got %v, want %v", states, want)
	}
	if atReturn == nil || atReturn.Tasks["TASK_RUNNING"] != 6 || atReturn.Tasks["TASK_UNREACHABLE"] != 0 {
		t.Errorf("when it is back: got %+v, want its six tasks running without an update of any", atReturn)
	}
	if !ended {
		t.Error("tasks are still unreachable at the end")
	}
}

func TestStoryOfALeaderThatDies(t *testing.T) {
	var states []api.MesosState
	told(t, "master-07-the-leader-dies-and-comes-back", "node2", func(_ *story.Line, m *api.MesosAgent, _ []Event) {
		if m != nil && (len(states) == 0 || states[len(states)-1] != m.State) {
			states = append(states, m.State)
		}
	})
	// Recovered, and never absent, removed or gone.
	for _, s := range states {
		if s != api.MesosRegistered && s != api.MesosRecovered {
			t.Errorf("got %v", states)
		}
	}
	if !slices.Contains(states, api.MesosRecovered) || states[len(states)-1] != api.MesosRegistered {
		t.Errorf("got %v, want it recovered and then registered", states)
	}
}

// Both streams of the story tell the same, however their bytes come.
func TestStoryOfATaskIsReadInAnyChunks(t *testing.T) {
	var raw bytes.Buffer
	for _, l := range recording(t, "master-03-subscribe-a-task") {
		if strings.HasSuffix(l.Stream, "x-protobuf") {
			raw.Write(l.Bytes())
		}
	}
	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(raw.Bytes()), "byte by byte": iotest.OneByteReader(bytes.NewReader(raw.Bytes())), "in halves": iotest.HalfReader(bytes.NewReader(raw.Bytes())),
	} {
		t.Run(name, func(t *testing.T) {
			var states []string
			silence := time.NewTimer(time.Hour)
			defer silence.Stop()
			err := read(r, 1<<20, silence, func(ev Event) error {
				if ev.Task != nil {
					states = append(states, ev.Task.State)
				}
				return nil
			})
			want := []string{"TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_KILLED"}
			if err != io.EOF || !slices.Equal(states, want) { //nolint:errorlint // it is the reader's own
				t.Errorf("got %v, %v, want %v", states, err, want)
			}
		})
	}
}

func TestTasksThatDoNotComeBackWithTheirAgentAreForgotten(t *testing.T) {
	agent := Agent{ID: "S1", Hostname: "node2", Active: true}
	for listed, when := range []string{"before its tasks are told", "before it is told itself", "after that"} {
		v := newView()
		now := time.Now()
		round := func(at int) {
			if at == listed {
				v.list(Listing{Registered: []Agent{agent}}, now)
			}
		}
		v.list(Listing{Registered: []Agent{agent}}, now)
		for _, id := range []string{"stays", "ended"} {
			v.task(Task{ID: id, Agent: "S1", State: "TASK_RUNNING"})
			v.task(Task{ID: id, Agent: "S1", State: "TASK_UNREACHABLE", Lost: true, Since: now})
		}
		v.list(Listing{}, now)
		back := Task{ID: "stays", Agent: "S1", State: "TASK_RUNNING"}
		round(0)
		v.task(back)
		v.returned(back)
		round(1)
		v.back("S1")
		round(2)
		if got := v.agents["S1"].evidence().Tasks; len(got) != 1 || got["TASK_RUNNING"] != 1 {
			t.Errorf("listed %s: got %v, want the one task that came back", when, got)
		}
	}
}
