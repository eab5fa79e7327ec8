// Package controltest plays a control service to commands under test: it
// answers what it was told to, over mutual TLS, and remembers what it was asked.
package controltest

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/pki"
)

// The names of those who have certificates.
const (
	User = "alice"
	Node = "node"
)

// Service is the control service that is played.
type Service struct {
	Host, Port string

	mu       sync.Mutex
	answers  map[string]answer
	requests []string
}

type answer struct {
	status int
	body   any
	do     http.HandlerFunc
}

// Start starts a service that has certificates. An original Flocker knows HTTP
// 1.1 alone.
func Start(t *testing.T, certs string, original bool) *Service {
	t.Helper()
	creds, err := pki.Load(certs, "control-127.0.0.1", pki.RoleControl, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{answers: map[string]answer{}}
	if s.Host, s.Port, err = net.SplitHostPort(listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler: s, TLSConfig: creds.Server(pki.APIRoles()...),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), Protocols: new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(!original)
	if original {
		server.TLSConfig.NextProtos = []string{"http/1.1"}
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.ServeTLS(listener, "", "") })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return s
}

// Answer has requests such as "GET /v1/nodes", without what is behind a question
// mark, answered with JSON.
func (s *Service) Answer(request string, status int, body any) {
	s.answer(request, answer{status: status, body: body})
}

// Do has requests answered by a function.
func (s *Service) Do(request string, f http.HandlerFunc) { s.answer(request, answer{do: f}) }

func (s *Service) answer(request string, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[request] = a
}

// Requests returns what was asked, in the order of the alphabet, with what was
// sent.
func (s *Service) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.requests))
}

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	s.mu.Lock()
	// A dataset that is known by its id alone is named so: /v1/volumes/id:UUID.
	plain := strings.NewReplacer("/volumes/"+api.RefID, "/volumes/")
	a, ok := s.answers[r.Method+" "+plain.Replace(r.URL.Path)]
	s.requests = append(s.requests, strings.TrimSpace(r.Method+" "+plain.Replace(r.URL.RequestURI())+" "+string(body)))
	s.mu.Unlock()
	switch {
	case !ok:
		a = answer{status: http.StatusNotFound, body: api.Errorf(api.CodeNotFound, "There is nothing at this path.")}
	case a.do != nil:
		a.do(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // a caller that has gone hears nothing
}
