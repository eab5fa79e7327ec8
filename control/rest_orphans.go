package control

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// listOrphans lists the volumes that storage systems have and the log does not know.
func (a *rest) listOrphans(w http.ResponseWriter, r *request) error {
	if err := a.replica.State().OrphansFor(r.who.actor()); err != nil {
		return err
	}
	list := []*api.Orphan{}
	for o := range a.replica.State().Orphans() {
		list = append(list, o)
	}
	slices.SortFunc(list, func(x, y *api.Orphan) int {
		return cmp.Or(cmp.Compare(x.Volume.Backend, y.Volume.Backend), cmp.Compare(x.Name, y.Name), cmp.Compare(x.Volume.ID, y.Volume.ID))
	})
	reply(w, http.StatusOK, list)
	return nil
}

// adoptOrphan takes one into the log and shows the dataset that it has become.
func (a *rest) adoptOrphan(w http.ResponseWriter, r *request) error {
	var how api.Adoption
	if err := r.decode(&how); err != nil {
		return err
	}
	res, err := a.decide(r, cluster.Adopt{At: a.now(), By: r.who.actor(), Orphan: r.path("orphan"), Name: how.Name, Owner: how.Owner})
	if err != nil {
		return err
	}
	a.log.Info("orphan volume was adopted", "dataset", res.Dataset.ID, "name", res.Dataset.Name(), "volume", res.Dataset.Volume.ID,
		"found_by", nodeName(res.State, res.Orphan.Node), "by", r.who.name)
	full := detail(res.State, res.Dataset, a.evidence(res.State), a.now())
	w.Header().Set("ETag", tagOf(full))
	reply(w, http.StatusOK, full)
	return nil
}

// forgetOrphan drops one: its name is free again.
func (a *rest) forgetOrphan(w http.ResponseWriter, r *request) error {
	res, err := a.decide(r, cluster.ForgetOrphan{By: r.who.actor(), Orphan: r.path("orphan")})
	if err != nil {
		return err
	}
	a.log.Info("orphan volume was forgotten", "dataset", res.Orphan.Dataset, "name", res.Orphan.Name, "volume", res.Orphan.Volume.ID,
		"found_by", nodeName(res.State, res.Orphan.Node), "by", r.who.name)
	reply(w, http.StatusOK, res.Orphan)
	return nil
}
