package control

import (
	"net/http"
	"slices"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// listNodes lists all nodes that have ever connected.
func (a *rest) listNodes(w http.ResponseWriter, _ *request) error {
	nodes := slices.Collect(a.replica.State().Nodes())
	if nodes == nil {
		nodes = []*api.Node{}
	}
	reply(w, http.StatusOK, nodes)
	return nil
}

// getNode shows a node with what it has.
func (a *rest) getNode(w http.ResponseWriter, r *request) error {
	s, id := a.replica.State(), r.node()
	n := s.Node(id)
	if n == nil {
		return api.Errorf(api.CodeNotFound, "there is no node %s: none with that id has ever connected", id)
	}
	reply(w, http.StatusOK, nodeDetail(s, n))
	return nil
}

// giveUpNode takes an operator's word that a silent node is off.
func (a *rest) giveUpNode(w http.ResponseWriter, r *request) error {
	id := r.node()
	res, err := a.decide(r, cluster.GiveUpNode{At: a.now(), Node: id})
	if err != nil {
		return err
	}
	if len(res.Changes) > 0 {
		a.log.Warn("node was given up", "node", res.Node.Name(), "id", id, "by", r.who.name)
	}
	reply(w, http.StatusOK, nodeDetail(res.State, res.State.Node(id)))
	return nil
}

// drainNode has a node emptied.
func (a *rest) drainNode(w http.ResponseWriter, r *request) error { return a.drain(w, r, false) }

func (a *rest) undrainNode(w http.ResponseWriter, r *request) error { return a.drain(w, r, true) }

func (a *rest) drain(w http.ResponseWriter, r *request, end bool) error {
	id := r.node()
	res, err := a.decide(r, cluster.DrainNode{At: a.now(), Node: id, End: end})
	if err != nil {
		return err
	}
	if len(res.Changes) > 0 {
		a.log.Info("draining of a node", "node", res.Node.Name(), "id", id, "ends", end, "by", r.who.name)
	}
	reply(w, http.StatusOK, nodeDetail(res.State, res.State.Node(id)))
	return nil
}
