package control

import (
	"net/http"
	"slices"

	"github.com/flocker-mesos/flocker/api"
)

func (a *rest) nodeRoutes(s *server) {
	s.handle("/v1/nodes", methods{http.MethodGet: a.getNodes})
}

// getNodes lists all nodes that have ever connected.
func (a *rest) getNodes(w http.ResponseWriter, _ *http.Request, _ caller) error {
	nodes := slices.Collect(a.replica.State().Nodes())
	if nodes == nil {
		nodes = []*api.Node{}
	}
	reply(w, http.StatusOK, nodes)
	return nil
}
