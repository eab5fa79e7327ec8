package system

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
)

// unhealthy waits until the commands tell that a volume is not healthy, in all ways that
// there are.
func (w *world) unhealthy(n *cluster.Node, name string, kind api.HealthKind, words string) {
	w.t.Helper()
	w.until(fmt.Sprintf("volume %s is %s", name, kind), func() error {
		d, err := w.detail(name)
		if err != nil {
			return err
		}
		if d.Status != "failing" || d.State.Health == nil || d.State.Health.Kind != kind || !strings.Contains(d.Why, words) {
			return fmt.Errorf("it is %s, %+v: %s", d.Status, d.State.Health, d.Why)
		}
		return nil
	})
	for _, command := range [][]string{{"status"}, {"volumes", "show", name}} {
		if out := w.flocker(command...); !strings.Contains(strings.Join(strings.Fields(out), " "), words) {
			w.t.Errorf("flocker %v does not tell %q: %s", command, words, out)
		}
	}
	if got := w.unhealthyVolumes(n, kind); got != 1 {
		w.t.Errorf("the metric counts %d volumes that are %s, want 1", got, kind)
	}
	if !strings.Contains(n.Agent.Output(), "the volume is not healthy") {
		w.t.Error("the agent's log says nothing")
	}
}

// unhealthyVolumes returns what a node's metric counts.
func (w *world) unhealthyVolumes(n *cluster.Node, kind api.HealthKind) int {
	w.t.Helper()
	out, err := n.Command(w.ctx(), "curl", "-s", "http://127.0.0.1:9100/metrics").Output()
	w.must(err)
	prefix := fmt.Sprintf("flocker_agent_unhealthy_volumes{health=%q} ", kind)
	for line := range strings.Lines(out) {
		if text, ok := strings.CutPrefix(line, prefix); ok {
			count, err := strconv.Atoi(strings.TrimSpace(text))
			w.must(err)
			return count
		}
	}
	w.t.Fatalf("%s is not among the metrics", prefix)
	return 0
}

// healthy waits until a volume is mounted and nothing is said of it.
func (w *world) healthy(n *cluster.Node, name string) {
	w.t.Helper()
	w.until("volume "+name+" is healthy", func() error {
		d, err := w.detail(name)
		if err == nil && (d.Status != "mounted" || d.State.Health != nil) {
			err = fmt.Errorf("it is %s: %s", d.Status, d.Why)
		}
		return err
	})
	for _, kind := range api.HealthKinds {
		if got := w.unhealthyVolumes(n, kind); got != 0 {
			w.t.Errorf("%d volumes are %s", got, kind)
		}
	}
}

// watchedWorld is a node whose agent has metrics.
func watchedWorld(t *testing.T, limit time.Duration) (*world, *cluster.Node) {
	t.Helper()
	w := prepareWorld(t, cluster.Options{Nodes: 1, WaitLimit: limit, Agent: map[string]string{"metrics-listen": "127.0.0.1:9100"}})
	w.must(w.Start(w.ctx()))
	return w, w.Nodes[0]
}

func (w *world) pathOf(name string) string {
	w.t.Helper()
	d, err := w.detail(name)
	w.must(err)
	return d.State.Path
}

// TestAShutDownVolumeIsToldAndNotHandedOut shuts one of two volumes down under its task.
// The next task waits for the first one's end, and has the data.
func TestAShutDownVolumeIsToldAndNotHandedOut(t *testing.T) {
	t.Parallel()
	for _, fs := range []string{api.FSExt4, api.FSXFS} {
		t.Run(fs, func(t *testing.T) {
			t.Parallel()
			w, n := watchedWorld(t, 0)
			all := labels("flocker.volume.data", "path=data,name=app,size=320MiB,fs="+fs)
			first, other := w.launch(n, ledger("first", all...)), w.launch(n, ledger("other"))
			w.says(first, "wrote 1")
			w.says(other, "wrote 1")

			w.inside(n, "xfs_io -x -c shutdown "+w.pathOf("app"))
			shut := time.Now()
			w.awaitStatus("app", "failing")
			t.Logf("told %s after the shutdown:\n%s", time.Since(shut), w.flocker("volumes", "show", "app"))
			w.unhealthy(n, "app", api.HealthShutDown, "shut its file system down")
			if d, err := w.detail("other"); err != nil || d.Status != "mounted" {
				t.Errorf("the other volume is %+v, %v", d, err)
			}

			second := w.launch(n, ledger("second", all...))
			w.hears("second task", second.Stderr, "end its containers")
			w.end(first)
			w.says(second, "verified 1")
			w.healthy(n, "app")
			w.end(second)
			w.end(other)
			w.idle()
		})
	}
}

// TestAReadOnlyVolumeIsToldAndFollowed has an operator remount a volume in use.
func TestAReadOnlyVolumeIsToldAndFollowed(t *testing.T) {
	t.Parallel()
	w, n := watchedWorld(t, 0)
	first := w.launch(n, ledger("app"))
	w.says(first, "wrote 1")
	path := w.pathOf("app")
	w.inside(n, "mount -o remount,ro "+path)
	w.unhealthy(n, "app", api.HealthReadOnly, "mount -o remount,rw "+path)
	w.inside(n, "mount -o remount,rw "+path)
	w.healthy(n, "app")

	w.inside(n, "mount -t tmpfs cover "+path)
	w.unhealthy(n, "app", api.HealthCovered, "umount "+path)
	second := w.launch(n, ledger("second", labels("flocker.volume.data", "path=data,name=app,size=64MiB")...))
	w.hears("second task", second.Stderr, "umount "+path)
	w.inside(n, "umount "+path)
	w.says(second, "verified 1")
	w.healthy(n, "app")

	w.inside(n, "umount -l "+path)
	w.until("it is mounted again", func() error {
		_, err := n.Command(w.t.Context(), "mountpoint", "-q", path).Output()
		return err
	})
	w.healthy(n, "app")
	if !strings.Contains(n.Agent.Output(), "unmounted behind the agent's back") {
		t.Error("the agent's log says nothing of the unmount")
	}
	w.end(first)
	w.end(second)
	w.idle()
}
