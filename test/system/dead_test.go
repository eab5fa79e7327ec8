package system

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// quick has lost nodes noticed within a second.
func quick(further ...string) map[string]string {
	control := map[string]string{"heartbeat": "300ms"}
	for i := 0; i < len(further); i += 2 {
		control[further[i]] = further[i+1]
	}
	return control
}

// patient is a world whose containers wait for their volumes as long as the
// test does.
func patient(control map[string]string, agent ...string) cluster.Options {
	settings := map[string]string{}
	for i := 0; i < len(agent); i += 2 {
		settings[agent[i]] = agent[i+1]
	}
	return cluster.Options{
		Control: control, Agent: settings, WaitLimit: patience, Mesos: mesos.Config{RegistrationTimeout: 2 * patience},
	}
}

func TestVolumesOfADeadMachineFollowTheirContainers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient(quick()))
	one, two := w.Nodes[0], w.Nodes[1]
	first := w.launch(one, ledger("app"))
	w.says(first, "ready")
	w.must(one.PowerOff())
	second := w.launch(two, ledger("app"))
	w.says(second, "ready")
	if !second.Printed("verified 1") {
		t.Errorf("the task printed %q", second.Stdout())
	}
	// What comes back finds out that it holds nothing any more.
	one.Mesos.Kill()
	w.must(one.PowerOn(w.ctx()))
	w.must(one.Mesos.Restart())
	w.must(one.Start(w.ctx()))
	w.must(one.AwaitConnected(w.ctx()))
	if second.Last().State != mesos.StateRunning {
		t.Errorf("the task is %+v", second.Last())
	}
	w.end(second)
	third := w.ready(one, ledger("app"))
	if !third.Printed("verified 2") {
		t.Errorf("back on the first node the task printed %q", third.Stdout())
	}
	w.end(third)
	w.idle()
}

func TestCrashWhileFencingALostNode(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"agent.fence-begun", "agent.fence-detached", "agent.fenced"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			w := prepareWorld(t, patient(quick()))
			one, two := w.Nodes[0], w.Nodes[1]
			w.must(w.Control.Start(w.ctx()))
			w.must(one.Start(w.ctx()))
			w.must(two.Start(w.ctx(), "FLOCKER_FAULT="+point))
			for _, n := range w.Nodes {
				w.must(n.StartMesos())
				w.must(n.AwaitConnected(w.ctx()))
			}
			first := w.launch(one, ledger("app"))
			w.says(first, "ready")
			w.must(one.PowerOff())
			second := w.launch(two, ledger("app"))
			select {
			case <-two.Agent.Exited():
			case <-w.ctx().Done():
				t.Fatalf("nothing came by %s", point)
			}
			w.must(two.Start(w.ctx()))
			w.says(second, "ready")
			if !second.Printed("verified 1") {
				t.Errorf("the task printed %q", second.Stdout())
			}
			w.end(second)
			one.Mesos.Kill()
			w.must(one.PowerOn(w.ctx()))
		})
	}
}

func TestSilentMachineThatCanStillWriteKeepsItsVolumes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient(quick()))
	one, two := w.Nodes[0], w.Nodes[1]
	first := w.launch(one, ledger("app"))
	w.says(first, "ready")
	w.must(one.Plug(w.ctx(), false))
	second := w.launch(two, ledger("app"))
	w.until("it is explained why the second waits", func() error {
		out, err := w.Control.Flocker(w.ctx(), "volumes", "show", "app")
		text := strings.Join(strings.Fields(out), " ")
		for _, want := range []string{"may still be writing", "its image is locked", "flocker nodes lost"} {
			if err == nil && !strings.Contains(text, want) {
				err = fmt.Errorf("flocker volumes show says %s", out)
			}
		}
		return err
	})
	// An operator's word counts less than the lock that the storage sees.
	if _, err := w.Control.Flocker(w.ctx(), "nodes", "lost", "--yes", one.Name); err != nil {
		t.Error(err)
	}
	w.until("it is explained that the word is not enough", func() error {
		out, err := w.Control.Flocker(w.ctx(), "volumes", "show", "app")
		if text := strings.Join(strings.Fields(out), " "); err == nil && !strings.Contains(text, "nodes lost --force") {
			err = fmt.Errorf("flocker volumes show says %s", out)
		}
		return err
	})
	// Forced, it ends the node's tenure, and still takes no volume from a kernel that has it.
	if _, err := w.Control.Flocker(w.ctx(), "nodes", "lost", "--force", "--yes", one.Name); err != nil {
		t.Error(err)
	}
	w.until("the storage refuses", func() error {
		for line := range strings.Lines(two.Agent.Output()) {
			if strings.Contains(line, "fence the lost node") && strings.Contains(line, "in use") {
				return nil
			}
		}
		return fmt.Errorf("the agent says %s", two.Agent.Output())
	})
	if first.Last().State != mesos.StateRunning {
		t.Errorf("the first task is %+v", first.Last())
	}
	// The node learns that its tenure is over. It lets go when the container ends.
	w.must(one.Plug(w.ctx(), true))
	w.must(one.AwaitConnected(w.ctx()))
	w.end(first)
	w.says(second, "ready")
	if !second.Printed("verified 1") {
		t.Errorf("the task printed %q", second.Stdout())
	}
	w.end(second)
	w.idle()
}

