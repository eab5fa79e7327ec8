package control

import "net/http"

// Flocker's containers have been given up long ago; clients that still look
// find none.
func (a *rest) containerRoutes(s *server) {
	none := methods{http.MethodGet: func(w http.ResponseWriter, _ *http.Request, _ caller) error {
		replyText(w, http.StatusOK, []byte("[]"))
		return nil
	}}
	s.handle("/v1/configuration/containers", none)
	s.handle("/v1/state/containers", none)
}
