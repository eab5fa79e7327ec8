package mesos_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/mesos"
)

func restart(t *testing.T, a *mesos.Agent) {
	t.Helper()
	if err := a.Restart(); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestContainerOutlivesTheAgentAndIsCleanedUpByTheNext(t *testing.T) {
	t.Parallel()
	a, h := agent(t, nil, mesos.Config{})
	alive := launch(t, a, &mesos.Task{ID: "alive", Command: "until [ -e /srv/go ]; do sleep 0.01; done"})
	dead := launch(t, a, &mesos.Task{ID: "dead", Command: "until [ -e /srv/end ]; do sleep 0.01; done"})
	for _, r := range []*mesos.Run{alive, dead} {
		if err := r.Await(deadline(t), mesos.StateRunning); err != nil {
			t.Fatal(err)
		}
	}
	a.Kill()
	write(t, h.Path("/srv/end"))
	until(t, "the second task's processes have ended", func() bool {
		_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(dead.Pid())))
		return err != nil
	})
	if got := commands(a.Calls()); slices.Contains(got, "cleanup") {
		t.Errorf("a dead agent called %q", got)
	}
	restart(t, a)
	gone(t, dead)
	write(t, h.Path("/srv/go"))
	gone(t, alive)
	for _, r := range []*mesos.Run{alive, dead} {
		if u := r.Last(); u.State != mesos.StateFinished {
			t.Errorf("task %s is %+v", r.Task.ID, u)
		}
	}
	if got := commands(a.Calls()); len(got) != 6 || got[4] != "cleanup" || got[5] != "cleanup" {
		t.Errorf("calls are %q, want one cleanup of each", got)
	}
}

func TestWithoutCheckpointsTheCleanupIsLost(t *testing.T) {
	t.Parallel()
	a, _ := agent(t, nil, mesos.Config{NoCheckpoint: true})
	r := launch(t, a, &mesos.Task{ID: "app", Command: "echo up; sleep 1000"})
	until(t, "the task runs", func() bool { return r.Printed("up") })
	a.Kill()
	restart(t, a)
	gone(t, r)
	if u := r.Last(); u.State != mesos.StateFailed {
		t.Errorf("task is %+v", u)
	}
	if got := commands(a.Calls()); slices.Contains(got, "cleanup") {
		t.Errorf("calls are %q, want no cleanup", got)
	}
}

func TestPrepareOutlivesTheAgentAndIsNeverCleanedUp(t *testing.T) {
	t.Parallel()
	a, h := agent(t, script{"prepare": "until [ -e /srv/go ]; do sleep 0.01; done"}, mesos.Config{})
	r := launch(t, a, &mesos.Task{ID: "app", Command: "true"})
	until(t, "prepare runs", func() bool { return strings.HasSuffix(noted(t, h)[0], "begin") })
	a.Kill()
	restart(t, a)
	gone(t, r)
	if u := r.Last(); u.State != mesos.StateFailed {
		t.Errorf("task is %+v", u)
	}
	write(t, h.Path("/srv/go"))
	until(t, "prepare ends", func() bool {
		return slices.ContainsFunc(noted(t, h), func(l string) bool { return strings.HasSuffix(l, "end") })
	})
	// Another container passes by: a late cleanup would have come before its.
	other := launch(t, a, &mesos.Task{ID: "other", Command: "true"})
	gone(t, other)
	for _, line := range noted(t, h) {
		if strings.HasPrefix(line, "cleanup "+r.ContainerID()) {
			t.Errorf("the lost container was cleaned up: %q", noted(t, h))
		}
	}
}

func TestACommandInTheAnswerAbortsTheWholeAgent(t *testing.T) {
	t.Parallel()
	a, _ := agent(t, script{"prepare": `echo '{"command":{"value":"x"}}' >$2`}, mesos.Config{})
	r := launch(t, a, &mesos.Task{ID: "app", Command: "true"})
	if u := ended(t, r); !strings.Contains(u.Message, "aborts") {
		t.Errorf("task is %+v", u)
	}
	until(t, "the agent is dead", func() bool {
		_, err := a.Launch(&mesos.Task{ID: "next", Command: "true"})
		return err != nil
	})
}
