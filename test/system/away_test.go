package system

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// away has the agent, the control service, or both go away and come back.
type away struct {
	agent, control bool
}

func (a away) begin(w *world, n *cluster.Node) {
	if a.control {
		w.Control.Process.Kill()
		w.until("the agent has lost the control service", func() error {
			status, err := n.Status(w.ctx())
			if err == nil && status.Connected {
				err = fmt.Errorf("it is %s", status.Control)
			}
			return err
		})
	}
	if a.agent {
		n.Agent.Kill()
	}
}

func (a away) end(w *world, n *cluster.Node) {
	w.t.Helper()
	if a.agent {
		w.must(n.Start(w.ctx()))
	}
	if a.control {
		w.must(w.Control.Start(w.ctx()))
	}
}

// waits is part of what a launch says while it waits for what is away.
func (a away) waits() string {
	if a.agent {
		return "the flocker agent does not answer on /run/flocker/agent.sock"
	}
	return "the control service cannot be reached"
}

// hears waits until a speaker says why it waits.
func (w *world) hears(speaker string, said func() string, why string) {
	w.t.Helper()
	w.until("the "+speaker+" says what it waits for", func() error {
		if text := said(); !strings.Contains(text, why) {
			return fmt.Errorf("it says %q", text)
		}
		return nil
	})
}

// TestNoLaunchFailsWhileAgentOrControlServiceIsAway launches by every door while the
// agent or the control service is away, each with a volume that is yet to be made.
func TestNoLaunchFailsWhileAgentOrControlServiceIsAway(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]away{
		"agent": {agent: true}, "control service": {control: true}, "both": {agent: true, control: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withCSI(t, cluster.Options{
				Nodes: 1, WaitLimit: patience, Mesos: mesos.Config{RegistrationTimeout: 2 * patience},
			}, 0))
			n := w.Nodes[0]
			group := func(id string) *mesos.Group {
				return &mesos.Group{Tasks: []*mesos.Task{ledger(id)}} // whose labels Mesos' API has alone
			}
			// The framework is known to use labels from now on.
			known, err := n.Mesos.LaunchGroup(group("known"))
			w.must(err)
			w.says(known.Runs[0], "ready")
			known.Kill()
			<-known.Gone()

			fault.begin(w, n)
			task := w.launch(n, ledger("task"))
			pod, err := n.Mesos.LaunchGroup(group("pod"))
			w.must(err)
			byCSI := w.launch(n, csiLedger("csi", "csi"))
			mounted := make(chan error, 1)
			var path string
			go func() {
				out, err := n.Command(w.ctx(), "sh", "-c",
					"dvdcli mount --volumedriver=flocker --volumename=dvd --volumeopts=size=1 2>/tmp/dvdcli.err").Output()
				path = strings.TrimSpace(out)
				mounted <- err
			}()
			waiting := func() string {
				said, _ := os.ReadFile(n.Path("/tmp/dvdcli.err"))
				return string(said)
			}
			for door, said := range map[string]func() string{"task": task.Stderr, "pod": pod.Runs[0].Stderr, "dvdcli": waiting} {
				w.hears(door, said, fault.waits())
			}
			// One that is killed while it waits leaves nothing behind.
			killed := w.launch(n, ledger("killed"))
			w.hears("task to be killed", killed.Stderr, fault.waits())
			w.end(killed)
			fault.end(w, n)
			for _, r := range []*mesos.Run{task, pod.Runs[0], byCSI} {
				w.says(r, "ready")
				w.end(r)
			}
			if err := <-mounted; err != nil || !strings.HasPrefix(path, "/flocker/") {
				t.Errorf("dvdcli: got %q, %v, and it said %q", path, err, waiting())
			}
			w.inside(n, "dvdcli unmount --volumedriver=flocker --volumename=dvd")
			<-pod.Gone()
			w.idle()
		})
	}
}

// TestAgentDiesAtAnyMomentOfALaunch kills the agent at moments of a launch, from the
// call of prepare on, and starts it again: the launch goes on.
func TestAgentDiesAtAnyMomentOfALaunch(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"agent.consumer-written", "agent.consumer-recorded", "agent.attached", "agent.formatted", "agent.mounted"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			w := prepareWorld(t, cluster.Options{Nodes: 1, WaitLimit: patience, Mesos: mesos.Config{RegistrationTimeout: 2 * patience}})
			n := w.Nodes[0]
			w.must(w.Control.Start(w.ctx()))
			w.must(n.Start(w.ctx(), "FLOCKER_FAULT="+point))
			w.must(n.StartMesos())
			w.must(n.AwaitConnected(w.ctx()))
			r := w.launch(n, ledger("app"))
			select {
			case <-n.Agent.Exited():
			case <-time.After(patience):
				t.Fatal("the agent did not come by " + point)
			}
			w.must(n.Start(w.ctx()))
			w.says(r, "ready")
			w.end(r)
			w.idle()
		})
	}
}

func TestUnlabelledContainersAreNotHeldUpWhileTheAgentIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	n.Agent.Kill()
	r := w.launch(n, &mesos.Task{ID: "plain", Command: "echo done"})
	if u := w.ended(r); u.State != mesos.StateFinished || r.Stdout() != "done\n" || strings.Contains(r.Stderr(), "flocker") {
		t.Errorf("task is %+v and says %q, %q", u, r.Stdout(), r.Stderr())
	}
}
