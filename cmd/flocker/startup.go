package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Pauses and intervals of a start that waits.
const (
	startPause   = time.Second
	startAgain   = time.Minute     // how often the same cause is logged
	startChanged = 5 * time.Second // how soon another one is
)

// startup waits until a program can start, and reports the cause of the wait: in the log,
// to systemd, and on /health and /ready.
type startup struct {
	log     *slog.Logger
	metrics string // address of the health while there is nothing else, "" for nowhere

	mu     sync.Mutex
	cause  string
	since  time.Time // of the wait, zero before it begins
	logged time.Time
	said   string // the cause that was logged last
	server *http.Server
}

// awaitStart repeats the start of a program until it succeeds, fails for good, or ctx
// ends, which is no failure: then ok is false.
func awaitStart[T any](ctx context.Context, s *startup, start func(context.Context) (T, error)) (started T, ok bool, err error) {
	defer s.silence()
	for {
		started, err = start(ctx)
		switch {
		case err == nil:
			s.runs(ctx)
			return started, true, nil
		case ctx.Err() != nil:
			return started, false, nil
		case !absent(err):
			return started, false, err
		}
		s.wait(ctx, err)
		select {
		case <-ctx.Done():
			return started, false, nil
		case <-time.After(startPause):
		}
	}
}

// wait reports the cause of the wait.
func (s *startup) wait(ctx context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.since.IsZero() {
		s.since = now
	}
	s.cause = api.Printable(err.Error())
	since := s.since.UTC().Format(time.RFC3339)
	notify(ctx, "STATUS=Waiting since "+since+": "+s.cause)
	quiet := now.Sub(s.logged)
	if quiet > startAgain || s.cause != s.said && quiet > startChanged {
		s.logged, s.said = now, s.cause
		s.log.Warn("waiting to start", "cause", s.cause, "since", since)
	}
	s.listen()
}

// listen serves the health, unless it is served already or the address is in use.
func (s *startup) listen() {
	if s.server != nil || s.metrics == "" {
		return
	}
	l, err := net.Listen("tcp", s.metrics)
	if err != nil {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("GET /ready", s.health)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	s.server = server
	go func() { _ = server.Serve(l) }() // until silence closes it
}

func (s *startup) health(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	cause, since := s.cause, s.since
	s.mu.Unlock()
	http.Error(w, fmt.Sprintf("waiting to start since %s: %s", since.UTC().Format(time.RFC3339), cause), http.StatusServiceUnavailable)
}

// silence frees the address of the health for the program that starts.
func (s *startup) silence() {
	s.mu.Lock()
	server := s.server
	s.server = nil
	s.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
}

// runs reports the end of the wait.
func (s *startup) runs(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.since.IsZero() {
		s.log.Info("waits no longer to start", "waited", time.Since(s.since).Round(time.Second))
	}
	notify(ctx, "READY=1\nSTATUS=Running")
}

// notify reports the program's state to systemd. Without systemd it does nothing.
func notify(ctx context.Context, state string) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unixgram", socket)
	if err != nil {
		return
	}
	_, _ = conn.Write([]byte(state))
	_ = conn.Close()
}
