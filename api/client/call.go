package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/flocker-mesos/flocker/api"
)

// maxErrorBody bounds the text of a failure that is read, in bytes.
const maxErrorBody = 1 << 20

// request is a call to the control service.
type request struct {
	method, path string
	header       http.Header
	body         any // sent as it is where it is an io.Reader, else encoded as JSON unless nil
}

// caller makes calls to whichever replica answers.
type caller struct {
	cfg  Config
	http *http.Client
	last atomic.Int64 // index of the endpoint that answered last
}

func newCaller(cfg Config) *caller {
	return &caller{cfg: cfg, http: &http.Client{Transport: cfg.transport()}}
}

// call makes a call and decodes the answer into into, unless it is nil. The
// call must be one that can be made twice: when there is no answer, another
// replica is asked. Repeated says that an earlier attempt may have taken effect.
func (c *caller) call(ctx context.Context, req request, into any) (header http.Header, repeated bool, err error) {
	// A connection that has died unnoticed fails the first attempt, so one
	// endpoint is tried twice as well.
	attempts := max(2, len(c.cfg.Endpoints))
	first := int(c.last.Load())
	for i := range attempts {
		at := (first + i) % len(c.cfg.Endpoints)
		var sent bool
		header, sent, err = c.attempt(ctx, c.cfg.Endpoints[at], req, into)
		if err == nil || !again(err) {
			c.last.Store(int64(at))
			return header, repeated, err
		}
		repeated = repeated || sent
		if ctx.Err() != nil {
			break
		}
	}
	return nil, repeated, err
}

// again reports whether another replica may do better.
func again(err error) bool {
	e, answered := errors.AsType[*api.Error](err)
	return !answered || e.Code == api.CodeUnavailable
}

// attempt makes a call to one endpoint. Sent is false if it is certain that the
// endpoint has not seen it.
func (c *caller) attempt(ctx context.Context, endpoint string, req request, into any) (header http.Header, sent bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, fmt.Errorf("no answer within %s", c.cfg.Timeout))
	defer cancel()
	resp, err := send(ctx, c.http, endpoint, req)
	if err != nil {
		return nil, !neverConnected(err), err
	}
	defer func() { _ = resp.Body.Close() }()
	if into == nil {
		return resp.Header, true, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return nil, true, fmt.Errorf("read answer of %s to %s %s: %w", endpoint, req.method, req.path, err)
	}
	return resp.Header, true, nil
}

// open makes a call whose answer is read bit by bit, for as long as ctx allows.
// Where there is none, another replica is asked. The caller closes the body.
func (c *caller) open(ctx context.Context, req request) (resp *http.Response, err error) {
	first := int(c.last.Load())
	for i := range max(2, len(c.cfg.Endpoints)) {
		at := (first + i) % len(c.cfg.Endpoints)
		resp, err = send(ctx, c.http, c.cfg.Endpoints[at], req)
		if err == nil || !again(err) || ctx.Err() != nil {
			break
		}
	}
	return resp, err
}

// send makes a request and returns the answer if it is a success.
func send(ctx context.Context, client *http.Client, endpoint string, req request) (*http.Response, error) {
	var body io.Reader
	if stream, ok := req.body.(io.Reader); ok {
		body = stream
	} else if req.body != nil {
		text, err := json.Marshal(req.body)
		if err != nil {
			return nil, fmt.Errorf("encode %s %s: %w", req.method, req.path, err)
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, req.method, "https://"+endpoint+req.path, body)
	if err != nil {
		return nil, fmt.Errorf("make request %s %s: %w", req.method, req.path, err)
	}
	maps.Copy(r.Header, req.header)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(r)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return nil, err
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return nil, fmt.Errorf("read answer of %s to %s %s: %w", endpoint, req.method, req.path, err)
	}
	return nil, failure(resp, text)
}

// codes are for answers that do not name one, such as a proxy's.
var codes = map[int]api.Code{
	http.StatusBadRequest:            api.CodeInvalid,
	http.StatusForbidden:             api.CodeForbidden,
	http.StatusNotFound:              api.CodeNotFound,
	http.StatusMethodNotAllowed:      api.CodeInvalid,
	http.StatusConflict:              api.CodeConflict,
	http.StatusPreconditionFailed:    api.CodePrecondition,
	http.StatusRequestEntityTooLarge: api.CodeInvalid,
	http.StatusTooManyRequests:       api.CodeUnavailable,
	http.StatusBadGateway:            api.CodeUnavailable,
	http.StatusServiceUnavailable:    api.CodeUnavailable,
	http.StatusGatewayTimeout:        api.CodeUnavailable,
}

// failure returns the error that an answer is.
func failure(resp *http.Response, text []byte) *api.Error {
	var body struct {
		api.Error
		Errors []string `json:"errors"`
	}
	if err := json.Unmarshal(text, &body); err != nil || body.Message == "" {
		body.Message = "the control service answered " + resp.Status
	}
	if body.Code == "" {
		body.Code = api.CodeInternal
		if code, ok := codes[resp.StatusCode]; ok {
			body.Code = code
		}
	}
	if len(body.Errors) > 0 {
		body.Message += " " + strings.Join(body.Errors, "; ")
	}
	return &body.Error
}

// neverConnected reports whether a request failed before there was a connection.
func neverConnected(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}
