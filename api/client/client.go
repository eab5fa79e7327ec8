package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/api"
)

// Client calls the REST API as a user. Any number of goroutines may use it.
type Client struct{ c *caller }

// New returns a client.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.check(UserPort)
	if err != nil {
		return nil, err
	}
	return &Client{newCaller(cfg)}, nil
}

// Close closes the connections that are not in use. No call can be made any
// more.
func (c *Client) Close() { c.c.close() }

// Dataset is what is wanted of a dataset, as Flocker's API shows it.
type Dataset struct {
	ID          api.DatasetID     `json:"dataset_id"`
	Primary     api.NodeID        `json:"primary"`
	Deleted     bool              `json:"deleted"`
	Metadata    map[string]string `json:"metadata"`
	MaximumSize int64             `json:"maximum_size,omitempty"` // bytes, 0 where none was asked for
}

// DatasetState is where a dataset is, as Flocker's API shows it.
type DatasetState struct {
	ID          api.DatasetID `json:"dataset_id"`
	Primary     api.NodeID    `json:"primary"` // where it is mounted, "" for nowhere
	Path        string        `json:"path"`
	MaximumSize int64         `json:"maximum_size"` // of the volume, in bytes
}

// NodeState is a node that is there, as Flocker's API shows it.
type NodeState struct {
	ID   api.NodeID `json:"uuid"`
	Host string     `json:"host"` // its address
}

// CreateRequest is what a new dataset should be.
type CreateRequest struct {
	ID          api.DatasetID     `json:"dataset_id,omitempty"` // "" for a new one
	Primary     api.NodeID        `json:"primary"`
	MaximumSize int64             `json:"maximum_size,omitempty"` // bytes, 0 for the default
	Metadata    map[string]string `json:"metadata,omitempty"`
	User        string            `json:"user,omitempty"`        // uid[:gid]
	Permissions string            `json:"permissions,omitempty"` // such as 0750
	Owner       api.Owner         `json:"owner,omitempty"`       // "" for the caller
}

// Version returns the version of the control service.
func (c *Client) Version(ctx context.Context) (string, error) {
	var v struct {
		Flocker string `json:"flocker"`
	}
	err := c.get(ctx, "/v1/version", &v)
	return v.Flocker, err
}

// Datasets returns the configuration of all datasets, deleted ones included,
// and its tag for conditional writes.
func (c *Client) Datasets(ctx context.Context) (datasets []Dataset, tag string, err error) {
	header, _, err := c.c.call(ctx, request{method: http.MethodGet, path: pathDatasets}, &datasets)
	if err != nil {
		return nil, "", err
	}
	return datasets, header.Get(headerTag), nil
}

// Create creates a dataset. With a tag it does so only if the configuration
// still has it, else it fails with api.CodePrecondition.
func (c *Client) Create(ctx context.Context, req CreateRequest, tag string) (*Dataset, error) {
	if req.ID == "" {
		// An id of our own makes the call one that can be repeated.
		req.ID = api.DatasetID(uuid.NewString())
	}
	return c.write(ctx, request{method: http.MethodPost, path: pathDatasets, body: req}, tag, req.ID,
		func(d *api.Dataset) bool {
			return !d.Deleted && d.Primary == req.Primary && d.MaximumSize == req.MaximumSize
		})
}

// Move puts a dataset on another node; tag as for Create.
func (c *Client) Move(ctx context.Context, id api.DatasetID, to api.NodeID, tag string) (*Dataset, error) {
	body := struct {
		Primary api.NodeID `json:"primary"`
	}{to}
	return c.write(ctx, request{method: http.MethodPost, path: pathDataset(id), body: body}, tag, id,
		func(d *api.Dataset) bool { return !d.Deleted && d.Primary == to })
}

