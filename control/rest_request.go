package control

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/gorilla/mux"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/openapi"
)

// operation carries out an operation of the document, or says why it does not.
type operation func(w http.ResponseWriter, r *request) error

// request is one that is as the document wants it.
type request struct {
	*http.Request

	who  caller
	body []byte
}

// newRequest reads a request and says what is wrong with it, by the document or
// as an *api.Error. With an error, the request is there for its header.
func newRequest(op *openapi.Operation, r *http.Request, who caller) (*request, error) {
	req := &request{Request: r, who: who}
	if err := op.CheckParameters(mux.Vars(r), r.URL.Query()); err != nil {
		return req, err
	}
	if !op.HasBody() {
		return req, nil
	}
	body, err := readBody(r)
	if err != nil {
		return req, err
	}
	req.body = body
	return req, op.CheckBody(body)
}

// decode reads the body.
func (r *request) decode(into any) error {
	if err := json.Unmarshal(r.body, into); err != nil {
		// The schema has let it through, and so only sees numbers that are
		// larger than anything that can be meant.
		return &schemaError{[]string{err.Error()}}
	}
	return nil
}

// path returns a parameter of the path.
func (r *request) path(name string) string { return mux.Vars(r.Request)[name] }

func (r *request) dataset() api.DatasetID { return api.DatasetID(r.path("dataset_id")) }

// node returns the id of a node, which may be in any spelling.
func (r *request) node() api.NodeID { return nodeID(r.path("node_id")) }

// query returns a parameter of the query, "" where it is not given.
func (r *request) query(name string) string { return r.URL.Query().Get(name) }

// attempt returns which attempt at a request this one is, with the number 0
// where the client does not say.
func (r *request) attempt() (cluster.Attempt, error) {
	text := r.Header.Get(headerAttempt)
	if text == "" {
		return cluster.Attempt{}, nil
	}
	name, count, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || name == "" {
		return cluster.Attempt{}, api.FieldErrorf(headerAttempt, "%.100q is not a name and a number from 1", text)
	}
	return cluster.Attempt{Request: name, Number: n}, nil
}

// expect returns the condition of a request.
func (r *request) expect() cluster.Expect { return r.Header.Values(headerMatch) }
