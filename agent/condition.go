package agent

import "github.com/flocker-mesos/flocker/api"

// Health is how an agent is, for monitoring.
type Health struct {
	Status    string     `json:"status"` // ok: the agent runs
	Node      api.NodeID `json:"node"`
	Connected bool       `json:"connected"` // there is a stream to the control service
	Control   string     `json:"control"`   // which one, or why there is no stream
	Failing   int        `json:"failing"`   // datasets whose next step has failed
}

// Health returns how the agent is.
func (a *Agent) Health() Health {
	h := Health{Status: "ok", Node: a.deps.Node}
	h.Connected, h.Control = a.link.connected()
	for condition, n := range a.engine.count() {
		if condition.failed {
			h.Failing += n
		}
	}
	return h
}
