package control_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// app is an app as Marathon has it, with one volume.
func app(id, name string) api.App {
	return api.App{ID: id, Framework: "f", Version: "1", Wanted: 1, Volumes: []api.AppVolume{
		{Key: "data", Name: name, Reclaim: api.ReclaimDelete, Spec: &api.VolumeRequest{Name: name, Size: 1 << 30}},
	}}
}

func TestWhoDoesNotFollowMarathonChangesNothing(t *testing.T) {
	w := newWorld(t)
	if _, err := w.service.Marathon().FollowApp(t.Context(), app("/db", "db"), nil, nil); api.CodeOf(err) != api.CodeStale {
		t.Errorf("before the job was taken: got %v, want a refusal", err)
	}
	if mine, err := w.service.Marathon().Take(t.Context()); err != nil || !mine {
		t.Fatalf("take the job: got %t, %v", mine, err)
	}
	if _, err := w.service.Marathon().FollowApp(t.Context(), app("/db", "db"), nil, nil); err != nil {
		t.Error(err)
	}
}

func TestAgentsAreToldOfHintsForThem(t *testing.T) {
	w := newWorld(t)
	m := w.service.Marathon()
	if _, err := m.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, _ := w.connect(nodeA)
	b, _ := w.connect(nodeB)
	follow := func(node api.NodeID) {
		t.Helper()
		hints := map[string]api.Hint{}
		if node != "" {
			hints["db"] = api.Hint{Node: node, Instance: "i", Until: m.Now().Add(time.Minute)}
		}
		if _, err := m.FollowApp(t.Context(), app("/db", "db"), hints, nil); err != nil {
			t.Fatal(err)
		}
	}
	follow(nodeA)
	if ev := w.next(a); len(ev.Hints) != 1 || !ev.Hints[0].For(nodeA) || ev.Hints[0].App != "/db" {
		t.Errorf("node a: got %+v, want a hint", ev)
	}
	follow(nodeB)
	if ev := w.next(a); len(ev.Unhinted) != 1 || len(ev.Hints) != 0 {
		t.Errorf("node a: got %+v, want that the hint is over", ev)
	}
	if ev := w.next(b); len(ev.Hints) != 1 {
		t.Errorf("node b: got %+v, want a hint", ev)
	}
	if _, ev := w.connect(nodeB); len(ev.Hints) != 1 {
		t.Errorf("a new stream of node b: got %+v, want the hint", ev)
	}
	follow("")
	user := w.user()
	d, err := user.Volume(t.Context(), "db")
	if err != nil || d.Holder != nil || d.Dataset.Epoch != 0 {
		t.Errorf("got %+v, %v, want a dataset that nobody holds", d, err)
	}
}

