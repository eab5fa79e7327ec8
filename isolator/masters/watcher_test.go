package masters_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator/masters"
)

// deadURL is of a master that nobody runs.
func deadURL(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func TestWatcherKnowsWhatBecomesOfAnAgent(t *testing.T) {
	for name, ways := range map[string]func(*world){
		"with a stream":        func(*world) {},
		"without a stream":     func(w *world) { w.NoStream(true) },
		"without the registry": func(w *world) { w.NoRegistry() },
		"with neither":         func(w *world) { w.NoStream(true); w.NoRegistry() },
		"with frames of 6 MB":  func(w *world) { w.Pad(2 << 20) },
		"with a password":      func(w *world) { w.Want("flocker", "secret") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			ways(w)
			w.Register(agent1)
			w.Register(agent2)
			for _, task := range []string{"t1", "t2", "t3"} {
				w.Run(task, agent1.ID)
			}
			w.Run("other", agent2.ID)
			watcher := watch(t, masters.Options{
				URLs: w.urls[1:], Username: "flocker", Password: func() (string, error) { return "secret", nil },
			})
			await(t, watcher, node1, func(m *api.MesosAgent) bool {
				return is(api.MesosRegistered)(m) && m.ID == agent1.ID && m.Tasks["TASK_RUNNING"] == 3
			})
			await(t, watcher, node2, func(m *api.MesosAgent) bool { return is(api.MesosRegistered)(m) && m.TaskCount() == 1 })
			w.Finish("t3")
			await(t, watcher, node1, func(m *api.MesosAgent) bool { return m.TaskCount() == 2 })

			w.Unreachable(agent1.ID)
			m := await(t, watcher, node1, func(m *api.MesosAgent) bool {
				return is(api.MesosUnreachable)(m) && m.Tasks["TASK_UNREACHABLE"] == 2 && !m.Since.IsZero()
			})
			if m.Runs() {
				t.Error("an unreachable agent is taken to run")
			}
			w.Register(agent1)
			await(t, watcher, node1, func(m *api.MesosAgent) bool {
				return is(api.MesosRegistered)(m) && m.Tasks["TASK_RUNNING"] == 2 && m.Runs()
			})
			w.Unreachable(agent1.ID)
			w.Gone(agent1.ID)
			await(t, watcher, node1, func(m *api.MesosAgent) bool {
				return is(api.MesosGone)(m) && m.Tasks["TASK_GONE_BY_OPERATOR"] == 2 && !m.Since.IsZero()
			})
			// The machine comes back as another agent.
			again := agent1
			again.ID = "6b2f-S7"
			w.Register(again)
			await(t, watcher, node1, func(m *api.MesosAgent) bool { return is(api.MesosRegistered)(m) && m.ID == again.ID })
			await(t, watcher, node2, is(api.MesosRegistered))
		})
	}
}

func TestWatcherTellsHowAnAgentIsRegistered(t *testing.T) {
	w := newWorld(t, 1)
	w.Register(agent1)
	watcher := watch(t, masters.Options{URLs: w.urls})
	for _, step := range []struct {
		do   func()
		want api.MesosState
		runs bool
	}{
		{func() {}, api.MesosRegistered, true},
		{func() { w.Deactivate(agent1.ID) }, api.MesosDeactivated, true},
		{func() { w.Drain(agent1.ID, false) }, api.MesosDraining, true},
		{func() { w.Drain(agent1.ID, true) }, api.MesosDrained, true},
		{func() { w.Disconnect(agent1.ID, true) }, api.MesosDisconnected, false},
		{func() { w.Register(agent1) }, api.MesosRegistered, true},
		{func() { w.Leave(agent1.ID) }, api.MesosRemoved, false},
	} {
		step.do()
		if m := await(t, watcher, node1, is(step.want)); m.Runs() != step.runs {
			t.Errorf("%s: got %v", step.want, m.Runs())
		}
	}
}

func TestWatcherTellsAnUnreachableAgentWithoutTasksByTheRegistryAlone(t *testing.T) {
	w := newWorld(t, 1)
	w.Register(agent1)
	w.Register(agent2)
	watcher := watch(t, masters.Options{URLs: w.urls})
	await(t, watcher, node1, is(api.MesosRegistered))
	w.Unreachable(agent1.ID)
	await(t, watcher, node1, is(api.MesosUnreachable))
	w.NoRegistry()
	w.Unreachable(agent2.ID)
	m := await(t, watcher, node2, is(api.MesosAbsent))
	if m.Since.IsZero() {
		t.Error("it is not said since when")
	}
}

