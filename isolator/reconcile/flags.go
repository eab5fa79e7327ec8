package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/mesos/mesos-go/api/v1/lib/agent/calls"

	"github.com/flocker-mesos/flocker/api"
)

const jsonType = "application/json"

// Flags are what a Mesos agent was started with, defaults included, by name
// without dashes.
type Flags map[string]string

// Flags returns the flags of the Mesos agent. Unlike Containers it does not wait
// for isolators. Where /flags is refused it asks the v1 API, which may have other
// credentials.
func (m *Mesos) Flags(ctx context.Context) (Flags, error) {
	flags, err := m.readFlags(ctx)
	if err != nil && TroubleOf(err).Kind != api.MesosUnheard {
		if again, second := m.callFlags(ctx); second == nil {
			flags, err = again, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the flags of the Mesos agent: %w", err)
	}
	return flags, nil
}

func (m *Mesos) readFlags(ctx context.Context) (Flags, error) {
	text, err := m.send(ctx, http.MethodGet, "/flags", jsonType, nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Flags Flags `json:"flags"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, m.oddAnswer("/flags: %v", err)
	}
	return answer.Flags, m.checkFlags(answer.Flags)
}

func (m *Mesos) callFlags(ctx context.Context) (Flags, error) {
	r, err := m.ask(ctx, calls.GetFlags())
	if err != nil {
		return nil, err
	}
	flags := Flags{}
	for _, f := range r.GetGetFlags().GetFlags() {
		flags[f.GetName()] = f.GetValue()
	}
	return flags, m.checkFlags(flags)
}

// checkFlags finds out whether these are the flags of a Mesos agent. A master
// answers most calls too, and some of its answers read as an agent's.
func (m *Mesos) checkFlags(flags Flags) error {
	_, isAgent := flags["launcher"]
	_, isMaster := flags["agent_ping_timeout"]
	switch {
	case isMaster:
		return m.oddAnswer("its flags are those of a Mesos master")
	case !isAgent:
		return m.oddAnswer("its flags have no launcher")
	}
	return nil
}
