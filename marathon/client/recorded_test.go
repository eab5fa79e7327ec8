package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/marathon/client"
	"github.com/flocker-mesos/flocker/test/marathon/recording"
)

// answering serves one recorded answer after the other.
type answering struct {
	*httptest.Server
	now chan *recording.Response
}

func newAnswering(t *testing.T) *answering {
	t.Helper()
	a := &answering{now: make(chan *recording.Response, 1)}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer := <-a.now
		a.now <- answer
		for _, h := range answer.Headers {
			if !slices.Contains([]string{"content-length", "date", "connection", "transfer-encoding"}, strings.ToLower(h[0])) {
				w.Header().Add(h[0], h[1])
			}
		}
		w.WriteHeader(answer.Status)
		_, _ = w.Write([]byte(answer.Text()))
	}))
	t.Cleanup(a.Close)
	return a
}

// ask calls what of the client asks for a path, and reports whether anything does. The
// number is how many apps, pods or deployments the answer has.
func ask(t *testing.T, c *client.Client, q *recording.Request) (n int, asks bool, err error) {
	path, _, _ := strings.Cut(q.Path, "?")
	id := strings.TrimPrefix(path, "/v2/apps/")
	switch {
	case q.Method == http.MethodPut && strings.HasPrefix(path, "/v2/apps//"):
		_, err = c.PutApp(t.Context(), id, map[string]any{}, false)
	case q.Method == http.MethodPost && path == "/v2/pods":
		err = c.CreatePod(t.Context(), map[string]any{})
	case q.Method == http.MethodDelete && strings.HasPrefix(path, "/v2/apps//") && !strings.Contains(path, "/tasks"):
		_, err = c.DeleteApp(t.Context(), id, false)
	case q.Method == http.MethodDelete && strings.HasPrefix(path, "/v2/pods//") && !strings.Contains(path, "::"):
		err = c.DeletePod(t.Context(), id, false)
	case q.Method != http.MethodGet:
		return 0, false, nil
	case path == "/v2/info":
		_, err = c.Info(t.Context())
	case path == "/v2/apps":
		apps, e := c.Apps(t.Context())
		n, err = len(apps), e
	case path == "/v2/pods/::status":
		pods, e := c.Pods(t.Context())
		n, err = len(pods), e
	case path == "/v2/deployments":
		list, e := c.Deployments(t.Context())
		n, err = len(list), e
	case path == "/v2/queue":
		list, e := c.Queue(t.Context())
		n, err = len(list), e
	case strings.HasPrefix(path, "/v2/apps//") && strings.Count(path, "/") <= 5 && !strings.HasSuffix(path, "*") && !strings.Contains(path, "/versions") && !strings.Contains(path, "/tasks"):
		_, err = c.App(t.Context(), id)
	case strings.HasPrefix(path, "/v2/pods//") && strings.HasSuffix(path, "::status"):
		_, err = c.Pod(t.Context(), id)
	default:
		return 0, false, nil
	}
	return n, true, err
}

func TestRecordedAnswersAreUnderstood(t *testing.T) {
	asked := 0
	for _, name := range recording.Names(t) {
		t.Run(name, func(t *testing.T) {
			a := newAnswering(t)
			c := newClient(t, client.Config{URLs: []string{a.URL}})
			for _, l := range recording.Read(t, name).Lines {
				if !l.Exchange() || l.Response.Body == nil {
					continue
				}
				what := fmt.Sprintf("%s %s %s: %d", l.At.Format("04:05.000"), l.Request.Method, l.Request.Path, l.Response.Status)
				a.now <- l.Response
				n, asks, err := ask(t, c, l.Request)
				<-a.now
				if !asks {
					continue
				}
				asked++
				refused, isRefusal := errors.AsType[*client.Error](err)
				switch {
				case l.Response.Status < 300 && err != nil:
					t.Errorf("%s: got %v", what, err)
				case l.Response.Status >= 300 && (!isRefusal || refused.Status != l.Response.Status):
					t.Errorf("%s: got %v, want a refusal", what, err)
				case isRefusal && (refused.Message == "" || strings.Contains(refused.Message, "<html")):
					t.Errorf("%s: the refusal says %q of %s", what, refused.Message, l.Response.Text())
				case isRefusal && l.Response.Status == 409 && strings.Contains(l.Response.Text(), "deployments") && !errors.Is(err, client.ErrLocked):
					t.Errorf("%s: got %v, want ErrLocked", what, err)
				case isRefusal && l.Response.Status == 400 && len(refused.Details) == 0 && strings.Contains(l.Response.Text(), `"details"`):
					t.Errorf("%s: the details are lost of %s", what, l.Response.Text())
				}
				if want := strings.Count(l.Response.Text(), `"versionInfo"`); l.Request.Path == "/v2/apps" && n != want && err == nil {
					t.Errorf("%s: %d apps, want %d", what, n, want)
				}
			}
		})
	}
	if asked < 120 {
		t.Errorf("%d recorded answers were read, want 120 or more", asked)
	}
}

