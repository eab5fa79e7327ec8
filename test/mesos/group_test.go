package mesos_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/mesos"
)

func launchGroup(t *testing.T, a *mesos.Agent, g *mesos.Group) *mesos.GroupRun {
	t.Helper()
	gr, err := a.LaunchGroup(g)
	if err != nil {
		t.Fatal(err)
	}
	return gr
}

func groupGone(t *testing.T, g *mesos.GroupRun) {
	t.Helper()
	select {
	case <-g.Gone():
	case <-deadline(t).Done():
		t.Fatal("the group's executor is not gone")
	}
}

func TestGroupEndsNestedCleanupFirst(t *testing.T) {
	t.Parallel()
	a, h := agent(t, script{
		"prepare": `case $directory in */containers/*)
			mkdir -p /srv/volume
			echo '{"mounts":[{"source":"/srv/volume","target":"'$directory'/data","flags":20480}]}' >$2;; esac`,
		"cleanup": "sleep 0.1",
	}, mesos.Config{})
	g := launchGroup(t, a, &mesos.Group{Tasks: []*mesos.Task{
		{ID: "one", Command: "echo 1 >data/one; echo ok"}, {ID: "two", Command: "echo 2 >data/two; echo ok"},
	}})
	for _, r := range g.Runs {
		u := ended(t, r)
		if u.State != mesos.StateFinished || !r.Printed("ok") {
			t.Errorf("task %s is %+v: %s", r.Task.ID, u, r.Stderr())
		}
		var states []string
		for _, u := range r.Updates() {
			states = append(states, u.State)
		}
		want := []string{mesos.StateStaging, mesos.StateStarting, mesos.StateRunning, mesos.StateFinished}
		if !slices.Equal(states, want) {
			t.Errorf("states are %q, want %q", states, want)
		}
		_, nested, _ := strings.Cut(r.ContainerID(), ".")
		if !slices.Contains(noted(t, h), "cleanup "+nested+" end") {
			t.Errorf("task %s was finished before its cleanup", r.Task.ID)
		}
	}
	groupGone(t, g)
	calls := a.Calls()
	if got, want := len(calls), 9; got != want {
		t.Fatalf("%d calls, want %d", got, want)
	}
	first, last := calls[0], calls[8]
	if strings.Contains(first.Container, ".") || first.Command != "prepare" ||
		last.Container != first.Container || last.Command != "cleanup" {
		t.Errorf("the executor's calls are %+v and %+v, want the first and the last", first, last)
	}
	if data, err := os.ReadFile(h.Path("/srv/volume/two")); err != nil || string(data) != "2\n" {
		t.Errorf("the volume holds %q, %v", data, err)
	}
}

func TestFailedNestedCleanupFailsTheGroupAndSkipsTheExecutors(t *testing.T) {
	t.Parallel()
	a, _ := agent(t, script{"cleanup": `echo "still mounted" >$3; exit 1`}, mesos.Config{})
	g := launchGroup(t, a, &mesos.Group{Tasks: []*mesos.Task{{ID: "one", Command: "true"}}})
	u := ended(t, g.Runs[0])
	if u.State != mesos.StateFailed || !strings.Contains(u.Message, "Failed to destroy nested containers") ||
		!strings.Contains(u.Message, "still mounted") {
		t.Errorf("task is %+v", u)
	}
	groupGone(t, g)
	if got := commands(a.Calls()); slices.Index(got, "cleanup") != len(got)-1 {
		t.Errorf("calls are %q, want one cleanup", got)
	}
}

func TestFailedNestedPrepareFailsTheWholeGroup(t *testing.T) {
	t.Parallel()
	a, _ := agent(t, script{"prepare": `grep -q '"value":"false"' $1 || exit 0; echo no >$3; exit 1`}, mesos.Config{})
	g := launchGroup(t, a, &mesos.Group{Tasks: []*mesos.Task{
		{ID: "good", Command: "sleep 1000"}, {ID: "bad", Command: "false"},
	}})
	if u := ended(t, g.Runs[1]); u.State != mesos.StateFailed || u.Source != "SOURCE_EXECUTOR" || u.Reason != "" {
		t.Errorf("bad task is %+v", u)
	}
	if u := ended(t, g.Runs[0]); u.State != mesos.StateKilled {
		t.Errorf("good task is %+v", u)
	}
	groupGone(t, g)
}

func TestHealthCheckEntersTheTasksMounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ exclude, fails string }{
		"prepare answers nothing for DEBUG": {exclude: `! grep -q '"container_class":"DEBUG"' $1 &&`},
		"prepare answers mounts for DEBUG":  {fails: "Mounts are not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, _ := agent(t, script{"prepare": `grep -q '"container_class"' $1 && ` + c.exclude + ` {
				mkdir -p /srv/volume; echo hello >/srv/volume/MARK
				echo '{"mounts":[{"source":"/srv/volume","target":"'$directory'/data","flags":20480}]}' >$2; }; exit 0`},
				mesos.Config{})
			g := launchGroup(t, a, &mesos.Group{Tasks: []*mesos.Task{{ID: "one", Command: "echo up; sleep 1000"}}})
			until(t, "the task runs", func() bool { return g.Runs[0].Printed("up") })
			out, err := a.Check(deadline(t), g.Runs[0], "cat data/MARK")
			if c.fails == "" && (err != nil || out != "hello\n") {
				t.Errorf("check says %q, %v", out, err)
			}
			if c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("check says %v, want %s", err, c.fails)
			}
			g.Kill()
			groupGone(t, g)
		})
	}
}

func TestGroupSurvivesTheAgent(t *testing.T) {
	t.Parallel()
	a, h := agent(t, nil, mesos.Config{})
	g := launchGroup(t, a, &mesos.Group{Tasks: []*mesos.Task{
		{ID: "one", Command: "echo up; until [ -e /srv/go ]; do sleep 0.01; done"},
	}})
	until(t, "the task runs", func() bool { return g.Runs[0].Printed("up") })
	a.Kill()
	restart(t, a)
	write(t, h.Path("/srv/go"))
	if u := ended(t, g.Runs[0]); u.State != mesos.StateFinished {
		t.Errorf("task is %+v", u)
	}
	groupGone(t, g)
	if got := commands(a.Calls()); got[len(got)-1] != "cleanup" || got[len(got)-2] != "cleanup" {
		t.Errorf("calls are %q, want two cleanups at the end", got)
	}
}
