package client_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// serve starts a server of HTTP/2 over TLS and returns where, and how to trust it.
func serve(t *testing.T, h http.HandlerFunc) (endpoint string, rules *tls.Config) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	rules = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	rules.ServerName = "example.com" // what the certificate of every such server is for
	return s.Listener.Addr().String(), rules
}

func newClient(t *testing.T, rules *tls.Config, endpoints ...string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Endpoints: endpoints, TLS: rules, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func answer(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func version(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, map[string]string{"flocker": name}) }
}

func TestAnotherEndpointIsAskedWhenOneDoesNotAnswer(t *testing.T) {
	good, rules := serve(t, version("good"))
	var asked atomic.Int64
	for name, bad := range map[string]http.HandlerFunc{
		"cuts the connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"is stopping": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 503, api.Errorf(api.CodeUnavailable, "stopping"))
		},
		"hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				bad(w, r)
			})
			c := newClient(t, rules, endpoint, good)
			asked.Store(0)
			for range 3 {
				if v, err := c.Version(t.Context()); err != nil || v != "good" {
					t.Fatalf("got %q, %v, want the good one's answer", v, err)
				}
			}
			if got := asked.Load(); got > 3 { // net/http itself may try again
				t.Errorf("the bad endpoint was asked %d times: the good one is not remembered", got)
			}
		})
	}
	c := newClient(t, rules, "127.0.0.1:1", good)
	if v, err := c.Version(t.Context()); err != nil || v != "good" {
		t.Errorf("nobody listens at one: got %q, %v", v, err)
	}
	c = newClient(t, rules, "127.0.0.1:1", "127.0.0.1:2")
	if _, err := c.Version(t.Context()); err == nil {
		t.Error("nobody listens anywhere, and there is no error")
	}
}

func TestRefusalsAreNotTakenElsewhere(t *testing.T) {
	refusing, rules := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 409, api.Errorf(api.CodeConflict, "taken"))
	})
	other, _ := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the other endpoint was asked") })
	_, err := newClient(t, rules, refusing, other).Version(t.Context())
	if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != api.CodeConflict || e.Message != "taken" {
		t.Errorf("got %v", err)
	}
}

func TestAnswersThatAreErrors(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		body   string
		code   api.Code
		text   string
		header []string
	}{
		{"ours on a path of Flocker's", 405, `{"description":"The dataset has been deleted."}`, api.CodeDeleted, "The dataset has been deleted.",
			[]string{api.HeaderError, "deleted"}},
		{"ours about a field on a path of Flocker's", 409, `{"description":"metadata: the name is taken"}`, api.CodeConflict, "metadata: the name is taken",
			[]string{api.HeaderError, "conflict", api.HeaderErrorField, "metadata"}},
		{"ours", 412, `{"code":"precondition","description":"Tag doesn't match."}`, api.CodePrecondition, "Tag doesn't match.", nil},
		{"ours about a field", 400, `{"code":"invalid","field":"era","description":"is none"}`, api.CodeInvalid, "era: is none", nil},
		{"ours with all mistakes", 400, `{"code":"invalid","description":"No.","errors":["a","b"]}`, api.CodeInvalid, "No. a; b", nil},
		{"Flocker's", 404, `{"description":"Dataset not found."}`, api.CodeNotFound, "Dataset not found.", nil},
		{"of a proxy", 403, `<html>`, api.CodeForbidden, "the control service answered 403", nil},
		{"of an incident", 500, `"f2858a0c"`, api.CodeInternal, "the control service answered 500", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			endpoint, rules := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for i := 0; i < len(tc.header); i += 2 {
					w.Header().Set(tc.header[i], tc.header[i+1])
				}
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			})
			_, err := newClient(t, rules, endpoint).Nodes(t.Context())
			if api.CodeOf(err) != tc.code || !strings.HasPrefix(err.Error(), tc.text) {
				t.Errorf("got %v (code %q), want %q (code %q)", err, api.CodeOf(err), tc.text, tc.code)
			}
		})
	}
}

// forgetful is a control service that carries out the first write and cuts the
// connection instead of answering.
type forgetful struct {
	writes  atomic.Int64
	dataset api.Dataset
	refusal *api.Error // of the second
}

func (f *forgetful) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		answer(w, 200, api.DatasetDetail{Dataset: &f.dataset})
		return
	}
	if f.writes.Add(1) == 1 {
		var body client.CreateRequest
		_ = json.NewDecoder(r.Body).Decode(&body)
		if body.ID != "" {
			f.dataset.ID = body.ID
		}
		panic(http.ErrAbortHandler)
	}
	answer(w, 409, f.refusal)
}

func TestWriteWhoseAnswerWasLostIsASuccess(t *testing.T) {
	conflict, precondition := api.Errorf(api.CodeConflict, "in use"), api.Errorf(api.CodePrecondition, "changed")
	for _, tc := range []struct {
		name    string
		refusal *api.Error
		dataset api.Dataset // as it is after the first attempt
		write   func(*testing.T, *client.Client) (*client.Dataset, error)
		ok      bool
	}{
		{"create", conflict, api.Dataset{Primary: "a"}, func(t *testing.T, c *client.Client) (*client.Dataset, error) {
			return c.Create(t.Context(), client.CreateRequest{Primary: "a"}, "")
		}, true},
		{"conditional create", precondition, api.Dataset{Primary: "a"}, func(t *testing.T, c *client.Client) (*client.Dataset, error) {
			return c.Create(t.Context(), client.CreateRequest{Primary: "a"}, "tag")
		}, true},
		{"create of an id that another has", conflict, api.Dataset{Primary: "b"}, func(t *testing.T, c *client.Client) (*client.Dataset, error) {
			return c.Create(t.Context(), client.CreateRequest{Primary: "a", ID: "d"}, "")
		}, false},
		{"conditional move", precondition, api.Dataset{ID: "d", Primary: "b"}, func(t *testing.T, c *client.Client) (*client.Dataset, error) {
			return c.Move(t.Context(), "d", "b", "tag")
		}, true},
		{"conditional delete", precondition, api.Dataset{ID: "d", Deleted: true}, func(t *testing.T, c *client.Client) (*client.Dataset, error) {
			return c.Delete(t.Context(), "d", "tag")
		}, true},
		{"conditional delete of what changed", precondition, api.Dataset{ID: "d"}, func(t *testing.T, c *client.Client) (*client.Dataset, error) {
			return c.Delete(t.Context(), "d", "tag")
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := &forgetful{dataset: tc.dataset, refusal: tc.refusal}
			endpoint, rules := serve(t, f.serve)
			d, err := tc.write(t, newClient(t, rules, endpoint))
			if tc.ok && (err != nil || d.ID != f.dataset.ID) {
				t.Errorf("got %+v, %v, want dataset %s", d, err, f.dataset.ID)
			}
			if !tc.ok && api.CodeOf(err) != tc.refusal.Code {
				t.Errorf("got %v, want %v", err, tc.refusal)
			}
		})
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	for name, cfg := range map[string]client.Config{
		"no certificates": {Endpoints: []string{"x"}},
		"no endpoints":    {TLS: &tls.Config{}},
		"no host":         {TLS: &tls.Config{}, Endpoints: []string{":4523"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := client.New(cfg); err == nil {
				t.Error("it was taken")
			}
		})
	}
}