func TestNodeThatIsBackBeforeItWasFencedGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient(quick()))
	one, two := w.Nodes[0], w.Nodes[1]
	first := w.launch(one, ledger("app"))
	w.says(first, "ready")
	w.must(one.Plug(w.ctx(), false))
	second := w.launch(two, ledger("app"))
	w.awaitStatus("app", "fencing")
	w.must(one.Plug(w.ctx(), true))
	w.awaitStatus("app", "waiting")
	if first.Last().State != mesos.StateRunning {
		t.Errorf("the first task is %+v", first.Last())
	}
	w.end(first)
	w.says(second, "ready")
	w.end(second)
	w.idle()
}

func TestSilentMachineIsStoppedWhereThePolicySaysSo(t *testing.T) {
	t.Parallel()
	opts := patient(quick("on-lost-node", "stop-instance"), "stop-command", "/usr/local/sbin/stop-machine")
	w := prepareWorld(t, opts)
	one, two := w.Nodes[0], w.Nodes[1]
	// The switch of the machines' power is a file that the test watches.
	wanted := filepath.Join(w.Lab.SAN, "power-off")
	script := "#!/bin/sh\nset -e\necho \"$1\" >" + wanted + ".new && mv " + wanted + ".new " + wanted +
		"\nuntil [ -e " + wanted + ".done ]; do sleep 0.05; done\n"
	for _, n := range w.Nodes {
		w.must(os.MkdirAll(n.Path("/usr/local/sbin"), 0o755))
		w.must(os.WriteFile(n.Path("/opt/stop-machine"), []byte(script), 0o755))
		w.must(n.Configure(patience, map[string]string{"stop-command": "/opt/stop-machine"}))
	}
	w.must(w.Start(w.ctx()))
	first := w.launch(one, ledger("app"))
	w.says(first, "ready")
	w.must(one.Plug(w.ctx(), false))
	second := w.launch(two, ledger("app"))
	w.until("the machine is to be stopped", func() error {
		instance, err := os.ReadFile(wanted)
		if err == nil && strings.TrimSpace(string(instance)) != one.Instance {
			err = fmt.Errorf("%q is to be stopped", instance)
		}
		return err
	})
	if second.Printed("ready") {
		t.Error("the second task runs before the machine is off")
	}
	w.must(one.PowerOff())
	w.must(os.WriteFile(wanted+".done", nil, 0o600))
	w.says(second, "ready")
	if !second.Printed("verified 1") {
		t.Errorf("the task printed %q", second.Stdout())
	}
	w.end(second)
	one.Mesos.Kill()
	w.must(one.PowerOn(w.ctx()))
	w.must(os.Remove(wanted))
	w.must(os.Remove(wanted + ".done"))
}

func TestPreemptedVolumeIsTakenFromALivingNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient(nil, "preempt-grace", "500ms"))
	one, two := w.Nodes[0], w.Nodes[1]
	for name, test := range map[string]struct{ path, command string }{
		"whose users end when they are asked": {"data", "exec sleep infinity"},
		"who have it mounted and no more":     {"data", "cd /; exec sleep infinity"},
		"whose users have to be killed":       {"data", "trap '' TERM; exec 3<lines; while :; do sleep 0.1; done"},
		"at the mount root's path":            {"/flocker/data", "cd /; exec sleep infinity"},
	} {
		t.Run(name, func(t *testing.T) {
			task := ledger("app", labels("flocker.volume.data", "path="+test.path+",name=app,size=64MiB")...)
			if strings.HasPrefix(test.path, "/") {
				task.Image = "debian"
			}
			task.Command = "cd " + test.path + "; [ -e lines ] || : >lines; echo ready; " + test.command
			first := w.launch(one, task)
			w.says(first, "ready")
			second := w.launch(two, &mesos.Task{ID: "second", Command: "echo ready; sleep infinity",
				Labels: labels("flocker.volume.data", "path=data,name=app,preempt=true")})
			w.says(second, "ready")
			if u := w.ended(first); u.State != mesos.StateFailed && u.State != mesos.StateKilled {
				t.Errorf("the first task is %+v", u)
			}
			w.end(second)
			w.idle()
		})
	}
}

func TestDrainedNodeIsEmptied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	one, two := w.Nodes[0], w.Nodes[1]
	if _, err := w.Control.Flocker(w.ctx(), "volumes", "create", "--name", "pinned", "--size", "64MiB", "--node", one.Name, "--wait", "1m"); err != nil {
		t.Fatal(err)
	}
	used := w.ready(one, ledger("used"))
	if _, err := w.Control.Flocker(w.ctx(), "nodes", "drain", one.Name); err != nil {
		t.Fatal(err)
	}
	w.awaitStatus("pinned", "detached")
	refused := w.launch(one, ledger("new"))
	if u := w.ended(refused); u.State != mesos.StateFailed || !strings.Contains(u.Message+refused.Stderr(), "drained") {
		t.Errorf("a launch on the drained node is %+v and says %q", u, refused.Stderr())
	}
	if used.Last().State != mesos.StateRunning {
		t.Errorf("what ran there is %+v", used.Last())
	}
	w.end(used)
	moved := w.ready(two, ledger("used"))
	w.end(moved)
	if _, err := w.Control.Flocker(w.ctx(), "nodes", "drain", one.Name, "--end"); err != nil {
		t.Fatal(err)
	}
	w.end(w.ready(one, ledger("new")))
	w.idle()
}

// awaitStatus waits until a dataset has a status.
func (w *world) awaitStatus(name, status string) {
	w.t.Helper()
	w.until(name+" is "+status, func() error {
		data, err := w.Control.Call(w.ctx(), http.MethodGet, "/v1/volumes/"+name, nil)
		if err == nil && !strings.Contains(string(data), `"status":"`+status+`"`) {
			err = fmt.Errorf("it is %s", data)
		}
		return err
	})
}
