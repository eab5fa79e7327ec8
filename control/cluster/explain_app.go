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
		say("Its definition does not say which volumes it wants: %s. Until that is mended, these are the volumes that it asked for before.", a.Mistake)
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
			"Where it was, flocker marathon forget drops it from this list, and flocker volumes destroy deletes a volume.", ago(a.Missing))
	case !a.Missing.IsZero():
		say("Marathon has destroyed it, %s.", ago(a.Missing))
	}
	return strings.Join(said, " ")
}
