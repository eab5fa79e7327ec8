package control

import (
	"net/http"

	"github.com/flocker-mesos/flocker/api"
)

// changeVolume makes a dataset larger, or changes its metadata.
func (a *rest) changeVolume(w http.ResponseWriter, r *request) error {
	return api.Errorf(api.CodeInternal, "not yet")
}
