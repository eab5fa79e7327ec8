package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
)

// roomForMesos is how wide a screen must be for a column about Mesos. On a
// narrower one what it says of lost nodes stands below the table.
const roomForMesos = 100

// mesosColumn reports whether a table of nodes has a column about Mesos: where it
// says something, and there is room for it.
func mesosColumn(p *output.Printer, nodes []*api.NodeDetail) bool {
	return (p.Screen.Width == 0 || p.Screen.Width >= roomForMesos || p.Format == output.FormatWide) &&
		slices.ContainsFunc(nodes, func(n *api.NodeDetail) bool { return n.Mesos != nil })
}

// mesosCell says in a few words what Mesos says of a node: "unreachable for 4m, 3
// tasks".
func mesosCell(m *api.MesosAgent, now time.Time) string {
	if m == nil {
		return output.Dash("")
	}
	text := string(m.State)
	if !m.Since.IsZero() {
		text += " for " + output.Age(now.Sub(m.Since))
	}
	if !m.Runs() {
		text += tasksOf(m)
	}
	if m.Stale {
		text += ", " + output.Age(now.Sub(m.Heard)) + " ago"
	}
	return text
}

// mesosText says it at length: "unreachable since 2026-01-02T10:02:03Z (4m), 3
// tasks".
func mesosText(m *api.MesosAgent, now time.Time) string {
	text := string(m.State)
	if m.State == api.MesosGone {
		text = "gone for good, as an operator has told Mesos,"
	}
	if !m.Since.IsZero() {
		text += " " + output.Since(m.Since, now)
	}
	text = strings.TrimSuffix(text, ",") + tasksOf(m)
	if m.Stale {
		text += fmt.Sprintf("; its masters have not answered since %s (%s)", output.Time(m.Heard), output.Age(now.Sub(m.Heard)))
	}
	return text
}

func tasksOf(m *api.MesosAgent) string {
	switch n := m.TaskCount(); n {
	case 0:
		return ""
	case 1:
		return ", 1 task"
	default:
		return fmt.Sprintf(", %d tasks", n)
	}
}

func mesosColor(cell string) output.Color {
	word, _, _ := strings.Cut(strings.ReplaceAll(cell, ",", " "), " ")
	switch api.MesosState(word) {
	case api.MesosUnreachable, api.MesosGone, api.MesosAbsent, api.MesosDisconnected, api.MesosRemoved:
		return output.Red
	case api.MesosDraining, api.MesosDrained, api.MesosDeactivated, api.MesosRecovered:
		return output.Yellow
	default:
		return output.Plain
	}
}

// describeLostInMesos says what Mesos says of nodes that Flocker has lost, where
// the table has no room for it.
func describeLostInMesos(p *output.Printer, nodes []*api.NodeDetail, now time.Time) {
	if mesosColumn(p, nodes) || p.Bare {
		return
	}
	for _, n := range nodes {
		if n.Mesos != nil && n.Lost() {
			p.Space()
			p.Prose(fmt.Sprintf("Mesos says of %s: %s.", n.Name(), mesosText(n.Mesos, now)))
		}
	}
}

// describeMesosTroubles names the nodes that do not know which containers run.
func describeMesosTroubles(p *output.Printer, nodes []*api.NodeDetail, now time.Time) {
	for _, n := range nodes {
		if t := n.MesosTrouble; t != nil && !n.Lost() {
			p.Space()
			p.Prose(fmt.Sprintf("%s cannot tell which containers Mesos still runs, %s: %s. Until then volumes of containers that ended without a cleanup stay there.",
				n.Name(), output.Since(t.Since, now), t.Cause))
		}
	}
}

// describeMasters says how the control service gets on with the masters.
func describeMasters(p *output.Printer, s *api.ClusterStatus) {
	m := s.Mesos
	switch {
	case m == nil:
	case m.Cause == "" && m.Heard.IsZero():
		p.Field("Mesos", "its masters were not heard yet")
	case m.Cause == "":
		p.Field("Mesos", "%d agents registered at %s", m.Agents, m.Leader)
	case m.Heard.IsZero():
		p.Field("Mesos", "its masters have never answered: %s", m.Cause)
	default:
		p.Field("Mesos", "its masters have not answered %s: %s", output.Since(m.Heard, s.Now), m.Cause)
	}
}
