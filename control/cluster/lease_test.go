package cluster_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// acquire acquires a lease for a while, 0 for ever.
func (b *bench) acquire(id api.DatasetID, node api.NodeID, d time.Duration) cluster.Outcome {
	b.t.Helper()
	return b.do(b.acquisition(id, node, d))
}

func (b *bench) acquisition(id api.DatasetID, node api.NodeID, d time.Duration) cluster.AcquireLease {
	c := cluster.AcquireLease{At: b.now, Dataset: id, Node: node}
	if d != 0 {
		c.Expires = b.now.Add(d)
	}
	return c
}

// leases returns which datasets have leases.
func (b *bench) leases() []api.DatasetID {
	var ids []api.DatasetID
	for l := range b.s.Leases() {
		ids = append(ids, l.Dataset)
	}
	return ids
}

func TestLeaseIsAcquiredRenewedAndReleased(t *testing.T) {
	b := newBench(t)
	out := b.acquire("d", "a", time.Minute) // neither of them exists
	if l := out.Lease; !out.New || !l.HeldBy("a") || !l.Acquired.Equal(b.now) || !l.Expires.Equal(b.now.Add(time.Minute)) || l.Revision != 1 {
		t.Fatalf("acquired: got %+v, new %t", l, out.New)
	}
	acquired := b.now
	b.now = b.now.Add(10 * time.Second)
	for i, d := range []time.Duration{time.Hour, time.Second, -time.Second, 0, time.Hour} {
		out := b.acquire("d", "a", d)
		want := time.Time{}
		if d != 0 {
			want = b.now.Add(d)
		}
		if l := out.Lease; out.New || !l.Expires.Equal(want) || !l.Acquired.Equal(acquired) || l.Revision != uint64(i)+2 {
			t.Errorf("renewed for %s: got %+v, new %t", d, l, out.New)
		}
	}
	if out := b.acquire("d", "a", time.Hour); len(out.Changes) > 0 || out.New {
		t.Errorf("renewed for as long as before: got changes %v", out.Changes)
	}
	b.refused(b.acquisition("d", "b", 0), api.CodeConflict, "Lease already held.")
	if got := b.do(cluster.ReleaseLease{At: b.now, Dataset: "d"}).Lease; !got.HeldBy("a") {
		t.Errorf("released: got %+v, want it as it was", got)
	}
	b.refused(cluster.ReleaseLease{At: b.now, Dataset: "d"}, api.CodeNotFound, "Lease not found.")
	if out := b.acquire("d", "b", 0); !out.New || !out.Lease.HeldBy("b") {
		t.Errorf("acquired by another: got %+v, new %t", out.Lease, out.New)
	}
}

func TestLeaseExpiresWhenItsTimeIsPast(t *testing.T) {
	b := newBench(t)
	b.acquire("never", "a", 0)
	b.acquire("later", "a", 2*time.Second)
	b.acquire("soon", "b", time.Second)
	b.acquire("past", "a", -time.Hour)
	for _, step := range []struct {
		after time.Duration
		limit int
		left  []api.DatasetID
	}{
		{0, 10, []api.DatasetID{"later", "never", "soon"}},
		{time.Second, 10, []api.DatasetID{"later", "never", "soon"}}, // it has come, but is not past
		{time.Second + 1, 10, []api.DatasetID{"later", "never"}},
		{24 * time.Hour, 10, []api.DatasetID{"never"}},
		{24000 * time.Hour, 10, []api.DatasetID{"never"}},
	} {
		b.do(cluster.ExpireLeases{At: b.now.Add(step.after), Limit: step.limit})
		if got := b.leases(); !slices.Equal(got, step.left) {
			t.Errorf("after %s: got %v, want %v", step.after, got, step.left)
		}
	}
	if at, some := b.s.NextExpiry(); some {
		t.Errorf("the next is to expire at %s, want none", at)
	}
}

func TestNoMoreLeasesExpireAtOnceThanACommitTakes(t *testing.T) {
	b := newBench(t)
	for i := range 7 {
		b.acquire(api.DatasetID(fmt.Sprint("d", i)), "a", time.Duration(7-i)*time.Second)
	}
	late := cluster.ExpireLeases{At: b.now.Add(time.Hour), Limit: 3}
	for _, left := range []int{4, 1, 0, 0} {
		b.do(late)
		if got := b.s.CountLeases(); got != left {
			t.Errorf("got %d leases left, want %d", got, left)
		}
	}
}

func TestLeaseIsNoPartOfTheConfiguration(t *testing.T) {
	b := newBench(t, "a", "b")
	d := b.create("d", "a", "db")
	tag := b.s.Tag()
	b.acquire(d.ID, "a", time.Minute)
	b.acquire(d.ID, "a", 0)
	b.do(cluster.ReleaseLease{At: b.now, Dataset: d.ID})
	b.acquire(d.ID, "b", -1)
	b.do(cluster.ExpireLeases{At: b.now, Limit: 1})
	if got := b.s.Tag(); got != tag {
		t.Errorf("got tag %s, want %s as before", got, tag)
	}
	if got := b.s.Dataset(d.ID); got != d {
		t.Errorf("got %+v, want the dataset unchanged", got)
	}
}

func TestLeaseIsHeldThoughItsDatasetIsForgotten(t *testing.T) {
	b := newBench(t, "a")
	d := b.create("d", "a", "db")
	b.acquire(d.ID, "a", 0)
	b.do(cluster.Delete{At: b.now, ID: d.ID})
	b.do(cluster.Report{At: b.now, Node: "a", Stream: 1, Datasets: []api.DatasetReport{{
		State: api.DatasetState{ID: d.ID, Epoch: d.Epoch, Phase: api.PhaseNonExistent}, Release: true, Destroyed: true,
	}}})
	b.do(cluster.Prune{DestroyedBefore: b.now.Add(time.Hour), Limit: 10})
	if b.s.Dataset(d.ID) != nil {
		t.Fatal("the dataset is still there")
	}
	if l := b.s.Lease(d.ID); !l.HeldBy("a") {
		t.Errorf("got lease %+v, want it held still", l)
	}
}

func TestLeaseOfANewerVersionIsLeftAlone(t *testing.T) {
	b := newBench(t)
	next := b.s.Clone()
	if err := next.PutStored("leases/d", []byte(`{"schema":99,"record":{}}`)); err == nil {
		t.Fatal("it was understood")
	}
	b.s = next
	b.refused(b.acquisition("d", "a", 0), api.CodeUnavailable, "schema 99")
	b.refused(cluster.ReleaseLease{At: b.now, Dataset: "d"}, api.CodeUnavailable, "update this control service")
}
