package control

import (
	"net/http"
	"slices"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// getStatus shows the whole cluster, and everything that needs attention.
func (a *rest) getStatus(w http.ResponseWriter, r *request) error {
	s, now := a.replica.State(), a.now()
	mesos := a.evidence(s)
	since, cause := a.replica.outage.state()
	status := api.ClusterStatus{
		Cluster: s.Meta().Cluster, Replica: a.self, Version: a.version, Store: a.replica.props.Name, Revision: s.Revision(),
		Log: shownLog(s), OtherLogs: a.replica.strangers.all(now, s.Node), Warnings: slices.Concat(a.replica.warnings, s.MarathonWarnings()),
		Now: now, StaleSince: since, Settings: s.Meta().Settings,
		Replicas: []*api.Replica{}, Nodes: []*api.NodeDetail{}, Troubles: []*api.DatasetDetail{},
	}
	if cause != nil {
		status.StaleCause = cause.Error()
	}
	status.Marathon, status.Orphans = marathonStatus(s), s.CountOrphans()
	if a.mesos != nil {
		status.Mesos = a.mesos.Masters()
	}
	for replica := range s.Replicas() {
		status.Replicas = append(status.Replicas, replica)
	}
	for n := range s.Nodes() {
		status.Nodes = append(status.Nodes, nodeDetail(s, n, mesos, r.who.actor()))
	}
	if !s.Bound(r.who.actor()) {
		status.AllDamaged = s.CountDamage()
	}
	for d := range s.Damage() { // whose the records are is not known
		if !s.Bound(r.who.actor()) && len(status.Damaged) < api.MaxTroubles {
			id, _ := d.Key.Frozen()
			status.Damaged = append(status.Damaged, api.DamagedRecord{Key: string(d.Key), Dataset: id, What: d.What, Since: d.Since, Mendable: d.Mendable()})
		}
	}
	for key := range s.Newer() {
		status.Newer = append(status.Newer, string(key))
	}
	for d := range s.Datasets() {
		if d.Destroyed || !s.MayUse(d, r.who.actor()) {
			continue
		}
		status.Datasets++
		if full := detail(s, d, mesos, now); troubled(cluster.Status(full.Status)) {
			status.AllTroubles++
			if len(status.Troubles) < api.MaxTroubles {
				status.Troubles = append(status.Troubles, full)
			}
		}
	}
	reply(w, http.StatusOK, status)
	return nil
}

// troubled reports whether a dataset is not as somebody wants it.
func troubled(s cluster.Status) bool {
	switch s {
	case cluster.StatusFencing, cluster.StatusUnreachable, cluster.StatusFailing, cluster.StatusWaiting, cluster.StatusDeleting:
		return true
	default:
		return false
	}
}

// withoutAgent returns a node as answers show it: without what tells its agent from
// another one, nil for nil.
func withoutAgent(n *api.Node) *api.Node {
	if n == nil {
		return nil
	}
	c := *n
	c.Agent = ""
	return &c
}

// nodeDetail returns a node in full; it counts the datasets that an actor may use.
func nodeDetail(s *cluster.State, n *api.Node, mesos evidence, by cluster.Actor) *api.NodeDetail {
	full := &api.NodeDetail{Node: withoutAgent(n), Mesos: mesos(n.ID)}
	for d := range s.Concerning(n.ID) {
		switch {
		case !s.MayUse(d, by):
		case d.HeldBy(n.ID):
			full.Held++
		case d.AwaitedBy(n.ID):
			full.Waiting++
		}
	}
	return full
}

// shownLog is which log it is, without what only machines compare.
func shownLog(s *cluster.State) api.LogIdentity {
	l := s.Identity()
	l.Starts = nil
	return l
}
