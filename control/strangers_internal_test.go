package control

import (
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// TestANodeThatWasRefusedIsShownUntilAReplicaTakesIt has another replica take it, of
// which this one hears by the log alone.
func TestANodeThatWasRefusedIsShownUntilAReplicaTakesIt(t *testing.T) {
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		node  *api.Node
		at    time.Time
		shown bool
	}{
		"it is unknown":                    {shown: true},
		"it is silent":                     {node: &api.Node{Since: now.Add(time.Second)}, shown: true},
		"it is connected since before":     {node: &api.Node{Connected: true, Since: now.Add(-time.Second)}, shown: true},
		"it was connected after that":      {node: &api.Node{Connected: true, Since: now.Add(time.Second)}},
		"nothing was heard of it for long": {at: now.Add(strangerLife + time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			var s strangers
			s.add(api.OtherLog{Node: "a", Since: now})
			if c.at.IsZero() {
				c.at = now.Add(2 * time.Second)
			}
			if got := s.all(c.at, func(api.NodeID) *api.Node { return c.node }); len(got) > 0 != c.shown {
				t.Errorf("got %+v, want it shown: %t", got, c.shown)
			}
		})
	}
}
