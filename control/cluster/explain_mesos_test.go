package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func TestExplanationTellsWhatMesosSaysOfALostHolder(t *testing.T) {
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	since := now.Add(-4 * time.Minute)
	d := &api.Dataset{ID: "d1", Metadata: map[string]string{"name": "db"}, Holder: &api.Holder{Node: "x", Since: since}}
	for name, tt := range map[string]struct {
		connected bool
		mesos     *api.MesosAgent
		want      string // "" for nothing
	}{
		"a holder that is there": {true, &api.MesosAgent{State: api.MesosUnreachable}, ""},
		"nothing":                {false, nil, ""},
		"unreachable": {
			false, &api.MesosAgent{State: api.MesosUnreachable, Since: since, Tasks: map[string]int{"TASK_UNREACHABLE": 3}},
			"Mesos cannot reach its agent there since 2026-03-01T09:56:00Z (4m0s), with 3 tasks (TASK_UNREACHABLE).",
		},
		"unreachable for an unknown time, with one task": {
			false, &api.MesosAgent{State: api.MesosUnreachable, Tasks: map[string]int{"TASK_LOST": 1}}, "Mesos cannot reach its agent there, with 1 task (TASK_LOST).",
		},
		"gone": {
			false, &api.MesosAgent{State: api.MesosGone, Since: since, Tasks: map[string]int{"TASK_GONE_BY_OPERATOR": 2, "TASK_LOST": 1}},
			"Mesos was told by an operator that its agent there is gone for good at 2026-03-01T09:56:00Z (4m0s ago), with 3 tasks (2 TASK_GONE_BY_OPERATOR, 1 TASK_LOST).",
		},
		"registered": {
			false, &api.MesosAgent{State: api.MesosRegistered, Since: since, Tasks: map[string]int{"TASK_RUNNING": 1}},
			"Mesos has its agent there registered, with 1 task (TASK_RUNNING).",
		},
		"draining":     {false, &api.MesosAgent{State: api.MesosDraining}, "Mesos has its agent there registered, and drains it."},
		"drained":      {false, &api.MesosAgent{State: api.MesosDrained}, "Mesos has its agent there registered, and has drained it."},
		"deactivated":  {false, &api.MesosAgent{State: api.MesosDeactivated}, "Mesos has its agent there registered, and deactivated."},
		"disconnected": {false, &api.MesosAgent{State: api.MesosDisconnected}, "Mesos has its agent there registered, but is not connected with it."},
		"recovered":    {false, &api.MesosAgent{State: api.MesosRecovered}, "Mesos has not heard its agent there under the present master."},
		"removed":      {false, &api.MesosAgent{State: api.MesosRemoved}, "Mesos was told by its agent there that it ends."},
		"absent":       {false, &api.MesosAgent{State: api.MesosAbsent, Since: since}, "Mesos does not list its agent there any more since 2026-03-01T09:56:00Z (4m0s)."},
		"stale": {
			false, &api.MesosAgent{State: api.MesosRegistered, Stale: true, Heard: since},
			"Mesos has its agent there registered, as it said at 2026-03-01T09:56:00Z (4m0s ago).",
		},
		"a word of later": {false, &api.MesosAgent{State: "asleep"}, "Mesos calls its agent there asleep."},
	} {
		t.Run(name, func(t *testing.T) {
			node := func(api.NodeID) *api.Node {
				return &api.Node{ID: "x", Hostname: "node-x", Connected: tt.connected, Since: since, Stream: 1}
			}
			mesos := func(api.NodeID) *api.MesosAgent { return tt.mesos }
			status, why := cluster.Explain(d, nil, nil, node, mesos, now)
			if tt.want == "" && strings.Contains(why, "Mesos") || !strings.Contains(why, tt.want) {
				t.Errorf("got %s\nwant %q in it", why, tt.want)
			}
			if without, _ := cluster.Explain(d, nil, nil, node, nil, now); status != without {
				t.Errorf("the evidence has changed the status from %s to %s", without, status)
			}
		})
	}
}
