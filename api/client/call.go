package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// maxErrorBody bounds the text of a failure that is read, in bytes.
const maxErrorBody = 1 << 20

// request is a call to the control service.
type request struct {
	method, path string
	header       http.Header
	body         any // sent as it is where it is an io.Reader, else encoded as JSON unless nil
	// patient says that the call waits where this certificate has asked for too much
	// lately: then nothing has been done yet.
	patient bool
}

// busyPatience is for how long a call waits for the control service to take it.
const busyPatience = 15 * time.Second

func (r request) writes() bool { return r.method != http.MethodGet && r.method != http.MethodHead }

// headerAttempt tells attempts at a request apart: the control service sees to it
// that one changes nothing any more when a later one is decided, however long it
// lay in some buffer.
const headerAttempt = "X-Flocker-Attempt"

// numbered returns the request as an attempt under a name, "" for as it is.
func (r request) numbered(name string, attempt int) request {
	if name == "" {
		return r
	}
	r.header = maps.Clone(r.header)
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set(headerAttempt, fmt.Sprintf("%s %d", name, attempt))
	return r
}

// send makes a request and returns the answer if it is a success.
func send(ctx context.Context, client *http.Client, endpoint string, req request) (*http.Response, error) {
	for waited := time.Duration(0); ; {
		resp, err := sendOnce(ctx, client, endpoint, req)
		busy, ok := errors.AsType[*busyError](err)
		if !ok || !req.patient {
			return resp, err
		}
		if waited += busy.after; waited > busyPatience {
			return nil, err
		}
		timer := time.NewTimer(busy.after)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
	}
}

// busyError is the answer that this certificate has asked for too much.
type busyError struct {
	refusal *api.Error
	after   time.Duration
}

func (e *busyError) Error() string { return e.refusal.Error() }

func (e *busyError) Unwrap() error { return e.refusal }

func sendOnce(ctx context.Context, client *http.Client, endpoint string, req request) (*http.Response, error) {
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
	if resp.StatusCode == http.StatusTooManyRequests {
		seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if err != nil || seconds < 1 {
			seconds = 1
		}
		return nil, &busyError{Refusal(resp.StatusCode, resp.Header, text), time.Duration(seconds) * time.Second}
	}
	return nil, Refusal(resp.StatusCode, resp.Header, text)
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

// Refusal returns the error that an answer of the control service is, by its
// status, its header and its body.
func Refusal(status int, header http.Header, text []byte) *api.Error {
	var body struct {
		api.Error
		Errors []string `json:"errors"`
	}
	if err := json.Unmarshal(text, &body); err != nil || body.Message == "" {
		body.Message = fmt.Sprintf("the control service answered %d %s", status, http.StatusText(status))
	}
	if body.Code == "" {
		body.Code = api.Code(header.Get(api.HeaderError))
	}
	if field := header.Get(api.HeaderErrorField); body.Field == "" && field != "" {
		body.Field, body.Message = field, strings.TrimPrefix(body.Message, field+": ")
	}
	if body.Code == "" {
		body.Code = api.CodeInternal
		if code, ok := codes[status]; ok {
			body.Code = code
		}
	}
	if len(body.Errors) > 0 {
		body.Message += " " + strings.Join(body.Errors, "; ")
	}
	return &body.Error
}
