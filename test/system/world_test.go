package system

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// patience bounds every wait of a test. It is reached only when something is
// wrong, so it is long: the machine may be busy.
const patience = 3 * time.Minute

// world is a running cluster of a test.
type world struct {
	*cluster.Cluster
	t *testing.T
}

// newWorld starts a cluster and watches it to the end of the test.
func newWorld(t *testing.T, opts cluster.Options) *world {
	t.Helper()
	w := prepareWorld(t, opts)
	if err := w.Start(w.ctx()); err != nil {
		t.Fatal(err)
	}
	return w
}

// prepareWorld makes a cluster of which nothing runs yet.
func prepareWorld(t *testing.T, opts cluster.Options) *world {
	t.Helper()
	opts.Programs = programs
	if opts.Mesos.Linger == 0 {
		opts.Mesos.Linger = 50 * time.Millisecond
	}
	c, err := cluster.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Cluster: c, t: t}
	watch := watchAttachments(c)
	t.Cleanup(func() {
		if err := watch.stop(); err != nil {
			t.Error(err)
		}
		w.examine()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if loops, err := lab.Loops(c.Lab.Dir); err != nil || len(loops) > 0 {
			t.Errorf("loop devices are left: %v %v", loops, err)
		}
	})
	return w
}

// examine fails the test for complaints in the logs, and shows all logs of a
// test that failed.
func (w *world) examine() {
	complaints, err := w.Complaints()
	if err != nil || len(complaints) > 0 {
		w.t.Errorf("complaints: %v %s", err, strings.Join(complaints, "\n"))
	}
	if !w.t.Failed() {
		return
	}
	logs, err := w.logs()
	w.must(err)
	for _, name := range slices.Sorted(maps.Keys(logs)) {
		log := logs[name]
		w.t.Logf("%s:\n%s", name, log[max(0, len(log)-12000):])
	}
}

// logs returns what all programs have printed, by the file it is in.
func (w *world) logs() (map[string]string, error) {
	logs := map[string]string{}
	for _, pattern := range []string{
		"hosts/*/log/*.log",
		"hosts/*/root/var/lib/mesos/slaves/*/frameworks/*/executors/*/runs/*/stderr",
		"hosts/*/root/var/lib/mesos/slaves/*/frameworks/*/executors/*/runs/*/containers/*/stderr",
	} {
		files, err := filepath.Glob(filepath.Join(w.Lab.Dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			logs[strings.TrimPrefix(file, w.Lab.Dir)] = string(data)
		}
	}
	return logs, nil
}

func (w *world) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w.t.Cleanup(cancel)
	return ctx
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) until(what string, condition func() error) {
	w.t.Helper()
	w.must(lab.Until(w.ctx(), what, condition))
}

// idle waits until nothing of a volume is left.
func (w *world) idle() {
	w.t.Helper()
	w.must(w.AwaitIdle(w.ctx()))
}

func (w *world) launch(n *cluster.Node, task *mesos.Task) *mesos.Run {
	w.t.Helper()
	r, err := n.Mesos.Launch(task)
	w.must(err)
	return r
}

// call calls the REST API as the user.
func (w *world) call(method, path string, body any) []byte {
	w.t.Helper()
	data, err := w.Control.Call(w.ctx(), method, path, body)
	w.must(err)
	return data
}

// create makes a dataset as a user does, on a node, and returns its id.
func (w *world) create(on *cluster.Node, name string) string {
	w.t.Helper()
	data := w.call(http.MethodPost, "/v1/configuration/datasets", map[string]any{
		"primary": on.ID, "maximum_size": 64 << 20, "metadata": map[string]string{"name": name}, "owner": "*", // the tasks have the role *
	})
	var made struct {
		ID string `json:"dataset_id"`
	}
	w.must(json.Unmarshal(data, &made))
	return made.ID
}