func TestRecordedStreamsAreUnderstood(t *testing.T) {
	streams := 0
	for _, name := range recording.Names(t) {
		story := recording.Read(t, name)
		for _, stream := range story.Streams() {
			chunks := story.Chunks(stream)
			if len(chunks) == 0 {
				continue
			}
			streams++
			t.Run(name+" "+stream, func(t *testing.T) {
				want, err := recording.Events(strings.Join(chunks, ""))
				if err != nil {
					t.Fatal(err)
				}
				got := readChunks(t, chunks)
				if len(got) != len(want) {
					t.Fatalf("got %d events, want %d", len(got), len(want))
				}
				for i, ev := range want {
					concluded(t, ev, got[i])
				}
			})
		}
	}
	if streams < 20 {
		t.Errorf("%d streams were read, want 20 or more", streams)
	}
}

// readChunks has the client read a stream that comes in the chunks of the recording.
func readChunks(t *testing.T, chunks []string) []client.Event {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream;charset=utf-8")
		w.Header().Set("Transfer-Encoding", "identity")
		rc := http.NewResponseController(w)
		for _, chunk := range chunks {
			_, _ = w.Write([]byte(chunk))
			_ = rc.Flush()
		}
	}))
	t.Cleanup(server.Close)
	var got []client.Event
	_ = newClient(t, client.Config{URLs: []string{server.URL}}).Events(t.Context(), func() {}, func(ev client.Event) { got = append(got, ev) })
	return got
}

// concluded checks what the client concludes from an event.
func concluded(t *testing.T, ev recording.Event, got client.Event) {
	t.Helper()
	text := func(key string) string { s, _ := ev.Data[key].(string); return s }
	if got.Type != ev.Type {
		t.Errorf("got %s, want %s", got.Type, ev.Type)
	}
	about := append(slices.Clone(got.Apps), got.Pods...)
	switch ev.Type {
	case "status_update_event", "unknown_instance_terminated_event", "instance_changed_event":
		id := text("appId") + text("runSpecId")
		if !got.Tasks || !slices.Contains(about, id) || len(got.Stops) > 0 || len(got.Puts) > 0 {
			t.Errorf("%s: got %+v, want tasks of %s alone", ev.Raw, got, id)
		}
	case "app_terminated_event":
		if !slices.Contains(got.Stops, text("appId")) {
			t.Errorf("%s: got %+v, want that it ends", ev.Raw, got)
		}
	case "pod_deleted_event":
		if !slices.Contains(got.Stops, strings.TrimPrefix(text("uri"), "/v2/pods/")) {
			t.Errorf("%s: got %+v, want that it ends", ev.Raw, got)
		}
	case "api_post_event":
		if len(got.Puts) != 1 || len(got.Stops) > 0 {
			t.Errorf("%s: got %+v, want one app that was put", ev.Raw, got)
		}
	case "deployment_failed":
		if len(got.Stops) > 0 {
			t.Errorf("%s: got %+v, and it has stopped nothing", ev.Raw, got)
		}
	case "deployment_info":
		if stops := strings.Contains(ev.Raw, `"StopApplication"`) || strings.Contains(ev.Raw, `"StopPod"`); stops != (len(got.Stops) > 0) {
			t.Errorf("%s: got %+v", ev.Raw, got)
		}
		if starts := strings.Contains(ev.Raw, `"StartApplication"`) || strings.Contains(ev.Raw, `"StartPod"`); starts != (len(got.Puts) > 0) {
			t.Errorf("%s: got %+v", ev.Raw, got)
		}
	}
}

// The recorded stream beside a slow reader has 23 s without a blank line: that must not end it.
func TestTheSilenceBesideASlowReaderIsEndured(t *testing.T) {
	var last time.Time
	longest := time.Duration(0)
	for _, l := range recording.Read(t, "events-11-a-slow-reader").Lines {
		if l.Chunk == "" {
			continue
		}
		if !last.IsZero() {
			longest = max(longest, l.At.Sub(last))
		}
		last = l.At
	}
	if longest < 20*time.Second || 2*longest > client.DefaultSilence {
		t.Errorf("the longest silence was %v, and a stream counts as dead after %v: want twice as much", longest, client.DefaultSilence)
	}
}

func TestADeadLeaderIsWaitedForAndNamed(t *testing.T) {
	for _, l := range recording.Read(t, "events-12-the-leader-dies").Lines {
		if !l.Exchange() || l.Response.Status != http.StatusBadGateway {
			continue
		}
		a := newAnswering(t)
		a.now <- l.Response
		_, err := newClient(t, client.Config{URLs: []string{a.URL}}).Info(t.Context())
		if !errors.Is(err, client.ErrUnavailable) || !strings.Contains(err.Error(), "502: Connection to leader refused.") {
			t.Errorf("got %v, want ErrUnavailable and what the page says", err)
		}
		return
	}
	t.Error("no answer of a dead leader's follower is recorded")
}
