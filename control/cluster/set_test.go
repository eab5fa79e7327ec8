package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// setStory is a set of three, whose claims come from consumers on nodes.
type setStory struct {
	*bench
	claims int
}

func newSetStory(t *testing.T, nodes ...api.NodeID) *setStory {
	t.Helper()
	return &setStory{bench: newBench(t, nodes...)}
}

// claimFor is a claim of a consumer such as "a/c1", perhaps of an instance.
func (s *setStory) claimFor(who, instance string) cluster.ClaimMember {
	node, consumer, _ := strings.Cut(who, "/")
	s.claims++
	return cluster.ClaimMember{
		At: s.now, Node: api.NodeID(node), Stream: s.s.Node(api.NodeID(node)).Stream, Consumer: consumer, Instance: instance,
		Find: api.DatasetSpec{Name: "kafka"}, Each: 3, NewID: api.DatasetID(fmt.Sprintf("m%d", s.claims)), DefaultSize: api.MinSize,
	}
}

// claim claims a member and returns its number, -1 where the consumer has to wait.
func (s *setStory) claim(who string, instance ...string) int {
	s.t.Helper()
	out := s.do(s.claimFor(who, strings.Join(instance, "")))
	if out.Dataset == nil {
		node, consumer, _ := strings.Cut(who, "/")
		if _, waits := out.Set.Waits(api.NodeID(node), consumer); !waits {
			s.t.Fatalf("%s has no member and does not wait", who)
		}
		return -1
	}
	return out.Dataset.Member.Index
}

func (s *setStory) member(index int) *api.Dataset {
	s.t.Helper()
	d := s.s.DatasetByName(api.MemberName("kafka", index))
	if d == nil {
		s.t.Fatalf("there is no member %d", index)
	}
	return d
}

// user names who has a member: "a/c1", or "".
func (s *setStory) user(index int) string {
	s.t.Helper()
	u := s.member(index).Member.User
	if u == nil {
		return ""
	}
	return string(u.Node) + "/" + u.Consumer
}

// ends has the consumer of a member end, and Upkeep do what follows.
func (s *setStory) ends(index int) {
	s.t.Helper()
	d := s.member(index)
	u := d.Member.User
	s.do(cluster.Report{At: s.now, Node: u.Node, Stream: s.s.Node(u.Node).Stream, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: d.ID}, Free: u.Claim},
	}})
	s.upkeep()
}

// letsGo has the holder of a member give it up.
func (s *setStory) letsGo(index int) {
	s.t.Helper()
	d := s.member(index)
	s.do(cluster.Report{At: s.now, Node: d.Holder.Node, Stream: s.s.Node(d.Holder.Node).Stream, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: d.ID, Epoch: d.Epoch, Phase: api.PhaseDetached}, Release: true},
	}})
	s.upkeep()
}

func (s *setStory) upkeep() {
	s.t.Helper()
	for s.s.Due() {
		s.do(cluster.Upkeep{At: s.now, Limit: 100})
	}
}

func (s *setStory) lose(node api.NodeID) {
	s.t.Helper()
	s.do(cluster.NodeDisconnect{At: s.now, Node: node, Stream: s.s.Node(node).Stream})
	s.upkeep()
}