func TestAppsAreShownAndTheirVolumesTakenBack(t *testing.T) {
	w := newWorld(t)
	m, user := w.service.Marathon(), w.user()
	if _, err := m.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen, err := m.FollowApp(t.Context(), app("/prod/db", "db"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Note(t.Context(), api.MarathonStatus{Leader: "l", Events: true}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "/prod/db", "prod/db"} {
		view, err := user.MarathonApps(t.Context(), id)
		if err != nil || len(view.Apps) != 1 || view.Apps[0].ID != "/prod/db" || view.Apps[0].VolumeDetails[0].Status != "detached" || view.Marathon.Owner == "" {
			t.Errorf("%q: got %+v, %v", id, view, err)
		}
	}
	if _, err := user.MarathonApps(t.Context(), "/none"); api.CodeOf(err) != api.CodeNotFound {
		t.Errorf("an app that is not: got %v", err)
	}
	if err := user.ForgetMarathonApp(t.Context(), "/prod/db"); api.CodeOf(err) != api.CodeConflict {
		t.Errorf("forget an app that Marathon has: got %v, want a conflict", err)
	}
	if err := m.ForgetApp(t.Context(), "/prod/db", seen.Revision+1, true, time.Hour); err != nil || m.App("/prod/db") == nil {
		t.Errorf("forgotten on an older record: %v", err)
	}
	if err := m.ForgetApp(t.Context(), "/prod/db", seen.Revision, true, time.Hour); err != nil || m.App("/prod/db") != nil {
		t.Errorf("it is known still: %v", err)
	}
	d, err := user.Volume(t.Context(), "db")
	if err != nil || d.Dataset.Reclaim == nil {
		t.Fatalf("got %+v, %v, want that it is to be deleted", d, err)
	}
	if deleted, err := m.Reclaim(t.Context(), d.Dataset.ID); deleted || err != nil {
		t.Errorf("it was deleted before its time: %v", err)
	}
	if d, err = user.Undelete(t.Context(), "db"); err != nil || d.Dataset.Reclaim != nil {
		t.Errorf("undelete: got %+v, %v", d, err)
	}
	if _, err := user.Delete(t.Context(), d.Dataset.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := user.Undelete(t.Context(), string(d.Dataset.ID)); api.CodeOf(err) != api.CodeDeleted {
		t.Errorf("undelete what was deleted: got %v, want that it can't be", err)
	}
	gone := *seen
	gone.Missing = m.Now()
	if _, err := m.FollowApp(t.Context(), gone, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := user.ForgetMarathonApp(t.Context(), "/prod/db"); err != nil || m.App("/prod/db") != nil {
		t.Errorf("forget an app that is gone: %v", err)
	}
}

func TestAnAgentIsToldThatAnInstanceEndsWhoseVolumeItHas(t *testing.T) {
	w := newWorld(t)
	m := w.service.Marathon()
	if _, err := m.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, _ := w.connect(nodeA)
	b, _ := w.connect(nodeB)
	follow := func(state string) *api.App {
		t.Helper()
		seen := app("/db", "db")
		seen.Instances = []api.AppInstance{{ID: "i", State: state, Node: nodeA}}
		followed, err := m.FollowApp(t.Context(), seen, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return followed
	}
	id := follow(api.TaskRunning).Volumes[0].Dataset
	d, err := a.Claim(t.Context(), api.ClaimRequest{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	w.await(a, id, func(d *api.Dataset) bool { return d.HeldBy(nodeA) })
	_, err = a.Report(t.Context(), api.Report{Datasets: []api.DatasetReport{{State: api.DatasetState{
		ID: id, Epoch: d.Epoch, Phase: api.PhaseMounted, Consumers: []api.Consumer{{ID: "c", Kind: api.ConsumerMesos}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	follow(api.TaskKilling)
	if ev := w.next(a); ev.Ending == nil || ev.Ending.App != "/db" || ev.Ending.Instance != "i" || len(ev.Datasets) > 0 {
		t.Errorf("got %+v, want the end of the instance alone", ev)
	}
	follow(api.TaskKilling)
	w.create("other") // what comes next is about something else
	if _, err := b.Claim(t.Context(), api.ClaimRequest{ID: id}); err != nil {
		t.Fatal(err)
	}
	if ev := w.next(a); ev.Ending != nil {
		t.Errorf("got %+v, want that it is told once", ev)
	}
	if ev := w.next(b); ev.Ending != nil {
		t.Errorf("the other node: got %+v, want nothing of it", ev)
	}
}

func TestVolumesAreMadeAheadOnceMarathonWasRead(t *testing.T) {
	w := newWorld(t)
	m := w.service.Marathon()
	ctx, end := context.WithCancel(t.Context())
	var makes sync.WaitGroup
	makes.Go(func() { _ = m.MakeAhead(ctx) })
	defer makes.Wait()
	defer end()
	if _, err := m.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, _ := w.connect(nodeA)
	followed, err := m.FollowApp(t.Context(), app("/db", "db"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := followed.Volumes[0].Dataset
	if err := m.Note(t.Context(), api.MarathonStatus{Read: m.Now()}); err != nil {
		t.Fatal(err)
	}
	if ev := w.next(a); len(ev.Hints) != 1 || !ev.Hints[0].Make || ev.Hints[0].Dataset != id {
		t.Fatalf("got %+v, want a hint to make the volume", ev)
	}
	d, err := a.Claim(t.Context(), api.ClaimRequest{ID: id, Ahead: true})
	if err != nil {
		t.Fatal(err)
	}
	w.await(a, id, func(d *api.Dataset) bool { return d.HeldBy(nodeA) })
	_, err = a.Report(t.Context(), api.Report{Datasets: []api.DatasetReport{{
		State: api.DatasetState{ID: id, Epoch: d.Epoch, Phase: api.PhaseMounted}, Volume: &api.Volume{ID: "v", Backend: "b", Size: d.Size},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for { // with the registration it is over
		if ev := w.next(a); len(ev.Unhinted) == 1 && ev.Unhinted[0] == id {
			break
		}
	}
}
