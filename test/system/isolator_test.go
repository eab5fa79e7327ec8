package system

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// kill kills, with SIGKILL, a process of a node whose command line contains a
// word, as soon as there is one.
func (w *world) kill(n *cluster.Node, word string) {
	w.t.Helper()
	w.until("a process of "+n.Name+" with "+word+" is there to be killed", func() error {
		all, err := n.Processes()
		if err != nil {
			return err
		}
		for pid, line := range all {
			if strings.Contains(line, word) {
				return syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		return errors.New("there is none")
	})
}

// The agent is stopped at a fault point while it serves a call, so that the
// caller dies exactly then.
func TestIsolatorIsKilledWhileTheAgentServesIt(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ stop, kill string }{
		"prepare, before the consumer is known": {"agent.consumer-written", "isolator-prepare"},
		"prepare, after the consumer is known":  {"agent.consumer-recorded", "isolator-prepare"},
		"mount, while the volume is attached":   {"agent.attached", "flocker-isolator mount"},
		"mount, while the volume is mounted":    {"agent.mounted", "flocker-isolator mount"},
		"cleanup, after the consumer is gone":   {"agent.consumer-removed", "isolator-cleanup"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := prepareWorld(t, cluster.Options{
				WaitLimit: patience, Mesos: mesos.Config{RegistrationTimeout: 2 * patience},
			})
			one, two := w.Nodes[0], w.Nodes[1]
			w.must(w.Control.Start(w.ctx()))
			w.must(one.Start(w.ctx(), "FLOCKER_FAULT="+c.stop+":stop"))
			w.must(two.Start(w.ctx()))
			for _, n := range w.Nodes {
				w.must(n.StartMesos())
				w.must(n.AwaitConnected(w.ctx()))
			}
			r := w.launch(one, ledger("app"))
			if c.kill == "isolator-cleanup" {
				w.says(r, "ready")
				r.Kill()
			}
			w.until("the agent is stopped at "+c.stop, func() error {
				if !one.Agent.Frozen() {
					return fmt.Errorf("it runs, and the task is %+v", r.Last())
				}
				return nil
			})
			w.kill(one, c.kill)
			w.must(one.Agent.Signal(sigCont))
			w.ended(r)

			// Whatever became of it, the next task gets the volume.
			_, wrote := lines(t, r)
			again := w.ready(two, ledger("app"))
			if verified, _ := lines(t, again); verified < wrote {
				t.Errorf("%d lines were acknowledged, %d are there", wrote, verified)
			}
			w.end(again)
			w.idle()
		})
	}
}

// A prepare that Mesos kills after its timeout is cleaned up after at once,
// while the agent may still be at work on it.
func TestPrepareThatTimesOutHoldsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1, Mesos: mesos.Config{Timeout: time.Second}})
	n := w.Nodes[0]
	w.must(n.Agent.Signal(sigStop))
	r := w.launch(n, ledger("app"))
	u, err := r.Ended(w.ctx())
	w.must(err)
	if u.State != mesos.StateFailed {
		t.Errorf("task is %+v", u)
	}
	w.must(n.Agent.Signal(sigCont))
	w.must(r.AwaitGone(w.ctx()))
	again := w.ready(n, ledger("app"))
	w.end(again)
	w.idle()
}
