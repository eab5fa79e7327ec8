package control

import (
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// listVolumes lists the datasets that the query chooses, perhaps one page of them.
func (a *rest) listVolumes(w http.ResponseWriter, r *request) error {
	q, after, limit := r.volumeQuery(), api.DatasetID(r.query("after")), 0
	if text := r.query("limit"); text != "" {
		limit, _ = strconv.Atoi(text) // the document has seen to it
	}
	s, now := a.replica.State(), a.now()
	mesos := a.evidence(s)
	details := []*api.DatasetDetail{}
	for d := range candidates(s, q, after) {
		if !q.Chooses(d) || !s.MayUse(d, r.who.actor()) {
			continue
		}
		full := detail(s, d, mesos, now)
		if q.Status != "" && full.Status != q.Status {
			continue
		}
		if limit > 0 && len(details) == limit {
			w.Header().Set("Link", nextPage(r, details[limit-1].Dataset.ID))
			break
		}
		details = append(details, full)
	}
	reply(w, http.StatusOK, details)
	return nil
}

func (r *request) volumeQuery() api.VolumeQuery {
	q := api.VolumeQuery{
		Gone: r.query("deleted") == "true" || r.query("status") == string(cluster.StatusDestroyed),
		Name: r.query("name"), ID: idPrefix(r.query("id")), Status: r.query("status"), Node: nodeID(r.query("node")),
		Set: r.query("set"), Metadata: map[string]string{},
	}
	for _, entry := range r.URL.Query()["metadata"] {
		key, value, _ := strings.Cut(entry, "=")
		q.Metadata[key] = value
	}
	return q
}

// idPrefix returns the beginning of an id as ids are written; a text that is none
// chooses nothing.
func idPrefix(text string) string {
	if prefix, ok := api.ParseIDPrefix(text); ok {
		return prefix
	}
	return strings.ToLower(text)
}

// candidates yields the datasets that can be meant, in the order of their ids
// and after one of them: all, where no index helps.
func candidates(s *cluster.State, q api.VolumeQuery, after api.DatasetID) iter.Seq[*api.Dataset] {
	if q.Name == "" || q.Gone { // names of deleted datasets are in no index
		return s.DatasetsAfter(max(after, before(q.ID)))
	}
	return func(yield func(*api.Dataset) bool) {
		if d := s.DatasetByName(q.Name); d != nil && d.ID > after {
			yield(d)
		}
	}
}

// before returns what comes right before all ids with a beginning.
func before(prefix string) api.DatasetID {
	if prefix == "" {
		return ""
	}
	last := len(prefix) - 1
	return api.DatasetID(prefix[:last] + string(prefix[last]-1) + "\xff")
}

// nextPage returns the header that names the page after a dataset (RFC 8288).
func nextPage(r *request, last api.DatasetID) string {
	query := r.URL.Query()
	query.Set("after", string(last))
	return fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.EscapedPath(), query.Encode())
}
