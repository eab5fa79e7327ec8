package cluster

import (
	"fmt"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// name names the dataset.
func (e *explanation) name() string { return "Dataset " + nameOf(e.d) }

func (e *explanation) volume() string {
	if e.d.Volume == nil {
		return "(not registered yet)"
	}
	return e.d.Volume.ID
}

func (e *explanation) nodeName(id api.NodeID) string {
	if n := e.node(id); n != nil {
		return n.Name()
	}
	return "node " + string(id)
}

// at says since when: "since 2026-03-01T10:00:00Z (3m10s)".
func (e *explanation) at(t time.Time) string {
	if t.IsZero() {
		return "since an unknown time"
	}
	return "since " + stamp(t) + " (" + age(e.now.Sub(t)) + ")"
}

// ago says when: "at 2026-03-01T10:00:00Z (3m10s ago)".
func (e *explanation) ago(t time.Time) string {
	if t.IsZero() {
		return "at an unknown time"
	}
	return "at " + stamp(t) + " (" + age(e.now.Sub(t)) + " ago)"
}

// consumerText names a consumer: "container abc of app /db".
func consumerText(c api.Consumer) string {
	kind := c.Kind
	switch kind {
	case api.ConsumerMake:
		return "app " + c.App + ", for which its volume is made ahead of the first instance,"
	case api.ConsumerMesos:
		kind = "container"
	case api.ConsumerHint:
		kind = "a container that Marathon is about to start there,"
	case api.ConsumerUnreadable:
		return "container " + c.ID + ", whose file on the node cannot be read (" + c.SetAside + "): remove that when the container has ended"
	case api.ConsumerCSI:
		return "containers that have it through CSI (" + c.ID + ")"
	}
	text := strings.TrimSpace(kind + " " + c.ID)
	if c.App != "" {
		text += " of app " + c.App
	}
	if c.ReadOnly {
		text += ", read-only,"
	}
	if c.SetAside != "" {
		text += ", whose file on the node cannot be read (" + c.SetAside + "),"
	}
	return text
}

// nodeText names a node with its address: "node-a (192.0.2.10)".
func nodeText(n *api.Node) string {
	if n.Address == "" || n.Address == n.Name() {
		return n.Name()
	}
	return n.Name() + " (" + n.Address + ")"
}

// nodeText names a node by its id.
func (s *State) nodeText(id api.NodeID) string {
	if n := s.Node(id); n != nil {
		return n.Name()
	}
	return "node " + string(id)
}

// stamp writes a time as all texts do.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// age writes a duration as people read it: 8s, 3m10s, 5h4m, 3d4h.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < day:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	default:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	}
}

// in says how far off a time is: " (in 8s)", nothing where it has passed.
func in(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return " (in " + age(max(d, time.Second)) + ")"
}
