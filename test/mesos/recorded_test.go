package mesos_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/mesos"
	"github.com/flocker-mesos/flocker/test/mesos/story"
)

// exact are the keys whose values are the same on every agent.
var exact = []string{"type", "healthy", "level", "version", "git_sha", "launcher", "containerizers", "cgroups_hierarchy", "recover", "state", "protocol"}

// unlike are the differences that there must be: the recorded agent had other flags,
// and the recorded tasks were Marathon's.
func unlike(difference string) bool {
	for _, known := range []string{
		".docker_registry", ".csi_plugin_config_dir", ".http_credentials", ".resources[]", ".discovery", ".health_check", ".kill_policy",
		".container: ", ".command: is missing", ".labels: is missing", ".webui_url", ".capabilities", ".user: ",
	} {
		if strings.Contains(difference, known) {
			return true
		}
	}
	return false
}

// replay sends the requests of a story to an agent, and compares its answers with
// the recorded ones. Skip leaves exchanges out.
func replay(t *testing.T, a *mesos.Agent, h *lab.Host, name string, skip func(*story.Line) bool) {
	t.Helper()
	lines, err := story.Load(filepath.Join("testdata/recordings/operator-api-2", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: h.Dial, DisableCompression: true}
	defer transport.CloseIdleConnections()
	compared := 0
	for i, l := range lines {
		if !l.IsExchange() || skip != nil && skip(&l) {
			continue
		}
		compared++
		found, err := l.Check(deadline(t), transport, a.URL(), exact, unlike)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range found {
			t.Errorf("%d: %s: %s", i, &l, d)
		}
	}
	if compared == 0 {
		t.Errorf("%s: nothing was compared", name)
	}
}

func TestAnAgentAnswersAsRecorded(t *testing.T) {
	t.Parallel()
	a, h := agent(t, nil, mesos.Config{CSI: []mesos.CSIPlugin{}})
	for _, name := range []string{"agent-01-nothing-running", "agent-02-about-itself", "agent-03-errors"} {
		t.Run(name, func(t *testing.T) { replay(t, a, h, name, nil) })
	}
}

func TestAnAgentWantsCredentialsAsRecorded(t *testing.T) {
	t.Parallel()
	a, h := agent(t, nil, mesos.Config{Username: "joe", Password: "s3cret"})
	replay(t, a, h, "agent-07-with-credentials", nil)
}

func TestAnAgentWithTasksAnswersAsRecorded(t *testing.T) {
	t.Parallel()
	a, h := agent(t, nil, mesos.Config{CgroupsRoot: "other"})
	task := func(id string) *mesos.Task {
		return &mesos.Task{ID: id, Command: "sleep 1000", Labels: []mesos.Label{{Key: "flocker.volume.data", Value: "data"}}}
	}
	earlier := task("zero")
	earlier.Labels = nil
	ended := launch(t, a, earlier)
	if err := ended.Await(deadline(t), mesos.StateRunning); err != nil {
		t.Fatal(err)
	}
	ended.Kill()
	gone(t, ended)
	r := launch(t, a, task("one"))
	if err := r.Await(deadline(t), mesos.StateRunning); err != nil {
		t.Fatal(err)
	}
	t.Run("a command task", func(t *testing.T) {
		replay(t, a, h, "agent-04-a-command-task", func(l *story.Line) bool { return strings.HasPrefix(l.Request.To, "10.78.0.11") })
	})
	t.Run("another cgroups root", func(t *testing.T) { replay(t, a, h, "agent-08-another-cgroups-root", nil) })
	r.Kill()
	gone(t, r)
	t.Run("after it", func(t *testing.T) { replay(t, a, h, "agent-05-after-a-command-task", nil) })
	g := launchGroup(t, a, &mesos.Group{Tasks: []*mesos.Task{task("writer"), task("reader")}})
	for _, r := range g.Runs {
		if err := r.Await(deadline(t), mesos.StateRunning); err != nil {
			t.Fatal(err)
		}
	}
	second := launch(t, a, task("two"))
	if err := second.Await(deadline(t), mesos.StateRunning); err != nil {
		t.Fatal(err)
	}
	t.Run("a pod beside a task", func(t *testing.T) {
		replay(t, a, h, "agent-06-pod-csi-docker-volume-images", func(l *story.Line) bool {
			// The state also has tasks that ended earlier; its parts are compared by
			// themselves. The first task that is listed here is the pod's.
			call := l.Request.Call()
			return strings.HasPrefix(l.Request.To, "10.78.0.11") || call == "GET_STATE" || call == "GET_TASKS"
		})
	})
	g.Kill()
	second.Kill()
	groupGone(t, g)
	gone(t, second)
}
