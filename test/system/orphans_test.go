package system

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
)

// startAnew has an operator begin with an empty log, after the records were lost.
func (w *world) startAnew() {
	w.t.Helper()
	w.Control.Process.Kill()
	files, err := filepath.Glob(w.Control.Path("/var/lib/flocker/control/control.db*"))
	if err != nil || len(files) == 0 {
		w.t.Fatalf("the store has the files %q, %v", files, err)
	}
	for _, file := range files {
		w.must(os.RemoveAll(file))
	}
	if out, err := w.Control.Command(w.ctx(), "flocker", "control", "accept-log", "empty").Output(); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
	w.must(w.Control.Start(w.ctx()))
	var status api.ClusterStatus
	w.must(json.Unmarshal(w.call(http.MethodGet, "/v1/status", nil), &status))
	for _, n := range w.Nodes {
		if out, err := n.Command(w.ctx(), "flocker", "agent", "accept-log", status.Log.ID).Output(); err != nil {
			w.t.Fatalf("%v: %s", err, out)
		}
	}
}

// flocker runs the command line and returns what it says.
func (w *world) flocker(args ...string) string {
	w.t.Helper()
	out, err := w.Flocker(w.ctx(), args...)
	if err != nil {
		w.t.Fatalf("flocker %v: %v: %s", args, err, out)
	}
	return out
}

// TestAnAppGetsItsVolumeAfterTheLogWasLost has an app wait for its volume, of which the
// new log knows nothing, until it is adopted.
func TestAnAppGetsItsVolumeAfterTheLogWasLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 2})
	first := w.launch(w.Nodes[0], ledger("app"))
	w.says(first, "wrote 1")
	w.end(first)
	w.idle()

	w.startAnew()
	for _, n := range w.Nodes {
		w.must(n.AwaitConnected(w.ctx()))
	}
	w.until("the orphan is listed", func() error {
		if out := w.flocker("backends", "orphans"); !strings.Contains(out, "app") || !strings.Contains(out, "64MiB") {
			return fmt.Errorf("it says %s", out)
		}
		return nil
	})
	if out, err := w.Flocker(w.ctx(), "volumes", "create", "--name", "app", "--node", w.Nodes[0].Name); err == nil || !strings.Contains(out+err.Error(), "flocker volumes adopt app") {
		t.Errorf("a volume of the orphan's name was made: %v, %s", err, out)
	}
	second := w.launch(w.Nodes[1], ledger("app"))
	w.until("the task says why it waits", func() error {
		if out := second.Stderr(); !strings.Contains(out, "flocker volumes adopt app") {
			return fmt.Errorf("it says %s", out)
		}
		return nil
	})
	for _, command := range [][]string{{"status"}, {"volumes", "show", "app"}} {
		if out := w.flocker(command...); !strings.Contains(out, "flocker volumes adopt") {
			t.Errorf("flocker %v does not tell what to do: %s", command, out)
		}
	}
	if out := w.flocker("volumes", "adopt", "app", "--owner", "*"); !strings.Contains(out, "Adopted app") {
		t.Errorf("adopt says %s", out)
	}
	w.says(second, "verified 1")
	w.end(second)
	w.idle()
	if out := w.flocker("backends", "orphans", "-o", "name"); out != "" {
		t.Errorf("orphans are left: %s", out)
	}
}
