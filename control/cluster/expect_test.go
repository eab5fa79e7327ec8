package cluster_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// brokers follows an app of three instances with a volume set or several, of which
// some were staged on nodes: "1.2 n1" is the second attempt of instance 1, on n1.
func (m *marathonState) brokers(sets []string, staged ...string) {
	m.t.Helper()
	a := api.App{ID: "/kafka", Framework: "f", Wanted: 3}
	for _, set := range sets {
		for i := range 3 {
			a.Volumes = append(a.Volumes, api.AppVolume{Key: set, Name: api.MemberName(set, i), Set: set, Spec: &api.VolumeRequest{Name: set, Each: 3}})
		}
	}
	var coming []api.Hint
	for _, text := range staged {
		var n, attempt int
		var node api.NodeID
		if _, err := fmt.Sscanf(text, "%d.%d %s", &n, &attempt, &node); err != nil {
			m.t.Fatal(err)
		}
		in := api.AppInstance{ID: fmt.Sprintf("%s._app.%d", modelInstance("kafka", n), attempt), State: api.TaskStaging, Node: node}
		a.Instances = append(a.Instances, in)
		coming = append(coming, api.Hint{Node: node, Instance: in.ID, Until: m.now.Add(time.Minute)})
	}
	for more := true; more; {
		more = m.must(cluster.FollowApp{At: m.now, Replica: "r", App: a, Coming: coming, DefaultSize: api.DefaultSizeBytes, NewID: m.newID}).More
	}
}

// expected returns which members are on their way to an instance, by name.
func (m *marathonState) expected(n int) (names []string) {
	for d := range m.s.Datasets() {
		if h := m.s.Hint(d.ID); h != nil && api.InstanceOf(h.Instance) == modelInstance("kafka", n) {
			names = append(names, d.Name()+" "+string(h.Node))
		}
	}
	slices.Sort(names)
	return names
}

// takes has an instance's container ask for a member, and returns it, nil where it
// waits.
func (m *marathonState) takes(n int, node api.NodeID, set string) *api.Dataset {
	m.t.Helper()
	return m.must(cluster.ClaimMember{
		At: m.now, Node: node, Stream: 1, Consumer: fmt.Sprintf("c%d-%s", n, node), Instance: modelInstance("kafka", n),
		Find: api.DatasetSpec{Name: set}, Each: 3, NewID: m.newID(), DefaultSize: api.DefaultSizeBytes,
	}).Dataset
}

// brings has the nodes claim ahead what was hinted to them.
func (m *marathonState) brings() {
	m.t.Helper()
	for d := range m.s.Datasets() {
		if h := m.s.Hint(d.ID); h != nil {
			if err := m.claimAhead(d.ID, h.Node); err != nil {
				m.t.Errorf("claim of %s ahead by %s: %v", d.Name(), h.Node, err)
			}
		}
	}
}

func TestInstancesThatAreStagedAtOnceGetWhatIsOnItsWayToEach(t *testing.T) {
	for name, claims := range map[string]func(m *marathonState){
		"which has been claimed":     (*marathonState).brings,
		"which has not been claimed": func(*marathonState) {},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMarathonState(t)
			sets := []string{"kafka"}
			m.brokers(sets)
			m.brokers(sets, "1.1 n1", "2.1 n2", "3.1 n1")
			on := map[int]string{}
			for n := range 4 {
				switch names := m.expected(n); {
				case len(names) == 1:
					on[n] = names[0]
				case n > 0:
					t.Fatalf("on their way to instance %d: %v, want one", n, names)
				}
			}
			claims(m)
			for d := range m.s.Members("kafka") {
				if d.Member.User != nil {
					t.Errorf("%s is in use by %+v before an instance has come", d.Name(), d.Member.User)
				}
			}
			// They are read again, in the middle of it, and come in another order.
			for _, n := range []int{3, 2, 1} {
				m.brokers(sets, "1.1 n1", "2.1 n2", "3.1 n1")
				node := api.NodeID([]string{"", "n1", "n2", "n1"}[n])
				d := m.takes(n, node, "kafka")
				if got := d.Name() + " " + string(node); got != on[n] || !d.HeldBy(node) {
					t.Errorf("instance %d gets %s, held by %+v, want %s", n, got, d.Holder, on[n])
				}
			}
			m.brokers(sets)
			for n := range 4 {
				if names := m.expected(n); len(names) > 0 {
					t.Errorf("once they run: %v is still on its way to %d", names, n)
				}
			}
		})
	}
}

func TestOthersLeaveAloneWhatIsOnItsWayToAnInstance(t *testing.T) {
	m := newMarathonState(t)
	sets := []string{"kafka"}
	m.brokers(sets)
	m.brokers(sets, "1.1 n1")
	names := m.expected(1)
	if len(names) != 1 || names[0] != "kafka.0 n1" {
		t.Fatalf("got %v, want the first member", names)
	}
	if d := m.takes(9, "n2", "kafka"); d.Name() != "kafka.1" {
		t.Errorf("another instance gets %s, want the first that nobody is expected to take", d.Name())
	}
	m.now = m.now.Add(2 * time.Minute) // it has not come
	if d := m.takes(8, "n2", "kafka"); d.Name() != "kafka.0" {
		t.Errorf("once nobody is expected any more: got %s, want the first again", d.Name())
	}
}