// mountedOn reports why a dataset is not mounted on a node alone, nil for nowhere.
func (w *world) mountedOn(id string, n *cluster.Node) error {
	for _, each := range w.Nodes {
		out, err := each.Command(w.t.Context(), "sh", "-c", "mountpoint -q /flocker/"+id+" && echo yes || echo no").Output()
		if err != nil {
			return err
		}
		if is := out == "yes\n"; is != (each == n) {
			return fmt.Errorf("on %s: %s", each.Name, out)
		}
	}
	return nil
}

// says waits until a task has printed a line.
func (w *world) says(r *mesos.Run, line string) {
	w.t.Helper()
	w.until(fmt.Sprintf("task %s says %q", r.Task.ID, line), func() error { return said(r, line) })
}

// errTerminal is part of said's error when the task will never say it.
var errTerminal = errors.New("the task has ended")

func said(r *mesos.Run, line string) error {
	if r.Printed(line) {
		return nil
	}
	u := r.Last()
	err := fmt.Errorf("it is %s (%s) and says %q, %q", u.State, u.Message, r.Stdout(), r.Stderr())
	if u.State == mesos.StateFailed || u.State == mesos.StateKilled {
		return errors.Join(errTerminal, err)
	}
	return err
}

// ended waits for the end of a task and of its container.
func (w *world) ended(r *mesos.Run) mesos.Update {
	w.t.Helper()
	u, err := r.Ended(w.ctx())
	w.must(err)
	w.must(r.AwaitGone(w.ctx()))
	return u
}

// end ends a task as a framework does.
func (w *world) end(r *mesos.Run) {
	w.t.Helper()
	r.Kill()
	w.ended(r)
}

// labels makes labels of "key", "value", ...
func labels(pairs ...string) []mesos.Label {
	var all []mesos.Label
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, mesos.Label{Key: pairs[i], Value: pairs[i+1]})
	}
	return all
}

// ledger is a task that keeps numbered lines in its volume, at data: it
// verifies that they are the numbers from 1 on, adds the next one, and stays.
// It prints "verified N", "wrote N+1" and "ready".
func ledger(id string, all ...mesos.Label) *mesos.Task {
	if len(all) == 0 {
		all = labels("flocker.volume.data", "path=data,name="+id+",size=64MiB")
	}
	return &mesos.Task{ID: id, Labels: all, Command: ledgerCommand}
}

const ledgerCommand = `set -eu
cd data
[ -e lines ] || : >lines
n=0
while read -r line; do n=$((n + 1)); [ "$line" = "$n" ] || { echo "line $n is $line"; exit 1; }; done <lines
echo verified $n
n=$((n + 1)); echo $n >>lines; sync lines
echo wrote $n
trap 'exit 0' TERM
echo ready
sleep infinity & wait`

// attachments looks all the time whether a volume is attached twice.
type attachments struct {
	quit, done chan struct{}
	err        error // valid once done is closed
}

func watchAttachments(c *cluster.Cluster) *attachments {
	a := &attachments{quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(a.done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			if err := attachedTwice(c); err != nil {
				a.err = err
				return
			}
			select {
			case <-tick.C:
			case <-a.quit:
				return
			}
		}
	}()
	return a
}

func (a *attachments) stop() error {
	close(a.quit)
	<-a.done
	return a.err
}

// attachedTwice looks for a volume with two loop devices.
func attachedTwice(c *cluster.Cluster) error {
	loops, err := lab.Loops(c.Lab.SAN)
	if err != nil {
		return err
	}
	devices := map[string]string{}
	for _, l := range loops {
		volume := filepath.Base(l.Backing)
		if other, ok := devices[volume]; ok && other != l.Device {
			// The listing is no snapshot: one of the two may be gone by now.
			if l.Attached() && (lab.Loop{Device: other, Backing: l.Backing}).Attached() {
				return fmt.Errorf("volume %s is attached twice: %s and %s", volume, other, l.Device)
			}
		}
		devices[volume] = l.Device
	}
	return nil
}
