package ha

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
)

const (
	stateDir   = "/var/lib/flocker/control"
	backupFile = "/root/flocker.backup"
)

// flocker runs a command of the control service on a replica's machine.
func (w *world) flocker(r *cluster.Control, args ...string) (string, error) {
	return r.Command(w.ctx(), "flocker", args...).Output()
}

// killAll kills all replicas.
func (w *world) killAll() {
	for _, r := range w.Controls {
		if r.Process.Running() {
			r.Process.Kill()
		}
	}
}

// refusesToStart starts a replica, which must end with an error.
func (w *world) refusesToStart(r *cluster.Control, says string) {
	w.t.Helper()
	w.must(r.Launch())
	ctx, cancel := context.WithTimeout(w.ctx(), 30*time.Second)
	defer cancel()
	if err := r.Process.Wait(ctx); err == nil || ctx.Err() != nil {
		w.t.Fatalf("%s started on a log that is not its own: %v\n%s", r.Name, err, r.Process.Output())
	}
	if out := r.Process.Output(); !strings.Contains(out, says) {
		w.t.Errorf("%s does not say %q:\n%s", r.Name, says, out)
	}
}

// status is what a replica says of the cluster.
func (w *world) status(r *cluster.Control) (*api.ClusterStatus, error) {
	text, err := r.Call(w.ctx(), http.MethodGet, "/v1/status", nil)
	if err != nil {
		return nil, err
	}
	var s api.ClusterStatus
	return &s, json.Unmarshal(text, &s)
}

// refused waits until an agent refuses the control service for its log.
func (w *world) refused(n *cluster.Node) {
	w.t.Helper()
	w.until(n.Name+" refuses the control service", func() error {
		s, err := n.Status(w.ctx())
		if err == nil && (s.Connected || !strings.Contains(s.Control, "accept-log")) {
			err = fmt.Errorf("it says %t, %q", s.Connected, s.Control)
		}
		return err
	})
}

// TestNoEmptyLogTakesAClustersPlace removes all keys of the log and the mark
// beside it, as `consul kv delete -recurse flocker` does, and starts everything
// again: first on the machines that know the log, then on new ones. The way back
// is the backup.
func TestNoEmptyLogTakesAClustersPlace(t *testing.T) {
	w := prepareWorld(t, cluster.Options{Nodes: 1, Replicas: 2, Consul: 1})
	w.must(w.Start(w.ctx()))
	n, one := w.Nodes[0], w.Controls[0]
	m := w.use(n, "steady", "steady")
	w.must(w.write(n, m, "before"))
	before, err := w.status(one)
	w.must(err)
	if out, err := w.flocker(one, "control", "backup", backupFile); err != nil {
		t.Fatalf("back up: %v\n%s", err, out)
	}

	w.must(w.RemoveKeys(w.ctx(), cluster.LogPrefix))
	w.killAll()
	for _, r := range w.Controls {
		w.refusesToStart(r, "log "+before.Log.ID+" was last seen")
	}

	// New machines know nothing, and begin a new log. The agent knows better.
	for _, r := range w.Controls {
		w.must(os.RemoveAll(r.Path(stateDir)))
		w.must(r.Start(w.ctx()))
	}
	w.refused(n)
	w.until("the status shows that the node knows another log", func() error {
		for _, r := range w.Controls {
			s, err := w.status(r)
			if err != nil {
				return err
			}
			if len(s.OtherLogs) == 1 && s.OtherLogs[0].Log.ID == before.Log.ID {
				return nil
			}
		}
		return fmt.Errorf("it does not")
	})
	ctx, cancel := context.WithTimeout(w.ctx(), 5*time.Second)
	defer cancel()
	if reply, err := n.Ask(ctx, api.LocalRequest{Acquire: &api.AcquireRequest{Consumer: "second", Kind: api.ConsumerDVDCLI,
		Volumes: []api.VolumeRequest{{Key: "data", Name: "second", Size: api.MinSize}}}}); err == nil && len(reply.Mounts) == 1 && reply.Mounts[0].Ready {
		t.Errorf("a volume was made by an empty log: %+v", reply.Mounts)
	}
	w.must(w.write(n, m, "meanwhile"))
	images, err := filepath.Glob(filepath.Join(w.Lab.SAN, "attached", n.Instance, "*"))
	if err != nil || len(images) != 1 || filepath.Base(images[0]) != string(m.DatasetID) {
		t.Errorf("the attached images are %q, %v", images, err)
	}

	w.killAll()
	if out, err := w.flocker(one, "control", "restore", "--replace", "--yes", backupFile); err != nil {
		t.Fatalf("restore: %v\n%s", err, out)
	}
	for _, r := range w.Controls {
		w.must(r.Start(w.ctx()))
	}
	w.connected()
	after, err := w.status(one)
	w.must(err)
	if after.Log.ID != before.Log.ID || after.Log.Incarnation <= before.Log.Incarnation {
		t.Errorf("the log was %+v and is %+v: want the same id, and a later incarnation", before.Log, after.Log)
	}
	if got := w.read(n, m); got != "meanwhile" {
		t.Errorf("the volume has %q", got)
	}
	w.release(n, "steady")
	if m := w.use(n, "steady", "steady"); w.read(n, m) != "meanwhile" {
		t.Error("another volume has come by the name")
	}
	w.release(n, "steady")
}

