package client_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// replica is a control service that a test plays.
type replica struct {
	heartbeat time.Duration
	lines     chan api.StreamEvent // sent on the stream
	report    func(w http.ResponseWriter, r api.Report)
	silent    bool         // does not answer beats
	beats     atomic.Int64 // the newest
}

func (p *replica) serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/agent/v1/stream":
		out := json.NewEncoder(w)
		send := func(ev api.StreamEvent) {
			_ = out.Encode(ev)
			_ = http.NewResponseController(w).Flush()
		}
		in := json.NewDecoder(r.Body)
		if err := in.Decode(&api.Hello{}); err != nil {
			return
		}
		beats := make(chan api.Beat)
		go func() {
			for {
				var beat api.Beat
				if in.Decode(&beat) != nil {
					return
				}
				select {
				case beats <- beat:
				case <-r.Context().Done():
					return
				}
			}
		}()
		send(api.StreamEvent{Welcome: &api.Welcome{Stream: 7, Heartbeat: p.heartbeat}, Datasets: []*api.Dataset{{ID: "first"}}})
		for {
			select {
			case ev, more := <-p.lines:
				if !more {
					return
				}
				send(ev)
			case beat := <-beats:
				p.beats.Store(int64(beat.Beat))
				if !p.silent {
					send(api.StreamEvent{Beat: beat.Beat})
				}
			case <-r.Context().Done():
				return
			}
		}
	case "/agent/v1/report":
		var report api.Report
		_ = json.NewDecoder(r.Body).Decode(&report)
		p.report(w, report)
	case "/agent/v1/claim":
		<-r.Context().Done() // never answered
	}
}

