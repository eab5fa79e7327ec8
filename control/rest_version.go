package control

import "net/http"

func (a *rest) versionRoutes(s *server) {
	s.handle("/v1/version", methods{http.MethodGet: a.getVersion})
}

func (a *rest) getVersion(w http.ResponseWriter, _ *http.Request, _ caller) error {
	reply(w, http.StatusOK, struct {
		Flocker string `json:"flocker"`
	}{a.version})
	return nil
}
