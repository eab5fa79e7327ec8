package control

import (
	"net/http"

	"github.com/flocker-mesos/flocker/api"
)

// Health is the answer of /health.
type Health struct {
	Status   string `json:"status"`
	Cluster  string `json:"cluster"`
	Revision uint64 `json:"revision"` // of the log
	Store    string `json:"store"`
}

// health says whether a replica can serve.
func health(w http.ResponseWriter, r *Replica) error {
	select {
	case <-r.stopped:
		return api.Errorf(api.CodeUnavailable, "this control service is stopping")
	default:
	}
	s := r.State()
	reply(w, http.StatusOK, Health{Status: "ok", Cluster: s.Meta().Cluster, Revision: s.Revision(), Store: r.props.Name})
	return nil
}