func (p *replica) connect(t *testing.T) *client.Session {
	t.Helper()
	if p.heartbeat == 0 {
		p.heartbeat = time.Minute
	}
	p.lines = make(chan api.StreamEvent)
	endpoint, rules := serve(t, p.serve)
	s, err := dial(t, rules, endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if ev, err := s.Next(t.Context()); err != nil || ev.Welcome == nil || ev.Welcome.Stream != 7 || ev.Datasets[0].ID != "first" {
		t.Fatalf("got %+v, %v, want the welcome", ev, err)
	}
	return s
}

func dial(t *testing.T, rules *tls.Config, endpoints ...string) (*client.Session, error) {
	t.Helper()
	a, err := client.NewAgent(client.Config{Endpoints: endpoints, TLS: rules, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return a.Connect(t.Context(), api.Hello{})
}

func TestSlowAgentGetsTheNewestOfEverything(t *testing.T) {
	p := &replica{}
	s := p.connect(t)
	for _, ev := range []api.StreamEvent{
		{Datasets: []*api.Dataset{{ID: "a", Revision: 1}, {ID: "b", Revision: 1}}},
		{}, // a heartbeat
		{Datasets: []*api.Dataset{{ID: "a", Revision: 2}}, Removed: []api.DatasetID{"b"}},
		{Removed: []api.DatasetID{"c"}},
		{Datasets: []*api.Dataset{{ID: "c", Revision: 3}}},
		{Datasets: []*api.Dataset{{ID: "last"}}},
	} {
		p.lines <- ev
	}
	newest := map[api.DatasetID]uint64{}
	var removed []api.DatasetID
	for newest["last"] == 0 {
		ev, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ev.Datasets {
			newest[d.ID] = max(d.Revision, 1)
		}
		removed = append(removed, ev.Removed...)
	}
	if newest["a"] != 2 || newest["c"] != 3 || !slices.Contains(removed, "b") {
		t.Errorf("got %v and removed %v", newest, removed)
	}
}

func TestSilentStreamIsGivenUp(t *testing.T) {
	p := &replica{heartbeat: 30 * time.Millisecond, silent: true}
	s := p.connect(t)
	if _, err := s.Next(t.Context()); err == nil || !strings.Contains(err.Error(), "silent for 90ms") {
		t.Errorf("got %v, want it given up for its silence", err)
	}
}

func TestBeatsThatAreAnsweredKeepTheContact(t *testing.T) {
	p := &replica{heartbeat: 20 * time.Millisecond}
	s := p.connect(t)
	begin := s.Contact()
	ended := make(chan error, 1)
	go func() {
		_, err := s.Next(t.Context())
		ended <- err
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.Contact().Sub(begin) < 3*p.heartbeat {
		select {
		case <-tick.C:
		case err := <-ended:
			t.Fatalf("contact at %s after %d beats, then %v", s.Contact().Sub(begin), p.beats.Load(), err)
		}
	}
	if p.beats.Load() == 0 {
		t.Error("there is contact without a beat")
	}
}

func TestBeatsThatAreNotAnsweredAreNoContact(t *testing.T) {
	p := &replica{heartbeat: 30 * time.Millisecond, silent: true}
	s := p.connect(t)
	begin := s.Contact()
	if _, err := s.Next(t.Context()); err == nil {
		t.Fatal("the session goes on")
	}
	if got := s.Contact(); !got.Equal(begin) || p.beats.Load() == 0 {
		t.Errorf("contact at %s after %d beats, want none", got.Sub(begin), p.beats.Load())
	}
}

func TestStreamThatEndsEndsTheSession(t *testing.T) {
	p := &replica{}
	s := p.connect(t)
	close(p.lines)
	if _, err := s.Next(t.Context()); err == nil || !strings.Contains(err.Error(), "the stream ended") {
		t.Errorf("got %v", err)
	}
	if _, err := s.Claim(t.Context(), api.ClaimRequest{ID: "d"}); err == nil {
		t.Error("a claim after the end succeeded")
	}
}

func TestReportWithAnUnknownOutcomeEndsTheSession(t *testing.T) {
	part := api.Report{Datasets: []api.DatasetReport{{State: api.DatasetState{ID: "d"}, Release: true}}}
	for _, tc := range []struct {
		name   string
		report func(http.ResponseWriter, api.Report)
		ends   bool
	}{
		{"no answer", func(http.ResponseWriter, api.Report) { panic(http.ErrAbortHandler) }, true},
		{"perhaps", func(w http.ResponseWriter, _ api.Report) { answer(w, 503, api.Errorf(api.CodeUnavailable, "may have")) }, true},
		{"a stream that is over", func(w http.ResponseWriter, _ api.Report) { answer(w, 409, api.Errorf(api.CodeStale, "over")) }, true},
		{"a refusal", func(w http.ResponseWriter, _ api.Report) { answer(w, 400, api.Errorf(api.CodeInvalid, "no")) }, false},
		{"a part refused", func(w http.ResponseWriter, r api.Report) {
			if r.Stream != 7 {
				t.Errorf("got stream %d, want 7", r.Stream)
			}
			answer(w, 200, api.ReportReply{Refused: map[api.DatasetID]*api.Error{"d": api.Errorf(api.CodeStale, "old")}})
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := &replica{report: tc.report}
			s := p.connect(t)
			reply, err := s.Report(t.Context(), part)
			if tc.ends && err == nil {
				t.Fatalf("got %+v, want an error", reply)
			}
			if tc.ends {
				if _, err := s.Next(t.Context()); err == nil {
					t.Error("the session goes on")
				}
				return
			}
			p.lines <- api.StreamEvent{Datasets: []*api.Dataset{{ID: "a"}}}
			if _, err := s.Next(t.Context()); err != nil {
				t.Errorf("the session ended: %v", err)
			}
		})
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	p := &replica{}
	s := p.connect(t)
	failed := make(chan error, 1)
	go func() {
		_, err := s.Claim(t.Context(), api.ClaimRequest{ID: "d"})
		failed <- err
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("a claim that was never answered succeeded")
	}
	if _, err := s.Next(t.Context()); err == nil {
		t.Error("a closed session has events")
	}
	if err := s.Close(); err != nil {
		t.Errorf("close twice: %v", err)
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	s := (&replica{}).connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestConnectFails(t *testing.T) {
	for _, tc := range []struct {
		name  string
		serve http.HandlerFunc
		text  string
		code  api.Code
	}{
		{"when it is refused", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 409, api.Errorf(api.CodeConflict, "node a has an agent already"))
		}, "node a has an agent already", api.CodeConflict},
		{"when there is no welcome", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, api.StreamEvent{}) },
			"does not begin with a welcome", api.CodeInternal},
		{"when something else answers", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) },
			"open stream", api.CodeInternal},
	} {
		t.Run(tc.name, func(t *testing.T) {
			endpoint, rules := serve(t, tc.serve)
			_, err := dial(t, rules, endpoint)
			if err == nil || !strings.Contains(err.Error(), tc.text) || api.CodeOf(err) != tc.code {
				t.Errorf("got %v (code %q), want %q (code %q)", err, api.CodeOf(err), tc.text, tc.code)
			}
		})
	}
	t.Run("when the caller gives up", func(t *testing.T) {
		asked := make(chan struct{})
		endpoint, rules := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			close(asked)
			<-r.Context().Done()
		})
		a, err := client.NewAgent(client.Config{Endpoints: []string{endpoint}, TLS: rules})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-asked
			cancel()
		}()
		if _, err := a.Connect(ctx, api.Hello{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
}
