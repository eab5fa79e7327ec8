package control_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/pki"
)

// held is a client with one open connection of each kind.
type held struct {
	s      *secured
	user   map[string]*http.Client // by protocol
	ended  map[string]chan error   // of what stays open
	stream *client.Session
}

// revokes has the certificate of a name revoked.
func (s *secured) revokes(base string) {
	s.Helper()
	cert, err := tls.LoadX509KeyPair(s.path(base+".crt"), s.path(base+".key"))
	if err == nil {
		_, _, err = s.authority.Revoke(cert.Leaf.SerialNumber)
	}
	if err != nil {
		s.Fatal(err)
	}
}

// hold opens an HTTP/1.1 and an HTTP/2 connection of alice, a watch, a long poll, and
// a stream of a node's agent.
func (s *secured) hold() *held {
	s.Helper()
	h := &held{s: s, user: map[string]*http.Client{}, ended: map[string]chan error{}}
	for protocol, two := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		config := s.foreign(s.path("alice.crt"))
		if !two {
			config.NextProtos = []string{"http/1.1"}
		}
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: two, MaxConnsPerHost: 1}
		s.Cleanup(transport.CloseIdleConnections)
		h.user[protocol] = &http.Client{Transport: transport}
	}
	node, err := client.NewAgent(client.Config{Endpoints: []string{s.agents}, TLS: s.creds("node").Client()})
	if err != nil {
		s.Fatal(err)
	}
	if h.stream, err = node.Connect(s.Context(), hello(nodeA)); err != nil {
		s.Fatal(err)
	}
	if _, err := h.call("HTTP/1.1", http.MethodPost, datasets, `{"primary": "`+nodeB+`", "dataset_id": "`+dataset1+`", "metadata": {"name": "db"}}`); err != nil {
		s.Fatal(err)
	}
	h.stay("watch", "/v1/watch", true)
	_, etag := h.get("/v1/volumes/db")
	h.stay("long poll", "/v1/volumes/db?wait=25s&after="+strings.NewReplacer(`"`, "%22", "/", "%2F").Replace(etag), false)
	h.ended["stream"] = make(chan error, 1)
	go func() {
		for { // heartbeats are so short here that a busy machine misses some
			if _, err := h.stream.Next(context.WithoutCancel(s.Context())); err == nil {
				continue
			}
			if h.stream, err = node.Connect(context.WithoutCancel(s.Context()), hello(nodeA)); err != nil {
				h.ended["stream"] <- err
				return
			}
		}
	}()
	return h
}

