package control

import (
	"net/http"

	"github.com/flocker-mesos/flocker/api"
)

// Health is the answer of /health and /ready.
type Health struct {
	Status   string `json:"status"`
	Cluster  string `json:"cluster"`
	Revision uint64 `json:"revision"` // of the log
	Store    string `json:"store"`
}

func (a *rest) getHealth(w http.ResponseWriter, _ *request) error { return health(w, a.replica) }

func (a *rest) getReadiness(w http.ResponseWriter, _ *request) error {
	return readiness(w, a.replica, a.well)
}

// health says whether a replica runs.
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

// readiness says whether a replica should be called.
func readiness(w http.ResponseWriter, r *Replica, well func() error) error {
	if err := well(); err != nil {
		return api.Errorf(api.CodeUnavailable, "call another replica: %v", err)
	}
	return health(w, r)
}
