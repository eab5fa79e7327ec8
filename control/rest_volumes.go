package control

import (
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func (a *rest) volumeRoutes(s *server) {
	s.handle("/v1/volumes", methods{http.MethodGet: a.getVolumes})
	s.handle("/v1/volumes/{name:.+}", methods{http.MethodGet: a.getVolume})
}

// getVolumes lists all datasets whose volumes are not gone, with ?deleted=true
// those as well.
func (a *rest) getVolumes(w http.ResponseWriter, r *http.Request, _ caller) error {
	all := r.URL.Query().Get("deleted") == "true"
	s, now := a.replica.State(), a.now()
	details := []*api.DatasetDetail{}
	for d := range s.Datasets() {
		if all || !d.Destroyed {
			details = append(details, detail(s, d, now))
		}
	}
	reply(w, http.StatusOK, details)
	return nil
}

// getVolume shows one dataset, by its id or by the name of a live one.
func (a *rest) getVolume(w http.ResponseWriter, r *http.Request, _ caller) error {
	s, name := a.replica.State(), mux.Vars(r)["name"]
	d := s.Dataset(api.DatasetID(name))
	if d == nil {
		d = s.DatasetByName(name)
	}
	if d == nil {
		return api.Errorf(api.CodeNotFound, "there is no dataset with the name or id %q", name)
	}
	reply(w, http.StatusOK, detail(s, d, a.now()))
	return nil
}

// detail returns a dataset in full.
func detail(s *cluster.State, d *api.Dataset, now time.Time) *api.DatasetDetail {
	full := &api.DatasetDetail{Dataset: d, State: s.DatasetState(d.ID)}
	if d.Holder != nil {
		full.Holder = s.Node(d.Holder.Node)
	}
	status, why := cluster.Explain(d, full.State, s.Node, now)
	full.Status, full.Why = string(status), why
	return full
}