// Delete has a dataset and its data destroyed; tag as for Create.
func (c *Client) Delete(ctx context.Context, id api.DatasetID, tag string) (*Dataset, error) {
	return c.write(ctx, request{method: http.MethodDelete, path: pathDataset(id)}, tag, id,
		func(d *api.Dataset) bool { return d.Deleted })
}

// DatasetStates returns where all datasets are that have volumes.
func (c *Client) DatasetStates(ctx context.Context) ([]DatasetState, error) {
	var states []DatasetState
	err := c.get(ctx, "/v1/state/datasets", &states)
	return states, err
}

// NodeStates returns the nodes that are there.
func (c *Client) NodeStates(ctx context.Context) ([]NodeState, error) {
	var nodes []NodeState
	err := c.get(ctx, "/v1/state/nodes", &nodes)
	return nodes, err
}

// NodeByEra returns which node announced an era, its kernel's boot id.
func (c *Client) NodeByEra(ctx context.Context, era string) (api.NodeID, error) {
	var n struct {
		ID api.NodeID `json:"uuid"`
	}
	err := c.get(ctx, "/v1/state/nodes/by_era/"+url.PathEscape(era), &n)
	return n.ID, err
}

// Nodes returns all nodes that have ever connected.
func (c *Client) Nodes(ctx context.Context) ([]*api.Node, error) {
	var nodes []*api.Node
	err := c.get(ctx, "/v1/nodes", &nodes)
	return nodes, err
}

// NodesInFull returns all nodes that have ever connected, with what they have
// and what Mesos says of them.
func (c *Client) NodesInFull(ctx context.Context) ([]*api.NodeDetail, error) {
	var nodes []*api.NodeDetail
	err := c.get(ctx, "/v1/nodes", &nodes)
	return nodes, err
}

// Status returns how the cluster is.
func (c *Client) Status(ctx context.Context) (*api.ClusterStatus, error) {
	var status api.ClusterStatus
	if err := c.get(ctx, "/v1/status", &status); err != nil {
		return nil, err
	}
	return &status, nil
}

// Node returns a node with what it has.
func (c *Client) Node(ctx context.Context, id api.NodeID) (*api.NodeDetail, error) {
	return c.node(ctx, http.MethodGet, id, "")
}

// GiveUpNode says, on the caller's word, that a silent node is off: its volumes
// may go to others. Forced, that counts also where the storage system is certain
// that the node has a volume in use.
func (c *Client) GiveUpNode(ctx context.Context, id api.NodeID, force bool) (*api.NodeDetail, error) {
	what := "/lost"
	if force {
		what += "?force=true"
	}
	return c.node(ctx, http.MethodPost, id, what)
}

// RemoveNode removes a node that is gone for good, with leftovers also the datasets whose
// volumes only that node could reach. It returns the node as it was. If it is removed
// already it fails with api.CodeNotFound.
func (c *Client) RemoveNode(ctx context.Context, id api.NodeID, leftovers bool) (*api.NodeDetail, error) {
	n := api.NodeDetail{Node: &api.Node{ID: id}}
	path := "/v1/nodes/" + url.PathEscape(string(id))
	if leftovers {
		path += "?leftovers=true"
	}
	_, repeated, err := c.c.call(ctx, request{method: http.MethodDelete, path: path}, &n)
	if err != nil && (!repeated || api.CodeOf(err) != api.CodeNotFound) {
		return nil, err
	}
	return &n, nil
}

// AllowInstance says, on the caller's word, that a node runs on an instance.
func (c *Client) AllowInstance(ctx context.Context, id api.NodeID, instance string) (*api.NodeDetail, error) {
	var n api.NodeDetail
	r := request{method: http.MethodPost, path: "/v1/nodes/" + url.PathEscape(string(id)) + "/instance", body: map[string]string{"instance": instance}}
	if _, _, err := c.c.call(ctx, r, &n); err != nil {
		return nil, err
	}
	return &n, nil
}

