// Package rogue attacks the real control service with real certificates.
package rogue

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/control/openapi"
	"github.com/flocker-mesos/flocker/pki"
)

const (
	node      = "4b2f6f0e-5d8f-4a4a-9a52-0d7ad9e0a111"
	rogueNode = "9c1d2e3f-7a6b-4c5d-8e9f-102132435465"
)

// service runs a control service and returns where it serves users and agents.
func service(t *testing.T, dir string) (users, agents string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	creds, err := pki.Load(dir, pki.ControlName, pki.RoleControl, log)
	if err != nil {
		t.Fatal(err)
	}
	_, _, cluster := creds.Identity()
	cfg := control.DefaultConfig()
	cfg.Listen, cfg.AgentListen, cfg.Store = "127.0.0.1:0", "127.0.0.1:0", "file:"+t.TempDir()
	s, err := control.New(cfg, control.Deps{
		Cluster: cluster, UserTLS: creds.Server(pki.RoleUser, pki.RoleReader), AgentTLS: creds.Server(pki.RoleNode),
		Credentials: creds, Version: "test", Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s.UserAddr().String(), s.AgentAddr().String()
}

// certificates makes one of each kind, by name, nil for none.
func certificates(t *testing.T) (dir string, all map[string]*tls.Certificate) {
	t.Helper()
	dir, all = t.TempDir(), map[string]*tls.Certificate{"none": nil}
	long := func() time.Time { return time.Now().Add(-48 * time.Hour) }
	add := func(name string, files pki.Files, err error) *tls.Certificate {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = &pair
		return &pair
	}
	if _, err := pki.Initialize(dir, "test", pki.Options{Now: long}); err != nil {
		t.Fatal(err)
	}
	open := func(dir string, opts pki.Options) *pki.Authority {
		a, err := pki.OpenAuthority(dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	authority := open(dir, pki.Options{})
	files, err := authority.ControlCertificate(dir, "127.0.0.1")
	add("control", files, err)
	if err := errors.Join(os.Rename(files.Cert, filepath.Join(dir, pki.ControlName+".crt")), os.Rename(files.Key, filepath.Join(dir, pki.ControlName+".key"))); err != nil {
		t.Fatal(err)
	}
	issue := func(prefix string, a *pki.Authority) (serials []*big.Int) {
		made := t.TempDir()
		files, err := a.UserCertificate(made, "alice")
		serials = append(serials, add(prefix+"user", files, err).Leaf.SerialNumber)
		files, err = a.ReaderCertificate(made, "dashboard")
		serials = append(serials, add(prefix+"reader", files, err).Leaf.SerialNumber)
		files, err = a.RenewNodeCertificate(made, node)
		return append(serials, add(prefix+"node", files, err).Leaf.SerialNumber)
	}
	issue("", authority)
	files, err = authority.RenewNodeCertificate(t.TempDir(), rogueNode)
	add("rogue node", files, err)
	if _, _, err := authority.Revoke(issue("revoked ", authority)...); err != nil {
		t.Fatal(err)
	}
	issue("expired ", open(dir, pki.Options{Now: long, Validity: time.Hour}))
	other := t.TempDir()
	if _, err := pki.Initialize(other, "test", pki.Options{}); err != nil {
		t.Fatal(err)
	}
	issue("other cluster's ", open(other, pki.Options{}))
	self, err := tls.LoadX509KeyPair(filepath.Join(other, pki.AuthorityCert), filepath.Join(other, pki.AuthorityKey))
	if err != nil {
		t.Fatal(err)
	}
	all["self-signed"] = &self
	return dir, all
}

// refused is the status of a connection that the handshake, or its end, refuses.
const refused = 0

func TestEveryCertificateOpensOnlyWhatItsRoleAllows(t *testing.T) {
	dir, all := certificates(t)
	users, agents := service(t, dir)
	document, err := openapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	delete(all, "rogue node") // as the other one
	for name, pair := range all {
		t.Run(name, func(t *testing.T) {
			config := &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if pair == nil {
					return &tls.Certificate{}, nil
				}
				return pair, nil
			}}
			transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			try := func(address, method, path string) int {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				r, err := http.NewRequestWithContext(ctx, method, "https://"+address+path, bytes.NewReader([]byte("{")))
				if err != nil {
					t.Fatal(err)
				}
				resp, err := (&http.Client{Transport: transport}).Do(r)
				if err != nil {
					return refused
				}
				if path != "/v1/watch" {
					_, _ = io.Copy(io.Discard, resp.Body)
				}
				_ = resp.Body.Close()
				return resp.StatusCode
			}
			for _, op := range document.Operations() {
				path := strings.NewReplacer("{dataset_id}", node, "{node_id}", node, "{era}", node).Replace(op.Pattern)
				if i := strings.Index(path, "{"); i >= 0 {
					path = path[:i] + "x"
				}
				got := try(users, op.Method, path)
				reads := op.Method == http.MethodGet && op.ID != "getBackup"
				switch {
				case name != "user" && name != "reader":
					if got != refused {
						t.Errorf("%s %s: got %d, want the connection refused", op.Method, path, got)
					}
				case name == "reader" && !reads:
					if got != http.StatusForbidden {
						t.Errorf("%s %s: got %d, want 403", op.Method, path, got)
					}
				case got == refused || got == http.StatusForbidden || got >= http.StatusInternalServerError:
					t.Errorf("%s %s: got %d, want it answered", op.Method, path, got)
				}
			}
			for path, method := range map[string]string{
				"/agent/v1/stream": http.MethodPost, "/agent/v1/claim": http.MethodPost, "/agent/v1/member": http.MethodPost,
				"/agent/v1/report": http.MethodPost, "/agent/v1/datasets/" + node: http.MethodGet,
			} {
				got := try(agents, method, path)
				switch {
				case name != "node" && got != refused:
					t.Errorf("%s %s: got %d, want the connection refused", method, path, got)
				case name == "node" && (got == refused || got == http.StatusForbidden || got >= http.StatusInternalServerError):
					t.Errorf("%s %s: got %d, want it answered", method, path, got)
				}
			}
		})
	}
}
