package control

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/pki"
)

// maxBody bounds what a client can send, in bytes.
const maxBody = 1 << 20

// noLimit is for bodies that are read line by line.
const noLimit = 0

// caller is who makes a request, by the certificate.
type caller struct {
	role pki.Role
	name string // a user's name, a node's id
}

// callerOf returns who makes a request. The certificate has been verified when
// the connection was made.
func callerOf(r *http.Request) caller {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return caller{}
	}
	role, name, _ := pki.Identity(r.TLS.PeerCertificates[0])
	return caller{role: role, name: name}
}

// handler answers a request or says why it does not.
type handler func(w http.ResponseWriter, r *http.Request, who caller) error

// methods are the handlers of a path. What answers GET answers HEAD as well.
type methods map[string]handler

// server answers the requests of callers of some roles.
type server struct {
	router  *mux.Router
	roles   []pki.Role
	log     *slog.Logger
	metrics *metrics
	// access is the level of the log line that every write leaves.
	access slog.Level
	// stale tells since when answers show only what was last known, if they do.
	stale func() (since time.Time, stale bool)
}

func newServer(access slog.Level, log *slog.Logger, m *metrics, roles ...pki.Role) *server {
	s := &server{router: mux.NewRouter().SkipClean(true), roles: roles, log: log, metrics: m, access: access}
	s.router.NotFoundHandler = s.wrap("", maxBody, writeFlockerError, func(http.ResponseWriter, *http.Request, caller) error {
		return api.Errorf(api.CodeNotFound, "There is nothing at this path.")
	})
	return s
}

// handle serves a path. It knows all methods of the path and so can tell which
// are allowed, as a 405 has to.
func (s *server) handle(path string, m methods) { s.route(path, maxBody, writeError, m) }

// handleFlocker serves a path that Flocker 1.15 has: its error bodies have only
// Flocker's keys.
func (s *server) handleFlocker(path string, m methods) { s.route(path, maxBody, writeFlockerError, m) }

// handleStream serves a path whose request body has no end: the handler bounds
// what it reads of it.
func (s *server) handleStream(path string, m methods) { s.route(path, noLimit, writeError, m) }

func (s *server) route(path string, limit int64, write errorWriter, m methods) {
	if get, ok := m[http.MethodGet]; ok {
		m[http.MethodHead] = get
	}
	var allowed []string
	for method := range m {
		allowed = append(allowed, method)
	}
	slices.Sort(allowed)
	s.router.Handle(path, s.wrap(path, limit, write, func(w http.ResponseWriter, r *http.Request, who caller) error {
		h, ok := m[r.Method]
		if !ok {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			return errMethod(r.Method, allowed)
		}
		return h(w, r, who)
	}))
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, "/v1//"); ok { // clients that join URLs by hand
		r.URL.Path = "/v1/" + rest
	}
	s.router.ServeHTTP(w, r)
}

// wrap puts around a handler what all have in common: who calls, a bounded
// body, the error's answer, a defect caught, the access log and the metrics.
func (s *server) wrap(route string, limit int64, write errorWriter, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		who := callerOf(r)
		rec := &recorder{ResponseWriter: w}
		if limit != noLimit {
			r.Body = http.MaxBytesReader(rec, r.Body, limit)
		}
		if s.stale != nil {
			if since, stale := s.stale(); stale {
				rec.Header().Set(headerStale, since.UTC().Format(time.RFC3339))
			}
		}
		reference := rand.Text()[:8]
		err := s.call(h, rec, r, who)
		if err != nil && rec.status == 0 {
			s.fail(rec, write, err, reference)
		}
		took := time.Since(started)
		s.metrics.answered(route, methodLabel(r.Method), rec.status, took)
		s.logged(r, who, rec.status, took, err, reference)
	})
}

// call runs a handler. A panic is a defect of ours, and one request's only.
func (s *server) call(h handler, w http.ResponseWriter, r *http.Request, who caller) (err error) {
	defer func() {
		p := recover()
		switch p {
		case nil:
		case http.ErrAbortHandler:
			panic(p)
		default:
			s.metrics.panics.Inc()
			s.log.Error("defect", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			err = api.Errorf(api.CodeInternal, "%v", p)
		}
	}()
	if err := s.admit(who, r); err != nil {
		return err
	}
	return h(w, r, who)
}

func (s *server) fail(w http.ResponseWriter, write errorWriter, err error, reference string) {
	status, body := describe(err, reference)
	w.Header().Set(api.HeaderError, string(body.Code))
	if body.Field != "" {
		w.Header().Set(api.HeaderErrorField, body.Field)
	}
	switch busy, ok := errors.AsType[*busyError](err); {
	case ok:
		w.Header().Set("Retry-After", busy.retryAfter())
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		w.Header().Set("Retry-After", retryAfter)
	}
	write(w, status, body)
}

// retryAfter is when a client may try again what could not be done now, in
// seconds: about as long as Consul takes to elect a leader.
const retryAfter = "2"

// logged writes one line for every write, and for every defect.
func (s *server) logged(r *http.Request, who caller, status int, took time.Duration, err error, reference string) {
	level := s.access
	switch {
	case status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable:
		level = slog.LevelError
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		level = slog.LevelDebug
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	args := []any{
		"method", r.Method, "path", r.URL.Path, "status", status, "took", took.Round(time.Microsecond),
		"caller", who.name, "role", who.role, "from", r.RemoteAddr,
	}
	if err != nil {
		args = append(args, "cause", err.Error(), "reference", reference)
	}
	s.log.Log(r.Context(), level, "request", args...)
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach what is below.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // a defect; all that we send can be encoded
		status, text = http.StatusInternalServerError, []byte(`{"description":"the answer could not be encoded"}`)
	}
	replyText(w, status, text)
}

// replyText answers with a JSON text.
func replyText(w http.ResponseWriter, status int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // a client that has gone away hears nothing
}

// readBody reads a whole request body.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err == nil && !utf8.Valid(body) {
		return nil, errNotJSON
	}
	if err == nil {
		return body, nil
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, errTooLarge(large.Limit)
	}
	return nil, api.Errorf(api.CodeInvalid, "the request body could not be read: %v", err)
}

// decode reads what an agent has sent. Fields that are not known are passed
// over: agents are updated before the control service or after it.
func decode(r *http.Request, into any) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(into); err != nil {
		return api.Errorf(api.CodeInvalid, "the request is not as it should be: %v", err)
	}
	return nil
}

// remoteIP returns the address that a request comes from.
func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
