package control

import (
	"net/http"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// changeVolume makes a dataset larger, or changes its metadata, and shows it as
// it is then.
func (a *rest) changeVolume(w http.ResponseWriter, r *request) error {
	var change api.VolumeChange
	if err := r.decode(&change); err != nil {
		return err
	}
	found, err := a.volume(r, r.path("name"))
	if err != nil {
		return err
	}
	res, err := a.decide(r, cluster.ChangeDataset{
		At: a.now(), Expect: r.expect(), By: r.who.actor(), ID: found.Dataset.ID, Size: change.Size, Metadata: change.Metadata,
	})
	if err != nil {
		return err
	}
	if len(res.Changes) > 0 {
		a.log.Info("dataset was changed", "dataset", res.Dataset.ID, "name", res.Dataset.Name(), "size", res.Dataset.Size, "by", r.who.name)
	}
	full := detail(res.State, res.Dataset, a.evidence(res.State), a.now())
	w.Header().Set("ETag", tagOf(full))
	reply(w, http.StatusOK, full)
	return nil
}

// undeleteVolume takes back that a dataset is to be deleted since its app was
// destroyed, and shows it as it is then.
func (a *rest) undeleteVolume(w http.ResponseWriter, r *request) error {
	found, err := a.volume(r, r.path("name"))
	if err != nil {
		return err
	}
	res, err := a.decide(r, cluster.Undelete{At: a.now(), By: r.who.actor(), ID: found.Dataset.ID})
	if err != nil {
		return err
	}
	if len(res.Changes) > 0 {
		a.log.Info("dataset is not to be deleted any more", "dataset", res.Dataset.ID, "name", res.Dataset.Name(), "by", r.who.name)
	}
	full := detail(res.State, res.Dataset, a.evidence(res.State), a.now())
	w.Header().Set("ETag", tagOf(full))
	reply(w, http.StatusOK, full)
	return nil
}

// trimVolume asks the node that has a dataset mounted to trim its volume, and shows the
// dataset with the request. The answer stands in its state later.
func (a *rest) trimVolume(w http.ResponseWriter, r *request) error {
	found, err := a.volume(r, r.path("name"))
	if err != nil {
		return err
	}
	res, err := a.decide(r, cluster.Trim{At: a.now(), By: r.who.actor(), ID: found.Dataset.ID})
	if err != nil {
		return err
	}
	a.log.Info("asked for a trim", "dataset", res.Dataset.ID, "name", res.Dataset.Name(), "by", r.who.name)
	full := detail(res.State, res.Dataset, a.evidence(res.State), a.now())
	w.Header().Set("ETag", tagOf(full))
	reply(w, http.StatusAccepted, full)
	return nil
}
