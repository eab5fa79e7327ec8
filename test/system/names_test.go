package system

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
)

// TestAVolumeInUseGetsItsNameFromANewAgent updates the agent of a version that stored no
// names while a task uses a volume: the name must be known if the log is lost next.
func TestAVolumeInUseGetsItsNameFromANewAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	task := w.launch(w.Nodes[0], ledger("app"))
	w.says(task, "wrote 1")
	links, err := filepath.Glob(filepath.Join(w.Lab.SAN, "names", "*"))
	if err != nil || len(links) != 1 {
		t.Fatalf("the storage has the names %q, %v", links, err)
	}
	w.Nodes[0].Agent.Kill()
	w.must(os.Remove(links[0]))
	w.must(w.Nodes[0].Start(w.ctx()))
	w.until("the volume has its name", func() error {
		if name, err := os.Readlink(links[0]); err != nil || name != "name:app" {
			return fmt.Errorf("it is %q, %w", name, err)
		}
		return nil
	})
	w.end(task)
	w.idle()
}
