package system

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
)

// A user has the free blocks of a volume that is in use given back to the storage.
func TestTrimByTheCommandLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	id := w.create(n, "app")
	w.until("it is mounted", func() error { return w.mountedOn(id, n) })
	w.inside(n, fmt.Sprintf("dd if=/dev/urandom of=/flocker/%[1]s/file bs=1M count=20 2>/dev/null; sync; rm /flocker/%[1]s/file; sync", id))
	room := func() int {
		blocks, err := strconv.Atoi(strings.TrimSpace(w.inside(n, "stat -c %b "+w.image(n, id))))
		w.must(err)
		return blocks / 2
	}
	before := room()
	out, err := w.Flocker(w.ctx(), "volumes", "trim", "app")
	w.must(err)
	t.Logf("$ flocker volumes trim app\n%s", out)
	if !strings.Contains(out, "app: ") || !strings.Contains(out, " trimmed in ") {
		t.Errorf("it says %q", out)
	}
	if after := room(); before-after < 18<<10 {
		t.Errorf("the image takes %d KiB, before %d", after, before)
	}
	w.call(http.MethodDelete, "/v1/configuration/datasets/"+id, nil)
	w.idle()
	if out, err := w.Flocker(w.ctx(), "volumes", "trim", id); err == nil {
		t.Errorf("a volume that is gone was trimmed: %s", out)
	}
}
