package follow_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/test/marathon/double"
)

// framework is Mesos' id of the Marathon that had an app.
func framework(s *cluster.State, app string) string {
	if a := s.App(app); a != nil {
		return a.Framework
	}
	return ""
}

func TestAppsOfAMarathonThatLostItsRecordsAreGoneAndCanBeForgotten(t *testing.T) {
	w := newWorld(t, double.Options{Auto: true})
	w.follow(quick(), w.memory)
	w.put("/db", "db", deleteLabel, "delete", "flocker.volume.data.grace", "1s")
	w.put("/web", "web")
	w.await(t, "both are known", func(s *cluster.State) bool { return s.CountApps() == 2 })
	if _, err := w.do(cluster.DropApp{At: w.Now(), ID: "/db"}); api.CodeOf(err) != api.CodeConflict {
		t.Errorf("forgetting an app that Marathon has: got %v, want a conflict", err)
	}
	before := w.Framework()
	w.Lose(true)
	w.await(t, "both are gone", func(s *cluster.State) bool {
		return !s.App("/db").Missing.IsZero() && !s.App("/web").Missing.IsZero() && len(s.App("/db").Instances) == 0
	})
	w.await(t, "the new framework is known", func(s *cluster.State) bool { return status(s).Framework == w.Framework() })
	why := w.state().ExplainFramework(w.state().App("/db"))
	if !strings.Contains(why, before) || !strings.Contains(why, w.Framework()) || !strings.Contains(why, "flocker marathon forget") {
		t.Errorf("got %q, want both framework ids and what to do", why)
	}
	if all := w.state().MarathonWarnings(); len(all) != 1 || !strings.Contains(all[0], "2 apps") {
		t.Errorf("got %q, want one warning about both apps", all)
	}
	if _, err := w.do(cluster.DropApp{At: w.Now(), ID: "/db"}); err != nil {
		t.Errorf("forget: %v", err)
	}
	w.put("/web", "web")
	w.await(t, "the app that is put again is the new Marathon's", func(s *cluster.State) bool {
		return framework(s, "/web") == w.Framework() && s.App("/web").Missing.IsZero()
	})
	w.leap(time.Hour)
	w.snapshots(3)
	if d := w.state().DatasetByName("db"); d == nil || d.Deleted || d.Reclaim != nil {
		t.Errorf("got %+v, want that the volume is kept", d)
	}
	if all := w.state().MarathonWarnings(); len(all) > 0 {
		t.Errorf("got %q, want no warning any more", all)
	}
}

func TestAppsComeBackWithTheirMarathon(t *testing.T) {
	t.Run("the other one has no such app", func(t *testing.T) { comeBack(t, nil) })
	t.Run("the other one has an app of that id, without volumes", func(t *testing.T) {
		comeBack(t, map[string]any{"id": "/db", "cmd": "run"})
	})
}

// comeBack has another Marathon answer for a while, which has an app or none.
func comeBack(t *testing.T, other map[string]any) {
	right, wrong := newWorld(t, double.Options{Auto: true}), double.Start(t, double.Options{Auto: true})
	at := make(chan *double.Double, 1)
	at <- right.Double
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := <-at
		at <- d
		d.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	turn := func(to *double.Double) { <-at; at <- to; right.CutStreams(); wrong.CutStreams() }
	right.urls = []string{front.URL}
	right.follow(quick(), right.memory)
	right.put("/db", "db", deleteLabel, "delete", "flocker.volume.data.grace", "1s")
	right.await(t, "it runs", func(s *cluster.State) bool { a := s.App("/db"); return a != nil && len(a.Instances) == 1 })
	if other != nil {
		wrong.Do(http.MethodPut, "/v2/apps//db", other)
	}
	turn(wrong)
	right.await(t, "it is gone", func(s *cluster.State) bool { return s.App("/db") != nil && !s.App("/db").Missing.IsZero() })
	wrong.Tell("app_terminated_event", map[string]any{"appId": "/db"}) // of the other cluster's own
	right.snapshots(2)
	turn(right.Double)
	right.await(t, "it is back", func(s *cluster.State) bool {
		a := s.App("/db")
		return a != nil && a.Missing.IsZero() && a.Stopped.IsZero() && len(a.Instances) == 1
	})
	if d := right.state().DatasetByName("db"); d.Reclaim != nil || d.Deleted {
		t.Errorf("got %+v, want that the volume is kept", d)
	}
}
