package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tmaxmax/go-sse"
)

// Event is one of Marathon's, as far as it says which app or pod it is about.
type Event struct {
	Type string
	Apps []string // apps, or pods: the event does not always tell which
	Pods []string // pods
	// Tasks says that it is about tasks alone: the definition is as before.
	Tasks bool
	// Stops are the apps and pods that it says are being destroyed, or have been.
	Stops []string
	// Puts are those that somebody has just created or changed.
	Puts []string
}

const (
	// maxEvent bounds an event, in bytes. A deployment of a whole group has all
	// of its apps in it.
	maxEvent = 16 << 20
	// mediaEvents is what Marathon's servlet compares with the whole of Accept.
	mediaEvents = "text/event-stream"
	pathEvents  = "/v2/events"
)

// errSilent says that a stream was silent for too long.
var errSilent = errors.New("nothing has come for too long, not even Marathon's blank lines")

// Events follows the stream of events until ctx ends, the stream does, or it is
// silent for too long; it returns why. Opened is called when the stream is there,
// and handle for each event: it must be quick, since Marathon cuts those off who
// are slow. What was before the stream is not in it, nor is everything what was
// while it was there: events are a reason to look, and no more.
func (c *Client) Events(ctx context.Context, opened func(), handle func(Event)) error {
	var failures []error
	for _, u := range c.order() {
		stream, err := c.openEvents(ctx, u)
		if err == nil {
			c.answered(u)
			opened()
			return c.readEvents(ctx, stream, handle)
		}
		failures = append(failures, err)
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failures...)
}

// openedStream is a stream of events.
type openedStream struct {
	body io.ReadCloser
	stop context.CancelCauseFunc
}

// openEvents opens the stream at one Marathon, or at the leader that it names.
func (c *Client) openEvents(ctx context.Context, u *url.URL) (*openedStream, error) {
	ctx, stop := context.WithCancelCause(ctx)
	at := u.String() + pathEvents
	resp, err := c.send(ctx, http.MethodGet, at, mediaEvents, nil)
	if err == nil && isRedirect(resp.StatusCode) {
		_ = resp.Body.Close()
		if at, err = c.leader(resp); err == nil {
			resp, err = c.send(ctx, http.MethodGet, at, mediaEvents, nil)
		}
	}
	if err != nil {
		stop(err)
		return nil, err
	}
	if kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); resp.StatusCode != http.StatusOK || strings.TrimSpace(kind) != mediaEvents {
		defer func() { _ = resp.Body.Close() }()
		defer stop(nil)
		if resp.StatusCode == http.StatusOK {
			return nil, fmt.Errorf("%s answers with %q in the place of events", at, plain(kind))
		}
		return nil, c.refused(resp)
	}
	return &openedStream{resp.Body, stop}, nil
}

func isRedirect(status int) bool {
	return status == http.StatusFound || status == http.StatusTemporaryRedirect || status == http.StatusMovedPermanently ||
		status == http.StatusSeeOther || status == http.StatusPermanentRedirect
}

// leader returns where a Marathon that is not the leader says that the events
// are, if credentials may go there: see the package's comment.
func (c *Client) leader(resp *http.Response) (string, error) {
	from := resp.Request.URL
	to, err := from.Parse(resp.Header.Get("Location"))
	_, open := c.creds.(nobody)
	switch {
	case err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https":
		return "", fmt.Errorf("%s redirects events to %q, which is no URL", from.Host, plain(resp.Header.Get("Location")))
	case !strings.HasSuffix(to.Path, pathEvents) || to.User != nil:
		return "", fmt.Errorf("%s redirects events to %s, which is not where a leader has them", from.Host, to.Redacted())
	case from.Scheme == "https" && to.Scheme == "http" && !open:
		return "", fmt.Errorf("%s redirects events from https to %s, where credentials would not be secret: "+
			"give the https URLs of all Marathons", from.Host, to.Redacted())
	}
	return to.String(), nil
}

