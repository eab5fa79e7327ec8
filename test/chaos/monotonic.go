package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
)

// shown remembers what one replica has shown, which must never go back, over
// restarts of it as well.
type shown struct {
	last map[api.DatasetID]*api.Dataset
}

// take compares what a replica shows now with what it has shown.
func (s *shown) take(replica string, details []*api.DatasetDetail) (anomalies []string) {
	now := map[api.DatasetID]*api.Dataset{}
	for _, d := range details {
		now[d.Dataset.ID] = d.Dataset
		old := s.last[d.Dataset.ID]
		if old != nil && (d.Dataset.Revision < old.Revision || d.Dataset.Epoch < old.Epoch || old.Deleted && !d.Dataset.Deleted) {
			anomalies = append(anomalies, fmt.Sprintf("%s shows dataset %s at revision %d in epoch %d, and has shown revision %d in epoch %d",
				replica, old.ID, d.Dataset.Revision, d.Dataset.Epoch, old.Revision, old.Epoch))
		}
	}
	for id, old := range s.last {
		if now[id] == nil && !old.Destroyed {
			anomalies = append(anomalies, fmt.Sprintf("%s does not show dataset %s any more, which is not destroyed", replica, id))
		}
	}
	s.last = now
	return anomalies
}

// readPause is between two pages that a reader compares.
const readPause = 300 * time.Millisecond

// readAlong reads from one replica until ctx ends, and returns how often that
// was answered.
func readAlong(ctx context.Context, client *http.Client, r *cluster.Control, report func(string, ...any)) (answered int) {
	s := &shown{}
	for sleep(ctx, readPause) {
		var details []*api.DatasetDetail
		if _, err := get(ctx, client, r, "/v1/volumes?deleted=true", &details); err != nil {
			continue // it is dead, stopped, or cannot be reached
		}
		answered++
		for _, a := range s.take(r.Name, details) {
			report("%s", a)
		}
	}
	return answered
}
