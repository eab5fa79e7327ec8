package control_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// member asks for a member of the set kafka, which has one.
func (w *world) member(s *client.Session, req api.MemberRequest) *api.MemberReply {
	w.Helper()
	req.Set.Name, req.Each = "kafka", 1
	reply, err := s.Member(w.Context(), req)
	if err != nil {
		w.Fatalf("member for %s: %v", req.Consumer, err)
	}
	return reply
}

func TestWhoWaitsForAMemberIsToldByItsStream(t *testing.T) {
	w := newWorld(t)
	a, _ := w.connect(nodeA)
	b, _ := w.connect(nodeB)
	d := w.member(a, api.MemberRequest{Consumer: "c1", Instance: "i1"}).Dataset
	if d == nil || d.Name() != "kafka.0" || !d.HeldBy(nodeA) || d.UserOn(nodeA).Consumer != "c1" {
		t.Fatalf("got %+v, want kafka.0, held by node a, for c1", d)
	}
	again := w.member(a, api.MemberRequest{Consumer: "c1", Instance: "i1"}).Dataset
	if again == nil || again.ID != d.ID {
		t.Errorf("asked again: got %+v, want the same", again)
	}
	waits := w.member(b, api.MemberRequest{Consumer: "c2"})
	if waits.Dataset != nil || waits.Place != 1 || !strings.Contains(waits.Why, "kafka.0 belongs to instance i1 (container c1 on host-4b2f)") {
		t.Errorf("got %+v, want it to wait, and to be told for whom", waits)
	}
	if detail, err := a.Detail(t.Context(), d.ID); err != nil || !strings.Contains(detail.Why, "It is member 0 of the volume set kafka") ||
		!strings.Contains(detail.Why, "container c2 on host-9c1d waits") {
		t.Errorf("got %+v, %v, want it explained who has it, and who waits", detail, err)
	}
	w.report(a, api.DatasetReport{State: api.DatasetState{ID: d.ID}, Free: again.UserOn(nodeA).Claim})
	got := w.await(b, d.ID, func(d *api.Dataset) bool { return d.UserOn(nodeB) != nil })
	if got.UserOn(nodeB).Consumer != "c2" || !got.AwaitedBy(nodeB) || got.Member.Last != "i1" {
		t.Errorf("got %+v, want c2 to have it, and node b to wait for the token", got)
	}
	w.await(a, d.ID, func(d *api.Dataset) bool { return d.AwaitedBy(nodeB) })

	// Users see it as what it is.
	all, err := w.user().Volumes(t.Context(), api.VolumeQuery{Set: "kafka"})
	if err != nil || len(all) != 1 || all[0].Dataset.Member.User.Consumer != "c2" {
		t.Errorf("members of kafka: got %+v, %v, want one, of c2", all, err)
	}
	none, err := w.user().Volumes(t.Context(), api.VolumeQuery{Set: "kafk"})
	if err != nil || len(none) != 0 {
		t.Errorf("members of another set: got %+v, %v, want none", none, err)
	}
	configured, _, err := w.user().Datasets(t.Context())
	if i := slices.IndexFunc(configured, func(c client.Dataset) bool { return c.ID == d.ID }); err != nil || i < 0 || len(configured[i].Metadata) != 1 {
		t.Errorf("got %+v, %v, want no metadata but the name", configured, err)
	}
}

func TestWhoLeavesTheQueueOfASetIsNotGivenAMember(t *testing.T) {
	w := newWorld(t)
	a, _ := w.connect(nodeA)
	d := w.member(a, api.MemberRequest{Consumer: "c1"}).Dataset
	for _, consumer := range []string{"c2", "c3"} {
		if reply := w.member(a, api.MemberRequest{Consumer: consumer}); reply.Dataset != nil {
			t.Fatalf("%s got %+v", consumer, reply.Dataset)
		}
	}
	w.member(a, api.MemberRequest{Consumer: "c2", Leave: true})
	w.report(a, api.DatasetReport{State: api.DatasetState{ID: d.ID}, Free: d.UserOn(nodeA).Claim})
	got := w.await(a, d.ID, func(n *api.Dataset) bool {
		return n.UserOn(nodeA) != nil && n.UserOn(nodeA).Claim != d.UserOn(nodeA).Claim
	})
	if got.UserOn(nodeA).Consumer != "c3" {
		t.Errorf("got %+v, want c3's", got.Member)
	}
}

func TestASetWhoseCountNobodyKnowsIsRefusedWithBothRemedies(t *testing.T) {
	w := newWorld(t)
	a, _ := w.connect(nodeA)
	_, err := a.Member(t.Context(), api.MemberRequest{Consumer: "c1", Set: api.DatasetSpec{Name: "kafka"}, Each: api.EachInstance})
	wantCode(t, err, api.CodeConflict, "flocker control --marathon URL")
	wantCode(t, err, api.CodeConflict, "each = 3")
}

func TestMembersOfSetsSurviveARestart(t *testing.T) {
	w := newWorld(t)
	a, _ := w.connect(nodeA)
	d := w.member(a, api.MemberRequest{Consumer: "c1"}).Dataset
	w.member(a, api.MemberRequest{Consumer: "c2"})
	w.stop()
	w.ended(a)
	w.start()
	a, welcome := w.connect(nodeA)
	if len(welcome.Datasets) != 1 || welcome.Datasets[0].UserOn(nodeA).Consumer != "c1" {
		t.Fatalf("got %+v, want c1 to have what it had", welcome.Datasets)
	}
	w.report(a, api.DatasetReport{State: api.DatasetState{ID: d.ID}, Free: welcome.Datasets[0].UserOn(nodeA).Claim})
	w.await(a, d.ID, func(d *api.Dataset) bool { return d.UserOn(nodeA) != nil && d.UserOn(nodeA).Consumer == "c2" })
}
