package client_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// TestACallThatIsOneTooManyIsMadeAgain has a control service that takes the third
// attempt, and then none.
func TestACallThatIsOneTooManyIsMadeAgain(t *testing.T) {
	var calls atomic.Int64
	var never atomic.Bool
	bodies := make(chan string, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		bodies <- string(text)
		if n := calls.Add(1); n < 3 || never.Load() {
			w.Header().Set("Retry-After", "1")
			if never.Load() {
				w.Header().Set("Retry-After", "3600")
			}
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"description": "too many", "code": "unavailable"}`))
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"dataset_id": "d"}`))
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	c, err := client.New(client.Config{Endpoints: []string{strings.TrimPrefix(server.URL, "https://")}, TLS: &tls.Config{InsecureSkipVerify: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d, err := c.Create(t.Context(), client.CreateRequest{ID: "d", Primary: "n"}, "")
	if err != nil || d.ID != "d" || calls.Load() != 3 {
		t.Errorf("got %+v, %v after %d calls, want it made with the third", d, err, calls.Load())
	}
	first := <-bodies
	for range 2 {
		if again := <-bodies; again != first || first == "" {
			t.Errorf("another attempt says %q, the first %q", again, first)
		}
	}
	never.Store(true)
	if _, err := c.Create(t.Context(), client.CreateRequest{ID: "e", Primary: "n"}, ""); api.CodeOf(err) != api.CodeUnavailable || !strings.Contains(err.Error(), "too many") {
		t.Errorf("got %v, want the refusal", err)
	}
}