func TestAnInstancePrefersWhatIsOnItsWayToWhatItsNodeHappensToHave(t *testing.T) {
	m := newMarathonState(t)
	sets := []string{"kafka"}
	m.brokers(sets)
	m.brokers(sets, "1.1 n1")
	other := m.takes(9, "n1", "kafka")
	m.must(cluster.Report{At: m.now, Node: "n1", Stream: 1, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: other.ID}, Free: other.Member.User.Claim},
	}})
	if got, want := m.takes(1, "n1", "kafka").Name()+" n1", m.expected(1)[0]; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhatIsOnItsWayToOneIsGivenToAnotherWhereThereIsNothingElse(t *testing.T) {
	m := newMarathonState(t)
	sets := []string{"kafka"}
	m.brokers(sets)
	m.takes(8, "n1", "kafka")
	m.brokers(sets, "1.1 n1", "2.1 n1")
	m.brings()
	if len(m.expected(1)) != 1 || len(m.expected(2)) != 1 {
		t.Fatalf("got %v and %v, want one on its way to each", m.expected(1), m.expected(2))
	}
	d := m.takes(9, "n2", "kafka") // of which nothing was known
	if d == nil || !d.AwaitedBy("n2") {
		t.Fatalf("got %+v, want one of the two, which is waited for", d)
	}
	if err := m.claimAhead(d.ID, m.s.Hint(d.ID).Node); api.CodeOf(err) != api.CodeConflict {
		t.Errorf("claim ahead of what another has: got %v, want a conflict", err)
	}
	first, second := m.takes(1, "n1", "kafka"), m.takes(2, "n1", "kafka")
	if (first == nil) == (second == nil) {
		t.Errorf("got %+v and %+v, want the last one for one of them", first, second)
	}
}

func TestTheNextAttemptExpectsWhatTheLastOneLeaves(t *testing.T) {
	m := newMarathonState(t)
	sets := []string{"kafka"}
	m.brokers(sets)
	m.takes(7, "n1", "kafka")
	left := m.takes(1, "n1", "kafka")
	m.brokers(sets, "1.2 n2")
	if got, want := m.expected(1), left.Name()+" n2"; !slices.Equal(got, []string{want}) {
		t.Fatalf("got %v, want %s", got, want)
	}
	m.brings()
	if d := m.s.Dataset(left.ID); !d.HeldBy("n1") || !d.AwaitedBy("n2") || d.UserOn("n1") == nil {
		t.Fatalf("got %+v, want that n2 waits and nothing else has changed", d)
	}
	if d := m.takes(1, "n2", "kafka"); d != nil {
		t.Fatalf("the next attempt has %s, want that it waits for what the last one has", d.Name())
	}
	m.must(cluster.Report{At: m.now, Node: "n1", Stream: 1, Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: left.ID}, Free: m.s.Dataset(left.ID).Member.User.Claim},
	}})
	m.reported(left.ID, nil, true)
	m.must(cluster.Upkeep{At: m.now, Limit: 10})
	if d := m.s.Dataset(left.ID); !d.HeldBy("n2") || d.UserOn("n2") == nil {
		t.Errorf("got %+v, want that the next attempt has it", d)
	}

	m.brokers(sets, "1.3 n2") // on the node that has it
	if names := m.expected(1); len(names) > 0 {
		t.Errorf("got %v, want nothing to be brought to where it is", names)
	}
	m.must(cluster.NodeDisconnect{At: m.now, Node: "n2", Stream: 1})
	m.brokers(sets, "1.3 n1")
	if names := m.expected(1); slices.Contains(names, left.Name()+" n1") {
		t.Error("a hint has what a lost node holds be fetched")
	}
}

func TestSetsOfOneAppAreExpectedWithTheSameNumber(t *testing.T) {
	m := newMarathonState(t)
	sets := []string{"kafka", "log"}
	m.brokers(sets)
	m.takes(7, "n1", "log") // has log.0 alone, in the way of 0
	m.brokers(sets, "1.1 n1", "2.1 n2")
	for n := 1; n <= 2; n++ {
		names := m.expected(n)
		node := fmt.Sprintf("n%d", n)
		for i := range 3 {
			if len(names) > 0 && names[0] == fmt.Sprintf("kafka.%d %s", i, node) {
				want := []string{names[0], fmt.Sprintf("log.%d %s", i, node)}
				if i == 0 {
					want = want[:1]
				}
				if !slices.Equal(names, want) {
					t.Errorf("instance %d: got %v, want %v", n, names, want)
				}
			}
		}
		if len(names) == 0 {
			t.Errorf("instance %d: nothing is on its way", n)
		}
	}
}

func TestARenamedMemberIsNotMadeAgain(t *testing.T) {
	m := newMarathonState(t)
	m.brokers([]string{"kafka"})
	d := m.s.DatasetByName("kafka.1")
	name := "elsewhere"
	m.must(cluster.ChangeDataset{At: m.now, ID: d.ID, Metadata: map[string]*string{api.MetadataName: &name}})
	m.brokers([]string{"kafka"})
	if got := m.s.CountDatasets(); got != 3 || m.s.App("/kafka").Volumes[1].Dataset != d.ID {
		t.Errorf("got %d datasets and %+v, want the three that there were", got, m.s.App("/kafka").Volumes)
	}
}
