package control_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// watcher reads what a watch tells.
type watcher struct {
	testing.TB
	next func() sse.Event
}

// watching begins to watch at a control service, after an event or from the
// beginning.
func (w *world) watching(query, lastEventID string) *watcher {
	w.Helper()
	return w.watchingAs("user-alice", query, lastEventID)
}

// watchingAs is watching for a certificate of a common name.
func (w *world) watchingAs(cn, query, lastEventID string) *watcher {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	w.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+w.cfg.Listen+"/v1/watch"+query, http.NoBody)
	if err != nil {
		w.Fatal(err)
	}
	if lastEventID != "" {
		r.Header.Set("Last-Event-ID", lastEventID)
	}
	resp, err := w.rawAs(cn).http.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = resp.Body.Close() })
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		w.Fatalf("got %s, %q", resp.Status, kind)
	}
	events := make(chan sse.Event)
	go func() {
		defer close(events)
		for ev, err := range sse.Read(resp.Body, nil) {
			if err != nil {
				return
			}
			select {
			case events <- ev:
			case <-ctx.Done():
				return
			}
		}
	}()
	return &watcher{w, func() sse.Event {
		ev, ok := <-events
		if !ok {
			w.Fatal("the watch has ended")
		}
		return ev
	}}
}

// want reads until an event of a kind and with a text in it has come, and
// returns its id. What is between is told again or is of no concern.
func (w *watcher) want(kind api.EventKind, text string) (id string) {
	w.Helper()
	var seen []string
	for range 100 {
		ev := w.next()
		if ev.Type == string(kind) && strings.Contains(ev.Data, text) {
			return ev.LastEventID
		}
		seen = append(seen, fmt.Sprintf("%s %.100s", ev.Type, ev.Data))
	}
	w.Fatalf("no %s with %q among\n%s", kind, text, strings.Join(seen, "\n"))
	return ""
}

func (w *world) create(name string) api.DatasetID {
	w.Helper()
	d, err := w.user().Create(w.Context(), client.CreateRequest{Primary: nodeA, Metadata: map[string]string{"name": name}}, "")
	if err != nil {
		w.Fatal(err)
	}
	return d.ID
}