// What was lost before anybody asked is known by the addresses of its tasks.
func TestWatcherThatBeginsLateKnowsALostAgentByItsTasks(t *testing.T) {
	w := newWorld(t, 1)
	w.Register(agent1)
	w.Run("t1", agent1.ID)
	w.Unreachable(agent1.ID)
	m := await(t, watch(t, masters.Options{URLs: w.urls}), node1, is(api.MesosUnreachable))
	if m.ID != agent1.ID || m.TaskCount() != 1 {
		t.Errorf("got %+v", m)
	}
}

func TestWatcherFollowsTheLeader(t *testing.T) {
	w := newWorld(t, 3)
	w.Register(agent1)
	w.Register(agent2)
	w.Run("t1", agent1.ID)
	w.Unreachable(agent1.ID)
	watcher := watch(t, masters.Options{URLs: w.urls})
	await(t, watcher, node1, func(m *api.MesosAgent) bool { return is(api.MesosUnreachable)(m) && m.TaskCount() == 1 })
	await(t, watcher, node2, is(api.MesosRegistered))

	// The leader dies. The others go on naming it until another one leads.
	if err := w.masters[0].Close(); err != nil {
		t.Fatal(err)
	}
	w.Lead(nil)
	await(t, watcher, node2, func(*api.MesosAgent) bool { return watcher.Masters().Cause != "" })
	if got := watcher.Masters(); !strings.Contains(got.Cause, "no Mesos master leads") || !strings.Contains(got.Cause, "names the leader "+w.urls[0]+", which does not answer") {
		t.Errorf("got %+v", got)
	}
	w.Lead(w.masters[2])
	await(t, watcher, node2, is(api.MesosRecovered))
	w.Register(agent2)
	await(t, watcher, node2, is(api.MesosRegistered))
	// The new leader has forgotten the tasks of the lost agent, which the watcher
	// has not.
	await(t, watcher, node1, func(m *api.MesosAgent) bool { return is(api.MesosUnreachable)(m) && m.TaskCount() == 1 })
	if got := watcher.Masters(); got.Leader != w.urls[2] || got.Cause != "" || got.Agents != 1 {
		t.Errorf("got %+v, want leader %s", got, w.urls[2])
	}
	// The one that leads dies, and another one takes over.
	if err := w.masters[2].Close(); err != nil {
		t.Fatal(err)
	}
	w.Lead(w.masters[1])
	w.Register(agent2)
	await(t, watcher, node2, func(m *api.MesosAgent) bool {
		return is(api.MesosRegistered)(m) && watcher.Masters().Leader == w.urls[1]
	})
}

func TestWatcherSaysWhatItKnewWhenMastersFallSilent(t *testing.T) {
	w := newWorld(t, 1)
	w.Register(agent1)
	watcher := watch(t, masters.Options{URLs: w.urls})
	await(t, watcher, node1, is(api.MesosRegistered))
	w.masters[0].Refuse(http.StatusServiceUnavailable)
	w.NoStream(true)
	m := await(t, watcher, node1, func(m *api.MesosAgent) bool { return m.Stale })
	if m.State != api.MesosRegistered || m.Runs() || m.Heard.IsZero() {
		t.Errorf("got %+v", m)
	}
	w.masters[0].Refuse(0)
	await(t, watcher, node1, is(api.MesosRegistered))
}

func TestWatcherSubscribesAgainWhenAStreamEnds(t *testing.T) {
	w := newWorld(t, 1)
	w.Register(agent1)
	watcher := watch(t, masters.Options{URLs: w.urls})
	for _, there := range []bool{true, false, true} {
		w.NoStream(!there)
		until(t, "there is a stream or not", func() bool { return watcher.Masters().Stream == there }, func() any { return watcher.Masters() })
	}
}

