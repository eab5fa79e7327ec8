package cluster

import (
	"fmt"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// ExplainApp says in sentences what there is to say of an app beside how its
// volumes are, "" where that is nothing: what Marathon's word means for them.
func ExplainApp(a *api.App, now time.Time) string {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	ago := func(t time.Time) string {
		return "since " + stamp(t) + " (" + now.Sub(t).Round(time.Second).String() + ")"
	}
	if a.Mistake != "" {
		known := "no volume of it is known"
		if len(a.Volumes) > 0 {
			known = "only these volumes of it are known"
		}
		say("Its definition does not say which volumes it wants: %s. Until that is mended, %s.", a.Mistake, known)
	}
	for _, i := range a.Instances {
		where := i.Host
		if where == "" {
			where = "a machine that Marathon does not name"
		}
		switch {
		case i.State == api.TaskUnreachable:
			say("Mesos cannot reach %s, where the instance %s runs: its container may be running and writing all the same. "+
				"So its volumes stay there until the node's agent gives them up, or the machine is known to be off.", where, i.ID)
		case i.State == api.TaskKilling:
			say("Marathon has the instance %s on %s killed: its volumes are free when its container has ended.", i.ID, where)
		case i.Node == "" && i.Host != "" && !i.Ended():
			say("No node of the cluster, or more than one, is called %s, where the instance %s is: it has no head start.", i.Host, i.ID)
		}
	}
	switch {
	case a.Missing.IsZero() && !a.Stopped.IsZero():
		say("Marathon destroys it.")
	case !a.Missing.IsZero() && a.Stopped.IsZero():
		say("Marathon does not have it any more, %s, but has not said that it was destroyed: so its volumes are kept. "+
			"If it was destroyed, flocker marathon forget drops it from this list, and flocker volumes destroy deletes a volume.", ago(a.Missing))
	case !a.Missing.IsZero():
		say("Marathon has destroyed it, %s.", ago(a.Missing))
	}
	return strings.Join(said, " ")
}

// ExplainFramework says that another Marathon answers than the one that had an app, ""
// where the same does.
func (s *State) ExplainFramework(a *api.App) string {
	now := s.framework()
	if a.Missing.IsZero() || now == "" || a.Framework == now {
		return ""
	}
	return fmt.Sprintf("The Marathon that answers now is another one: its framework id is %s, and the app's was %s. If Marathon lost its records, "+
		"deploy the app again, or drop it from this list with flocker marathon forget %s. If the address is wrong, correct marathon in control.yml: "+
		"the app comes back with its Marathon.", now, a.Framework, a.ID)
}

// MarathonWarnings returns what an operator should know about apps of another Marathon
// than the one that answers.
func (s *State) MarathonWarnings() []string {
	now, gone, before := s.framework(), 0, ""
	for a := range s.Apps() {
		if s.ExplainFramework(a) != "" {
			gone, before = gone+1, a.Framework
		}
	}
	if gone == 0 {
		return nil
	}
	are := fmt.Sprintf("%d apps with volumes are", gone)
	if gone == 1 {
		are = "1 app with volumes is"
	}
	return []string{fmt.Sprintf("Another Marathon answers than before: its framework id is %s, before it was %s. %s gone because of that; "+
		"all volumes are kept, and none is deleted meanwhile. If Marathon lost its records, deploy the apps again, or drop them with flocker marathon forget. "+
		"If the address is wrong, correct marathon in control.yml.", now, before, are)}
}

// framework returns the framework id of the Marathon that was last read.
func (s *State) framework() string {
	if j := s.Job(api.JobMarathon); j != nil && j.Marathon != nil {
		return j.Marathon.Framework
	}
	return ""
}