// readEvents reads a stream to its end.
func (c *Client) readEvents(ctx context.Context, s *openedStream, handle func(Event)) error {
	defer s.stop(nil)
	defer func() { _ = s.body.Close() }()
	silent := time.AfterFunc(c.cfg.Silence, func() { s.stop(errSilent); _ = s.body.Close() })
	defer silent.Stop()
	body := &heard{s.body, func() { silent.Reset(c.cfg.Silence) }}
	for raw, err := range sse.Read(body, &sse.ReadConfig{MaxEventSize: maxEvent}) {
		if err != nil {
			if !silent.Stop() && ctx.Err() == nil {
				err = errSilent
			}
			return fmt.Errorf("events: %w", err)
		}
		if raw.Data != "" {
			handle(ReadEvent(raw.Type, []byte(raw.Data)))
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.New("events: Marathon has ended the stream")
}

// heard notes whatever is read, blank lines too.
type heard struct {
	io.Reader
	note func()
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if n > 0 {
		h.note()
	}
	return n, err
}

// ReadEvent reads what an event is about. One that cannot be read is about
// nothing that is known.
func ReadEvent(kind string, data []byte) Event {
	var e struct {
		EventType     string `json:"eventType"`
		AppID         string `json:"appId"`
		RunSpecID     string `json:"runSpecId"`
		URI           string `json:"uri"`
		AppDefinition struct {
			ID string `json:"id"`
		} `json:"appDefinition"`
		Plan        plan `json:"plan"`
		CurrentStep Step `json:"currentStep"`
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return Event{Type: plain(kind)}
	}
	if kind == "" {
		kind = e.EventType
	}
	ev := Event{Type: plain(kind)}
	switch kind {
	case "status_update_event", "instance_changed_event", "unknown_instance_terminated_event":
		ev.Tasks = true
	case "instance_health_changed_event", "health_status_changed_event", "failed_health_check_event", "unhealthy_instance_kill_event",
		"unhealthy_task_kill_event", "add_health_check_event", "remove_health_check_event":
		return ev // health is no matter of volumes
	}
	for _, id := range []string{e.AppID, e.RunSpecID, e.AppDefinition.ID} {
		if id != "" {
			ev.Apps = append(ev.Apps, id)
		}
	}
	if id, ok := strings.CutPrefix(e.URI, "/v2/pods/"); ok {
		id, _, _ = strings.Cut(id, "?")
		ev.Pods = append(ev.Pods, "/"+strings.Trim(id, "/"))
	}
	switch kind {
	case "api_post_event", "pod_created_event", "pod_updated_event":
		ev.Puts = append(append(ev.Puts, ev.Apps...), ev.Pods...)
	case "app_terminated_event":
		ev.Stops = append(ev.Stops, ev.Apps...)
	case "pod_deleted_event":
		ev.Stops = append(ev.Stops, ev.Pods...)
	}
	e.Plan.Steps = append(e.Plan.Steps, e.CurrentStep)
	for _, step := range e.Plan.Steps {
		for _, a := range step.Actions {
			if a.App != "" {
				ev.Apps = append(ev.Apps, a.App)
			}
			if a.Pod != "" {
				ev.Pods = append(ev.Pods, a.Pod)
			}
			if kind == "deployment_failed" { // one that was refused or cancelled stops nothing
				continue
			}
			id, stops := a.Stops()
			switch {
			case stops:
				ev.Stops = append(ev.Stops, id)
			case kind == "deployment_info" && a.Starts(): // as a group does, of which no other event names the apps
				ev.Puts = append(ev.Puts, id)
			}
		}
	}
	return ev
}

// plan is that of a deployment, in events.
type plan struct {
	Steps []Step `json:"steps"`
}

// Stops returns which app or pod an action is about, and whether it destroys it.
// Suspending one scales it.
func (a Action) Stops() (id string, ok bool) {
	id = cmp.Or(a.App, a.Pod)
	what := cmp.Or(a.Action, a.Type)
	return id, id != "" && (what == "StopApplication" || what == "StopPod")
}

// Starts reports whether an action makes an app or pod.
func (a Action) Starts() bool {
	what := cmp.Or(a.Action, a.Type)
	return what == "StartApplication" || what == "StartPod"
}
