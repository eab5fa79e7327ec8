package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/marathon"
	"github.com/flocker-mesos/flocker/marathon/client"
	"github.com/flocker-mesos/flocker/test/marathon/double"
)

// The suite says what this program relies on. It runs against the double and, where
// the variable MARATHON_URL names one (or several, with commas between them),
// against a real Marathon, whose Mesos can run a command: MESOS_URL is looked at
// where something has not come to be, to say why. MARATHON_USER and
// MARATHON_PASSWORD_FILE are its credentials.
func TestMarathonIsAsThisProgramTakesIt(t *testing.T) {
	t.Run("double", func(t *testing.T) {
		d := double.Start(t, double.Options{Marathons: 2, Auto: true, Heartbeat: 100 * time.Millisecond})
		suite(t, client.Config{URLs: d.URLs()})
	})
	t.Run("real", func(t *testing.T) {
		urls := os.Getenv("MARATHON_URL")
		if urls == "" {
			t.Skip("MARATHON_URL names no Marathon")
		}
		suite(t, client.Config{
			URLs: strings.Split(urls, ","), User: os.Getenv("MARATHON_USER"), PasswordFile: os.Getenv("MARATHON_PASSWORD_FILE"),
		})
	})
}

// patience is how long something may take on a real cluster.
const patience = 2 * time.Minute

func newClient(t *testing.T, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// recorder keeps the events of a stream.
type recorder struct {
	mu     sync.Mutex
	events []client.Event
	more   chan struct{}
}

func record(t *testing.T, c *client.Client) *recorder {
	t.Helper()
	r := &recorder{more: make(chan struct{}, 1)}
	opened := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	reading.Go(func() {
		err := c.Events(ctx, func() { close(opened) }, func(ev client.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, ev)
			select {
			case r.more <- struct{}{}:
			default:
			}
		})
		if ctx.Err() == nil {
			t.Errorf("events ended: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); reading.Wait() })
	select {
	case <-opened:
	case <-time.After(patience):
		t.Fatal("the stream of events did not open")
	}
	return r
}

// await waits for an event.
func (r *recorder) await(t *testing.T, what string, is func(client.Event) bool) {
	t.Helper()
	limit := time.After(patience)
	for {
		r.mu.Lock()
		found := slices.ContainsFunc(r.events, is)
		r.mu.Unlock()
		if found {
			return
		}
		select {
		case <-r.more:
		case <-limit:
			t.Fatalf("no event says that %s", what)
		}
	}
}

func suite(t *testing.T, cfg client.Config) {
	c := newClient(t, cfg)
	ctx := t.Context()
	info, err := c.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info.Framework == "" || info.Version == "" || info.Leader == "" {
		t.Errorf("info: got %+v, want a framework, a version and a leader", info)
	}
	events := record(t, c)
	id := "/flocker-suite/" + uuid.NewString()[:8]
	definition := map[string]any{
		"id": id, "cmd": "sleep 3600", "cpus": 0.01, "mem": 16, "instances": 1,
		"labels":          map[string]string{"flocker.volume.data": "/data", "flocker.volume.data.size": "1GiB", "MARATHON_SINGLE_INSTANCE_APP": "true"},
		"upgradeStrategy": map[string]any{"minimumHealthCapacity": 0, "maximumOverCapacity": 0},
	}
	if err := c.CreateApp(ctx, definition); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := c.DeleteApp(context.Background(), id, true); err != nil && !errors.Is(err, client.ErrNotFound) {
			t.Errorf("delete app: %v", err)
		}
	})
	if err := c.CreateApp(ctx, definition); !errors.Is(err, client.ErrExists) {
		t.Errorf("creating it again: got %v, want ErrExists", err)
	}
	about := func(kind string) func(client.Event) bool {
		return func(ev client.Event) bool { return ev.Type == kind && slices.Contains(ev.Apps, id) }
	}
	events.await(t, "the app was created", about("api_post_event"))
	events.await(t, "a task has a new state", about("status_update_event"))
	events.await(t, "it is deployed", about("deployment_success"))

	app, err := c.App(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if len(app.Tasks) != 1 || app.Tasks[0].State != "TASK_RUNNING" || app.Tasks[0].Host == "" || app.Tasks[0].StagedAt.IsZero() {
		t.Errorf("tasks: got %+v, want one that runs somewhere", app.Tasks)
	}
	if volumes, err := app.Volumes(); err != nil || len(volumes) != 1 || volumes[0].Size != 1<<30 {
		t.Errorf("volumes: got %+v, %v", volumes, err)
	}
	all, err := c.Apps(ctx)
	if err != nil || !slices.ContainsFunc(all, func(a *marathon.App) bool { return a.ID == id && len(a.Tasks) == 1 }) {
		t.Errorf("the list of all apps, with tasks, lacks it (%v)", err)
	}
	if _, err := c.App(ctx, id+"-not"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("an app that is not: got %v, want ErrNotFound", err)
	}
	if _, err := c.Pods(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.Queue(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.Deployments(ctx); err != nil {
		t.Error(err)
	}
	before := app.Tasks[0].ID
	if _, err := c.RestartApp(ctx, id, false); err != nil {
		t.Fatal(err)
	}
	awaitTasks(t, c, id, "another task", func(tasks []marathon.Task) bool {
		return len(tasks) == 1 && tasks[0].ID != before && tasks[0].State == "TASK_RUNNING"
	})
	if _, err := c.PutApp(ctx, id, map[string]any{"instances": 0}, true); err != nil {
		t.Fatal(err)
	}
	awaitTasks(t, c, id, "no task", func(tasks []marathon.Task) bool { return len(tasks) == 0 })
	events.mu.Lock()
	for _, ev := range events.events {
		if slices.Contains(ev.Stops, id) {
			t.Errorf("the event %s of restarting or suspending says that the app is destroyed", ev.Type)
		}
	}
	events.mu.Unlock()
	if _, err := c.DeleteApp(ctx, id, true); err != nil {
		t.Fatal(err)
	}
	events.await(t, "the app was destroyed", func(ev client.Event) bool {
		return ev.Type == "app_terminated_event" && slices.Contains(ev.Stops, id)
	})
}

// awaitTasks asks for an app until its tasks are as wanted.
func awaitTasks(t *testing.T, c *client.Client, id, what string, want func([]marathon.Task) bool) {
	t.Helper()
	limit, again := time.After(patience), time.NewTicker(50*time.Millisecond)
	defer again.Stop()
	for {
		app, err := c.App(t.Context(), id)
		if err == nil && want(app.Tasks) {
			return
		}
		select {
		case <-again.C:
		case <-limit:
			text, _ := json.Marshal(app)
			t.Fatalf("%s: got %s, %v; Mesos is at %q", what, text, err, os.Getenv("MESOS_URL"))
		}
	}
}