func TestAnInstanceTakesTheMemberThatItCanHaveSoonest(t *testing.T) {
	for _, tt := range []struct {
		name string
		tell func(s *setStory)
		want int // for an instance on node b
	}{
		{"the first is made", func(*setStory) {}, 0},
		{"the lowest that is missing is made", func(s *setStory) { s.claim("a/c1"); s.claim("a/c2") }, 2},
		{"before one is made, a free one", func(s *setStory) { s.claim("a/c1"); s.claim("a/c2"); s.ends(1); s.letsGo(1) }, 1},
		{"of free ones the lowest", func(s *setStory) {
			for i := range 3 {
				s.claim(fmt.Sprint("a/c", i))
			}
			for i := range 3 {
				s.ends(2 - i)
				s.letsGo(2 - i)
			}
		}, 0},
		{"one that is on its node already", func(s *setStory) {
			s.claim("a/c0")
			s.claim("b/c1")
			s.ends(0)
			s.letsGo(0)
			s.ends(1)
		}, 1},
		{"one that nobody holds before one whose holder lets go", func(s *setStory) {
			s.claim("a/c0")
			s.claim("a/c1")
			s.ends(0)
			s.ends(1)
			s.letsGo(1)
		}, 1},
		{"one whose holder lets go before a new one", func(s *setStory) { s.claim("a/c0"); s.ends(0) }, 0},
		{"a new one before one whose holder is lost", func(s *setStory) { s.claim("a/c0"); s.ends(0); s.lose("a") }, 1},
		{"one whose holder is lost before none", func(s *setStory) {
			s.claim("c/c1")
			s.claim("a/c0")
			s.claim("c/c2")
			s.ends(1)
			s.lose("a")
		}, 1},
		{"a new one where the name of the lowest is another dataset's", func(s *setStory) { s.create("other", "a", "kafka.0"); s.s = withConsumer(s.s, "other") }, 1},
		{"a dataset of the name that nobody uses", func(s *setStory) {
			d := s.create("other", "never-there", "kafka.0")
			if d.Member != nil {
				t.Fatal("it is a member already")
			}
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSetStory(t, "a", "b", "c")
			tt.tell(s)
			if got := s.claim("b/new"); got != tt.want {
				t.Errorf("got member %d, want %d", got, tt.want)
			}
			if d := s.member(tt.want); !d.HeldBy("b") && !d.AwaitedBy("b") || s.user(tt.want) != "b/new" {
				t.Errorf("got %+v, want node b to have it or to wait for it", d)
			}
		})
	}
}

// withConsumer has a dataset reported as used.
func withConsumer(s *cluster.State, id api.DatasetID) *cluster.State {
	next := s.Clone()
	d := s.Dataset(id)
	next.Put(cluster.Change{Key: cluster.StateKey(id), State: &api.DatasetState{
		ID: id, Node: d.Holder.Node, Epoch: d.Epoch, Phase: api.PhaseMounted, Consumers: []api.Consumer{{ID: "x"}},
	}})
	return next
}

func TestARelaunchFindsWhatItsPredecessorLeft(t *testing.T) {
	s := newSetStory(t, "a", "b")
	for i := range 3 {
		s.claim(fmt.Sprint("a/c", i), fmt.Sprint("i", i))
	}
	s.ends(0)
	s.letsGo(0)
	// The next attempt of i2 comes before anybody has heard of the end of the last.
	if got := s.claim("b/d2", "i2"); got != -1 {
		t.Fatalf("got member %d, want it to wait for what i2 is about to leave", got)
	}
	if s.user(0) != "" {
		t.Fatalf("member 0 is %s's, want it free", s.user(0))
	}
	s.ends(2)
	if got := s.user(2); got != "b/d2" {
		t.Errorf("member 2 is %q's, want the next attempt's", got)
	}
	s.ends(2)
	s.ends(1)
	s.letsGo(1)
	if got := s.claim("a/e2", "i2"); got != 2 {
		t.Errorf("got member %d, want 2, though others can be had sooner", got)
	}
}

func TestMembersGoToThoseWhoWaitInTheOrderOfTheirArrival(t *testing.T) {
	s := newSetStory(t, "a", "b")
	for i := range 3 {
		s.claim(fmt.Sprint("a/c", i))
	}
	for _, who := range []string{"b/w1", "b/w2", "a/w3"} {
		if got := s.claim(who); got != -1 {
			t.Fatalf("%s got member %d, want it to wait", who, got)
		}
	}
	if why := s.s.ExplainWaiting("kafka", "b", "w2", s.now.Add(time.Minute)); !strings.Contains(why, "at place 2 of the queue") ||
		!strings.Contains(why, "kafka.1 belongs to container c1 on host-a") || !strings.Contains(why, "3 members for its instances") {
		t.Errorf("got %q, want it to say where it is in the queue, who has the members, and how many there are", why)
	}
	s.ends(1)
	if got := s.user(1); got != "b/w1" {
		t.Errorf("the first member that is free is %q's, want the first one's who waits", got)
	}
	s.do(cluster.LeaveSet{At: s.now, Node: "b", Stream: s.s.Node("b").Stream, Consumer: "w2", Set: "kafka"})
	s.ends(0)
	if got := s.user(0); got != "a/w3" {
		t.Errorf("the next one is %q's, want w3's, since w2 has left", got)
	}
	if set := s.s.Set("kafka"); set != nil {
		t.Errorf("got %+v, want no record where nobody waits", set)
	}
}

