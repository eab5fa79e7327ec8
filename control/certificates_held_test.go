package control_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/pki"
)

func TestAgentsAndUsersLeaveAControlServiceWhoseCertificateNoLongerCounts(t *testing.T) {
	brief := func(s *secured) {
		authority, err := pki.OpenAuthority(s.dir, pki.Options{Validity: 4 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(s.path(pki.ControlName+".crt")), os.Remove(s.path(pki.ControlName+".key"))); err != nil {
			t.Fatal(err)
		}
		files, err := authority.ControlCertificate(s.dir, "127.0.0.1")
		s.place(files, err, pki.ControlName)
	}
	for name, c := range map[string]struct {
		before func(*secured)
		after  func(*secured)
		says   string
	}{
		"revoked": {after: func(s *secured) { s.revokes(pki.ControlName) }, says: "is revoked"},
		"expired": {before: brief, says: "has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSecured(t)
			if c.before != nil {
				c.before(s)
			}
			s.start()
			node, err := client.NewAgent(client.Config{Endpoints: []string{s.agents}, TLS: s.creds("node").Client()})
			if err != nil {
				t.Fatal(err)
			}
			stream, err := node.Connect(t.Context(), hello(nodeA))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = stream.Close() }()
			alice, err := pki.Load(s.dir, "alice", pki.RoleUser, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			user, err := client.New(client.Config{Endpoints: []string{s.users}, TLS: alice.Client()})
			if err != nil {
				t.Fatal(err)
			}
			defer user.Close()
			if _, err := user.Version(t.Context()); err != nil {
				t.Fatal(err)
			}
			if c.after != nil {
				c.after(s)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for err = nil; err == nil || !strings.Contains(err.Error(), c.says); {
				if _, err = stream.Next(ctx); err == nil || strings.Contains(err.Error(), c.says) {
					continue
				}
				// Heartbeats are so short here that a busy machine misses some.
				again, failed := node.Connect(ctx, hello(nodeA))
				if ctx.Err() != nil {
					t.Fatalf("the agent's stream ended with %v", err)
				}
				if failed != nil {
					break // no new one is opened either
				}
				_ = stream.Close()
				stream = again
			}
			eventually(t, "a user's call is not made", func() bool {
				_, err := user.Version(t.Context())
				// An expired one is not shown any more.
				return err != nil && (c.before != nil || strings.Contains(err.Error(), c.says))
			})
		})
	}
}

func TestAConnectionThatWaitsForItsCertificateToEndIsClosed(t *testing.T) {
	s := newSecured(t).start()
	config := s.foreign(s.path("alice.crt"))
	config.MaxVersion = tls.VersionTLS12 // its client's handshake ends after the server has accepted the certificate
	held, err := tls.Dial("tcp", s.users, config)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	s.revokes("alice")
	// Until the service has read the list, and so knows this connection only as one without a request.
	eventually(t, "the list is read", func() bool {
		_, _, err := s.get(s.users, "127.0.0.1", s.foreign(s.path("alice.crt")), http.MethodGet, "/v1/version")
		return err != nil
	})
	_ = held.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := held.Write([]byte("GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n")); err == nil {
		resp, err := http.ReadResponse(bufio.NewReader(held), nil)
		if err == nil {
			_ = resp.Body.Close()
			t.Errorf("the first request after the revocation got %s", resp.Status)
		}
	}
	s.log.await(t, "connection ended", "caller=alice", "is revoked")
}
