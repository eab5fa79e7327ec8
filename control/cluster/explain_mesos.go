package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// evidence says what Mesos says of a lost holder's machine. It helps an operator to
// decide what became of the machine; Flocker draws no conclusion from it.
func (e *explanation) evidence(m *api.MesosAgent) {
	if m == nil {
		return
	}
	how := map[api.MesosState]string{
		api.MesosRegistered:   "has its agent there registered",
		api.MesosDraining:     "has its agent there registered, and drains it",
		api.MesosDrained:      "has its agent there registered, and has drained it",
		api.MesosDeactivated:  "has its agent there registered, and deactivated",
		api.MesosDisconnected: "has its agent there registered, but is not connected with it",
		api.MesosRecovered:    "has not heard its agent there under the present master",
		api.MesosUnreachable:  "cannot reach its agent there",
		api.MesosGone:         "was told by an operator that its agent there is gone for good",
		api.MesosRemoved:      "was told by its agent there that it ends",
		api.MesosAbsent:       "does not list its agent there any more",
	}[m.State]
	if how == "" {
		how = fmt.Sprintf("calls its agent there %s", m.State) // a newer replica's word
	}
	text := "Mesos " + how
	if m.State == api.MesosGone && !m.Since.IsZero() {
		text += " " + e.ago(m.Since)
	} else if !m.Since.IsZero() && !m.Runs() {
		text += " " + e.at(m.Since)
	}
	if tasks := tasksText(m); tasks != "" {
		text += ", with " + tasks
	}
	if m.Stale {
		text += ", as it said " + e.ago(m.Heard)
	}
	e.say("%s.", text)
}

// tasksText counts tasks: "3 tasks (2 TASK_UNREACHABLE, 1 TASK_LOST)".
func tasksText(m *api.MesosAgent) string {
	var states []string
	for _, state := range slices.Sorted(maps.Keys(m.Tasks)) {
		states = append(states, fmt.Sprintf("%d %s", m.Tasks[state], state))
	}
	switch n := m.TaskCount(); {
	case n == 0:
		return ""
	case n == 1:
		return "1 task (" + strings.TrimPrefix(states[0], "1 ") + ")"
	case len(states) == 1:
		return fmt.Sprintf("%d tasks (%s)", n, strings.SplitN(states[0], " ", 2)[1])
	default:
		return fmt.Sprintf("%d tasks (%s)", n, strings.Join(states, ", "))
	}
}
