package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api/client"
)

func TestAgentShowsARenewedCertificate(t *testing.T) {
	one := &seat{name: "a", cut: make(chan struct{})}
	address, rules := serve(t, one.serve)
	var shown atomic.Pointer[tls.Certificate]
	shown.Store(&tls.Certificate{Certificate: [][]byte{[]byte("old")}})
	unusable := errors.New("it has expired")
	var broken atomic.Bool
	rules.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if broken.Load() {
			return nil, unusable
		}
		return shown.Load(), nil
	}
	a, err := client.NewAgent(client.Config{Endpoints: []string{address}, TLS: rules, Settle: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	s := connect(t, a)
	broken.Store(true) // then the stream that is there is the last, and is kept
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if ev, err := s.Next(ctx); ctx.Err() == nil {
		t.Errorf("with a certificate that cannot be used: got %+v, %v, want the session to go on", ev, err)
	}
	broken.Store(false)
	shown.Store(&tls.Certificate{Certificate: [][]byte{[]byte("new")}})
	if _, err := s.Next(t.Context()); err == nil || !strings.Contains(err.Error(), "was renewed") {
		t.Errorf("got %v, want the end of the session", err)
	}
	connect(t, a)
}
