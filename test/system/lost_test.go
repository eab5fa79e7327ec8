package system

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/mesos"
)

func TestRunningTaskOutlivesTheAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	r := w.launch(n, &mesos.Task{
		ID: "app", Labels: labels("flocker.volume.data", "path=data,name=app,size=64MiB"),
		Command: `echo ready; i=0; until [ -e end ]; do i=$((i+1)); echo $i >data/i; sync data/i; sleep 0.01; done; echo last $i`,
	})
	w.says(r, "ready")
	for range 3 {
		n.Agent.Kill()
		w.must(n.Start(w.ctx()))
		w.must(n.AwaitConnected(w.ctx()))
	}
	// A second container of the node shares what the dead agent had mounted.
	second := w.launch(n, &mesos.Task{
		ID: "second", Labels: labels("flocker.volume.data", "path=data,name=app,mode=ro"), Command: "cat data/i && echo ready; sleep infinity",
	})
	w.says(second, "ready")
	if loops, err := lab.Loops(w.Lab.SAN); err != nil || len(loops) != 1 {
		t.Errorf("loop devices are %v, %v", loops, err)
	}
	w.end(second)
	if r.Last().State != mesos.StateRunning {
		t.Errorf("the task is %+v", r.Last())
	}
	w.end(r)
	w.idle()
}

func TestControlServiceMayBeAwayWhileTasksRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	first := w.launch(w.Nodes[0], ledger("app"))
	w.says(first, "ready")
	w.Control.Process.Kill()
	w.end(first)
	w.must(w.Control.Start(w.ctx()))
	// Before that, node2 refuses what it does not know; a Marathon would back off.
	w.must(w.Nodes[1].AwaitConnected(w.ctx()))
	second := w.ready(w.Nodes[1], ledger("app"))
	if !second.Printed("verified 1") {
		t.Errorf("the task printed %q", second.Stdout())
	}
	w.end(second)
	w.idle()
}

func TestLostCleanupsAreNoticed(t *testing.T) {
	t.Parallel()
	restarted := func(w *world, n *cluster.Node, _ *mesos.Run) { w.restartMesos(n) }
	cases := map[string]struct {
		config mesos.Config
		lose   func(*world, *cluster.Node, *mesos.Run)
	}{
		"framework without checkpoints": {
			config: mesos.Config{NoCheckpoint: true},
			lose:   restarted,
		},
		"another --cgroups_root": {
			config: mesos.Config{NoCheckpoint: true, CgroupsRoot: "mesos-blue"},
			lose:   restarted,
		},
		"another --cgroups_hierarchy": {
			config: mesos.Config{NoCheckpoint: true, CgroupsHierarchy: "/var/lib/cgroup"},
			lose:   restarted,
		},
		"cleanup while our agent is down": {
			lose: func(w *world, n *cluster.Node, r *mesos.Run) {
				n.Agent.Kill()
				w.end(r)
				// A failed cleanup would fail a whole pod, and is not tried again.
				if got := n.Mesos.DestroyErrors(); got != 0 {
					w.t.Errorf("%d cleanups failed", got)
				}
				w.must(n.Start(w.ctx()))
			},
		},
		"host rebooted": {
			lose: func(w *world, n *cluster.Node, _ *mesos.Run) {
				n.Mesos.Kill()
				w.must(n.Reboot(w.ctx()))
				w.must(n.Mesos.Restart())
				w.must(n.Start(w.ctx()))
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.config.RegistrationTimeout = 2 * patience
			w := newWorld(t, cluster.Options{WaitLimit: patience, Mesos: c.config})
			one, two := w.Nodes[0], w.Nodes[1]
			first := w.launch(one, ledger("app"))
			w.says(first, "ready")
			c.lose(w, one, first)
			second := w.launch(two, ledger("app"))
			w.says(second, "ready")
			if !second.Printed("verified 1") {
				t.Errorf("the task printed %q", second.Stdout())
			}
			w.end(second)
			w.idle()
		})
	}
}

func TestMesosAgentThatIsDownReleasesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{WaitLimit: 2 * time.Second})
	one, two := w.Nodes[0], w.Nodes[1]
	first := w.launch(one, ledger("app"))
	w.says(first, "ready")
	one.Mesos.Kill()
	// The container lives on, so its volume must not go anywhere.
	second := w.launch(two, ledger("app"))
	if u := w.ended(second); u.State != mesos.StateFailed || !strings.Contains(second.Stderr(), one.Name) {
		t.Errorf("the second task is %+v and says %q", u, second.Stderr())
	}
	w.must(one.Mesos.Restart())
	w.must(first.Await(w.ctx(), mesos.StateRunning))
	w.end(first)
	third := w.ready(two, ledger("app"))
	if !third.Printed("verified 1") {
		t.Errorf("the task printed %q", third.Stdout())
	}
	w.end(third)
	w.idle()
}

func TestPrepareOfADeadMesosAgentHoldsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{WaitLimit: patience, Mesos: mesos.Config{RegistrationTimeout: 2 * patience}})
	one, two := w.Nodes[0], w.Nodes[1]
	// Frozen, our agent keeps prepare from ending until Mesos is dead.
	w.must(one.Agent.Signal(sigStop))
	r := w.launch(one, ledger("app"))
	w.until("prepare runs", func() error {
		out, err := one.Command(t.Context(), "sh", "-c", "cat /proc/[0-9]*/comm").Output()
		if err == nil && !strings.Contains(out, "flocker-isolato") {
			err = fmt.Errorf("processes are %s", strings.Fields(out))
		}
		return err
	})
	one.Mesos.Kill()
	w.must(one.Agent.Signal(sigCont))
	w.must(one.Mesos.Restart())
	w.must(r.AwaitGone(w.ctx()))
	second := w.ready(two, ledger("app"))
	w.end(second)
	w.until("the first node has no consumer", func() error {
		leaks, err := w.Leaks()
		for _, l := range leaks {
			if strings.Contains(l, "consumer") {
				return fmt.Errorf("%s", l)
			}
		}
		return err
	})
}

// An agent without the credentials that its Mesos agent wants keeps what it has.
func TestAgentThatMayNotAskMesosSaysSoAndReleasesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1, Mesos: mesos.Config{Username: "joe", Password: "s3cret"}})
	n := w.Nodes[0]
	r := w.launch(n, ledger("app"))
	w.says(r, "ready")
	w.until("the agent says that it is refused", func() error {
		status, err := n.Status(w.ctx())
		if err == nil && (status.MesosTrouble == nil || status.MesosTrouble.Kind != api.MesosDenied) {
			err = fmt.Errorf("the trouble is %+v", status.MesosTrouble)
		}
		return err
	})
	if r.Last().State != mesos.StateRunning {
		t.Errorf("the task is %+v", r.Last())
	}
	w.end(r)
	w.idle()
}
