package client

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// MarathonApps returns the apps and pods of Marathon's that ask for volumes, or
// the one with an id, and how well Marathon is followed.
func (c *Client) MarathonApps(ctx context.Context, id string) (*api.MarathonView, error) {
	path := "/v1/marathon/apps"
	if id != "" {
		path += "?" + url.Values{"id": {id}}.Encode()
	}
	var view api.MarathonView
	if err := c.get(ctx, path, &view); err != nil {
		return nil, err
	}
	return &view, nil
}

// ForgetMarathonApp forgets an app that Marathon does not have any more, and keeps
// its volumes. Where it is forgotten already it fails with api.CodeNotFound.
func (c *Client) ForgetMarathonApp(ctx context.Context, id string) error {
	req := request{method: http.MethodDelete, path: "/v1/marathon/apps/" + url.PathEscape(strings.TrimPrefix(id, "/"))}
	_, repeated, err := c.c.call(ctx, req, nil)
	if repeated && api.CodeOf(err) == api.CodeNotFound {
		return nil
	}
	return err
}

// Undelete takes back that a dataset is to be deleted since its app was
// destroyed. It is found by its id or by its name.
func (c *Client) Undelete(ctx context.Context, name string) (*api.DatasetDetail, error) {
	var detail api.DatasetDetail
	req := request{method: http.MethodDelete, path: "/v1/reclaims/" + url.PathEscape(name)}
	if _, _, err := c.c.call(ctx, req, &detail); err != nil {
		return nil, err
	}
	return &detail, nil
}
