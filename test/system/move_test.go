package system

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/mesos"
)

func TestVolumeFollowsItsTaskThereAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	for round := range 4 {
		r := w.launch(w.Nodes[round%2], ledger("app"))
		w.says(r, "ready")
		if want := fmt.Sprint("verified ", round); !r.Printed(want) {
			t.Errorf("round %d: the task printed %q, want %q", round, r.Stdout(), want)
		}
		w.end(r)
	}
	w.idle()
}

func TestNextTaskStartsBeforeTheLastOnesCleanup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Mesos: mesos.Config{Linger: 500 * time.Millisecond}})
	first := w.launch(w.Nodes[0], ledger("app"))
	w.says(first, "ready")
	first.Kill()
	if _, err := first.Ended(w.ctx()); err != nil {
		t.Fatal(err)
	}
	second := w.launch(w.Nodes[1], ledger("app"))
	w.says(second, "verified 1")
	w.end(second)
	w.idle()
}

func TestVolumeInUseIsWaitedForAndThenGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{WaitLimit: 3 * time.Second})
	holder, waiter := w.Nodes[0], w.Nodes[1]
	first := w.launch(holder, ledger("app"))
	w.says(first, "ready")

	waits := func() (*mesos.Run, string) {
		r := w.launch(waiter, ledger("app"))
		var words string
		w.until("the task says what it waits for", func() error {
			for line := range strings.Lines(r.Stderr()) {
				if strings.Contains(line, holder.Name) && strings.Contains(line, "since") {
					words = line
					return nil
				}
			}
			return fmt.Errorf("it says %q and is %+v", r.Stderr(), r.Last())
		})
		return r, words
	}
	second, words := waits()
	u := w.ended(second)
	if u.State != mesos.StateFailed {
		t.Errorf("task is %+v, want it to give up", u)
	}
	last := ""
	for line := range strings.Lines(second.Stderr()) {
		if strings.HasPrefix(line, "flocker: the task can't start") {
			last = line
		}
	}
	// As "mounted on node1 (10.77.0.2) at ... since 2026-...": who, and since when.
	who := regexp.MustCompile(holder.Name + ` \([0-9.]+\) .*? since [0-9TZ:-]+`).FindString(words)
	if who == "" || !strings.Contains(last, who) {
		t.Errorf("it waited with %q and gave up with %q, want the same words %q", words, last, who)
	}
	if first.Last().State != mesos.StateRunning {
		t.Errorf("the holder's task is %+v", first.Last())
	}

	third, _ := waits()
	w.end(first)
	w.says(third, "verified 1")
	w.end(third)
	w.idle()
}

func TestEightTasksStartSideBySide(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	var runs []*mesos.Run
	for i := range 8 {
		runs = append(runs, w.launch(w.Nodes[0], ledger(fmt.Sprint("app", i))))
	}
	for _, r := range runs {
		w.says(r, "ready")
	}
	for _, r := range runs {
		r.Kill()
	}
	for _, r := range runs {
		w.ended(r)
	}
	w.idle()
}

func TestTaskThatIsKilledWhileItWaitsStopsWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	first := w.launch(w.Nodes[0], ledger("app"))
	w.says(first, "ready")
	second := w.launch(w.Nodes[1], ledger("app"))
	w.until("the second task waits", func() error {
		if !strings.Contains(second.Stderr(), w.Nodes[0].Name) {
			return fmt.Errorf("it says %q", second.Stderr())
		}
		return nil
	})
	w.end(second)
	w.end(first)
	w.idle()
	// Nobody has it now, and the killed one does not get it.
	third := w.launch(w.Nodes[0], ledger("app"))
	w.says(third, "verified 1")
	w.end(third)
	w.idle()
}

func TestDatasetOfAUserIsMountedWhereTheUserSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	one, two := w.Nodes[0], w.Nodes[1]
	id := w.create(one, "app")
	mounted := func(n *cluster.Node) {
		t.Helper()
		w.until("the dataset is mounted on "+n.Name+" alone", func() error { return w.mountedOn(id, n) })
	}
	mounted(one)
	// Apps of that node share it; when they have ended it stays.
	r := w.launch(one, ledger("app"))
	w.says(r, "ready")
	w.call(http.MethodPost, "/v1/configuration/datasets/"+id, map[string]any{"primary": two.ID})
	// It moves when its last user has gone, not before.
	mounted(one)
	w.end(r)
	mounted(two)
	r = w.launch(two, ledger("app"))
	w.says(r, "verified 1")
	w.end(r)
	mounted(two)
	w.call(http.MethodDelete, "/v1/configuration/datasets/"+id, nil)
	w.idle()
}

func TestVolumesReachContainersWhereRootMountsArePrivate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1, Lab: lab.Options{PrivateMounts: true}})
	r := w.launch(w.Nodes[0], ledger("app"))
	w.says(r, "ready")
	w.end(r)
	w.idle()
}
