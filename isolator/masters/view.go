package masters

import (
	"maps"
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

const (
	// forgetAfter is how long an agent is remembered that Mesos does not list.
	forgetAfter = 7 * 24 * time.Hour
	// maxAbsent bounds how many of them are.
	maxAbsent = 4096
)

// view is what is known of agents and their tasks. It has no clock and makes no
// calls; the watcher guards it.
type view struct {
	agents map[string]*agentView
}

// agentView is what is known of one agent. One that Mesos does not list any more
// is remembered as it was listed last.
type agentView struct {
	Agent

	present   bool           // registered, when they were last listed
	was       api.MesosState // its state in the listing before, "" where it was not registered then
	changed   time.Time      // when that state changed, zero where that is not known
	recovered bool           // known of old, when they were last listed
	listed    time.Time      // when it was in a listing last, zero for never
	absent    time.Time      // since when it is in none, zero while it is
	removed   bool           // it has taken leave

	unreachable, gone           bool // as the registry says
	unreachableSince, goneSince time.Time

	tasks map[string]Task
	// again are the tasks that the master has added anew since the agent was listed last.
	again map[string]bool
}

func newView() *view { return &view{agents: map[string]*agentView{}} }

func (v *view) agent(id string) *agentView {
	a, ok := v.agents[id]
	if !ok {
		a = &agentView{Agent: Agent{ID: id}, tasks: map[string]Task{}}
		v.agents[id] = a
	}
	return a
}

// list takes over a listing.
func (v *view) list(l Listing, now time.Time) {
	for _, a := range v.agents {
		a.was = ""
		if a.present {
			a.was = a.presence()
		}
		a.present, a.recovered = false, false
	}
	for _, listed := range l.Registered {
		a := v.agent(listed.ID)
		a.Agent = listed
		switch a.was {
		case a.presence():
		case "":
			a.changed = time.Time{} // it may have been so for long
		default:
			a.changed = now
		}
		a.present, a.listed = true, now
		a.removed, a.unreachable, a.gone = false, false, false
	}
	for _, listed := range l.Recovered {
		a := v.agent(listed.ID)
		a.Hostname = listed.Hostname
		a.recovered, a.listed = true, now
	}
	for _, a := range v.agents {
		switch {
		case a.present || a.recovered:
			a.absent = time.Time{}
		case a.absent.IsZero():
			a.absent = now
		}
	}
	v.forget(now)
}

// register takes over the registry.
func (v *view) register(r Registry) {
	for id, a := range v.agents {
		a.unreachableSince, a.unreachable = r.Unreachable[id]
		a.goneSince, a.gone = r.Gone[id]
	}
}

// remove notes that an agent has taken leave.
func (v *view) remove(id string) {
	if a, ok := v.agents[id]; ok {
		a.removed = true
	}
}

// replace takes over all tasks that Mesos knows. A master that leads anew knows
// nothing of the tasks of agents that are lost: those are kept as they were.
func (v *view) replace(tasks []Task) {
	byAgent := map[string][]Task{}
	for _, t := range tasks {
		byAgent[t.Agent] = append(byAgent[t.Agent], t)
	}
	for id, a := range v.agents {
		if a.present || len(byAgent[id]) > 0 {
			clear(a.tasks)
		}
	}
	for _, t := range tasks {
		v.task(t)
	}
}

// task takes over one task.
func (v *view) task(t Task) {
	a, known := v.agents[t.Agent]
	switch {
	case t.Agent == "" || !known && !t.Lost:
		return // it is in the next listing
	case !known:
		// The one trace of an agent that was lost before anybody asked: Mesos gives
		// a task without a network of its own the agent's address.
		a = v.agent(t.Agent)
		a.Address, a.absent = t.Address, t.Since
	}
	if t.over() {
		delete(a.tasks, t.ID)
		return
	}
	a.tasks[t.ID] = t
}

// returned notes that the master has added a task anew.
func (v *view) returned(t Task) {
	if a, ok := v.agents[t.Agent]; ok && !a.present {
		if a.again == nil {
			a.again = map[string]bool{}
		}
		a.again[t.ID] = true
	}
}

// back notes that an agent has come back: the master added its remaining tasks before,
// and the others ended without an update.
func (v *view) back(id string) {
	a, ok := v.agents[id]
	if !ok {
		return
	}
	// Where a listing had the agent before its tasks were added, those that are still
	// lost were not added.
	listed := a.present && a.again == nil
	for task, t := range a.tasks {
		if t.Lost && listed || !a.again[task] && !listed {
			delete(a.tasks, task)
		}
	}
	a.again = nil
}

// forget drops agents that have been absent for long, and the longest absent of
// too many.
func (v *view) forget(now time.Time) {
	maps.DeleteFunc(v.agents, func(_ string, a *agentView) bool {
		return !a.absent.IsZero() && now.Sub(a.absent) > forgetAfter
	})
	var absent []*agentView
	for _, a := range v.agents {
		if !a.absent.IsZero() {
			absent = append(absent, a)
		}
	}
	if len(absent) <= maxAbsent {
		return
	}
	slices.SortFunc(absent, func(a, b *agentView) int { return a.absent.Compare(b.absent) })
	for _, a := range absent[:len(absent)-maxAbsent] {
		delete(v.agents, a.ID)
	}
}

// registered counts the agents that Mesos lists.
func (v *view) registered() int {
	n := 0
	for _, a := range v.agents {
		if a.present {
			n++
		}
	}
	return n
}

// evidence is what is known of an agent, in the words of the API.
func (a *agentView) evidence() *api.MesosAgent {
	m := &api.MesosAgent{ID: a.ID, Hostname: a.Hostname, Tasks: map[string]int{}}
	m.State, m.Since = a.state()
	for _, t := range a.tasks {
		m.Tasks[t.State]++
	}
	return m
}

// state returns the strongest word that Mesos has for the agent.
func (a *agentView) state() (api.MesosState, time.Time) {
	if a.present {
		word := a.presence()
		if word == api.MesosRegistered {
			return word, a.Registered
		}
		// Mesos does not say when it disconnected an agent, or was told to drain it.
		return word, a.changed
	}
	var lost, gone time.Time
	isLost, isGone := false, false
	for _, t := range a.tasks {
		switch {
		case t.State == stateGone:
			isGone, gone = true, earlier(gone, t.Since)
		case t.Lost:
			isLost, lost = true, earlier(lost, t.Since)
		}
	}
	switch {
	case a.gone:
		return api.MesosGone, a.goneSince
	case isGone:
		return api.MesosGone, gone
	case a.recovered:
		return api.MesosRecovered, time.Time{}
	case a.unreachable:
		return api.MesosUnreachable, a.unreachableSince
	case isLost:
		return api.MesosUnreachable, lost
	case a.removed:
		return api.MesosRemoved, a.absent
	default:
		return api.MesosAbsent, a.absent
	}
}

// presence is the word for an agent that is registered.
func (a *agentView) presence() api.MesosState {
	switch {
	case !a.Active:
		return api.MesosDisconnected
	case a.Drained:
		return api.MesosDrained
	case a.Draining:
		return api.MesosDraining
	case a.Deactivated:
		return api.MesosDeactivated
	default:
		return api.MesosRegistered
	}
}

// earlier returns the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
