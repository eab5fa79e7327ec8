package cluster_test

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// failing has the holder of the dataset report a step that failed.
func (st *story) failing(node api.NodeID, epoch uint64) {
	st.Helper()
	st.report(node, api.DatasetReport{State: failingState(epoch, api.PhaseAttached)})
}

func failingState(epoch uint64, phase api.Phase) api.DatasetState {
	return api.DatasetState{ID: "d", Epoch: epoch, Phase: phase, Action: "mount it", Failure: &api.Failure{
		Action: "mount it", Cause: "no such device", Since: fenceTime, Attempts: 6, NextTry: fenceTime,
	}, Health: &api.Health{Kind: api.HealthShutDown, Cause: "the kernel has shut it down", Since: fenceTime}}
}

func (st *story) report(node api.NodeID, r api.DatasetReport) {
	st.Helper()
	out := st.do(cluster.Report{At: fenceTime, Node: node, Stream: st.s.Node(node).Stream, Datasets: []api.DatasetReport{r}})
	if refused := out.Refused["d"]; refused != nil {
		st.Fatal(refused)
	}
}

// shown returns how people see the dataset.
func (st *story) shown() (*api.DatasetState, string) {
	d := st.dataset()
	state := st.s.ShownState(d)
	_, why := cluster.Explain(d, st.s.DatasetState("d"), nil, st.s.Node, nil, fenceTime)
	return state, why
}

func TestAFailureIsShownAsLongAsItLasts(t *testing.T) {
	release := func(st *story, phase api.Phase) {
		st.report("a", api.DatasetReport{State: failingState(1, phase), Release: true})
	}
	for name, c := range map[string]struct {
		then  func(st *story)
		shown string // a part of the explanation, "" for no failure
	}{
		"it lasts": {then: func(*story) {}, shown: "The next try is at"},
		"the next report has none": {then: func(st *story) {
			st.report("a", api.DatasetReport{State: api.DatasetState{ID: "d", Epoch: 1, Phase: api.PhaseMounted}})
		}},
		"an older agent releases":               {then: func(st *story) { release(st, api.PhaseDetached) }},
		"it goes to the next node":              {then: func(st *story) { st.claim("b", false); release(st, api.PhaseDetached) }},
		"its node is silent":                    {then: func(st *story) { st.lose("a") }, shown: "It is tried again when that agent is back"},
		"its node is fenced, and no node waits": {then: func(st *story) { fencedAway(st, false) }},
		"its node is fenced for another":        {then: func(st *story) { fencedAway(st, true) }},
		"it comes back to the same node": {then: func(st *story) {
			release(st, api.PhaseDetached)
			st.claim("a", false)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStory(t, "a", "b")
			st.claim("a", false)
			st.failing("a", 1)
			c.then(st)
			state, why := st.shown()
			if got := state != nil && (state.Failure != nil || state.Health != nil); got != (c.shown != "") {
				t.Errorf("got state %+v, want a failure: %t", state, c.shown != "")
			}
			if got := strings.Contains(why, "has failed"); got != (c.shown != "") || !strings.Contains(why, c.shown) {
				t.Errorf("got %q, want %q in it", why, c.shown)
			}
		})
	}
}

// fencedAway takes the dataset from a, which is lost, for b, which then may give up.
func fencedAway(st *story, waits bool) {
	st.lose("a")
	st.claim("b", false)
	st.mustFence("b", 1, api.FenceReport{Begin: true})
	if !waits {
		st.report("b", api.DatasetReport{State: api.DatasetState{ID: "d"}, Withdraw: true})
	}
	st.mustFence("b", 1, api.FenceReport{Done: true})
}
