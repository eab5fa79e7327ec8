package masters

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/flocker-mesos/flocker/api"
)

func TestFramesAreReadWhateverTheirSize(t *testing.T) {
	large := strings.Repeat("x", 6<<20)
	for name, tt := range map[string]struct {
		stream string
		want   []string
		end    string // of the error
	}{
		"none":                      {"", nil, "EOF"},
		"some":                      {"1\na3\nbcd0\n2\nef", []string{"a", "bcd", "", "ef"}, "EOF"},
		"a large one and another":   {fmt.Sprintf("%d\n%s1\na", len(large), large), []string{large, "a"}, "EOF"},
		"one that is cut":           {"5\nabc", nil, "unexpected EOF"},
		"a length that is cut":      {"1\na1", []string{"a"}, "unexpected EOF"},
		"one that is too large":     {"8388609\n", nil, "more than the 8388608 that are allowed"},
		"a length beyond all":       {"99999999999999999999\n", nil, "is not a number of bytes"},
		"a length that never ends":  {strings.Repeat("0", 100), nil, "goes on"},
		"no length":                 {"\nabc", nil, "is not a number of bytes"},
		"a negative length":         {"-1\nabc", nil, "is not a number of bytes"},
		"something else altogether": {"<html>\n", nil, "is not a number of bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFrames(strings.NewReader(tt.stream), 8<<20)
			for i, want := range tt.want {
				if got, err := f.next(); err != nil || string(got) != want {
					t.Fatalf("record %d: got %d bytes, %v, want %d", i, len(got), err, len(want))
				}
			}
			if got, err := f.next(); err == nil || !strings.HasSuffix(err.Error(), tt.end) {
				t.Errorf("got %d bytes, %v, want an error that ends in %q", len(got), err, tt.end)
			}
		})
	}
}

// Only what arrives takes memory, not what somebody says will.
func TestFrameThatNeverComesTakesNoMemory(t *testing.T) {
	f := newFrames(strings.NewReader("8000000000\nabc"), 8<<40)
	if _, err := f.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if got := f.buf.Cap(); got > 1<<20 {
		t.Errorf("%d bytes were taken", got)
	}
}

// recorded reads a recorded answer, which is JSON.
func recorded[T any](t *testing.T, name string) *T {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	m := new(T)
	if err := json.Unmarshal(text, m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRecordedAnswersAreUnderstood(t *testing.T) {
	const id = "6b2f9f0a-52a2-4fb0-9d1b-f6c16a78896f-S0"
	agents := listingOf(recorded[master.Response](t, "master-GET_AGENTS.json").GetAgents)
	want := Listing{Registered: []Agent{{
		ID: id, Hostname: "127.0.0.1", Address: "127.0.0.1", Active: true, Registered: time.Unix(0, 1795230446712791000).UTC(),
	}}}
	if !reflect.DeepEqual(agents, want) {
		t.Errorf("got %+v, want %+v", agents, want)
	}
	tasks := tasksOf(recorded[master.Response](t, "master-GET_TASKS.json").GetTasks)
	if len(tasks) != 3 || tasks[0].Agent != id || tasks[0].State != "TASK_RUNNING" || tasks[0].Lost || tasks[0].Address != "127.0.0.1" {
		t.Errorf("got %+v", tasks)
	}
	lost := tasksOf(recorded[master.Response](t, "master-GET_TASKS-unreachable.json").GetTasks)
	if len(lost) != 3 || lost[0].ID != tasks[0].ID || lost[0].State != "TASK_UNREACHABLE" || !lost[0].Lost || lost[0].Since.Unix() != 1795230496 {
		t.Errorf("got %+v", lost)
	}
}

// The recorded stream is JSON, which is encoded anew as protobuf.
func TestRecordedStreamTellsOfALostAgent(t *testing.T) {
	text, err := os.ReadFile("testdata/master-subscribe.recordio")
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	for f := newFrames(bytes.NewReader(text), 1<<20); ; {
		record, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var ev master.Event
		// A word that mesos-go does not know, and protobuf does not need to.
		if err := json.Unmarshal(bytes.ReplaceAll(record, []byte("CSI_VOLUME"), []byte("UNKNOWN")), &ev); err != nil {
			t.Fatal(err)
		}
		data, err := ev.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&stream, "%d\n%s", len(data), data)
	}
	timer := time.AfterFunc(time.Hour, func() {})
	defer timer.Stop()
	v, lost, removed := newView(), 0, 0
	err = read(&stream, 1<<20, timer, func(ev Event) error {
		switch {
		case ev.Snapshot != nil:
			v.list(ev.Snapshot.Agents, time.Now())
			v.replace(ev.Snapshot.Tasks)
		case ev.Task != nil:
			v.task(*ev.Task)
			if ev.Task.Lost {
				lost++
			}
		case ev.Removed != "":
			v.remove(ev.Removed)
			removed++
		}
		return nil
	})
	if !errors.Is(err, io.EOF) || lost == 0 || removed != 1 || len(v.agents) != 1 {
		t.Errorf("got %v, %d lost tasks, %d agents removed, %d agents", err, lost, removed, len(v.agents))
	}
}

func TestRegistryIsRead(t *testing.T) {
	r, err := parseRegistry([]byte(`{"master": {"info": {"id": "x"}}, "slaves": {"slaves": [{"info": {"id": {"value": "S0"}}}]},
		"unreachable": {"slaves": [{"id": {"value": "S1"}, "timestamp": {"nanoseconds": 1795230490855906125}}]},
		"gone": {"slaves": [{"id": {"value": "S2"}}]}}`))
	want := Registry{
		Unreachable: map[string]time.Time{"S1": time.Unix(0, 1795230490855906125).UTC()}, Gone: map[string]time.Time{"S2": {}},
	}
	if err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v, %v, want %+v", r, err, want)
	}
	if r, err := parseRegistry([]byte(`{"master": {}}`)); err != nil || len(r.Gone)+len(r.Unreachable) != 0 {
		t.Errorf("an empty one: got %+v, %v", r, err)
	}
	if _, err := parseRegistry([]byte("{}")); err == nil {
		t.Error("that of a master that does not lead: got no error")
	}
	if _, err := parseRegistry([]byte("<html>")); err == nil {
		t.Error("another page: got no error")
	}
}

