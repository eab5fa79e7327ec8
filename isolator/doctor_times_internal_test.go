package isolator

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator/agenttest"
)

func TestDoctorComputesTimeoutsFromHowLongVolumesTook(t *testing.T) {
	seen := func(all ...api.VolumeTimes) []api.VolumeTimes { return all }
	attach := func(slowest time.Duration) api.VolumeTimes {
		return api.VolumeTimes{Way: api.WayAttach, UpTo: 10 << 30, Count: 20, P50: time.Second, P99: slowest, P999: slowest, Max: slowest}
	}
	many := attach(50 * time.Minute)
	many.Count, many.P99, many.P999 = 5000, 2*time.Second, 4*time.Second
	late := api.VolumeTimes{Way: api.WayMove, UpTo: 1 << 30, GaveUp: 3}
	tests := map[string]struct {
		limit    time.Duration
		times    []api.VolumeTimes
		mesos    string // --executor_registration_timeout
		marathon *api.MarathonInfo
		failure  error // of Marathon
		want     map[string]string
		level    map[string]Level // where it is not OK
	}{
		"nothing was seen": {
			want: map[string]string{"--executor_registration_timeout": "is 1m0s, a container waits 45s at the most",
				"--task_launch_timeout": "should be at least 1m30s, Marathon's default is 5m0s"},
		},
		"quick ones": {
			times: seen(api.VolumeTimes{Way: api.WayHere, UpTo: 1 << 30, Count: 3, Max: time.Millisecond}, attach(1300*time.Millisecond)),
			want:  map[string]string{"wait-limit": "is 45s, volumes took up to 1.3s here (attached, up to 10GiB)"},
		},
		"slow ones": {
			times: seen(attach(2 * time.Minute)),
			want: map[string]string{
				"wait-limit":                      "is 45s, but volumes took up to 2m0s here (attached, up to 10GiB): set wait-limit: 3m in agent.yml",
				"--executor_registration_timeout": "should be able to wait 3m0s, as volumes took here: start the Mesos agent with --executor_registration_timeout=185secs",
				"--task_launch_timeout":           "should be at least 3m35s, Marathon's default is 5m0s",
			},
			level: map[string]Level{"wait-limit": Warn, "--executor_registration_timeout": Warn},
		},
		"slow ones, and a Mesos and an agent that wait": {
			limit: 4 * time.Minute, mesos: "5mins", times: seen(attach(2 * time.Minute)),
			want: map[string]string{
				"wait-limit": "is 4m, volumes took up to 2m0s here", "--executor_registration_timeout": "is 5m0s, a container waits 4m0s at the most",
				"--task_launch_timeout": "should be at least 5m30s, and Marathon's default is 5m0s: start Marathon with --task_launch_timeout 330000",
			},
			level: map[string]Level{"--task_launch_timeout": Warn},
		},
		"one slow one among thousands": {
			times: seen(many), want: map[string]string{"wait-limit": "is 45s, volumes took up to 4s here"},
		},
		"containers that gave up": {
			times: seen(late, attach(time.Second)),
			want: map[string]string{
				"wait-limit":                      "is 45s, and 3 containers ended here when they had waited so long for their volumes: if these were not in use elsewhere for good, set wait-limit: 1m30s",
				"--executor_registration_timeout": "--executor_registration_timeout=95secs",
			},
			level: map[string]Level{"wait-limit": Warn, "--executor_registration_timeout": Warn},
		},
		"a Marathon that waits": {
			marathon: &api.MarathonInfo{Version: "1.11", TaskLaunchTimeout: 5 * time.Minute},
			want:     map[string]string{"--task_launch_timeout": "is 5m0s, at least 1m30s are needed"},
		},
		"a Marathon that does not": {
			times: seen(attach(4 * time.Minute)), marathon: &api.MarathonInfo{Version: "1.11", TaskLaunchTimeout: 5 * time.Minute},
			want: map[string]string{"--task_launch_timeout": "is 5m0s, but a task may wait 6m0s for its volumes, and is killed before: " +
				"start Marathon with --task_launch_timeout 395000"},
			level: map[string]Level{"wait-limit": Warn, "--executor_registration_timeout": Warn, "--task_launch_timeout": Fail},
		},
		"a Marathon that waits less than Mesos": {
			mesos: "10mins", marathon: &api.MarathonInfo{Version: "1.11", TaskLaunchTimeout: 5 * time.Minute},
			want:  map[string]string{"--task_launch_timeout": "before Mesos says why they do not run: start Marathon with --task_launch_timeout 630000"},
			level: map[string]Level{"--task_launch_timeout": Warn},
		},
		"a Marathon that does not tell": {
			marathon: &api.MarathonInfo{Version: "1.4.0"},
			want:     map[string]string{"--task_launch_timeout": "is not told by Marathon 1.4.0; it should be at least 1m30s: start Marathon with --task_launch_timeout 90000"},
			level:    map[string]Level{"--task_launch_timeout": Warn},
		},
		"a Marathon that does not answer": {
			failure: errors.New("ask Marathon at http://m: it answers 502"),
			want:    map[string]string{"--task_launch_timeout": "can't be looked up: ask Marathon at http://m: it answers 502; it must be at least 1m30s"},
			level:   map[string]Level{"--task_launch_timeout": Warn},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := healthy(t)
			f.Agent.Times, f.Marathon, f.MarathonErr = tt.times, tt.marathon, tt.failure
			if tt.limit != 0 {
				f.Agent.WaitLimit = tt.limit
			}
			if tt.mesos != "" {
				f.Mesos.Flags["executor_registration_timeout"] = tt.mesos
			}
			findings := Judge(f)
			for subject, want := range tt.want {
				found := false
				for _, g := range findings {
					found = found || g.Subject == subject && strings.Contains(g.Text, want)
				}
				if !found {
					t.Errorf("%s: want %q, got\n%s", subject, want, FormatFindings(findings))
				}
			}
			for _, g := range findings {
				want := OK
				if l, ok := tt.level[g.Subject]; ok {
					want = l
				}
				if g.Level != want {
					t.Errorf("got %+v, want %s", g, want)
				}
			}
		})
	}
	f := healthy(t)
	f.Agent, f.AgentErr = nil, errors.New("down")
	for _, g := range Judge(f) {
		if g.Subject == "wait-limit" || g.Subject == "--task_launch_timeout" {
			t.Errorf("without an agent: got %+v", g)
		}
	}
}

