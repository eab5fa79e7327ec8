package system

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// keeper starts the programs of a cluster and starts again whatever dies, as
// systemd does. Only the first start of each has the fault in its environment.
type keeper struct {
	w    *world
	quit chan struct{}
	once sync.Once
	wg   sync.WaitGroup

	mu sync.Mutex // guards what again starts
}

// keep starts all programs of a cluster that was prepared.
func (w *world) keep(env ...string) *keeper {
	w.t.Helper()
	k := &keeper{w: w, quit: make(chan struct{})}
	w.t.Cleanup(k.stop)
	w.must(w.Control.Launch(env...))
	k.watch(w.Control.Process, func() (*lab.Process, error) {
		err := w.Control.Launch()
		return w.Control.Process, err
	})
	for _, n := range w.Nodes {
		w.must(n.Start(w.ctx(), env...))
		k.watchAgent(n)
		w.must(n.StartMesos())
		n.Mesos.SetEnv(env...)
	}
	for _, n := range w.Nodes {
		w.connected(n)
	}
	return k
}

// keepAgent does the same for a node's agent that runs.
func (w *world) keepAgent(n *cluster.Node) *keeper {
	k := &keeper{w: w, quit: make(chan struct{})}
	w.t.Cleanup(k.stop)
	k.watchAgent(n)
	return k
}

func (k *keeper) watchAgent(n *cluster.Node) {
	k.watch(n.Agent, func() (*lab.Process, error) {
		err := n.Start(context.Background())
		return n.Agent, err
	})
}

// connected waits until a node's agent follows the control service, though
// either may die meanwhile.
func (w *world) connected(n *cluster.Node) {
	w.t.Helper()
	w.until("the agent of "+n.Name+" is connected", func() error {
		status, err := n.Status(w.t.Context())
		if err == nil && !status.Connected {
			err = errors.New(status.Control)
		}
		return err
	})
}

// kill ends a process that the keeper may be starting anew.
func (k *keeper) kill(process func() *lab.Process) {
	k.mu.Lock()
	defer k.mu.Unlock()
	process().Kill()
}

func (k *keeper) watch(p *lab.Process, again func() (*lab.Process, error)) {
	k.wg.Go(func() {
		for {
			select {
			case <-p.Exited():
			case <-k.quit:
				return
			}
			k.mu.Lock()
			var err error
			p, err = again()
			k.mu.Unlock()
			if err != nil {
				k.w.t.Errorf("start %s again: %v", p.Name, err)
				return
			}
		}
	})
}

// stop leaves the programs to themselves.
func (k *keeper) stop() {
	k.once.Do(func() { close(k.quit) })
	k.wg.Wait()
}

// fired reports whether a fault happened in any of the programs, those that
// Mesos started included.
func (w *world) fired(fault string) bool {
	mark := "at " + fault
	logs, err := w.logs()
	w.must(err)
	for _, log := range logs {
		if strings.Contains(log, mark) {
			return true
		}
	}
	return false
}

// ready launches a task until one of its kind is ready, as Marathon does when
// one fails, and returns it.
func (w *world) ready(n *cluster.Node, task *mesos.Task) *mesos.Run {
	w.t.Helper()
	for range 5 {
		r := w.launch(n, task)
		err := lab.Until(w.ctx(), fmt.Sprintf("task %s is ready", task.ID), func() error {
			err := said(r, "ready")
			if errors.Is(err, errTerminal) {
				return nil
			}
			return err
		})
		w.must(err)
		if r.Printed("ready") {
			return r
		}
		w.t.Logf("task %s on %s is %+v: %s", task.ID, n.Name, r.Last(), r.Stderr())
		w.ended(r)
		n.Mesos.SetEnv() // what killed it was in the environment
	}
	w.t.Fatalf("task %s on %s does not get ready", task.ID, n.Name)
	return nil
}

// lines returns how many lines a ledger had verified and how many there are
// with its own.
func lines(t *testing.T, r *mesos.Run) (verified, wrote int) {
	t.Helper()
	for line := range strings.Lines(r.Stdout()) {
		_, _ = fmt.Sscanf(line, "verified %d", &verified)
		_, _ = fmt.Sscanf(line, "wrote %d", &wrote)
	}
	return verified, wrote
}