func TestWhatComesLateFreesNothing(t *testing.T) {
	s := newSetStory(t, "a", "b")
	s.claim("a/c1")
	late := cluster.Report{At: s.now, Node: "a", Stream: s.s.Node("a").Stream, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: s.member(0).ID}, Free: s.member(0).Member.User.Claim},
	}}
	s.claim("a/c1") // the launch is tried again
	s.do(late)
	if got := s.user(0); got != "a/c1" {
		t.Errorf("member 0 is %q's, want it to be a/c1's still", got)
	}
	other := late
	other.Node, other.Stream = "b", s.s.Node("b").Stream
	other.Datasets = []api.DatasetReport{{State: late.Datasets[0].State, Free: s.member(0).Member.User.Claim}}
	s.do(other)
	if got := s.user(0); got != "a/c1" {
		t.Errorf("another node freed it: it is %q's", got)
	}
}

func TestMembersOfALostNodeFollowOnlyWhenItWasFenced(t *testing.T) {
	s := newSetStory(t, "a", "b")
	for i := range 3 {
		s.claim(fmt.Sprint("a/c", i))
	}
	s.lose("a")
	if got := s.claim("b/d1"); got != -1 {
		t.Fatalf("got member %d of a node that may be writing", got)
	}
	d := s.member(0)
	if !d.Member.Sought || !d.FencedBy("b") || s.member(1).Member.Sought {
		t.Fatalf("got %+v and %+v, want one of them sought, and node b to fence it", d, s.member(1))
	}
	if _, why := cluster.Explain(d, nil, nil, s.s.Node, func(api.NodeID) *api.MesosAgent { return nil }, s.now); !strings.Contains(why, "waited longest for a member of kafka") {
		t.Errorf("got %q, want it to say who gets it", why)
	}
	fence := func(r api.FenceReport) {
		s.do(cluster.Report{At: s.now, Node: "b", Stream: s.s.Node("b").Stream, Datasets: []api.DatasetReport{
			{State: api.DatasetState{ID: d.ID, Epoch: d.Epoch}, Fence: &r},
		}})
	}
	fence(api.FenceReport{Begin: true})
	fence(api.FenceReport{Done: true})
	s.upkeep()
	if got := s.user(0); got != "b/d1" || !s.member(0).HeldBy("b") {
		t.Errorf("member 0 is %q's and %+v holds it, want b/d1 and b", got, s.member(0).Holder)
	}
}

func TestALostNodeThatIsBackInTimeKeepsItsMembers(t *testing.T) {
	s := newSetStory(t, "a", "b")
	for i := range 3 {
		s.claim(fmt.Sprint("a/c", i))
	}
	s.lose("a")
	s.claim("b/d1")
	s.connect("a")
	s.upkeep()
	if d := s.member(0); d.Member.Sought || d.Fence != nil || s.user(0) != "a/c0" {
		t.Errorf("got %+v with fence %+v, want a/c0 to keep it", d.Member, d.Fence)
	}
	s.ends(2)
	if got := s.user(2); got != "b/d1" {
		t.Errorf("member 2 is %q's, want b/d1's", got)
	}
}

