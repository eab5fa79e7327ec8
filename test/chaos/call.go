package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/test/cluster"
)

// callTimeout is how long a user waits for an answer. It is shorter than the
// control service takes to give up, so that there are calls whose outcome is
// unknown and which take effect late.
const callTimeout = 4 * time.Second

const (
	datasetsPath = "/v1/configuration/datasets"
	tagHeader    = "X-Configuration-Tag"
	matchHeader  = "X-If-Configuration-Matches"
)

// answer is what a replica has answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call makes one call to one replica, once.
func call(ctx context.Context, client *http.Client, r *cluster.Control, method, path, tag string, body any) (answer, error) {
	var payload io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.URL(path), payload)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if tag != "" {
		req.Header.Set(matchHeader, tag)
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: text}, nil
}

// get makes a GET and decodes the answer.
func get(ctx context.Context, client *http.Client, r *cluster.Control, path string, into any) (http.Header, error) {
	a, err := call(ctx, client, r, http.MethodGet, path, "", nil)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d: %s", r.Name, a.status, a.body)
	}
	return a.header, json.Unmarshal(a.body, into)
}

// configuration is a dataset as REST shows it.
type configuration struct {
	ID      api.DatasetID `json:"dataset_id"`
	Primary api.NodeID    `json:"primary"`
	Deleted bool          `json:"deleted"`
}

// unsent reports whether a call failed before it reached a replica.
func unsent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// outcomeOf tells what became of a write, and what is wrong with an answer that
// no write may get.
func outcomeOf(in input, a answer, err error) (out output, wrong error) {
	if unsent(err) {
		return output{outcome: nothing}, nil
	}
	if err != nil {
		return output{outcome: unknown}, nil
	}
	refusal := &api.Error{}
	var shown configuration
	if a.status >= http.StatusMultipleChoices {
		refusal = client.Refusal(a.status, a.header, a.body)
		if a.header.Get(api.HeaderError) == "" {
			err = errors.New("the answer has no code")
		}
	} else {
		err = json.Unmarshal(a.body, &shown)
	}
	wrong = fmt.Errorf("%s of %s: the answer is %d %s", in.verb, in.group, a.status, a.body)
	switch {
	case err != nil:
		return output{outcome: unknown}, wrong
	case a.status == http.StatusOK || a.status == http.StatusCreated:
		if in.verb == verbDelete {
			return output{outcome: done}, nil
		}
		return output{outcome: done, primary: shown.Primary}, nil
	case refusal.Code == api.CodeUnavailable && strings.Contains(refusal.Message, "nothing was changed"):
		return output{outcome: nothing}, nil // that is a promise, which the history checks
	case refusal.Code == api.CodeUnavailable:
		return output{outcome: unknown}, nil
	case refusal.Code == api.CodeConflict && refusal.Field == "metadata":
		return output{outcome: nameTaken}, nil
	case refusal.Code == api.CodeConflict:
		return output{outcome: taken}, nil
	case refusal.Code == api.CodeNotFound:
		return output{outcome: missing}, nil
	case refusal.Code == api.CodeDeleted:
		return output{outcome: deleted}, nil
	case refusal.Code == api.CodePrecondition && in.verb == verbSwap:
		return output{outcome: mismatched}, nil
	default:
		return output{outcome: unknown}, wrong
	}
}
