package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/flocker-mesos/flocker/api"
)

// Share lets owners use a dataset, or ends that. It is found by its id or by its name.
func (c *Client) Share(ctx context.Context, name string, share api.Share) (*api.DatasetDetail, error) {
	return called[api.DatasetDetail](ctx, c, http.MethodPost, "/v1/shares/"+url.PathEscape(name), share)
}

// ChangeOwner gives a dataset to another owner. It is found by its id or by its name.
func (c *Client) ChangeOwner(ctx context.Context, name string, owner api.Owner) (*api.DatasetDetail, error) {
	body := struct {
		Owner api.Owner `json:"owner"`
	}{owner}
	return called[api.DatasetDetail](ctx, c, http.MethodPost, "/v1/owners/"+url.PathEscape(name), body)
}

// Tenancy tells whether owners are kept apart, and what that means.
func (c *Client) Tenancy(ctx context.Context) (*api.TenancyView, error) {
	return called[api.TenancyView](ctx, c, http.MethodGet, "/v1/tenancy", nil)
}

// SetTenancy keeps owners apart, or makes the cluster one trust domain.
func (c *Client) SetTenancy(ctx context.Context, tenancy api.Tenancy) (*api.TenancyView, error) {
	body := struct {
		Tenancy api.Tenancy `json:"tenancy"`
	}{tenancy}
	return called[api.TenancyView](ctx, c, http.MethodPost, "/v1/tenancy", body)
}

// Quotas lists what owners have, and may have.
func (c *Client) Quotas(ctx context.Context) (*api.Quotas, error) {
	return called[api.Quotas](ctx, c, http.MethodGet, "/v1/quotas", nil)
}

// SetQuota bounds what an owner may have; an empty quota ends that.
func (c *Client) SetQuota(ctx context.Context, owner api.Owner, quota api.Quota) (*api.Quotas, error) {
	return called[api.Quotas](ctx, c, http.MethodPost, "/v1/quotas/"+url.PathEscape(string(owner)), quota)
}

// called makes a call that answers with JSON.
func called[T any](ctx context.Context, c *Client, method, path string, body any) (*T, error) {
	var answer T
	if _, _, err := c.c.call(ctx, request{method: method, path: path, body: body}, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}