func TestTheCountSaysHowManyMayBeInUse(t *testing.T) {
	s := newSetStory(t, "a")
	claim := func(consumer string) cluster.ClaimMember {
		c := s.claimFor("a/"+consumer, "")
		c.Each = api.EachInstance
		return c
	}
	index := func(out cluster.Outcome) int {
		if out.Dataset == nil {
			return -1
		}
		return out.Dataset.Member.Index
	}
	s.refused(claim("c0"), api.CodeConflict, "flocker control --marathon URL")
	s.refused(claim("c0"), api.CodeConflict, "write the number, as in each = 3")
	s.do(cluster.SetMembers{At: s.now, Name: "kafka", Count: 2})
	got := []int{index(s.do(claim("c0"))), index(s.do(claim("c1"))), index(s.do(claim("c2")))}
	if want := []int{0, 1, -1}; !slices.Equal(got, want) {
		t.Errorf("got %v of two, want %v", got, want)
	}
	s.do(cluster.SetMembers{At: s.now, Name: "kafka", Count: 3}) // scaled up
	if got := s.user(2); got != "a/c2" {
		t.Errorf("member 2 is %q's, want who has waited for it", got)
	}
	s.do(cluster.SetMembers{At: s.now, Name: "kafka", Count: 1}) // and down
	for i, want := range []string{"a/c0", "a/c1", "a/c2"} {
		if got := s.user(i); got != want {
			t.Errorf("member %d is %q's, want %q to keep it", i, got, want)
		}
	}
	s.ends(0)
	if out := s.do(claim("c3")); out.Dataset != nil {
		t.Errorf("got %s, want a third of one to wait", out.Dataset.Member)
	}
	s.ends(1)
	s.ends(2)
	if got := s.user(0); got != "a/c3" {
		t.Errorf("member 0 is %q's, want a/c3's", got)
	}
	s.do(cluster.SetMembers{At: s.now, Name: "kafka", Count: -1}) // the app is gone
	if set := s.s.Set("kafka"); set != nil {
		t.Errorf("got %+v, want nothing to be known any more", set)
	}
	if n := s.s.CountDatasets(); n != 3 {
		t.Errorf("%d datasets are there, want all three kept", n)
	}
	s.refused(cluster.SetMembers{At: s.now, Name: "kafka", Count: 1001}, api.CodeInvalid, "1000")
}

// The first instances of an app can be there before it is known how many there are:
// whoever follows Marathon reads it in a moment.
func TestInstancesWaitForTheirNumberWhereMarathonIsFollowed(t *testing.T) {
	s := newSetStory(t, "a")
	s.s.Put(cluster.Change{Key: cluster.ReplicaKey("r"), Replica: &api.Replica{ID: "r"}})
	s.do(cluster.TakeJob{At: s.now, Name: api.JobMarathon, Replica: "r"})
	claim := func(consumer string) cluster.ClaimMember {
		c := s.claimFor("a/"+consumer, "")
		c.Each = api.EachInstance
		return c
	}
	says := func(want string) {
		t.Helper()
		if why := s.s.ExplainWaiting("kafka", "a", "c0", s.now); !strings.Contains(why, want) {
			t.Errorf("got %q, want %q", why, want)
		}
	}
	for _, consumer := range []string{"c0", "c1"} {
		if out := s.do(claim(consumer)); out.Dataset != nil {
			t.Errorf("got %s, want it to wait for the number", out.Dataset.Member)
		}
	}
	says("It has not told of an app that asks for this set")
	s.do(cluster.NoteMarathon{Replica: "r", Status: api.MarathonStatus{DownSince: s.now, Cause: "connection refused"}})
	says("Marathon cannot be read")
	says("connection refused.")
	s.s.Put(cluster.Change{Key: cluster.ReplicaKey("r"), Replica: &api.Replica{ID: "r", Lost: s.now}})
	says("No replica follows Marathon at present")
	s.refused(claim("c2"), api.CodeConflict, "flocker control --marathon URL")
	s.do(cluster.SetMembers{At: s.now, Name: "kafka", Count: 2})
	for i, want := range []string{"a/c0", "a/c1"} {
		if got := s.user(i); got != want {
			t.Errorf("member %d is %q's, want %s's", i, got, want)
		}
	}
}

