package clients

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
)

// curl calls the REST API as README shows it, from a node.
func (w *world) curl(n *cluster.Node, args ...string) (string, error) {
	all := append([]string{"-sS", "--fail-with-body", "--cacert", "/etc/flocker/cluster.crt", "--cert", "/etc/flocker/alice.crt", "--key", "/etc/flocker/alice.key"}, args...)
	return n.Command(w.ctx(), "curl", all...).Output()
}

func (w *world) curls(n *cluster.Node, args ...string) string {
	w.Helper()
	text, err := w.curl(n, args...)
	if err != nil {
		w.Fatalf("curl %s: %v", strings.Join(args, " "), err)
	}
	return text
}

func TestCurl(t *testing.T) {
	w := newWorld(t)
	a, b := w.Nodes[0], w.Nodes[1]
	crt, err := w.Issue(w.ctx(), "create-api-certificate", "bob")
	w.must(err)
	w.must(w.Give(a.Host, crt, "alice"))
	datasets := w.Control.URL("/v1/configuration/datasets")
	if got := w.curls(a, w.Control.URL("/v1/state/nodes")); !strings.Contains(got, a.Address) {
		t.Errorf("the nodes are %s", got)
	}
	var d struct {
		ID string `json:"dataset_id"`
	}
	text := w.curls(a, "-d", fmt.Sprintf(`{"primary": %q, "maximum_size": 67108864, "metadata": {"name": "db"}}`, a.ID), datasets)
	w.must(json.Unmarshal([]byte(text), &d))
	// With the tag of the configuration it was seen in, and then without luck.
	head := w.curls(a, "-I", datasets)
	tag := regexp.MustCompile(`(?i)x-configuration-tag: ([0-9a-f]{32})`).FindStringSubmatch(head)
	if tag == nil {
		t.Fatalf("there is no tag in\n%s", head)
	}
	move := []string{"-H", "X-If-Configuration-Matches: " + tag[1], "-d", fmt.Sprintf(`{"primary": %q}`, b.ID), datasets + "/" + d.ID}
	w.curls(a, move...)
	if text, err := w.curl(a, move...); err == nil {
		t.Errorf("moved it again with an old tag: %s", text)
	}
	w.until("it has moved", func() error {
		if got := w.curls(a, w.Control.URL("/v1/state/datasets")); !strings.Contains(got, string(b.ID)) {
			return fmt.Errorf("the state is %s", got)
		}
		return nil
	})
	// What Flocker has not: a volume is changed.
	if got := w.curls(a, "-X", "PATCH", "-d", `{"metadata": {"owner": "ops"}}`, w.Control.URL("/v1/volumes/db")); !strings.Contains(got, `"owner":"ops"`) {
		t.Errorf("changed it to %s", got)
	}
	// A watch of one that is not changing tells of it, and stays.
	watch := fmt.Sprintf(`curl -sS -N --max-time 1 --cacert cluster.crt --cert alice.crt --key alice.key '%s' 2>&1 || :`, w.Control.URL("/v1/watch?volume=db"))
	cmd := a.Command(w.ctx(), "sh", "-c", watch)
	cmd.Dir = "/etc/flocker"
	if events, err := cmd.Output(); err != nil || !strings.Contains(events, "event: synced") {
		t.Errorf("watched: %v\n%s", err, events)
	}
	w.curls(a, "-X", "DELETE", datasets+"/"+d.ID)
	w.until("it is gone", func() error {
		if got := w.curls(a, w.Control.URL("/v1/volumes")); got != "[]" {
			return fmt.Errorf("the volumes are %s", got)
		}
		return nil
	})
}
