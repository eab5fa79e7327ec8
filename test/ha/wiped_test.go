package ha

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
)

// TestReplicasRefuseToActOnALogThatWasWiped removes all keys of the log: an
// operator has mistaken it for another. What is in use must stay so, and no
// control service may take the empty log for a new cluster, now or later.
func TestReplicasRefuseToActOnALogThatWasWiped(t *testing.T) {
	w := prepareWorld(t, cluster.Options{Nodes: 1, Replicas: 2, Consul: 1})
	w.must(w.Start(w.ctx()))
	n := w.Nodes[0]
	m := w.use(n, "steady", "steady")
	w.must(w.write(n, m, "before"))
	w.must(w.WipeLog(w.ctx()))
	for _, r := range w.Controls {
		w.until(r.Name+" makes no more changes", func() error {
			ctx, cancel := context.WithTimeout(w.ctx(), callTimeout)
			defer cancel()
			if create(ctx, r, newID()) == nil {
				return fmt.Errorf("it has made one")
			}
			return nil
		})
	}
	for _, r := range w.Controls {
		if r.Process.Running() {
			r.Process.Kill()
		}
		w.must(r.Launch())
	}
	for _, r := range w.Controls {
		ctx, cancel := context.WithTimeout(w.ctx(), 10*time.Second)
		defer cancel()
		if err := r.Process.Wait(ctx); err == nil || ctx.Err() != nil {
			t.Errorf("%s started on a log that was wiped: %v\n%s", r.Name, err, r.Process.Output())
		}
	}
	w.must(w.write(n, m, "after"))
	if images, err := filepath.Glob(filepath.Join(w.Lab.SAN, "attached", n.Instance, string(m.DatasetID))); err != nil || len(images) != 1 {
		t.Errorf("the attached images are %q, %v", images, err)
	}
}