func TestNodesAndAgentsAreMatchedOrLeftAlone(t *testing.T) {
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	agent := func(id, hostname, address string) Agent {
		return Agent{ID: id, Hostname: hostname, Address: address, Active: true}
	}
	node := func(id, hostname, address string) *api.Node {
		return &api.Node{ID: api.NodeID(id), Hostname: hostname, Address: address}
	}
	for name, tt := range map[string]struct {
		before []Agent // registered a while ago, and not any more
		agents []Agent
		nodes  []*api.Node
		want   map[api.NodeID]string
	}{
		"by name and address": {nil, []Agent{agent("S0", "a", "192.0.2.1")}, []*api.Node{node("1", "a", "192.0.2.1")}, map[api.NodeID]string{"1": "S0"}},
		"by name":             {nil, []Agent{agent("S0", "A", "10.0.0.1")}, []*api.Node{node("1", "a", "192.0.2.1")}, map[api.NodeID]string{"1": "S0"}},
		"by a short name of the node": {
			nil, []Agent{agent("S0", "a.example.net", "")}, []*api.Node{node("1", "a", "")}, map[api.NodeID]string{"1": "S0"},
		},
		"by a short name of the agent": {
			nil, []Agent{agent("S0", "a", "")}, []*api.Node{node("1", "a.example.net", "")}, map[api.NodeID]string{"1": "S0"},
		},
		"not by a name that begins alike": {nil, []Agent{agent("S0", "ab", "")}, []*api.Node{node("1", "a", "")}, nil},
		"not by another domain":           {nil, []Agent{agent("S0", "a.x", "")}, []*api.Node{node("1", "a.y", "")}, nil},
		"by address":                      {nil, []Agent{agent("S0", "public", "192.0.2.1")}, []*api.Node{node("1", "a", "192.0.2.1")}, map[api.NodeID]string{"1": "S0"}},
		"by an address as name":           {nil, []Agent{agent("S0", "192.0.2.1", "")}, []*api.Node{node("1", "a", "192.0.2.1")}, map[api.NodeID]string{"1": "S0"}},
		"not by no name at all":           {nil, []Agent{agent("S0", "", "")}, []*api.Node{node("1", "", "")}, nil},
		"not by the address of every machine": {
			nil, []Agent{agent("S0", "a", "127.0.0.1")}, []*api.Node{node("1", "b", "127.0.0.1")}, nil,
		},
		"two agents on one machine": {
			nil, []Agent{agent("S0", "a", "192.0.2.1"), agent("S1", "a", "192.0.2.1")}, []*api.Node{node("1", "a", "192.0.2.1")}, nil,
		},
		"name and address of two agents": {
			nil, []Agent{agent("S0", "a", "192.0.2.9"), agent("S1", "b", "192.0.2.1")}, []*api.Node{node("1", "a", "192.0.2.1")}, nil,
		},
		"two nodes of one name": {nil, []Agent{agent("S0", "a", "")}, []*api.Node{node("1", "a", ""), node("2", "a", "")}, nil},
		"two nodes behind one address, one of that name": {
			nil, []Agent{agent("S0", "a", "192.0.2.1")}, []*api.Node{node("1", "a", "192.0.2.1"), node("2", "b", "192.0.2.1")},
			map[api.NodeID]string{"1": "S0"},
		},
		"an address that was given to another machine": {
			nil, []Agent{agent("S1", "b", "192.0.2.1")}, []*api.Node{node("old", "a", "192.0.2.1"), node("new", "b", "192.0.2.1")},
			map[api.NodeID]string{"new": "S1"},
		},
		"the agent of before": {
			[]Agent{agent("S0", "a", "192.0.2.1")}, []Agent{agent("S1", "a", "192.0.2.1")}, []*api.Node{node("1", "a", "192.0.2.1")},
			map[api.NodeID]string{"1": "S1"},
		},
		"only the agent of before": {
			[]Agent{agent("S0", "a", "192.0.2.1")}, nil, []*api.Node{node("1", "a", "192.0.2.1")}, map[api.NodeID]string{"1": "S0"},
		},
		"two agents of before": {
			[]Agent{agent("S0", "a", "192.0.2.1"), agent("S1", "a", "192.0.2.1")}, nil, []*api.Node{node("1", "a", "192.0.2.1")}, nil,
		},
		"each its own": {
			nil, []Agent{agent("S0", "a", "192.0.2.1"), agent("S1", "b", "192.0.2.2")}, []*api.Node{node("2", "b", "192.0.2.2"), node("1", "a", "192.0.2.1")},
			map[api.NodeID]string{"1": "S0", "2": "S1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := newView()
			v.list(Listing{Registered: tt.before}, now)
			v.list(Listing{Registered: tt.agents}, now.Add(time.Minute))
			got := map[api.NodeID]string{}
			for id, a := range v.match(tt.nodes) {
				got[id] = a.ID
			}
			if len(got)+len(tt.want) > 0 && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestAWordCountsFromWhenItWasNoticed: Mesos tells when an agent registered, and of no
// other word since when it holds.
func TestAWordCountsFromWhenItWasNoticed(t *testing.T) {
	registered := time.Date(2026, 3, 14, 15, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return registered.Add(time.Duration(seconds) * time.Second) }
	agent := Agent{ID: "S0", Hostname: "node1", Active: true, Registered: registered}
	broken, drained := agent, agent
	broken.Active = false
	drained.Deactivated, drained.Drained = true, true
	v := newView()
	for _, step := range []struct {
		agents []Agent
		now    time.Time
		state  api.MesosState
		since  time.Time
	}{
		{[]Agent{agent}, at(30), api.MesosRegistered, registered},
		{[]Agent{broken}, at(48), api.MesosDisconnected, at(48)},
		{[]Agent{broken}, at(56), api.MesosDisconnected, at(48)},
		{[]Agent{agent}, at(60), api.MesosRegistered, registered},
		{[]Agent{drained}, at(90), api.MesosDrained, at(90)},
		{nil, at(120), api.MesosAbsent, at(120)},
		{[]Agent{broken}, at(150), api.MesosDisconnected, time.Time{}}, // it may have been so for long
	} {
		v.list(Listing{Registered: step.agents}, step.now)
		if state, since := v.agents["S0"].state(); state != step.state || !since.Equal(step.since) {
			t.Errorf("at %s: got %s since %s, want %s since %s", step.now, state, since, step.state, step.since)
		}
	}
	late := newView()
	late.list(Listing{Registered: []Agent{broken}}, at(48))
	if state, since := late.agents["S0"].state(); state != api.MesosDisconnected || !since.IsZero() {
		t.Errorf("a watcher that begins late: got %s since %s", state, since)
	}
}

func TestViewIsBounded(t *testing.T) {
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	v := newView()
	v.list(Listing{Registered: []Agent{{ID: "old"}, {ID: "there"}}}, now)
	v.list(Listing{Registered: []Agent{{ID: "there"}}}, now)
	v.list(Listing{Registered: []Agent{{ID: "there"}}}, now.Add(forgetAfter))
	if v.agents["old"] == nil {
		t.Error("an agent was forgotten too soon")
	}
	v.list(Listing{Registered: []Agent{{ID: "there"}}}, now.Add(forgetAfter+time.Second))
	if v.agents["old"] != nil || v.agents["there"] == nil {
		t.Errorf("got %v", v.agents)
	}
	for i := range maxAbsent + 10 {
		v.task(Task{ID: "t", Agent: fmt.Sprint(i), Lost: true, Since: now.Add(time.Duration(i))})
	}
	v.list(Listing{Registered: []Agent{{ID: "there"}}}, now)
	if len(v.agents) != maxAbsent+1 || v.agents["9"] != nil || v.agents["10"] == nil {
		t.Errorf("got %d agents, want those that were lost last, and the one that is there", len(v.agents))
	}
}

func TestTasksOfEveryStateAreKeptOrForgotten(t *testing.T) {
	for state := range mesos.TaskState_name {
		s := mesos.TaskState(state)
		for _, reason := range []mesos.TaskStatus_Reason{mesos.REASON_AGENT_REMOVED, mesos.REASON_CONTAINER_LAUNCH_FAILED} {
			m := mesos.Task{State: &s, Statuses: []mesos.TaskStatus{{State: &s, Reason: &reason}}}
			task := taskOf(&m)
			lost := s == mesos.TASK_UNREACHABLE || s == mesos.TASK_GONE_BY_OPERATOR || s == mesos.TASK_LOST && reason == mesos.REASON_AGENT_REMOVED
			lives := s == mesos.TASK_STAGING || s == mesos.TASK_STARTING || s == mesos.TASK_RUNNING || s == mesos.TASK_KILLING
			if task.Lost != lost || task.over() == (lost || lives) {
				t.Errorf("%s, %s: got %+v, over %v", s, reason, task, task.over())
			}
		}
	}
}

func FuzzStream(f *testing.F) {
	event, err := (&master.Event{Type: master.Event_AGENT_REMOVED, AgentRemoved: &master.Event_AgentRemoved{AgentID: mesos.AgentID{Value: "S0"}}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(fmt.Sprintf("%d\n%s", len(event), event)))
	f.Add([]byte("3\nabc"))
	f.Add([]byte("11\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		timer := time.AfterFunc(time.Hour, func() {})
		defer timer.Stop()
		v := newView()
		err := read(bytes.NewReader(data), 1<<16, timer, func(ev Event) error {
			if ev.Task != nil {
				v.task(*ev.Task)
			}
			return nil
		})
		if err == nil {
			t.Error("a stream ended without an error")
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, name := range []string{"master-GET_AGENTS.json", "master-GET_TASKS.json", "master-GET_TASKS-unreachable.json"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		var r master.Response
		if err := json.Unmarshal(text, &r); err != nil {
			f.Fatal(err)
		}
		data, err := r.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		r, v := new(master.Response), newView()
		if decode(r, data) != nil {
			return
		}
		if r.GetAgents != nil {
			v.list(listingOf(r.GetAgents), time.Now())
		}
		if r.GetTasks != nil {
			v.replace(tasksOf(r.GetTasks))
		}
		v.match([]*api.Node{{ID: "n", Hostname: "127.0.0.1", Address: "192.0.2.1"}})
		for _, a := range v.agents {
			a.evidence()
		}
	})
}

func FuzzRegistry(f *testing.F) {
	f.Add([]byte(`{"gone": {"slaves": [{"id": {"value": "S2"}, "timestamp": {"nanoseconds": 1}}]}}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		if r, err := parseRegistry(data); err == nil {
			newView().register(r)
		}
	})
}
