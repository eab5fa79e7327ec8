package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/flocker-mesos/flocker/api"
)

const (
	// maxEvent bounds an event, in bytes: a record is at most about 128 KiB.
	maxEvent = 1 << 20
	// watchPause is before the next attempt where a watch ended at once.
	watchPause = time.Second
)

// Watch tells of all datasets, nodes and leases, and then of whatever changes,
// until ctx ends or handle fails; with a volume's id or name, only of what
// concerns that. When the replica is lost it goes on at another one: where that
// has forgotten what has changed since, everything is told again, after a
// api.EventReset.
func (c *Client) Watch(ctx context.Context, volume string, handle func(api.Event) error) error {
	path := "/v1/watch"
	if volume != "" {
		path += "?" + url.Values{"volume": {volume}}.Encode()
	}
	last := ""
	for {
		req := request{method: http.MethodGet, path: path}
		if last != "" {
			req.header = http.Header{"Last-Event-ID": {last}}
		}
		begun := time.Now()
		err := c.watchOnce(ctx, req, func(ev api.Event) error {
			if err := handle(ev); err != nil {
				return err
			}
			last = ev.ID // "" within all that there is: cut off there, it begins anew
			return nil
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if refused, ok := errors.AsType[*handlerError](err); ok {
			return refused.error
		}
		if !again(err) {
			return err
		}
		if time.Since(begun) < watchPause {
			select {
			case <-time.After(watchPause):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// handlerError is what the caller's function has said.
type handlerError struct{ error }

func (e *handlerError) Unwrap() error { return e.error }

// watchOnce watches at one replica. It ends with an error.
func (c *Client) watchOnce(ctx context.Context, req request, handle func(api.Event) error) error {
	resp, err := c.c.open(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	for raw, err := range sse.Read(resp.Body, &sse.ReadConfig{MaxEventSize: maxEvent}) {
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		if raw.Data == "" {
			continue
		}
		ev := api.Event{Kind: api.EventKind(raw.Type), ID: raw.LastEventID}
		if err := json.Unmarshal([]byte(raw.Data), &ev); err != nil {
			return fmt.Errorf("watch: read event: %w", err)
		}
		if err := handle(ev); err != nil {
			return &handlerError{err}
		}
	}
	return errors.New("watch: the control service ended it")
}
