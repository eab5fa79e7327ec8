package ha

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
)

// TestCluster takes parts of one cluster away, one after the other, and puts
// them back.
func TestCluster(t *testing.T) {
	w := newWorld(t, cluster.Options{Nodes: 2})
	w.run("the Consul leader is killed in mid-commit", theConsulLeaderIsKilled)
	w.run("all of Consul is down for a while", allOfConsulIsDown)
	w.run("the replica that an agent follows is killed", aReplicaIsKilled)
	w.run("a replica is stopped for longer than the others wait", aReplicaIsStopped)
	w.run("an agent is cut from its replica", anAgentIsCutFromItsReplica)
	w.run("a node dies together with the replica that it follows", aNodeDiesWithItsReplica)
	w.run("a node is frozen and goes on", aNodeIsFrozen)
}

func theConsulLeaderIsKilled(w *world) {
	l := w.load(6)
	l.more(100)
	leader, err := w.Leader(w.ctx())
	w.must(err)
	leader.Process.Kill()
	l.more(100)
	w.must(leader.Start())
	w.must(w.AwaitLeader(w.ctx()))
	l.end()
	w.served()
}

func allOfConsulIsDown(w *world) {
	n := w.Nodes[0]
	m := w.use(n, "steady", "steady")
	w.must(w.write(n, m, "before"))
	l := w.load(6)
	l.more(50)
	for _, s := range w.Consul {
		s.Process.Kill()
	}
	_, failed := l.count()
	w.until("changes are refused", func() error {
		if _, now := l.count(); now <= failed+6 {
			return fmt.Errorf("%d were", now-failed)
		}
		return nil
	})
	// What runs goes on running.
	w.must(w.write(n, m, "meanwhile"))
	for _, s := range w.Consul {
		w.must(s.Start())
	}
	l.more(50)
	l.end()
	w.served()
	w.connected()
	if got := w.read(n, m); got != "meanwhile" {
		w.t.Errorf("the volume has %q", got)
	}
	w.release(n, "steady")
}

func aReplicaIsKilled(w *world) {
	n := w.Nodes[0]
	m := w.use(n, "steady", "steady")
	w.must(w.write(n, m, "before"))
	victim := w.replicaOf(n)
	victim.Process.Kill()
	w.leaves(n, victim)
	w.must(w.write(n, m, "after"))
	// Users who know all replicas notice nothing.
	for range 5 {
		out, err := w.Flocker(w.ctx(), "volumes", "list")
		if err != nil {
			w.t.Errorf("flocker volumes: %v %s", err, out)
		}
	}
	// The node takes and gives volumes as ever.
	w.use(n, "another", "another")
	w.release(n, "another")
	w.release(n, "steady")
	w.must(victim.Start(w.ctx()))
	w.served()
}

func aReplicaIsStopped(w *world) {
	n := w.Nodes[0]
	m := w.use(n, "steady", "steady")
	w.must(w.write(n, m, "before"))
	victim := w.replicaOf(n)
	w.must(victim.Process.Signal(syscall.SIGSTOP))
	w.leaves(n, victim)
	w.until("the others take "+victim.Name+" for lost", func() error {
		for _, r := range w.Controls {
			if r != victim && strings.Contains(r.Process.Output(), `msg="replica is lost" replica=`+victim.Name+" ") {
				return nil
			}
		}
		return fmt.Errorf("nobody says so")
	})
	w.use(n, "meanwhile", "meanwhile")
	w.must(victim.Process.Signal(syscall.SIGCONT))
	// What it believed before is not what it acts on: both volumes stay.
	w.served()
	w.connected()
	if got := w.read(n, m); got != "before" {
		w.t.Errorf("the volume has %q", got)
	}
	w.release(n, "meanwhile")
	w.release(n, "steady")
	// And it serves agents and users again.
	third := w.Nodes[1]
	w.use(third, "steady", "steady")
	w.release(third, "steady")
}

func anAgentIsCutFromItsReplica(w *world) {
	n := w.Nodes[1]
	m := w.use(n, "steady", "steady")
	w.must(w.write(n, m, "before"))
	from := w.replicaOf(n)
	w.must(lab.Part(w.ctx(), n.Host, from.Host))
	w.leaves(n, from)
	w.use(n, "another", "another")
	w.release(n, "another")
	w.must(lab.Rejoin(w.ctx(), n.Host, from.Host))
	if got := w.read(n, m); got != "before" {
		w.t.Errorf("the volume has %q", got)
	}
	w.release(n, "steady")
	w.served()
}

// aNodeDiesWithItsReplica takes away at once who has the volume and who would
// notice first.
func aNodeDiesWithItsReplica(w *world) {
	one, two := w.Nodes[0], w.Nodes[1]
	m := w.use(one, "steady", "steady")
	w.must(w.write(one, m, "before"))
	replica := w.replicaOf(one)
	replica.Process.Kill()
	w.must(one.PowerOff())
	m = w.use(two, "steady", "steady")
	if got := w.read(two, m); got != "before" {
		w.t.Errorf("the volume has %q", got)
	}
	w.must(one.PowerOn(w.ctx()))
	w.must(one.Start(w.ctx()))
	w.must(replica.Start(w.ctx()))
	w.connected()
	w.must(w.write(two, m, "after"))
	w.release(two, "steady")
	m = w.use(one, "steady", "steady")
	if got := w.read(one, m); got != "after" {
		w.t.Errorf("the volume has %q", got)
	}
	w.release(one, "steady")
}

// aNodeIsFrozen stops a machine for longer than anybody waits for it: nobody
// may have its volume, since it can go on at any moment.
func aNodeIsFrozen(w *world) {
	one, two := w.Nodes[0], w.Nodes[1]
	m := w.use(one, "steady", "steady")
	w.must(w.write(one, m, "before"))
	w.must(one.Freeze(w.ctx()))
	_, err := two.Ask(w.ctx(), api.LocalRequest{Acquire: &api.AcquireRequest{Consumer: "next", Kind: api.ConsumerDVDCLI,
		Volumes: []api.VolumeRequest{{Key: "data", Name: "steady", Size: api.MinSize}}}})
	w.must(err)
	w.until("it is explained why the other node waits", func() error {
		text, err := w.Control.Call(w.ctx(), http.MethodGet, "/v1/volumes/steady", nil)
		if err == nil && !strings.Contains(string(text), "may still be writing") {
			err = fmt.Errorf("it is %s", text)
		}
		return err
	})
	w.must(one.Thaw())
	w.connected()
	w.must(w.write(one, m, "after"))
	w.release(one, "steady")
	m = w.use(two, "next", "steady")
	if got := w.read(two, m); got != "after" {
		w.t.Errorf("the volume has %q", got)
	}
	w.release(two, "next")
}