// TestAnOperatorMayAcceptANewLog goes on with an empty log on purpose.
func TestAnOperatorMayAcceptANewLog(t *testing.T) {
	w := prepareWorld(t, cluster.Options{Nodes: 1, Replicas: 1, Consul: 1})
	w.must(w.Start(w.ctx()))
	n, r := w.Nodes[0], w.Controls[0]
	w.use(n, "steady", "steady")
	w.release(n, "steady")
	w.must(w.RemoveKeys(w.ctx(), cluster.LogPrefix))
	w.killAll()
	w.refusesToStart(r, "accept-log empty")
	if out, err := w.flocker(r, "control", "accept-log", "empty"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.must(r.Start(w.ctx()))
	w.refused(n)
	s, err := w.status(r)
	w.must(err)
	if out, err := n.Command(w.ctx(), "flocker", "agent", "accept-log", s.Log.ID).Output(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.connected()
	w.use(n, "new", "new")
	w.release(n, "new")
}

// TestAnOlderStateOfTheLogIsRefused puts Consul back to what it was, as an old
// snapshot does, or takes away single keys of the log.
func TestAnOlderStateOfTheLogIsRefused(t *testing.T) {
	w := prepareWorld(t, cluster.Options{Nodes: 1, Replicas: 1, Consul: 1})
	w.must(w.Start(w.ctx()))
	n, r := w.Nodes[0], w.Controls[0]
	m := w.use(n, "steady", "steady")
	w.must(w.write(n, m, "before"))
	old, err := w.Log(w.ctx(), "")
	w.must(err)
	begun := cluster.LogPrefix + "-begun"
	putBack := func() {
		w.must(w.RemoveKeys(w.ctx(), cluster.LogPrefix+"/"))
		for _, pair := range old {
			w.must(w.PutKey(w.ctx(), pair.Key, string(pair.Value)))
		}
		w.must(w.PutKey(w.ctx(), begun, "begun"))
	}
	for i := range 5 {
		w.until(fmt.Sprintf("dataset %d is made", i), func() error { return create(w.ctx(), r, newID()) })
	}
	far, err := w.status(r)
	w.must(err)
	w.until("the agent has heard how far the log is", func() error {
		s, err := n.Status(w.ctx())
		if err == nil && (s.Log == nil || s.Log.Revision < far.Revision) {
			err = fmt.Errorf("it has heard of %+v, not of %d", s.Log, far.Revision)
		}
		return err
	})
	w.must(r.Process.Signal(syscall.SIGTERM)) // it notes how far the log is
	_ = r.Process.Wait(w.ctx())
	newest, err := w.Log(w.ctx(), "")
	w.must(err)
	putBack()
	w.refusesToStart(r, "older copy of log")

	// On a new machine the agent is who knows.
	w.must(os.RemoveAll(r.Path(stateDir)))
	w.must(r.Start(w.ctx()))
	w.refused(n)
	w.must(w.write(n, m, "meanwhile"))

	// The way back: what there is, restored over itself.
	w.killAll()
	for _, args := range [][]string{{"control", "backup", backupFile}, {"control", "restore", "--replace", "--yes", backupFile}} {
		if out, err := w.flocker(r, args...); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	w.must(r.Start(w.ctx()))
	w.connected()
	w.release(n, "steady")

	// The state of before that restore is refused, however far it is.
	old = newest
	w.killAll()
	putBack()
	w.refusesToStart(r, "older state of log")
}

// TestARecordThatAnotherProgramChangesIsSetAside writes to the log beside the
// control services: the datasets that it is about are frozen, all others go on,
// and so they do after a restart. Then the records are mended.
func TestARecordThatAnotherProgramChangesIsSetAside(t *testing.T) {
	w := prepareWorld(t, cluster.Options{Nodes: 1, Replicas: 2, Consul: 1})
	w.must(w.Start(w.ctx()))
	n, one := w.Nodes[0], w.Controls[0]
	var ids []string
	for _, name := range []string{"changed", "removed", "whole"} {
		m := w.use(n, name, name)
		w.must(w.write(n, m, name))
		w.release(n, name)
		w.until(name+" has been given up, so that its record changes no more", func() error {
			text, err := one.Call(w.ctx(), http.MethodGet, "/v1/volumes/"+name, nil)
			if err != nil {
				return err
			}
			var d api.DatasetDetail
			if err := json.Unmarshal(text, &d); err != nil {
				return err
			}
			if d.Dataset.Holder != nil {
				return fmt.Errorf("it has not")
			}
			return nil
		})
		ids = append(ids, string(m.DatasetID))
	}
	key := func(of string) string { return cluster.LogPrefix + "/records/" + of }
	w.must(w.PutKey(w.ctx(), key("datasets/"+ids[0]), "garbage"))
	w.must(w.PutKey(w.ctx(), key("datasets/"+ids[1]), ""))
	w.must(w.PutKey(w.ctx(), key("datasets/a-note"), "garbage"))
	w.must(w.PutKey(w.ctx(), key("not a record"), "garbage"))
	damaged := func(want int) {
		t.Helper()
		for _, r := range w.Controls {
			w.until(fmt.Sprintf("%s sets %d records aside", r.Name, want), func() error {
				s, err := w.status(r)
				if err == nil && len(s.Damaged) != want {
					err = fmt.Errorf("it does so with %+v", s.Damaged)
				}
				return err
			})
		}
	}
	refused := func(id string) {
		t.Helper()
		_, err := one.Call(w.ctx(), http.MethodDelete, "/v1/configuration/datasets/"+id, nil)
		if cluster.StatusOf(err) != http.StatusServiceUnavailable || !strings.Contains(err.Error(), "flocker control repair") {
			t.Errorf("delete: got %v, want it refused", err)
		}
	}
	serves := func() {
		t.Helper()
		damaged(3)
		refused(ids[0])
		refused(ids[1])
		if m := w.use(n, "whole", "whole"); w.read(n, m) != "whole" {
			t.Error("another volume has come by the name")
		}
		w.release(n, "whole")
		w.must(create(w.ctx(), one, newID()))
	}
	serves()
	w.killAll()
	for _, r := range w.Controls {
		w.must(r.Start(w.ctx()))
	}
	w.connected()
	serves()
	if out, err := w.flocker(one, "control", "repair"); err != nil {
		t.Fatalf("repair: %v\n%s", err, out)
	}
	damaged(0)
	for _, name := range []string{"changed", "removed"} {
		if m := w.use(n, name, name); w.read(n, m) != name {
			t.Errorf("another volume than %s has come by the name", name)
		}
		w.release(n, name)
	}

	// What is changed while no control service runs is known to no one but the backup.
	if out, err := w.flocker(one, "control", "backup", backupFile); err != nil {
		t.Fatalf("back up: %v\n%s", err, out)
	}
	w.killAll()
	w.must(w.PutKey(w.ctx(), key("datasets/"+ids[0]), "garbage"))
	for _, r := range w.Controls {
		w.must(r.Start(w.ctx()))
	}
	w.connected()
	damaged(1)
	refused(ids[0])
	if m := w.use(n, "whole", "whole"); w.read(n, m) != "whole" {
		t.Error("another volume has come by the name")
	}
	w.release(n, "whole")
	if out, err := w.flocker(one, "control", "repair"); err == nil {
		t.Errorf("it is mended without knowing how: %s", out)
	}
	if out, err := w.flocker(one, "control", "repair", "--from", backupFile); err != nil {
		t.Fatalf("repair: %v\n%s", err, out)
	}
	damaged(0)
	if m := w.use(n, "changed", "changed"); w.read(n, m) != "changed" {
		t.Error("another volume has come by the name")
	}
	w.release(n, "changed")
}
