package reconcile

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/agent"
	"github.com/mesos/mesos-go/api/v1/lib/agent/calls"
)

const (
	// rolesFor is for how long the roles of frameworks are remembered: a framework can
	// change its roles, and a failed look-up must not be repeated by every launch.
	rolesFor = 30 * time.Second
	maxRoles = 10000
)

// Roles finds the roles of the frameworks that a Mesos agent runs, and remembers them
// for a while.
type Roles struct {
	mesos *Mesos
	now   func() time.Time

	mu    sync.Mutex
	asked time.Time
	roles map[string][]string // by framework
}

// NewRoles returns the roles that a Mesos agent knows.
func NewRoles(m *Mesos) *Roles { return &Roles{mesos: m, now: time.Now} }

// Role returns the only role of a framework. A framework with several roles does not
// tell by itself for which one a container runs.
func (r *Roles) Role(ctx context.Context, framework string) (string, error) {
	roles, err := r.of(ctx, framework)
	switch {
	case err != nil:
		return "", err
	case len(roles) != 1:
		return "", fmt.Errorf("framework %s has %d roles, and Mesos does not say which one the container is for", framework, len(roles))
	}
	return roles[0], nil
}

func (r *Roles) of(ctx context.Context, framework string) ([]string, error) {
	r.mu.Lock()
	roles, ok := r.roles[framework]
	fresh := r.now().Sub(r.asked) < rolesFor
	r.mu.Unlock()
	if ok && fresh {
		return roles, nil
	}
	all, err := r.mesos.frameworks(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.roles, r.asked = all, r.now()
	r.mu.Unlock()
	if roles, ok = all[framework]; !ok {
		return nil, fmt.Errorf("the Mesos agent does not know framework %s", framework)
	}
	return roles, nil
}

// frameworks returns the roles of all frameworks that have an executor here. Unlike
// GET_CONTAINERS the call does not wait for isolators.
func (m *Mesos) frameworks(ctx context.Context) (map[string][]string, error) {
	r, err := m.ask(ctx, calls.GetFrameworks())
	if err != nil {
		return nil, fmt.Errorf("list frameworks of Mesos: %w", err)
	}
	all := map[string][]string{}
	for _, f := range r.GetGetFrameworks().GetFrameworks() {
		if len(all) == maxRoles {
			return nil, fmt.Errorf("list frameworks of Mesos: there are more than %d", maxRoles)
		}
		all[f.FrameworkInfo.GetID().GetValue()] = rolesOf(f)
	}
	return all, nil
}

func rolesOf(f agent.Response_GetFrameworks_Framework) []string {
	if roles := f.FrameworkInfo.Roles; len(roles) > 0 {
		return slices.Clone(roles)
	}
	return []string{f.FrameworkInfo.GetRole()}
}
