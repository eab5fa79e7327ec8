package control

import (
	"context"
	"slices"
	"sync"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// Mesos is what the masters of Mesos say; isolator/masters has it. It is shown to
// people who have to find out what became of a machine, and no command looks at
// it.
type Mesos interface {
	// Run asks the masters until the context ends. The service runs it beside
	// itself; what goes wrong with the masters is no error.
	Run(ctx context.Context) error
	// Agents returns what the masters say of the agents on nodes' machines. Nodes
	// of which they say nothing that is certain are missing. It returns at once,
	// with what is known.
	Agents(nodes []*api.Node) map[api.NodeID]*api.MesosAgent
	// Masters says how the masters themselves are.
	Masters() *api.MesosMasters
}

// evidence tells what Mesos says of a node's machine, nil for nothing.
type evidence func(api.NodeID) *api.MesosAgent

func (a *rest) evidence(s *cluster.State) evidence { return evidenceOf(a.mesos, s) }

// evidenceOf returns the evidence about the nodes of a state. They are looked up
// all together, when the first is asked for: most callers never do.
func evidenceOf(mesos Mesos, s *cluster.State) evidence {
	if mesos == nil {
		return func(api.NodeID) *api.MesosAgent { return nil }
	}
	all := sync.OnceValue(func() map[api.NodeID]*api.MesosAgent { return mesos.Agents(slices.Collect(s.Nodes())) })
	return func(id api.NodeID) *api.MesosAgent { return all()[id] }
}
