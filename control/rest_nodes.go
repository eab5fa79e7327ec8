package control

import (
	"net/http"
	"slices"

	"github.com/gorilla/mux"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func (a *rest) nodeRoutes(s *server) {
	s.handle("/v1/nodes", methods{http.MethodGet: a.getNodes})
	s.handle("/v1/nodes/{node_id}", methods{http.MethodGet: a.getNode})
	s.handle("/v1/nodes/{node_id}/lost", methods{http.MethodPost: a.giveUpNode})
	s.handle("/v1/nodes/{node_id}/drain", methods{http.MethodPost: a.drainNode(false), http.MethodDelete: a.drainNode(true)})
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

// getNode shows a node with what it has.
func (a *rest) getNode(w http.ResponseWriter, r *http.Request, _ caller) error {
	s, id := a.replica.State(), api.NodeID(mux.Vars(r)["node_id"])
	n := s.Node(id)
	if n == nil {
		return api.Errorf(api.CodeNotFound, "there is no node %s: none with that id has ever connected", id)
	}
	reply(w, http.StatusOK, nodeDetail(s, n))
	return nil
}

// giveUpNode takes an operator's word that a silent node is off.
func (a *rest) giveUpNode(w http.ResponseWriter, r *http.Request, who caller) error {
	id := api.NodeID(mux.Vars(r)["node_id"])
	res, err := a.replica.Do(r.Context(), cluster.GiveUpNode{At: a.now(), Node: id})
	if err != nil {
		return err
	}
	if len(res.Changes) > 0 {
		a.log.Warn("node was given up", "node", res.Node.Name(), "id", id, "by", who.name)
	}
	reply(w, http.StatusOK, nodeDetail(res.State, res.State.Node(id)))
	return nil
}

// drainNode has a node emptied, or ends that.
func (a *rest) drainNode(end bool) handler {
	return func(w http.ResponseWriter, r *http.Request, who caller) error {
		id := api.NodeID(mux.Vars(r)["node_id"])
		res, err := a.replica.Do(r.Context(), cluster.DrainNode{At: a.now(), Node: id, End: end})
		if err != nil {
			return err
		}
		if len(res.Changes) > 0 {
			a.log.Info("draining of a node", "node", res.Node.Name(), "id", id, "ends", end, "by", who.name)
		}
		reply(w, http.StatusOK, nodeDetail(res.State, res.State.Node(id)))
		return nil
	}
}
