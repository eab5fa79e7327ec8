package follow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/marathon/client"
	"github.com/flocker-mesos/flocker/marathon/follow"
	"github.com/flocker-mesos/flocker/test/marathon/recording"
)

// recorded serves what a real Marathon answered in a story, and its events in the chunks in
// which they came.
type recorded struct {
	*httptest.Server

	mu      sync.Mutex
	answers map[string]string // by path; of an app and a pod below their lists
	streams []chan string
}

func newRecorded(t *testing.T) *recorded {
	t.Helper()
	r := &recorded{answers: map[string]string{}}
	for _, l := range recording.Read(t, "rest-01-nothing-yet").Lines {
		if l.Exchange() && l.Request.Path == "/v2/info" && l.Request.Method == http.MethodGet {
			r.answers["/v2/info"] = l.Response.Text()
		}
	}
	r.clear()
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// clear has the lists empty.
func (r *recorded) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	info := r.answers["/v2/info"]
	r.answers = map[string]string{"/v2/info": info, "/v2/apps": `{"apps":[]}`, "/v2/pods/::status": `[]`, "/v2/deployments": `[]`}
}

// answer takes a recorded list over, and what it says of each app or pod.
func (r *recorded) answer(t *testing.T, path, text string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[path] = text
	var apps struct{ Apps []json.RawMessage }
	var pods []json.RawMessage
	_ = json.Unmarshal([]byte(text), &apps)
	_ = json.Unmarshal([]byte(text), &pods)
	for _, one := range append(apps.Apps, pods...) {
		var of struct{ ID string }
		if err := json.Unmarshal(one, &of); err != nil {
			t.Fatal(err)
		}
		if path == "/v2/apps" {
			r.answers["/v2/apps"+of.ID] = fmt.Sprintf(`{"app":%s}`, one)
		} else {
			r.answers["/v2/pods"+of.ID+"::status"] = string(one)
		}
	}
}

// tell sends a chunk to all who follow the events.
func (r *recorded) tell(chunk string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.streams {
		s <- chunk
	}
}

func (r *recorded) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path == "/v2/events" {
		chunks := make(chan string, 1000)
		r.mu.Lock()
		r.streams = append(r.streams, chunks)
		r.mu.Unlock()
		w.Header().Set("Content-Type", "text/event-stream;charset=utf-8")
		rc := http.NewResponseController(w)
		_ = rc.Flush()
		for {
			select {
			case chunk := <-chunks:
				_, _ = w.Write([]byte(chunk))
				_ = rc.Flush()
			case <-q.Context().Done():
				return
			}
		}
	}
	r.mu.Lock()
	answer, found := r.answers[q.URL.Path]
	r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if !found {
		w.WriteHeader(http.StatusNotFound)
		answer = `{"message":"App does not exist","details":[]}`
	}
	_, _ = w.Write([]byte(answer))
}

// followed has a cluster follow what was recorded.
func followed(t *testing.T, r *recorded) *memory {
	t.Helper()
	m := newMemory(t, host("node1", "10.78.0.11"), host("node2", "10.78.0.12"))
	c, err := client.New(client.Config{URLs: []string{r.URL}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := follow.New(quick(), c, m, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = f.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); c.Close() })
	m.await(t, "the events are followed", func(s *cluster.State) bool { return status(s).Events && !status(s).Read.IsZero() })
	return m
}

// The seven examples of a real Marathon: their volumes are known while they run, and kept when
// they are destroyed.
func TestTheRecordedExamplesAreFollowedToTheirEnd(t *testing.T) {
	r := newRecorded(t)
	m := followed(t, r)
	destroyed := false
	for _, l := range recording.Read(t, "rest-03-examples").Lines {
		switch {
		case l.Chunk != "":
			r.tell(l.Chunk)
		case !l.Exchange() || l.Response.Status != http.StatusOK:
		case strings.HasPrefix(l.Request.Path, "/v2/apps?embed"):
			r.answer(t, "/v2/apps", l.Response.Text())
		case l.Request.Path == "/v2/pods/::status":
			r.answer(t, l.Request.Path, l.Response.Text())
		case l.Request.Path == "/v2/tasks": // all of them run
			m.await(t, "all seven run on the nodes that Marathon names", func(s *cluster.State) bool {
				for a := range s.Apps() {
					for _, in := range a.Instances {
						if in.State != api.TaskRunning || in.Node == "" {
							return false
						}
					}
					if len(a.Instances) != a.Wanted || a.Mistake != "" {
						return false
					}
				}
				return s.CountApps() == 7
			})
			for _, name := range []string{"brokers.0", "brokers.1", "brokers.2", "shop-ledger", "shop-ledger-csi", "postgres", "shop-queue", "search-journal"} {
				if m.state().DatasetByName(name) == nil {
					t.Errorf("dataset %s is not known", name)
				}
			}
		case l.Request.Method == http.MethodDelete && !destroyed:
			destroyed = true
			r.clear() // a destroyed app is off every list at once
		}
	}
	m.await(t, "all seven are forgotten", func(s *cluster.State) bool { return s.CountApps() == 0 })
	for d := range m.state().Datasets() {
		if d.Deleted || d.Reclaim != nil {
			t.Errorf("%s is to be deleted, and its app never said so", d.Name())
		}
	}
}

// A node is lost: with 0/0 Marathon drops the task at once, and nothing more comes of it but
// that an unknown instance has ended.
func TestARecordedLossOfANodeLeavesNoInstanceBehind(t *testing.T) {
	r := newRecorded(t)
	m := followed(t, r)
	const labelled = `"labels":{"flocker.volume.data":"data"}`
	running := func(id string) int {
		a, n := m.state().App(id), 0
		if a != nil {
			for _, in := range a.Instances {
				if in.State == api.TaskRunning {
					n++
				}
			}
		}
		return n
	}
	for _, l := range recording.Read(t, "events-08-an-agent-is-lost-and-comes-back").Lines {
		switch {
		case l.Chunk != "":
			r.tell(l.Chunk)
		case l.Exchange() && strings.HasPrefix(l.Request.Path, "/v2/apps?embed"):
			last := strings.ReplaceAll(l.Response.Text(), `"labels":{}`, labelled) // so that they ask for volumes
			r.answer(t, "/v2/apps", last)
			var list struct {
				Apps []struct {
					ID    string
					Tasks []struct{ ID, State string }
				}
			}
			if err := json.Unmarshal([]byte(last), &list); err != nil {
				t.Fatal(err)
			}
			m.await(t, "the instances are those that Marathon lists at "+l.At.String(), func(s *cluster.State) bool {
				for _, a := range list.Apps {
					known := s.App(a.ID)
					if known == nil || len(known.Instances) != len(a.Tasks) {
						return false
					}
					for i := range a.Tasks {
						if !strings.Contains(fmt.Sprint(known.Instances), a.Tasks[i].ID+" "+a.Tasks[i].State) {
							return false
						}
					}
				}
				return true
			})
		}
	}
	if running("/t/zero") != 1 || running("/t/free") != 2 || running("/t/some") != 1 || running("/t/disabled") != 1 {
		t.Errorf("at the end: %d, %d, %d and %d run, want 1, 2, 1 and 1", running("/t/zero"), running("/t/free"), running("/t/some"), running("/t/disabled"))
	}
}
