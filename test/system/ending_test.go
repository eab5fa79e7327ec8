package system

import (
	"os"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
)

// Mesos' cleanup of an instance that Marathon has killed gets lost, and the agent
// would look only in an hour which containers there are. Since Marathon says that the
// instance has ended, it looks at once, and the volume follows the app.
func TestALostCleanupDoesNotHoldUpTheNextInstance(t *testing.T) {
	t.Parallel()
	w := prepareDeployed(t, cluster.Options{})
	one, two := w.Nodes[0], w.Nodes[1]
	w.must(w.Control.Start(w.ctx()))
	for _, n := range w.Nodes {
		w.must(n.Start(w.ctx(), "FLOCKER_MESOS_INTERVAL=1h", "FLOCKER_CLOCK_FILE=/run/clock"))
		w.must(n.StartMesos())
	}
	for _, n := range w.Nodes {
		w.must(n.AwaitConnected(w.ctx()))
	}
	w.put(one, nil)
	w.verified(one, 0)

	// A container that has only just come is never taken for gone.
	w.must(os.WriteFile(one.Path("/run/clock"), []byte("10m"), 0o644))
	w.inside(one, "mv /run/flocker/agent.sock /run/flocker/away")
	w.put(two, nil)
	w.verified(two, 1)
	if log := one.Agent.Output(); !strings.Contains(log, "whose end Mesos did not report") {
		t.Error("the cleanup was not lost: the test shows nothing")
	}

	w.inside(one, "mv /run/flocker/away /run/flocker/agent.sock")
	w.put(two, map[string]any{"instances": 0})
	w.shown("suspended", "detached")
	w.idle()
}
