package system

import (
	"fmt"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/mesos/master"
)

// runMaster runs a master of Mesos on the machine of the control service, which
// knows the Mesos agents of all nodes.
func (w *world) runMaster() *master.Cluster {
	w.t.Helper()
	l, err := w.Control.Listen(w.ctx(), "tcp", "127.0.0.1:5050")
	w.must(err)
	c := master.New()
	m := c.Serve(l)
	w.t.Cleanup(func() { _ = m.Close() })
	return c
}

// tells waits until a command of flocker says all of some texts, and returns what it says.
func (w *world) tells(command string, texts ...string) (out string) {
	w.t.Helper()
	w.until("flocker "+command+" tells "+strings.Join(texts, ", "), func() (err error) {
		out, err = w.Control.Flocker(w.ctx(), strings.Fields(command)...)
		said := strings.Join(strings.Fields(out), " ")
		for _, text := range texts {
			if err == nil && !strings.Contains(said, text) {
				err = fmt.Errorf("it says %s", out)
			}
		}
		return err
	})
	return out
}

func TestWhatMesosSaysOfADeadMachineIsShownToWhoHasToDecide(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t, patient(quick("mesos-masters", "http://127.0.0.1:5050", "mesos-interval", "100ms")))
	one, two := w.Nodes[0], w.Nodes[1]
	masters := w.runMaster()
	w.must(w.Start(w.ctx()))
	for _, n := range []*cluster.Node{one, two} {
		masters.Register(master.Agent{ID: n.Mesos.ID, Hostname: n.Name, Address: n.Address})
	}
	first := w.launch(one, ledger("app"))
	w.says(first, "ready")
	masters.Run("app", one.Mesos.ID)
	w.tells("status", "2 agents registered at http://127.0.0.1:5050")

	w.must(one.PowerOff())
	// Mesos takes longer to notice than Flocker. Who gives the node up meanwhile,
	// against the word of Mesos, has to say so.
	w.tells("nodes show "+one.Name, "lost for", "Mesos registered since")
	if out, err := w.Control.Flocker(w.ctx(), "nodes", "lost", "--yes", one.Name); err == nil || !strings.Contains(err.Error(), "give --force") {
		t.Errorf("got %q, %v, want it refused without --force", out, err)
	}
	w.tells("volumes show app", "unreachable", "Mesos has its agent there registered, with 1 task (TASK_RUNNING).")
	masters.Unreachable(one.Mesos.ID)
	w.tells("status", "app: unreachable", "Mesos cannot reach its agent there since", "with 1 task (TASK_UNREACHABLE)")
	w.tells("nodes list", "unreachable for")
	w.tells("nodes show "+one.Name, "Mesos unreachable since", "1 task")

	// That Mesos cannot reach it moves nothing: nobody has asked for the volume.
	w.awaitStatus("app", "unreachable")
	masters.Gone(one.Mesos.ID)
	w.tells("nodes show "+one.Name, "Mesos gone for good, as an operator has told Mesos, since")
	if _, err := w.Control.Flocker(w.ctx(), "nodes", "lost", "--yes", one.Name); err != nil {
		t.Error(err)
	}
	w.tells("nodes list", "given up", "gone for")
	second := w.launch(two, ledger("app"))
	w.says(second, "ready")
	if !second.Printed("verified 1") {
		t.Errorf("the task printed %q", second.Stdout())
	}
	w.end(second)
	one.Mesos.Kill()
	w.must(one.PowerOn(w.ctx()))
}
