package control

import (
	"net/http"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// listNodes lists all nodes that have ever connected.
func (a *rest) listNodes(w http.ResponseWriter, r *request) error {
	s := a.replica.State()
	mesos, nodes := a.evidence(s), []*api.NodeDetail{}
	for n := range s.Nodes() {
		nodes = append(nodes, nodeDetail(s, n, mesos, r.who.actor()))
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
	reply(w, http.StatusOK, nodeDetail(s, n, a.evidence(s), r.who.actor()))
	return nil
}

// giveUpNode takes an operator's word that a silent node is off.
func (a *rest) giveUpNode(w http.ResponseWriter, r *request) error {
	id := r.node()
	res, err := a.decide(r, cluster.GiveUpNode{At: a.now(), Node: id, Force: r.query("force") == "true"})
	if err != nil {
		return err
	}
	if len(res.Changes) > 0 {
		said := "nothing"
		if m := a.evidence(res.State)(id); m != nil {
			said = string(m.State)
		}
		a.log.Warn("node was given up", "node", res.Node.Name(), "id", id, "by", r.who.name, "forced", res.Node.Forced, "mesos_says", said)
	}
	reply(w, http.StatusOK, nodeDetail(res.State, res.State.Node(id), a.evidence(res.State), r.who.actor()))
	return nil
}

// removeNode forgets a node that is gone for good.
func (a *rest) removeNode(w http.ResponseWriter, r *request) error {
	cmd := cluster.RemoveNode{At: a.now(), Node: r.node(), Leftovers: r.query("leftovers") == "true"}
	before := a.replica.State()
	shown := before.Node(cmd.Node)
	if shown == nil {
		shown = &api.Node{ID: cmd.Node}
	}
	answer := nodeDetail(before, shown, a.evidence(before), r.who.actor())
	for {
		res, err := a.decide(r, cmd)
		if err != nil {
			return err
		}
		if !res.More {
			a.log.Warn("node was removed", "node", res.Node.Name(), "id", cmd.Node, "by", r.who.name, "leftovers", cmd.Leftovers)
			reply(w, http.StatusOK, answer)
			return nil
		}
	}
}

// allowInstance takes an operator's word that a node runs on an instance.
func (a *rest) allowInstance(w http.ResponseWriter, r *request) error {
	var body struct {
		Instance string `json:"instance"`
	}
	if err := r.decode(&body); err != nil {
		return err
	}
	id := r.node()
	res, err := a.decide(r, cluster.AllowInstance{At: a.now(), Node: id, Instance: body.Instance})
	if err != nil {
		return err
	}
	if len(res.Changes) > 0 {
		a.log.Warn("instance allowed for a node", "id", id, "instance", body.Instance, "by", r.who.name)
	}
	n := res.State.Node(id)
	if n == nil { // nothing to allow: the answer shows what was asked for
		n = res.Node
	}
	reply(w, http.StatusOK, nodeDetail(res.State, n, a.evidence(res.State), r.who.actor()))
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
	reply(w, http.StatusOK, nodeDetail(res.State, res.State.Node(id), a.evidence(res.State), r.who.actor()))
	return nil
}
