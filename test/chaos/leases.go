package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
)

const leasesPath = "/v1/configuration/leases"

// lease is a lease as REST shows it.
type lease struct {
	Dataset api.DatasetID `json:"dataset_id"`
	Node    api.NodeID    `json:"node_uuid"`
	Expires float64       `json:"expires"` // seconds
}

// lease has a user acquire short leases of the consumers' volumes, for nodes
// that have them and for others, and release some, until ctx ends.
func (s *consumers) lease(ctx context.Context, client *http.Client, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 3))
	for sleep(ctx, time.Duration(r.Int64N(int64(time.Second)))) {
		l, n := s.ledgers[r.IntN(len(s.ledgers))], s.cluster.Nodes[r.IntN(len(s.cluster.Nodes))]
		replica := s.cluster.Controls[r.IntN(len(s.cluster.Controls))]
		want := lease{Dataset: l.dataset(), Node: n.ID, Expires: 3 * r.Float64()}
		release := r.IntN(5) == 0
		if want.Dataset == "" {
			continue
		}
		switch status, err := want.call(ctx, client, replica, release); {
		case err != nil, status == http.StatusServiceUnavailable:
		case release && status == http.StatusOK:
			s.count("lease released")
		case release && status == http.StatusNotFound, !release && status == http.StatusConflict:
		case !release && (status == http.StatusOK || status == http.StatusCreated):
			s.count("leased")
		default:
			s.report("lease of %s by %s (release: %t): the answer is %d", l.name, n.Name, release, status)
		}
	}
}

// call acquires or releases a lease and returns the status of the answer.
func (l lease) call(ctx context.Context, client *http.Client, replica *cluster.Control, release bool) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	method, path, body := http.MethodPost, leasesPath, any(l)
	if release {
		method, path, body = http.MethodDelete, leasesPath+"/"+string(l.Dataset), nil
	}
	a, err := call(ctx, client, replica, method, path, "", body)
	return a.status, err
}

// unlease releases all leases, and reports whether there were any.
func (r *run) unlease(ctx context.Context) error {
	var all []lease
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := get(callCtx, r.http, r.cluster.Control, leasesPath, &all); err != nil {
		return err
	}
	for _, l := range all {
		if _, err := l.call(ctx, r.http, r.cluster.Control, true); err != nil {
			return err
		}
	}
	if len(all) > 0 {
		return fmt.Errorf("there were %d", len(all))
	}
	return nil
}