func TestTimesAreShownInATable(t *testing.T) {
	s := &api.AgentStatus{TimesSince: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC), Times: []api.VolumeTimes{
		{Way: api.WayHere, UpTo: 1 << 30, Count: 1203, P50: 400 * time.Microsecond, P99: 2 * time.Millisecond, P999: 3 * time.Millisecond, Max: 41 * time.Millisecond},
		{Way: api.WayCreate, UpTo: 10 << 30, Count: 7, P50: 1449 * time.Millisecond, P99: 2 * time.Second, P999: 2 * time.Second, Max: 2 * time.Second},
		{Way: api.WayMove, Count: 2, P50: 9 * time.Second, P99: 65400 * time.Millisecond, P999: 65400 * time.Millisecond, Max: 65400 * time.Millisecond, GaveUp: 1},
		{Way: api.WayFence, UpTo: 1 << 40, GaveUp: 2},
		{Way: "teleport", UpTo: 1 << 30, Count: 1},
	}}
	want := `How long volumes took here until they were ready, since 2026-11-01:

HOW                         SIZE               VOLUMES   HALF OF THEM   99 %   99.9 %   SLOWEST   GAVE UP
already here                up to 1GiB         1203      400µs          2ms    3ms      41ms      0
made and formatted          up to 10GiB        7         1.4s           2s     2s       2s        0
moved from another node     larger than 1TiB   2         9s             1m5s   1m5s     1m5s      1
after fencing a lost node   up to 1TiB         0         -              -      -        -         2
teleport                    up to 1GiB         1         0s             0s     0s       0s        0
`
	if got := FormatTimes(s); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for name, s := range map[string]*api.AgentStatus{"no agent": nil, "no volumes": {}} {
		if got := FormatTimes(s); got != "" {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestDoctorAsksMarathonThroughTheAgent(t *testing.T) {
	agent := agenttest.Start(t, func(req api.LocalRequest, conn *agenttest.Conn) {
		switch {
		case req.Marathon != nil && req.Marathon.URL == "http://marathon:8080":
			conn.Send(api.LocalReply{Done: true, Marathon: &api.MarathonInfo{Version: "1.11", TaskLaunchTimeout: time.Minute}})
		case req.Status != nil:
			conn.Send(api.LocalReply{Done: true, Status: &api.AgentStatus{Version: "1"}})
		default: // as an agent of before does
			conn.Send(api.LocalReply{Done: true, Error: api.Errorf(api.CodeInvalid, "the request asks for nothing this agent knows")})
		}
	})
	d := Doctor{Socket: agent.Socket, Proc: t.TempDir(), Marathon: "http://marathon:8080"}
	if f := d.Examine(t.Context()); f.MarathonErr != nil || f.Marathon.TaskLaunchTimeout != time.Minute {
		t.Errorf("got %+v, %v", f.Marathon, f.MarathonErr)
	}
	d.Marathon = "http://another:8080"
	if f := d.Examine(t.Context()); f.Marathon != nil || f.MarathonErr == nil {
		t.Errorf("got %+v, %v", f.Marathon, f.MarathonErr)
	}
	d.Marathon = ""
	if f := d.Examine(t.Context()); f.Marathon != nil || f.MarathonErr != nil {
		t.Errorf("nobody asked for it: got %+v, %v", f.Marathon, f.MarathonErr)
	}
}
