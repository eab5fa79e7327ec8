package system

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// broker is the task of an instance of an app that has three of them, each with a
// volume of its own. It says whose volume it was at first, and how many lines it
// has found in it.
func broker(instance, attempt int) *mesos.Task {
	id := fmt.Sprintf("kafka.instance-b6ea2f51-4f0c-11ee-9e7c-%012d._app.%d", instance, attempt)
	return &mesos.Task{
		ID: id, Env: []mesos.Variable{{Name: "MESOS_TASK_ID", Value: id}},
		Labels: labels("flocker.volume.data", "path=data,name=kafka,size=64MiB,each=3"),
		Command: fmt.Sprintf(`set -eu
cd data
[ -e owner ] || echo %d >owner
n=0; [ ! -e lines ] || n=$(wc -l <lines)
echo "%s" >>lines; sync lines owner
echo "found $n lines of $(cat owner)"
trap 'exit 0' TERM
echo ready
sleep infinity & wait`, instance, id),
	}
}

// found waits until a broker is ready, and returns what it has found.
func (w *world) found(r *mesos.Run) string {
	w.t.Helper()
	w.says(r, "ready")
	for line := range strings.Lines(r.Stdout()) {
		if text, ok := strings.CutPrefix(line, "found "); ok {
			return strings.TrimSpace(text)
		}
	}
	w.t.Fatalf("the task printed %q", r.Stdout())
	return ""
}

// finds fails the test when a broker has found something else.
func (w *world) finds(r *mesos.Run, want string) {
	w.t.Helper()
	if got := w.found(r); got != want {
		w.t.Errorf("task %s found %q, want %q", r.Task.ID, got, want)
	}
}

func TestEachInstanceFindsItsVolumeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient(quick()))
	one, two := w.Nodes[0], w.Nodes[1]
	nodes := []*cluster.Node{one, two, one}
	var runs []*mesos.Run
	for i, n := range nodes {
		runs = append(runs, w.launch(n, broker(i, 1)))
	}
	for i, r := range runs {
		w.finds(r, fmt.Sprintf("0 lines of %d", i))
	}

	// Marathon starts the next attempt, elsewhere, before the last one's cleanup.
	runs[1].Kill()
	if _, err := runs[1].Ended(w.ctx()); err != nil {
		t.Fatal(err)
	}
	runs[1] = w.launch(one, broker(1, 2))
	w.finds(runs[1], "1 lines of 1")

	// A deployment scales down, and up again with another instance.
	w.end(runs[2])
	w.listed("kafka.0", "kafka.1", "kafka.2")
	runs[2] = w.launch(two, broker(7, 1))
	w.finds(runs[2], "1 lines of 2")

	// A fourth instance waits for one of the three to end.
	fourth := w.launch(two, broker(8, 1))
	w.until("it is said why the fourth waits", func() error {
		if text := fourth.Stderr(); !strings.Contains(text, "3 members for its instances") || !strings.Contains(text, one.Name) {
			return fmt.Errorf("it says %q", text)
		}
		return nil
	})
	w.end(runs[0])
	w.finds(fourth, "1 lines of 0")
	w.end(fourth)

	w.end(runs[1])
	w.end(runs[2])
	w.idle()
	out, err := w.Control.Flocker(w.ctx(), "volumes", "list", "--set", "kafka", "-o", "wide")
	if err != nil || strings.Count(out, "free") != 3 {
		t.Errorf("got %v and %s, want three free members", err, out)
	}
}

// listed checks which members the set has.
func (w *world) listed(want ...string) {
	w.t.Helper()
	out, err := w.Control.Flocker(w.ctx(), "volumes", "list", "--set", "kafka", "-o", "name")
	if got := strings.Fields(out); err != nil || !slices.Equal(got, want) {
		w.t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestVolumesOfInstancesOnADeadMachineFollowThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient(quick()))
	one, two := w.Nodes[0], w.Nodes[1]
	var runs []*mesos.Run
	for i, n := range []*cluster.Node{one, one, two} {
		r := w.launch(n, broker(i, 1))
		w.says(r, "ready")
		runs = append(runs, r)
	}
	w.must(one.PowerOff())
	// Marathon starts others in their places.
	var owners []string
	var next []*mesos.Run
	for i := range 2 {
		next = append(next, w.launch(two, broker(10+i, 1)))
	}
	for _, r := range next {
		owners = append(owners, w.found(r))
	}
	slices.Sort(owners)
	if want := []string{"1 lines of 0", "1 lines of 1"}; !slices.Equal(owners, want) {
		t.Errorf("they found %q, want %q", owners, want)
	}
	// What comes back has no member any more, and lets those who have go on.
	one.Mesos.Kill()
	w.must(one.PowerOn(w.ctx()))
	w.must(one.Mesos.Restart())
	w.must(one.Start(w.ctx()))
	w.must(one.AwaitConnected(w.ctx()))
	for _, r := range append(next, runs[2]) {
		if r.Last().State != mesos.StateRunning {
			t.Errorf("task %s is %+v", r.Task.ID, r.Last())
		}
		w.end(r)
	}
	w.idle()
}

func TestInstancesFindTheirVolumesThoughAgentsAndControlServiceDie(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t, patient(quick()))
	k := w.keep()
	one, two := w.Nodes[0], w.Nodes[1]
	deaths := []struct {
		of  string
		who func() *lab.Process
	}{
		{"the agent where it was", func() *lab.Process { return one.Agent }},
		{"the agent where it goes", func() *lab.Process { return one.Agent }},
		{"the control service", func() *lab.Process { return w.Control.Process }},
	}
	var runs []*mesos.Run
	for i := range 3 {
		runs = append(runs, w.ready(one, broker(i, 1)))
	}
	from, to := one, two
	for round, death := range deaths {
		attempt := round + 2
		for i, r := range runs {
			r.Kill()
			if _, err := r.Ended(w.ctx()); err != nil {
				t.Fatal(err)
			}
			next := w.launch(to, broker(i, attempt))
			if i == 1 {
				k.kill(death.who)
			}
			err := w.awaitReady(next)
			for errors.Is(err, errTerminal) { // the hook found no agent, or the agent no control service
				w.ended(next)
				next = w.launch(to, broker(i, attempt))
				err = w.awaitReady(next)
			}
			w.must(err)
			if got := w.found(next); !strings.HasSuffix(got, fmt.Sprint(" lines of ", i)) || strings.HasPrefix(got, "0 ") {
				t.Errorf("%s dies, from %s to %s: instance %d found %q", death.of, from.Name, to.Name, i, got)
			}
			runs[i] = next
		}
		from, to = to, from
	}
	for _, r := range runs {
		w.end(r)
	}
	w.idle()
}