func TestWatchTellsWhatThereIsAndThenWhatChanges(t *testing.T) {
	w := newWorld(t)
	id := w.create("first")
	watch := w.watching("", "")
	watch.want(api.EventReset, "{}")
	watch.want(api.EventVolume, `"name":"first"`)
	watch.want(api.EventSynced, "{}")

	s, _ := w.connect(nodeA)
	watch.want(api.EventNode, `"connected":true`)
	watch.want(api.EventVolume, `"status":"preparing"`) // since its holder is there
	w.report(s, api.DatasetReport{State: api.DatasetState{ID: id, Epoch: 1, Phase: api.PhaseMounted, Path: "/flocker/x"},
		Volume: &api.Volume{ID: "v", Backend: "loopback", Size: 1 << 30}})
	watch.want(api.EventVolume, `"status":"mounted"`)
	if _, err := w.user().AcquireLease(t.Context(), id, nodeA, 0); err != nil {
		t.Fatal(err)
	}
	watch.want(api.EventLease, string(id))
	watch.want(api.EventVolume, `"lease":{`)
	if _, err := w.user().ReleaseLease(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	watch.want(api.EventLeaseGone, string(id))
	last := watch.want(api.EventVolume, string(id)) // told with the lease, and so under one id
	w.create("second")
	watch.want(api.EventVolume, `"name":"second"`)

	// Who comes back hears only of what it has missed.
	again := w.watching("", last)
	if ev := again.next(); ev.Type != string(api.EventVolume) || !strings.Contains(ev.Data, `"name":"second"`) {
		t.Errorf("the first event after %s is %s %s", last, ev.Type, ev.Data)
	}
	// Who was never here, or too long ago, hears everything.
	for _, stranger := range []string{"0", "x", "99999999999999999999999"} {
		if ev := w.watching("", stranger).next(); ev.Type != string(api.EventReset) {
			t.Errorf("after %q: got %s %s", stranger, ev.Type, ev.Data)
		}
	}
}

func TestWatchOfOneVolumeTellsOfNothingElse(t *testing.T) {
	w := newWorld(t)
	id := w.create("mine")
	w.create("other")
	watch := w.watching("?volume=mine", "")
	for _, want := range []api.EventKind{api.EventReset, api.EventVolume, api.EventSynced} {
		if ev := watch.next(); ev.Type != string(want) || want == api.EventVolume && !strings.Contains(ev.Data, `"name":"mine"`) {
			t.Errorf("got %s %s, want %s", ev.Type, ev.Data, want)
		}
	}
	w.create("third")
	w.connect(nodeB)
	if _, err := w.user().Delete(t.Context(), id, ""); err != nil {
		t.Fatal(err)
	}
	if ev := watch.next(); ev.Type != string(api.EventVolume) || !strings.Contains(ev.Data, `"status":"destroyed"`) {
		t.Errorf("got %s %s", ev.Type, ev.Data)
	}
	w.raw().want("GET", "/v1/watch?volume=nothing", "", 404, `{"code":"not-found"*`)
}

// A dataset that was forgotten is told of though a lease of it has changed too,
// whichever came first.
func TestWatchTellsOfForgottenDatasetsWithLeases(t *testing.T) {
	const id = api.DatasetID("6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
	s := cluster.New()
	dataset, lease := cluster.DatasetKey(id), cluster.LeaseKey(id)
	for name, keys := range map[string][]cluster.Key{"dataset first": {dataset, lease}, "lease first": {lease, dataset}} {
		volumes, leases := control.Told(s, keys...)
		if want := []api.DatasetID{id}; !slices.Equal(volumes, want) || !slices.Equal(leases, want) {
			t.Errorf("%s: got volumes %v, leases %v, want %v in both", name, volumes, leases, want)
		}
	}
	if volumes, leases := control.Told(s, lease); len(volumes) != 0 || len(leases) != 1 {
		t.Errorf("a lease of a dataset that there is not: got volumes %v, leases %v", volumes, leases)
	}
}

// A client that watches goes to another replica when it loses its own, and goes
// on there where it was.
func TestWatchGoesOnAtAnotherReplica(t *testing.T) {
	worlds, _ := newReplicas(t, 2)
	a, b := worlds[0], worlds[1]
	user, err := client.New(client.Config{Endpoints: []string{a.cfg.Listen, b.cfg.Listen}, TLS: a.ca.client("user-alice")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(user.Close)
	events, done := make(chan api.Event), make(chan error, 1)
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("too slow"))
	defer cancel()
	go func() {
		done <- user.Watch(ctx, "", func(ev api.Event) error {
			if ev.Kind == api.EventVolume && ev.Volume.Dataset.Name() == "last" {
				return errEnough
			}
			select {
			case events <- ev:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}()
	until := func(kind api.EventKind, name string) {
		t.Helper()
		for {
			select {
			case ev := <-events:
				if ev.Kind == kind && (name == "" || ev.Volume.Dataset.Name() == name) {
					return
				}
			case err := <-done:
				t.Fatalf("the watch ended: %v", err)
			}
		}
	}
	until(api.EventSynced, "")
	b.create("before")
	until(api.EventVolume, "before")
	// Whichever it was at, it is at the other one now.
	a.stop()
	b.create("between")
	until(api.EventVolume, "between")
	b.create("last")
	for {
		select {
		case ev := <-events:
			if ev.Kind == api.EventReset {
				t.Error("it had to begin anew")
			}
			continue
		case err := <-done:
			if !errors.Is(err, errEnough) {
				t.Errorf("got %v, want what the caller said", err)
			}
		}
		return
	}
}

var errEnough = errors.New("enough")
