package control

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/gorilla/mux"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func (a *rest) datasetRoutes(s *server) {
	s.handle("/v1/configuration/datasets", methods{
		http.MethodGet:  a.getDatasets,
		http.MethodPost: a.createDataset,
	})
	s.handle("/v1/configuration/datasets/{dataset_id}", methods{
		http.MethodPost:   a.moveDataset,
		http.MethodDelete: a.deleteDataset,
	})
}

func (a *rest) getDatasets(w http.ResponseWriter, r *http.Request, _ caller) error {
	s := a.replica.State()
	tag := s.Tag().String()
	w.Header().Set(headerTag, tag)
	w.Header().Set("ETag", `"`+tag+`"`)
	if r.Header.Get("If-None-Match") == `"`+tag+`"` {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	list, err := a.configuration.of(s)
	if err != nil {
		return err
	}
	replyText(w, http.StatusOK, list.text)
	return nil
}

// do has a write decided and answers with the dataset. A request with a
// mistake in it is refused by its condition first, as Flocker does.
func (a *rest) do(w http.ResponseWriter, r *http.Request, status int, cmd cluster.Command, mistake error) error {
	if mistake != nil {
		if err := expect(r).Check(a.replica.State()); err != nil {
			return err
		}
		return mistake
	}
	res, err := a.replica.Do(r.Context(), cmd)
	if err != nil {
		return err
	}
	reply(w, status, cluster.ConfigurationOf(res.Dataset))
	return nil
}

func (a *rest) createDataset(w http.ResponseWriter, r *http.Request, _ caller) error {
	body, err := readBody(r)
	if err != nil {
		return a.do(w, r, 0, nil, err)
	}
	c, err := parseCreate(body)
	if c.ID == "" {
		c.ID = api.DatasetID(uuid.NewString())
	}
	c.At, c.Expect, c.DefaultSize = a.now(), expect(r), a.defaultSize
	return a.do(w, r, http.StatusCreated, c, err)
}

func (a *rest) moveDataset(w http.ResponseWriter, r *http.Request, _ caller) error {
	body, err := readBody(r)
	if err != nil {
		return a.do(w, r, 0, nil, err)
	}
	c, err := parseMove(body)
	c.At, c.Expect, c.ID = a.now(), expect(r), api.DatasetID(mux.Vars(r)["dataset_id"])
	return a.do(w, r, http.StatusOK, c, err)
}

func (a *rest) deleteDataset(w http.ResponseWriter, r *http.Request, _ caller) error {
	id := api.DatasetID(mux.Vars(r)["dataset_id"])
	return a.do(w, r, http.StatusOK, cluster.Delete{At: a.now(), Expect: expect(r), ID: id}, nil)
}
