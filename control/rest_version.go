package control

import "net/http"

func (a *rest) getVersion(w http.ResponseWriter, _ *request) error {
	reply(w, http.StatusOK, struct {
		Flocker string `json:"flocker"`
	}{a.version})
	return nil
}

func (a *rest) getDocument(w http.ResponseWriter, _ *request) error {
	replyText(w, http.StatusOK, a.document.JSON())
	return nil
}
