package cluster_test

import (
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// used has a container on a node use an app's volume.
func (m *marathonState) used(id api.DatasetID, node api.NodeID, kind string) {
	m.t.Helper()
	m.must(cluster.Claim{At: m.now, Node: node, Stream: 1, ID: id})
	m.must(cluster.Report{At: m.now, Node: node, Stream: 1, Datasets: []api.DatasetReport{{State: api.DatasetState{
		ID: id, Epoch: m.s.Dataset(id).Epoch, Phase: api.PhaseMounted, Consumers: []api.Consumer{{ID: "c1", Kind: kind}},
	}}}})
}

func TestANodeIsToldThatAnInstanceEndsWhoseVolumeIsInUseThere(t *testing.T) {
	in := func(state string) []api.AppInstance {
		return []api.AppInstance{{ID: "i", State: state, Host: "n1", Node: "n1"}}
	}
	for _, tc := range []struct {
		name    string
		was, is []api.AppInstance
		kind    string
		say     bool
	}{
		{name: "it is being killed", was: in(api.TaskRunning), is: in(api.TaskKilling), say: true},
		{name: "it was killed", was: in(api.TaskKilling), is: in("TASK_KILLED"), say: true},
		{name: "it has failed", was: in(api.TaskRunning), is: in("TASK_FAILED"), say: true},
		{name: "it has finished", was: in(api.TaskStaging), is: in("TASK_FINISHED"), say: true},
		{name: "it is not listed any more", was: in(api.TaskKilling), say: true},
		{name: "it is seen for the first time, when it is killed", is: in(api.TaskKilling), say: true},
		{name: "it goes on", was: in(api.TaskRunning), is: in(api.TaskRunning)},
		{name: "it is being killed, as was said", was: in(api.TaskKilling), is: in(api.TaskKilling)},
		{name: "it cannot be reached", was: in(api.TaskRunning), is: in(api.TaskUnreachable)},
		{name: "it had ended before it was not listed", was: in("TASK_KILLED")},
		{name: "nobody knows where it is", was: in(api.TaskRunning), is: []api.AppInstance{{ID: "i", State: api.TaskKilling, Host: "x"}}},
		{name: "no container uses its volume", was: in(api.TaskRunning), is: in(api.TaskKilling), kind: api.ConsumerHint},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMarathonState(t)
			if tc.kind == "" {
				tc.kind = api.ConsumerMesos
			}
			m.used(m.deployed("/db", func(a *api.App) { a.Instances = tc.was }), "n1", tc.kind)
			before := m.s.Dataset(m.s.DatasetByName("db").ID)
			m.deployed("/db", func(a *api.App) { a.Instances = tc.is })
			switch e := m.s.Ending("n1"); {
			case (e != nil) != tc.say:
				t.Errorf("got %+v, want that it is told: %t", e, tc.say)
			case e != nil && (e.App != "/db" || e.Instance != "i" || e.Revision != m.s.Revision()):
				t.Errorf("got %+v, want who it is", e)
			}
			if m.s.Dataset(before.ID) != before {
				t.Errorf("Marathon's word has changed the dataset: %+v", m.s.Dataset(before.ID))
			}
			if e := m.s.Ending("n2"); e != nil {
				t.Errorf("another node is told: %+v", e)
			}
		})
	}
}

func TestTheEndOfAnAppIsTheEndOfItsInstances(t *testing.T) {
	m := newMarathonState(t)
	id := m.deployed("/db", func(a *api.App) {
		a.Instances = []api.AppInstance{{ID: "i", State: api.TaskRunning, Host: "n1", Node: "n1"}}
	})
	m.used(id, "n1", api.ConsumerMesos)
	gone := *m.s.App("/db")
	gone.Missing, gone.Instances = m.now, nil
	m.must(cluster.FollowApp{At: m.now, Replica: "r", App: gone, NewID: m.newID})
	if e := m.s.Ending("n1"); e == nil {
		t.Error("the node is not told")
	}
}

func TestOfAVolumeSetTheEndOfTheInstanceCountsThatHasTheMember(t *testing.T) {
	m := newMarathonState(t)
	sets := []string{"kafka"}
	m.brokers(sets)
	d := m.takes(1, "n1", "kafka")
	m.must(cluster.Report{At: m.now, Node: "n1", Stream: 1, Datasets: []api.DatasetReport{{State: api.DatasetState{
		ID: d.ID, Epoch: d.Epoch, Phase: api.PhaseMounted, Consumers: []api.Consumer{{ID: "c1-n1", Kind: api.ConsumerMesos}},
	}}}})
	m.brokers(sets, "1.1 n1", "2.1 n1")
	m.brokers(sets, "1.1 n1")
	if e := m.s.Ending("n1"); e != nil {
		t.Errorf("the end of an instance without a member: got %+v, want nothing", e)
	}
	m.brokers(sets)
	if e := m.s.Ending("n1"); e == nil || api.InstanceOf(e.Instance) != modelInstance("kafka", 1) {
		t.Errorf("got %+v, want the end of the instance that has it", e)
	}
	restored := restored(t, m.s, m.now.Add(time.Hour))
	if e := restored.Ending("n1"); e != nil {
		t.Errorf("a restored log: got %+v, want nothing", e)
	}
}
