package control

import (
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func (a *rest) listDatasets(w http.ResponseWriter, r *request) error {
	s := a.replica.State()
	tag := s.Tag().String()
	w.Header().Set(headerTag, tag)
	w.Header().Set("ETag", `"`+tag+`"`)
	if r.Header.Get("If-None-Match") == `"`+tag+`"` {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if by := r.who.actor(); s.Bound(by) {
		reply(w, http.StatusOK, configurationFor(s, by))
		return nil
	}
	list, err := a.configuration.of(s)
	if err != nil {
		return err
	}
	replyText(w, http.StatusOK, list.text)
	return nil
}

func (a *rest) createDataset(w http.ResponseWriter, r *request) error {
	var body struct {
		ID          string            `json:"dataset_id"`
		Primary     string            `json:"primary"`
		MaximumSize int64             `json:"maximum_size"`
		Metadata    map[string]string `json:"metadata"`
		User        string            `json:"user"`
		Permissions string            `json:"permissions"`
		Owner       api.Owner         `json:"owner"`
	}
	if err := r.decode(&body); err != nil {
		return err
	}
	if body.ID == "" {
		body.ID = uuid.NewString()
	}
	return a.do(w, r, http.StatusCreated, cluster.Create{
		At: a.now(), Expect: r.expect(), ID: api.DatasetID(strings.ToLower(body.ID)), Primary: nodeID(body.Primary),
		MaximumSize: body.MaximumSize, DefaultSize: a.defaultSize, Metadata: body.Metadata,
		User: body.User, Permissions: body.Permissions,
		By: r.who.actor(), Owner: body.Owner,
	})
}

func (a *rest) moveDataset(w http.ResponseWriter, r *request) error {
	var body struct {
		Primary string `json:"primary"`
	}
	if err := r.decode(&body); err != nil {
		return err
	}
	return a.do(w, r, http.StatusOK, cluster.Move{At: a.now(), Expect: r.expect(), By: r.who.actor(), ID: r.dataset(), Primary: nodeID(body.Primary)})
}

func (a *rest) deleteDataset(w http.ResponseWriter, r *request) error {
	return a.do(w, r, http.StatusOK, cluster.Delete{At: a.now(), Expect: r.expect(), By: r.who.actor(), ID: r.dataset()})
}

// configurationFor returns the configuration of the datasets that a tenant may use.
func configurationFor(s *cluster.State, by cluster.Actor) []cluster.Configuration {
	list := []cluster.Configuration{}
	for d := range s.Datasets() {
		if s.MayUse(d, by) {
			list = append(list, cluster.ConfigurationOf(d))
		}
	}
	return list
}

// nodeID returns a node's id in the spelling that it has everywhere.
func nodeID(text string) api.NodeID {
	if id, ok := api.ParseID(text); ok {
		return api.NodeID(id)
	}
	return api.NodeID(strings.ToLower(text))
}
