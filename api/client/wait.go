package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// waitACall is how long the control service is asked to wait in one call. It
// is less than what a call may take.
const waitACall = 20 * time.Second

// pollInterval is between two calls to a control service that does not wait.
const pollInterval = 200 * time.Millisecond

// AwaitVolume waits until a dataset, by its id or by the name of a live one, is
// as wanted, and returns it. Done is asked of every change that is seen; changes
// that follow each other closely may be seen as one. It costs nothing to wait:
// the control service answers when something has changed.
func (c *Client) AwaitVolume(ctx context.Context, name string, done func(*api.DatasetDetail) bool) (*api.DatasetDetail, error) {
	path := pathVolume(name)
	query := ""
	for {
		var detail api.DatasetDetail
		header, _, err := c.c.call(ctx, request{method: http.MethodGet, path: path + query}, &detail)
		if err != nil {
			return nil, err
		}
		if done(&detail) {
			return &detail, nil
		}
		tag := header.Get("ETag")
		if tag == "" { // an older control service, which does not wait
			select {
			case <-time.After(pollInterval):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		query = "?" + url.Values{"wait": {waitACall.String()}, "after": {tag}}.Encode()
	}
}
