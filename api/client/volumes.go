package client

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/flocker-mesos/flocker/api"
)

const pathVolumes = "/v1/volumes"

func pathVolume(name string) string { return pathVolumes + "/" + url.PathEscape(name) }

// volumesAPage is how many datasets are asked for in one call.
const volumesAPage = 1000

// Volumes returns the datasets that the query chooses, in full and in the order
// of their ids.
func (c *Client) Volumes(ctx context.Context, q api.VolumeQuery) ([]*api.DatasetDetail, error) {
	all := []*api.DatasetDetail{}
	query := volumeQuery(q)
	query.Set("limit", strconv.Itoa(volumesAPage))
	for {
		var page []*api.DatasetDetail
		if err := c.get(ctx, pathVolumes+"?"+query.Encode(), &page); err != nil {
			return nil, err
		}
		all = append(all, page...)
		// One that does not know pages sends all at once.
		if len(page) != volumesAPage {
			return all, nil
		}
		query.Set("after", string(page[len(page)-1].Dataset.ID))
	}
}

func volumeQuery(q api.VolumeQuery) url.Values {
	query := url.Values{}
	set := func(key, value string) {
		if value != "" {
			query.Set(key, value)
		}
	}
	if q.Gone {
		query.Set("deleted", "true")
	}
	set("name", q.Name)
	set("id", q.ID)
	set("status", q.Status)
	set("node", string(q.Node))
	set("set", q.Set)
	for key, value := range q.Metadata {
		query.Add("metadata", key+"="+value)
	}
	slices.Sort(query["metadata"])
	return query
}

// Volume returns a dataset in full, by its id or by the name of a live one.
func (c *Client) Volume(ctx context.Context, name string) (*api.DatasetDetail, error) {
	var detail api.DatasetDetail
	if err := c.get(ctx, pathVolume(name), &detail); err != nil {
		return nil, err
	}
	return &detail, nil
}

// ChangeVolume changes a dataset, by its id or by the name of a live one; tag as
// for Create.
func (c *Client) ChangeVolume(ctx context.Context, name string, change api.VolumeChange, tag string) (*api.DatasetDetail, error) {
	req := request{method: http.MethodPatch, path: pathVolume(name), body: change, header: onlyIf(tag)}
	var detail api.DatasetDetail
	if _, _, err := c.c.call(ctx, req, &detail); err != nil {
		return nil, err
	}
	return &detail, nil
}

// TrimVolume asks for the free blocks of a mounted volume to be given back to the
// storage, and returns the dataset with the request. It is found by its id or by its
// name.
func (c *Client) TrimVolume(ctx context.Context, name string) (*api.DatasetDetail, error) {
	var detail api.DatasetDetail
	req := request{method: http.MethodPost, path: "/v1/trims/" + url.PathEscape(name)}
	if _, _, err := c.c.call(ctx, req, &detail); err != nil {
		return nil, err
	}
	return &detail, nil
}