// DrainNode has a node emptied, or ends that.
func (c *Client) DrainNode(ctx context.Context, id api.NodeID, end bool) (*api.NodeDetail, error) {
	method := http.MethodPost
	if end {
		method = http.MethodDelete
	}
	return c.node(ctx, method, id, "/drain")
}

func (c *Client) node(ctx context.Context, method string, id api.NodeID, what string) (*api.NodeDetail, error) {
	var n api.NodeDetail
	if _, _, err := c.c.call(ctx, request{method: method, path: "/v1/nodes/" + url.PathEscape(string(id)) + what}, &n); err != nil {
		return nil, err
	}
	return &n, nil
}

// Backends returns the storage systems that the cluster's agents drive.
func (c *Client) Backends(ctx context.Context) ([]*api.BackendDetail, error) {
	var backends []*api.BackendDetail
	err := c.get(ctx, "/v1/backends", &backends)
	return backends, err
}

// Orphans returns the volumes that storage systems have and the log does not know.
func (c *Client) Orphans(ctx context.Context) ([]*api.Orphan, error) {
	var orphans []*api.Orphan
	err := c.get(ctx, "/v1/orphans", &orphans)
	return orphans, err
}

// Adopt takes an orphan, by its name or an id, into the log.
func (c *Client) Adopt(ctx context.Context, orphan string, how api.Adoption) (*api.DatasetDetail, error) {
	var detail api.DatasetDetail
	req := request{method: http.MethodPost, path: "/v1/orphans/" + url.PathEscape(orphan), body: how}
	if _, _, err := c.c.call(ctx, req, &detail); err != nil {
		return nil, err
	}
	return &detail, nil
}

// ForgetOrphan drops an orphan, by its name or an id.
func (c *Client) ForgetOrphan(ctx context.Context, orphan string) (*api.Orphan, error) {
	var forgotten api.Orphan
	req := request{method: http.MethodDelete, path: "/v1/orphans/" + url.PathEscape(orphan)}
	if _, _, err := c.c.call(ctx, req, &forgotten); err != nil {
		return nil, err
	}
	return &forgotten, nil
}

// Backup returns a backup of all records of the cluster, to be read and closed.
// One that was cut short has no end: who reads it has to check that.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	resp, err := c.c.open(ctx, request{method: http.MethodGet, path: "/v1/backup"})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

const (
	pathDatasets = "/v1/configuration/datasets"
	headerTag    = "X-Configuration-Tag"
	headerMatch  = "X-If-Configuration-Matches"
)

func pathDataset(id api.DatasetID) string { return pathDatasets + "/" + url.PathEscape(string(id)) }

func (c *Client) get(ctx context.Context, path string, into any) error {
	_, _, err := c.c.call(ctx, request{method: http.MethodGet, path: path}, into)
	return err
}

// onlyIf makes a write one that is done only while the configuration has a tag;
// with "" it is done whatever that has.
func onlyIf(tag string) http.Header {
	if tag == "" {
		return nil
	}
	return http.Header{headerMatch: {tag}}
}

// write makes a change to a dataset. Where it was refused because an earlier
// attempt of the same call has made it already, it is a success; done tells.
func (c *Client) write(ctx context.Context, req request, tag string, id api.DatasetID, done func(*api.Dataset) bool) (*Dataset, error) {
	req.header = onlyIf(tag)
	var d Dataset
	_, repeated, err := c.c.call(ctx, req, &d)
	if err == nil {
		return &d, nil
	}
	if code := api.CodeOf(err); !repeated || code != api.CodeConflict && code != api.CodePrecondition {
		return nil, err
	}
	detail, lookErr := c.Volume(ctx, string(id))
	if lookErr != nil || detail.Dataset == nil || !done(detail.Dataset) {
		return nil, err
	}
	full := detail.Dataset
	return &Dataset{ID: full.ID, Primary: full.Primary, Deleted: full.Deleted, Metadata: full.Metadata, MaximumSize: full.MaximumSize}, nil
}