// A stream whose master promises heartbeats and sends none may be broken without
// anybody's having noticed.
func TestWatcherGivesASilentStreamUp(t *testing.T) {
	w := newWorld(t, 1)
	w.Heartbeat = 10 * time.Millisecond
	w.Register(agent1)
	w.Mute(true)
	watch(t, masters.Options{URLs: w.urls})
	until(t, "it subscribes again", func() bool { return w.Subscriptions() > 1 }, func() any { return w.Subscriptions() })
}

func TestMastersThatAnswerNonsenseHarmNobody(t *testing.T) {
	answer := func(status int, header, value, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(header, value)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"nothing":              {answer(200, "X", "", ""), "the answer has no agents"},
		"another answer":       {answer(200, "X", "", "\x08\x01"), "the answer has no agents"},
		"garbage":              {answer(200, "X", "", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "decode the answer"},
		"a length that wraps":  {answer(200, "X", "", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), "decode the answer"},
		"too much":             {answer(200, "X", "", strings.Repeat("x", 2000)), "longer than 1000 bytes"},
		"who are you":          {answer(401, "X", "", ""), "401 Unauthorized"},
		"not you":              {answer(403, "X", "", "no"), `403 Forbidden ("no")`},
		"nobody leads":         {answer(503, "X", "", "No leader elected"), "No leader elected"},
		"a leader without URL": {answer(307, "X", "", ""), "it names no leader"},
		"a leader in a circle": {answer(307, "Location", "/api/v1", ""), "send each other's callers on"},
		"a leader of files":    {answer(307, "Location", "file:///etc/passwd", ""), "credentials would not be safe"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			c, err := masters.New(masters.Options{URLs: []string{server.URL}, MaxAnswer: 1000})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.Agents(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %v, want %q", got, err, tt.want)
			}
			if err := c.Subscribe(t.Context(), func(masters.Event) error { return nil }); err == nil {
				t.Error("a stream of that: got no error")
			}
		})
	}
}

func TestCredentialsNeverLeaveTLS(t *testing.T) {
	w := newWorld(t, 1)
	w.Register(agent1)
	secure := httptest.NewTLSServer(http.RedirectHandler(w.urls[0]+"/api/v1", http.StatusTemporaryRedirect))
	defer secure.Close()
	c, err := masters.New(masters.Options{
		URLs: []string{secure.URL}, TLS: secure.Client().Transport.(*http.Transport).TLSClientConfig,
		Username: "flocker", Password: func() (string, error) { return "secret", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Agents(t.Context()); err == nil || !strings.Contains(err.Error(), "would not be safe") {
		t.Errorf("got %v", err)
	}
}

func TestMissingPasswordIsSaid(t *testing.T) {
	w := newWorld(t, 1)
	c, err := masters.New(masters.Options{URLs: w.urls, Username: "flocker", Password: func() (string, error) { return "", errors.New("no such file") }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Agents(t.Context()); err == nil || !strings.Contains(err.Error(), "password of flocker: no such file") {
		t.Errorf("got %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for url, want := range map[string]string{
		"":                          "is not a URL such as http://10.0.0.1:5050",
		"10.0.0.1:5050":             "is not a URL",
		"zk://a:2181/mesos":         "name the masters themselves",
		"http://user:pass@a:5050":   "a user and a file with the password",
		"http://a:5050?x=y":         "more in it than a host and a path",
		"http://:5050":              "is not a URL",
		"https://a/mesos/":          "",
		"http://[2001:db8::1]:5050": "",
	} {
		_, err := masters.New(masters.Options{URLs: []string{url}})
		if got := err == nil; got != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "pass@") {
			t.Errorf("%q: the password is shown: %v", url, err)
		}
	}
	if _, err := masters.New(masters.Options{}); err == nil {
		t.Error("no URL: got no error")
	}
	if _, err := masters.New(masters.Options{URLs: []string{"http://a"}, Username: "u"}); err == nil {
		t.Error("no password: got no error")
	}
}

func TestNothingIsKnownOfNobody(t *testing.T) {
	w := newWorld(t, 1)
	watcher := watch(t, masters.Options{URLs: w.urls})
	until(t, "the master was heard", func() bool { return !watcher.Masters().Heard.IsZero() }, func() any { return watcher.Masters() })
	if got := watcher.Agents([]*api.Node{node1}); !reflect.DeepEqual(got, map[api.NodeID]*api.MesosAgent{}) {
		t.Errorf("got %+v", got)
	}
}
