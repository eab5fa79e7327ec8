package system

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// refused launches a task, and fails the test unless it is refused for its owner.
func (w *world) refused(n *cluster.Node, task *mesos.Task, why string) {
	w.t.Helper()
	r := w.launch(n, task)
	u := w.ended(r)
	if said := u.Message + r.Stderr(); u.State != mesos.StateFailed || !strings.Contains(said, why) {
		w.t.Errorf("task %s is %+v and says %q, want it to be refused with %q", task.ID, u, r.Stderr(), why)
	}
}

// as returns a task of a framework of a role.
func as(role string, task *mesos.Task) *mesos.Task {
	task.Role = role
	return task
}

func TestFrameworksOfOtherRolesGetNoVolume(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	one, two := w.Nodes[0], w.Nodes[1]
	const foreign = "belongs to another owner"
	flocker := func(args ...string) {
		t.Helper()
		_, err := w.Control.Flocker(w.ctx(), args...)
		w.must(err)
	}
	first := w.launch(one, as("postgres", ledger("db")))
	w.says(first, "ready")

	preempting := ledger("thief", labels("flocker.volume.data", "path=data,name=db,preempt=true")...)
	w.refused(two, as("web", preempting), foreign)
	w.refused(two, as("web", ledger("other-node", labels("flocker.volume.data", "path=data,name=db")...)), foreign)
	w.refused(one, as("web", ledger("same-node", labels("flocker.volume.data", "path=data,name=db")...)), foreign)
	w.refused(one, as("", ledger("no-role", labels("flocker.volume.data", "path=data,name=db")...)), foreign)

	// What a task can write does not make it another role's.
	forged := as("web", ledger("forged", labels("flocker.volume.data", "path=data,name=db", "MESOS_ALLOCATION_ROLE", "postgres", "role", "postgres")...))
	forged.Env = []mesos.Variable{mesos.Var("MESOS_ALLOCATION_ROLE", "postgres"), mesos.Var("MESOS_ROLE", "postgres")}
	w.refused(one, forged, foreign)
	member := as("postgres", &mesos.Task{ID: "nested", Command: ledgerCommand, Env: []mesos.Variable{
		mesos.Var("MARATHON_APP_ID", "/pod"), mesos.Var("MARATHON_APP_LABEL_FLOCKER_VOLUME_DATA", "path=data,name=db")}})
	pod, err := one.Mesos.LaunchGroup(&mesos.Group{Role: "web", Tasks: []*mesos.Task{member}})
	w.must(err)
	if u := w.ended(pod.Runs[0]); u.State != mesos.StateFailed || !strings.Contains(u.Message, foreign) {
		t.Errorf("a nested container whose executor says another role is %+v", u)
	}
	<-pod.Gone()
	if first.Last().State != mesos.StateRunning {
		t.Fatalf("the owner's task is %+v", first.Last())
	}

	// Where Mesos does not say the role, the framework's only role counts, and else none.
	hidden := func(id string) *mesos.Task {
		return as(mesos.HiddenRole, ledger(id, labels("flocker.volume.data", "path=data,name=db")...))
	}
	two.Mesos.SetRoles("web", "postgres")
	w.refused(two, hidden("of-two-roles"), "is not known")

	flocker("volumes", "share", "db", "--with", "role:web")
	shared := w.launch(one, as("web", ledger("shared", labels("flocker.volume.data", "path=data,name=db,mode=ro")...)))
	w.until("the task that it is shared with runs", func() error {
		return said(shared, "verified 1")
	})
	w.refused(two, as("web", ledger("thief-again", labels("flocker.volume.data", "path=data,name=db,preempt=true")...)), foreign)
	w.ended(shared) // it cannot write
	flocker("volumes", "unshare", "db", "--with", "role:web")
	w.refused(one, as("web", ledger("unshared", labels("flocker.volume.data", "path=data,name=db")...)), foreign)

	w.end(first)
	flocker("tenancy", "shared", "--yes")
	w.end(func() *mesos.Run {
		r := w.launch(two, as("web", ledger("trusted", labels("flocker.volume.data", "path=data,name=db")...)))
		w.says(r, "ready")
		return r
	}())
	w.idle()
}
