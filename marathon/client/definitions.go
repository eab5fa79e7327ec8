package client

import (
	"context"
	"encoding/json"
	"net/http"
)

// Definitions returns the apps and pods that Marathon runs, each as it was given,
// also with what nothing here knows of.
func (c *Client) Definitions(ctx context.Context) ([]json.RawMessage, error) {
	var apps struct {
		Apps []json.RawMessage `json:"apps"`
	}
	if err := c.call(ctx, http.MethodGet, "/v2/apps", nil, &apps); err != nil {
		return nil, err
	}
	var pods []json.RawMessage
	if err := c.call(ctx, http.MethodGet, "/v2/pods", nil, &pods); err != nil {
		return nil, err
	}
	return append(apps.Apps, pods...), nil
}
