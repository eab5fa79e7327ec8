package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

const pathLeases = "/v1/configuration/leases"

// Lease is a promise that a node is using a dataset, as Flocker's API shows it.
type Lease struct {
	Dataset api.DatasetID `json:"dataset_id"`
	Node    api.NodeID    `json:"node_uuid"`
	Expires *float64      `json:"expires"` // seconds still to go, nil for ever
}

// Leases returns all leases.
func (c *Client) Leases(ctx context.Context) ([]Lease, error) {
	var leases []Lease
	err := c.get(ctx, pathLeases, &leases)
	return leases, err
}

// AcquireLease acquires a lease for a node, or renews the one that it has, for a
// while from now, 0 for ever. Where another node has one it fails with
// api.CodeConflict.
func (c *Client) AcquireLease(ctx context.Context, dataset api.DatasetID, node api.NodeID, d time.Duration) (*Lease, error) {
	want := Lease{Dataset: dataset, Node: node}
	if d != 0 {
		seconds := d.Seconds()
		want.Expires = &seconds
	}
	var got Lease
	if _, _, err := c.c.call(ctx, request{method: http.MethodPost, path: pathLeases, body: want}, &got); err != nil {
		return nil, err
	}
	return &got, nil
}

// ReleaseLease ends a lease, whoever has it. Where there is none, perhaps since
// another caller ended it, it fails with api.CodeNotFound.
func (c *Client) ReleaseLease(ctx context.Context, dataset api.DatasetID) (*Lease, error) {
	var got Lease
	path := pathLeases + "/" + url.PathEscape(string(dataset))
	_, repeated, err := c.c.call(ctx, request{method: http.MethodDelete, path: path}, &got)
	switch {
	case err == nil:
		return &got, nil
	case repeated && api.CodeOf(err) == api.CodeNotFound:
		return &Lease{Dataset: dataset}, nil
	default:
		return nil, err
	}
}
