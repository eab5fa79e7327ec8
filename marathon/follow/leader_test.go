package follow_test

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/test/marathon/double"
)

// While the leader is dead the others answer 502 and name it for the events: nothing
// changes for volumes, and the next leader is followed by itself.
func TestADeadLeaderIsOutwaited(t *testing.T) {
	w := newWorld(t, double.Options{Auto: true, Marathons: 2})
	w.urls = w.URLs()
	w.follow(quick(), w.memory)
	w.put("/db", "db", deleteLabel, "delete", "flocker.volume.data.grace", "1s")
	w.await(t, "it runs", func(s *cluster.State) bool {
		a := s.App("/db")
		return a != nil && len(a.Instances) == 1 && a.Instances[0].State == api.TaskRunning
	})
	w.snapshots(1)
	before := w.state().App("/db").Revision
	w.KillLeader()
	w.await(t, "that no leader answers is told", func(s *cluster.State) bool {
		return !status(s).DownSince.IsZero() && strings.Contains(status(s).Cause, "answers 502")
	})
	if a := w.state().App("/db"); a.Revision != before || !a.Missing.IsZero() {
		t.Errorf("got %+v, want it as it was", a)
	}
	w.SetLeader(1)
	w.await(t, "the next leader is followed", func(s *cluster.State) bool { return status(s).DownSince.IsZero() && status(s).Events })
	w.destroy("/db")
	w.await(t, "it is gone", func(s *cluster.State) bool { return s.CountApps() == 0 })
}