func TestClaimsOfMembersThatCanNeverBeMetAreRefused(t *testing.T) {
	s := newSetStory(t, "a", "b")
	s.claim("a/c1")
	change := func(f func(*cluster.ClaimMember)) cluster.ClaimMember {
		c := s.claimFor("a/c2", "")
		f(&c)
		return c
	}
	one, far := 1, 1000
	for _, tt := range []struct {
		claim cluster.ClaimMember
		code  api.Code
		want  string
	}{
		{change(func(c *cluster.ClaimMember) { c.Consumer = "" }), api.CodeInvalid, "must be named"},
		{change(func(c *cluster.ClaimMember) { c.Find.Name = "" }), api.CodeInvalid, "must not be empty"},
		{change(func(c *cluster.ClaimMember) { c.Find.Name = strings.Repeat("n", 253) }), api.CodeInvalid, "more than the 252 characters"},
		{change(func(c *cluster.ClaimMember) { c.Find.Size = 1 }), api.CodeInvalid, "minimum"},
		{change(func(c *cluster.ClaimMember) { c.Each = 0 }), api.CodeInvalid, "from 1 to 1000"},
		{change(func(c *cluster.ClaimMember) { c.Each = 1001 }), api.CodeInvalid, "from 1 to 1000"},
		{change(func(c *cluster.ClaimMember) { c.Each = -2 }), api.CodeInvalid, "from 1 to 1000"},
		{change(func(c *cluster.ClaimMember) { c.Index = &far }), api.CodeInvalid, "from 0 to 999"},
		{change(func(c *cluster.ClaimMember) { c.Find.FS = api.FSXFS }), api.CodeConflict, "exists with the file system ext4, not xfs"},
		{change(func(c *cluster.ClaimMember) { c.ID = "unknown" }), api.CodeNotFound, "not found"},
		{change(func(c *cluster.ClaimMember) { c.NewID = s.member(0).ID }), api.CodeUnavailable, "taken"},
		{change(func(c *cluster.ClaimMember) { c.Consumer, c.Index = "c1", &one }), api.CodeConflict, "has member 0"},
		{change(func(c *cluster.ClaimMember) { c.Stream = 7 }), api.CodeStale, "stream 7"},
	} {
		s.refused(tt.claim, tt.code, tt.want)
	}
	s.do(cluster.DrainNode{At: s.now, Node: "b"})
	s.refused(s.claimFor("b/c3", ""), api.CodeUnavailable, "drain")
}

func TestAMemberIsNoOneElsesVolume(t *testing.T) {
	s := newSetStory(t, "a", "b")
	s.claim("a/c1")
	byName := cluster.Claim{At: s.now, Node: "b", Stream: s.s.Node("b").Stream, Find: &api.DatasetSpec{Name: "kafka.0"}, NewID: "x", DefaultSize: api.MinSize}
	s.refused(byName, api.CodeConflict, "is member 0 of the volume set kafka")
	byID := cluster.Claim{At: s.now, Node: "b", Stream: s.s.Node("b").Stream, ID: s.member(0).ID}
	s.refused(byID, api.CodeConflict, "have their volumes to themselves")
	s.ends(0)
	s.refused(byName, api.CodeConflict, "ask for a volume of another name, or for kafka with each")
	own := byID
	s.claim("b/c2")
	s.do(own) // the agent of its user asks for the token
}

func TestOfSeveralSetsAContainerHasTheSameNumber(t *testing.T) {
	s := newSetStory(t, "a")
	logs := func(consumer string, index int) cluster.Outcome {
		c := s.claimFor("a/"+consumer, "")
		c.Find.Name, c.Index = "logs", &index
		return s.do(c)
	}
	for i := range 2 {
		s.claim(fmt.Sprint("a/c", i))
	}
	for _, i := range []int{1, 0} {
		if d := logs(fmt.Sprint("c", i), i).Dataset; d == nil || d.Name() != fmt.Sprint("logs.", i) {
			t.Fatalf("got %+v, want logs.%d", d, i)
		}
	}
	s.ends(1)
	s.claim("a/c2")
	out := logs("c2", 1)
	if _, waits := out.Set.Waits("a", "c2"); out.Dataset != nil || !waits {
		t.Fatalf("got %+v, want it to wait for what c1 has", out.Dataset)
	}
	d := s.s.DatasetByName("logs.1")
	s.do(cluster.Report{At: s.now, Node: "a", Stream: s.s.Node("a").Stream, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: d.ID}, Free: d.Member.User.Claim},
	}})
	s.upkeep()
	if u := s.s.DatasetByName("logs.1").Member.User; u == nil || u.Consumer != "c2" {
		t.Errorf("logs.1 is %+v's, want c2's", u)
	}
}

func TestAQueueIsBounded(t *testing.T) {
	s := newSetStory(t, "a")
	for i := range 3 {
		s.claim(fmt.Sprint("a/c", i))
	}
	for i := range 100 {
		if got := s.claim(fmt.Sprint("a/w", i)); got != -1 {
			t.Fatalf("got member %d", got)
		}
	}
	s.refused(s.claimFor("a/more", ""), api.CodeUnavailable, "100 instances wait")
}