func (h *held) call(protocol, method, path, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(h.s.Context(), method, "https://"+h.s.users+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := h.user[protocol].Do(req)
	if err != nil {
		return nil, err
	}
	if resp.Proto != protocol {
		h.s.Errorf("got %s, want %s", resp.Proto, protocol)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil, err
	}
	return resp, resp.Body.Close()
}

func (h *held) get(path string) (status int, etag string) {
	h.s.Helper()
	resp, err := h.call("HTTP/2.0", http.MethodGet, path, "")
	if err != nil {
		h.s.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("ETag")
}

// stay makes a call that does not end by itself, over a connection of its own.
func (h *held) stay(what, path string, begins bool) {
	h.s.Helper()
	transport := &http.Transport{TLSClientConfig: h.s.foreign(h.s.path("alice.crt")), ForceAttemptHTTP2: true}
	h.s.Cleanup(transport.CloseIdleConnections)
	ended, begun := make(chan error, 1), make(chan struct{})
	h.ended[what] = ended
	go func() {
		req, err := http.NewRequestWithContext(context.WithoutCancel(h.s.Context()), http.MethodGet, "https://"+h.s.users+path, http.NoBody)
		if err != nil {
			ended <- err
			return
		}
		if !begins {
			close(begun)
		}
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			ended <- err
			return
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if begins {
				begins = false
				close(begun)
			}
		}
		if lines.Err() == nil {
			ended <- fmt.Errorf("it ended with the status %s as if all were well", resp.Status)
			return
		}
		ended <- lines.Err()
	}()
	select {
	case <-begun:
	case err := <-ended:
		h.s.Fatalf("%s: %v", what, err)
	}
}

// wantClosed checks that what the client holds ends, and that the connections do.
func (h *held) wantClosed(whose string, kinds ...string) {
	h.s.Helper()
	for _, what := range kinds {
		select {
		case err := <-h.ended[what]:
			if strings.Contains(err.Error(), "as if all were well") {
				h.s.Errorf("%s: %v", what, err)
			}
		case <-time.After(20 * time.Second):
			h.s.Errorf("the %s goes on", what)
		}
	}
	if whose != "alice" {
		return
	}
	for protocol := range h.user {
		eventually(h.s, protocol+": the connection ends", func() bool {
			_, err := h.call(protocol, http.MethodPost, datasets, `{"primary": "`+nodeB+`"}`)
			return err != nil
		})
	}
}

func TestARevokedCertificateEndsOpenConnections(t *testing.T) {
	s := newSecured(t).start()
	h := s.hold()
	s.revokes("alice")
	h.wantClosed("alice", "watch", "long poll")
	s.log.await(t, "connection ended", "caller=alice", "is revoked")
	s.revokes("node")
	h.wantClosed("node", "stream")
	s.log.await(t, "connection ended", "role=node", "is revoked")

	t.Log("nor does it open new ones, and others are admitted")
	if _, _, err := s.get(s.users, "127.0.0.1", s.foreign(s.path("alice.crt")), http.MethodGet, "/v1/version"); err == nil {
		t.Error("a revoked certificate is admitted")
	}
	if resp, _, err := s.get(s.users, "127.0.0.1", s.foreign(s.path("dashboard.crt")), http.MethodGet, "/v1/version"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("another certificate is refused: %v", err)
	}
	t.Log("a list that is damaged or gone revokes no less")
	if err := os.WriteFile(s.path(pki.RevokedList), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.get(s.users, "127.0.0.1", s.foreign(s.path("alice.crt")), http.MethodGet, "/v1/version"); err == nil {
		t.Error("a revoked certificate is admitted while the list is damaged")
	}
	if err := os.Remove(s.path(pki.RevokedList)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.get(s.users, "127.0.0.1", s.foreign(s.path("alice.crt")), http.MethodGet, "/v1/version"); err == nil {
		t.Error("a revoked certificate is admitted since the list is gone")
	}
}

func TestACertificateThatEndsEndsOpenConnections(t *testing.T) {
	s := newSecured(t)
	brief, err := pki.OpenAuthority(s.dir, pki.Options{Validity: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{"alice", "node"} {
		if err := errors.Join(os.Remove(s.path(base+".crt")), os.Remove(s.path(base+".key"))); err != nil {
			t.Fatal(err)
		}
	}
	s.start()
	files, err := brief.UserCertificate(s.TempDir(), "alice")
	s.place(files, err, "alice")
	files, err = brief.RenewNodeCertificate(s.TempDir(), nodeA)
	s.place(files, err, "node")
	h := s.hold()
	h.wantClosed("alice", "watch", "long poll", "stream")
	s.log.await(t, "connection ended", "caller=alice", "expired")
	s.log.await(t, "connection ended", "role=node", "expired")
}

func TestARetiredAuthorityEndsOpenConnections(t *testing.T) {
	s := newSecured(t).start()
	h := s.hold()
	if _, err := s.authority.Replace(""); err != nil {
		t.Fatal(err)
	}
	next, err := pki.OpenAuthority(s.dir, pki.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.Renew(s.path(pki.ControlName+".crt"), pki.RenewOptions{}); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(s.path(pki.ControlName+".crt"), s.path(pki.ControlName+".key"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.path(pki.AuthorityCert))
	if err != nil {
		t.Fatal(err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if string(cert.SubjectKeyId) == string(pair.Leaf.AuthorityKeyId) {
			text = pem.EncodeToMemory(block)
		}
	}
	if err := errors.Join(os.WriteFile(s.path("new.crt"), text, 0o600), os.Rename(s.path("new.crt"), s.path(pki.AuthorityCert))); err != nil {
		t.Fatal(err)
	}
	h.wantClosed("alice", "watch", "long poll", "stream")
}

func TestOneCertificateDoesNotTakeAllWatchesAndWrites(t *testing.T) {
	w := newWorld(t)
	w.stop()
	w.cfg.WriteRate = 1
	w.start()
	reader, other := w.rawAs("reader-greedy"), w.rawAs("reader-modest")
	refused := false
	for range 300 {
		resp := reader.open("/v1/watch")
		if resp.StatusCode == http.StatusTooManyRequests {
			if resp.Header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
			refused = true
			break
		}
	}
	if !refused {
		t.Error("one reader opened 300 watches")
	}
	if resp := other.open("/v1/watch"); resp.StatusCode != http.StatusOK {
		t.Errorf("another reader got %s", resp.Status)
	}
	greedy, modest := w.rawAs("user-greedy"), w.rawAs("user-modest")
	body := `{"primary": "` + nodeA + `"}`
	last := 0
	for range 300 {
		resp, _ := greedy.do(http.MethodPost, datasets, body)
		if last = resp.StatusCode; last == http.StatusTooManyRequests {
			break
		}
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("300 creates at once ended with %d", last)
	}
	if resp, _ := modest.do(http.MethodPost, datasets, body); resp.StatusCode != http.StatusCreated {
		t.Errorf("another user got %s", resp.Status)
	}
	if resp, _ := greedy.do(http.MethodGet, "/v1/version", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("its reads got %s", resp.Status)
	}
	s, _ := w.connect(nodeA)
	for i := range 300 {
		_, err := s.Claim(t.Context(), api.ClaimRequest{Find: &api.DatasetSpec{Name: fmt.Sprint("v", i)}})
		if err != nil {
			if !strings.Contains(err.Error(), "write-rate") {
				t.Errorf("claim: %v", err)
			}
			return
		}
	}
	t.Error("300 claims at once were accepted")
}

func TestAnAgentThatReportsTooOftenLosesNoReport(t *testing.T) {
	w := newWorld(t)
	w.stop()
	w.cfg.WriteRate = 1
	w.start()
	s, _ := w.connect(nodeA)
	d, err := s.Claim(t.Context(), api.ClaimRequest{Find: &api.DatasetSpec{Name: "db"}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 230 {
		state := api.DatasetState{ID: d.ID, Epoch: d.Epoch, Phase: api.PhaseDetached, Action: fmt.Sprint("step ", i)}
		if reply, err := s.Report(t.Context(), api.Report{Datasets: []api.DatasetReport{{State: state}}}); err != nil || len(reply.Refused) > 0 {
			t.Fatalf("report %d: %+v, %v", i, reply, err)
		}
	}
}
