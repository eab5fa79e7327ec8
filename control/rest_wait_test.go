package control_test

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// awaiting waits for a dataset in the background.
func (w *world) awaiting(id api.DatasetID, done func(*api.DatasetDetail) bool) <-chan *api.DatasetDetail {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	w.Cleanup(cancel)
	user, seen, out := w.user(), make(chan struct{}), make(chan *api.DatasetDetail, 1)
	first := true
	go func() {
		detail, err := user.AwaitVolume(ctx, string(id), func(d *api.DatasetDetail) bool {
			if first {
				close(seen)
			}
			first = false
			return done(d)
		})
		if err != nil {
			w.Error(err)
		}
		out <- detail
	}()
	<-seen
	return out
}

func TestWhoWaitsForADatasetIsToldOfEachKindOfChange(t *testing.T) {
	w := newWorld(t)
	d, err := w.user().Create(t.Context(), client.CreateRequest{Primary: nodeA}, "")
	if err != nil {
		t.Fatal(err)
	}
	held := w.awaiting(d.ID, func(d *api.DatasetDetail) bool { return d.Holder != nil && d.Holder.Connected })
	s, _ := w.connect(nodeA)
	full := <-held
	mounted := w.awaiting(d.ID, func(d *api.DatasetDetail) bool { return d.Status == string(cluster.StatusMounted) })
	w.report(s, api.DatasetReport{
		State:  api.DatasetState{ID: d.ID, Epoch: full.Dataset.Epoch, Phase: api.PhaseMounted, Path: "/flocker/x"},
		Volume: &api.Volume{ID: "v", Backend: "loopback", Size: full.Dataset.Size},
	})
	if got := <-mounted; got.State.Path != "/flocker/x" {
		t.Errorf("mounted at %q", got.State.Path)
	}
	moved := w.awaiting(d.ID, func(d *api.DatasetDetail) bool { return d.Dataset.Primary == nodeB })
	if _, err := w.user().Move(t.Context(), d.ID, nodeB, ""); err != nil {
		t.Fatal(err)
	}
	<-moved
}

func TestWaitForWhatIsNoDatasetIsRefused(t *testing.T) {
	c := newWorld(t).raw()
	c.want("GET", "/v1/volumes/nothing?wait=20s&after=x", "", 404, `{"code":"not-found"*`)
	c.want("POST", datasets, `{"primary": "`+nodeA+`", "dataset_id": "`+dataset1+`"}`, 201, `*`)
	c.want("GET", "/v1/volumes/"+dataset1+"?wait=soon", "", 400, `{"code":"invalid","field":"wait","description":"\"soon\" is not a duration*`)
	c.want("GET", "/v1/volumes/"+dataset1+"?wait=-1s", "", 400, `{"code":"invalid","field":"wait"*`)
	c.want("GET", "/v1/volumes/"+dataset1+"?wait=20s&after=another", "", 200, `{"dataset":*`)
}

// unchangedVolume asks for a dataset in another state than the one it is in.
func (w *world) unchangedVolume(wait string) (tag, answered string) {
	w.Helper()
	c := w.raw()
	get := func(query string) string {
		r, err := http.NewRequestWithContext(w.Context(), http.MethodGet, "https://"+w.cfg.Listen+"/v1/volumes/"+dataset1+query, http.NoBody)
		if err != nil {
			w.Fatal(err)
		}
		resp, err := c.http.Do(r)
		if err != nil {
			w.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			w.Fatalf("status %d", resp.StatusCode)
		}
		return resp.Header.Get("ETag")
	}
	tag = get("")
	return tag, get("?wait=" + wait + "&after=" + strings.ReplaceAll(tag, `"`, "%22"))
}

func TestWaitEndsWithItsTime(t *testing.T) {
	w := newWorld(t)
	w.raw().want("POST", datasets, `{"primary": "`+nodeA+`", "dataset_id": "`+dataset1+`"}`, 201, `*`)
	if tag, answered := w.unchangedVolume("1ms"); tag == "" || answered != tag {
		t.Errorf("waited for another than %q, got %q", tag, answered)
	}
}

func TestWhoWaitsIsAnsweredWhenTheServiceStops(t *testing.T) {
	w := newWorld(t)
	w.raw().want("POST", datasets, `{"primary": "`+nodeA+`", "dataset_id": "`+dataset1+`"}`, 201, `*`)
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		if tag, answered := w.unchangedVolume("25s"); tag != answered {
			t.Errorf("waited for another than %q, got %q", tag, answered)
		}
	}()
	for w.service.Replica().Watchers() == 0 {
		select {
		case <-waited:
			t.Fatal("it did not wait")
		default:
			runtime.Gosched()
		}
	}
	w.stop()
	<-waited
}
