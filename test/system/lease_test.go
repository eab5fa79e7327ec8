package system

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
)

const leases = "/v1/configuration/leases"

// lease acquires a lease of a dataset for a node, for some seconds or, with nil,
// for ever.
func (w *world) lease(id string, n *cluster.Node, seconds any) {
	w.t.Helper()
	w.call(http.MethodPost, leases, map[string]any{"dataset_id": id, "node_uuid": n.ID, "expires": seconds})
}

// staysOn checks that a dataset which is asked to go is still on a node, through
// whatever happens to everybody who could forget why.
func (w *world) staysOn(id string, n *cluster.Node) {
	w.t.Helper()
	w.until("it is said what holds it up", func() error {
		if text := string(w.call(http.MethodGet, "/v1/volumes/"+id, nil)); !strings.Contains(text, "Release it: flocker leases release") {
			return fmt.Errorf("it says %s", text)
		}
		return nil
	})
	for _, again := range []func(){
		func() {
			n.Agent.Kill()
			w.must(n.Start(w.ctx()))
		},
		func() {
			w.Control.Process.Kill()
			w.must(w.Control.Start(w.ctx()))
		},
	} {
		again()
		w.must(n.AwaitConnected(w.ctx()))
		// Another dataset comes and goes: the agent has heard all that was said before.
		r := w.launch(n, ledger("another"))
		w.says(r, "ready")
		w.end(r)
		w.must(w.mountedOn(id, n))
	}
}

func TestLeaseHoldsAMoveAndADeletionUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	one, two := w.Nodes[0], w.Nodes[1]
	id := w.create(one, "app")
	mounted := func(n *cluster.Node) {
		t.Helper()
		w.until("the dataset is mounted on "+n.Name+" alone", func() error { return w.mountedOn(id, n) })
	}
	mounted(one)
	r := w.launch(one, ledger("app"))
	w.says(r, "wrote 1")
	w.end(r)

	w.lease(id, one, nil)
	w.call(http.MethodPost, "/v1/configuration/datasets/"+id, map[string]any{"primary": two.ID})
	w.staysOn(id, one)
	w.call(http.MethodDelete, leases+"/"+id, nil)
	mounted(two)
	r = w.launch(two, ledger("app"))
	w.says(r, "verified 1")
	w.end(r)

	// Back again, when a lease expires.
	w.lease(id, two, 3600)
	w.call(http.MethodPost, "/v1/configuration/datasets/"+id, map[string]any{"primary": one.ID})
	w.staysOn(id, two)
	w.lease(id, two, 0.5)
	mounted(one)

	w.lease(id, one, nil)
	w.call(http.MethodDelete, "/v1/configuration/datasets/"+id, nil)
	w.staysOn(id, one)
	w.call(http.MethodDelete, leases+"/"+id, nil)
	w.idle()
}

func TestLeaseOfADeadMachineHoldsNothingUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient(quick()))
	one, two := w.Nodes[0], w.Nodes[1]
	id := w.create(one, "app")
	w.lease(id, one, nil)
	first := w.launch(one, ledger("app"))
	w.says(first, "ready")
	w.must(one.PowerOff())
	second := w.launch(two, ledger("app"))
	w.says(second, "verified 1")
	w.end(second)
	one.Mesos.Kill()
	w.must(one.PowerOn(w.ctx()))
	w.must(one.Mesos.Restart())
	w.must(one.Start(w.ctx()))
	w.must(one.AwaitConnected(w.ctx()))
	// The lease lasts, and mounts nothing.
	if text := string(w.call(http.MethodGet, leases, nil)); !strings.Contains(text, string(one.ID)) {
		t.Errorf("got leases %s, want the one of the dead machine", text)
	}
	w.idle()
}
