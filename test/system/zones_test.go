package system

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// inRack gives a node the file server of its rack.
func (w *world) inRack(n *cluster.Node, zone, root string) {
	w.t.Helper()
	file := n.Path("/etc/flocker/agent.yml")
	text, err := os.ReadFile(file)
	w.must(err)
	before := "  root_path: " + w.Lab.SAN + "\n"
	after := strings.Replace(string(text), before, "  root_path: "+root+"\n  zone: "+zone+"\n", 1)
	if after == string(text) {
		w.t.Fatalf("%s has no %q in it", file, before)
	}
	w.must(os.WriteFile(file, []byte(after), 0o644))
}

func TestVolumeStaysInItsRack(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t, cluster.Options{Nodes: 3})
	one, two, elsewhere := w.Nodes[0], w.Nodes[1], w.Nodes[2]
	w.inRack(one, "rack-1", w.Lab.SAN)
	w.inRack(two, "rack-1", w.Lab.SAN)
	w.inRack(elsewhere, "rack-2", "/var/lib/flocker/rack-2")
	w.must(w.Start(w.ctx()))
	w.end(w.ready(one, ledger("app")))
	w.idle()

	r := w.launch(elsewhere, ledger("app"))
	w.complains(r, "volume app is in zone rack-1, and node3 in zone rack-2", `keep the app in the volume's zone, by the constraint ["@zone", "IS", "rack-1"]`)
	if u := w.ended(r); u.State != mesos.StateFailed {
		t.Errorf("got %s, want the task to be refused at once", u.State)
	}
	for path, want := range map[string]string{
		"/v1/volumes/app":                   `"zone":"rack-1"`,
		"/v1/nodes/" + string(elsewhere.ID): `"zone":"rack-2"`,
	} {
		if got := w.call(http.MethodGet, path, nil); !strings.Contains(string(got), want) {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	_, err := w.Control.Call(w.ctx(), http.MethodPost, "/v1/configuration/datasets/"+w.dataset("app"), map[string]any{"primary": elsewhere.ID})
	if err == nil || !strings.Contains(err.Error(), "choose a node of zone rack-1") {
		t.Errorf("got %v, want the move to be refused", err)
	}
	r = w.ready(two, ledger("app"))
	w.says(r, "verified 1")
	w.end(r)
	w.idle()
}
