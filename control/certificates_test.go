package control_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/pki"
)

// secured is a control service with certificates in files, as it really runs.
type secured struct {
	*testing.T
	dir       string // of all certificates, and of the authority
	authority *pki.Authority
	log       *lines
	service   *control.Service
	users     string
	agents    string
	metrics   string
}

// lines is a log that a test waits for.
type lines struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed, and replaced, with every line
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(p)
}

// await waits for a line that has all the words, and returns it.
func (l *lines) await(t *testing.T, words ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		l.mu.Lock()
		text, changed := l.text.String(), l.changed
		l.mu.Unlock()
	line:
		for line := range strings.Lines(text) {
			for _, word := range words {
				if !strings.Contains(line, word) {
					continue line
				}
			}
			return line
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Errorf("the log has no line with %q:\n%s", words, text)
			return ""
		}
	}
}

// longAgo is when authorities are made, so that what they signed can have expired.
func longAgo() time.Time { return time.Now().Add(-30 * 24 * time.Hour) }

// newSecured makes an authority with the certificates of all roles.
func newSecured(t *testing.T) *secured {
	t.Helper()
	s := &secured{T: t, dir: t.TempDir()}
	if _, err := pki.Initialize(s.dir, "test", pki.Options{Now: longAgo}); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.authority, err = pki.OpenAuthority(s.dir, pki.Options{}); err != nil {
		t.Fatal(err)
	}
	files, err := s.authority.ControlCertificate(s.dir, "127.0.0.1", "localhost")
	s.place(files, err, pki.ControlName)
	files, err = s.authority.RenewNodeCertificate(s.dir, nodeA)
	s.place(files, err, "node")
	files, err = s.authority.RenewNodeCertificate(s.dir, nodeB)
	s.place(files, err, "other")
	files, err = s.authority.UserCertificate(s.dir, "alice")
	s.place(files, err, "alice")
	files, err = s.authority.ReaderCertificate(s.dir, "dashboard")
	s.place(files, err, "dashboard")
	return s
}

// place gives new files the name that a test calls them by.
func (s *secured) place(files pki.Files, err error, base string) {
	s.Helper()
	if err == nil {
		err = errors.Join(os.Rename(files.Cert, s.path(base+".crt")), os.Rename(files.Key, s.path(base+".key")))
	}
	if err != nil {
		s.Fatal(err)
	}
}

func (s *secured) path(name string) string { return filepath.Join(s.dir, name) }

// start runs the control service of the directory.
func (s *secured) start() *secured {
	s.Helper()
	s.log = &lines{changed: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	creds, err := pki.Load(s.dir, pki.ControlName, pki.RoleControl, log)
	if err != nil {
		s.Fatal(err)
	}
	_, _, cluster := creds.Identity()
	cfg := control.DefaultConfig()
	cfg.Listen, cfg.AgentListen, cfg.MetricsListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Store = "file:" + s.TempDir()
	cfg.Heartbeat = 50 * time.Millisecond
	s.service, err = control.New(cfg, control.Deps{
		Cluster: cluster, UserTLS: creds.Server(pki.RoleUser, pki.RoleReader), AgentTLS: creds.Server(pki.RoleNode),
		Credentials: creds, Version: "1.2.3", Log: log,
	})
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.service.Run(ctx) }()
	s.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.Errorf("service ended: %v", err)
		}
	})
	s.users, s.agents = s.service.UserAddr().String(), s.service.AgentAddr().String()
	s.metrics = s.service.MetricsAddr().String()
	return s
}

// creds are what a program of ours would use.
func (s *secured) creds(base string) *pki.Credentials {
	s.Helper()
	creds, err := pki.LoadFiles(pki.PathsIn(s.dir, base), quiet(), pki.RoleNode, pki.RoleUser, pki.RoleReader)
	if err != nil {
		s.Fatal(err)
	}
	return creds
}

// foreign is a client without our rules that shows a certificate, or none.
func (s *secured) foreign(crt string) *tls.Config {
	s.Helper()
	config := &tls.Config{InsecureSkipVerify: true}
	if crt != "" {
		pair, err := tls.LoadX509KeyPair(crt, strings.TrimSuffix(crt, ".crt")+".key")
		if err != nil {
			s.Fatal(err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return config
}

// get makes one request over a connection of its own, from a given address.
func (s *secured) get(address, from string, config *tls.Config, method, path string) (*http.Response, string, error) {
	s.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{TLSClientConfig: config, DialContext: dialer.DialContext, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(s.Context(), method, "https://"+address+path, strings.NewReader(""))
	if err != nil {
		s.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response, string(text), err
}

func (s *secured) openssl(args ...string) {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), "openssl", args...)
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// sign has openssl make a certificate of the directory's authority.
func (s *secured) sign(base, subject, extensions string, args ...string) {
	s.Helper()
	if err := os.WriteFile(s.path(base+".ext"), []byte(extensions), 0o600); err != nil {
		s.Fatal(err)
	}
	s.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", base+".key",
		"-subj", subject, "-out", base+".csr")
	args = append([]string{"x509", "-req", "-in", base + ".csr", "-days", "100", "-extfile", base + ".ext", "-out", base + ".crt"}, args...)
	s.openssl(args...)
}

// ours are the arguments with which openssl signs as the directory's authority.
var ours = []string{"-CA", "cluster.crt", "-CAkey", "cluster.key", "-CAcreateserial"}

// TestWrongCertificatesFailInTheHandshake is the conformance list: whom neither
// port lets in, and what the log says of it.
func TestWrongCertificatesFailInTheHandshake(t *testing.T) {
	s := newSecured(t)
	stranger := newSecured(t)
	timed := func(base string, now time.Time) {
		authority, err := pki.OpenAuthority(s.dir, pki.Options{Validity: 24 * time.Hour, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		files, err := authority.UserCertificate(s.dir, base)
		s.place(files, err, base)
	}
	aged, err := pki.OpenAuthority(s.dir, pki.Options{Now: longAgo})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := aged.Replace("next"); err != nil { // so that the authority's file has two, as it may
		t.Fatal(err)
	}
	timed("late", time.Now().Add(-10*24*time.Hour))
	timed("early", time.Now().Add(10*24*time.Hour))
	s.sign("foreigner", "/CN=user-foreigner/OU=00000000-0000-4000-8000-000000000000", "extendedKeyUsage=clientAuth\n", ours...)
	s.sign("selfmade", "/CN=user-selfmade/OU="+s.authority.Cluster(), "extendedKeyUsage=clientAuth\n", "-key", "selfmade.key")
	s.sign("nobody", "/CN=nobody/OU="+s.authority.Cluster(), "extendedKeyUsage=clientAuth\n", ours...)
	s.sign("homeless", "/CN=user-homeless", "extendedKeyUsage=clientAuth\n", ours...)
	s.sign("server", "/CN=user-server/OU="+s.authority.Cluster(), "extendedKeyUsage=serverAuth\n", ours...)
	s.start()
	old := s.foreign(s.path("alice.crt"))
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11

	unknown := "signed by unknown authority"
	tests := []struct {
		name   string
		client *tls.Config
		users  []string // what the log says on the users' port, nil where it lets in
		agents []string // and on the agents'
	}{
		{"no certificate", s.foreign(""), []string{"didn't provide a certificate"}, []string{"didn't provide a certificate"}},
		{"another authority's user", s.foreign(stranger.path("alice.crt")), []string{`certificate of \"user-alice\" (serial `, `made by \"test\"`, unknown},
			[]string{unknown, "belongs to cluster"}},
		{"another authority's node", s.foreign(stranger.path("node.crt")), []string{unknown}, []string{`certificate of \"node-` + nodeA, unknown}},
		{"self-signed", s.foreign(s.path("selfmade.crt")), []string{`\"user-selfmade\"`, `made by \"user-selfmade\"`, unknown}, []string{unknown}},
		{"expired", s.foreign(s.path("late.crt")), []string{`\"user-late\"`, "has expired on"}, []string{"has expired on"}},
		{"not yet valid", s.foreign(s.path("early.crt")), []string{`\"user-early\"`, "is not valid before", "are the clocks right?"}, []string{"is not valid before"}},
		{"another cluster of the same authority", s.foreign(s.path("foreigner.crt")),
			[]string{`\"user-foreigner\"`, `belongs to cluster \"00000000-0000-4000-8000-000000000000\"`}, []string{"belongs to cluster"}},
		{"no cluster", s.foreign(s.path("homeless.crt")), []string{`belongs to cluster \"\"`}, []string{`belongs to cluster \"\"`}},
		{"no role", s.foreign(s.path("nobody.crt")), []string{`\"nobody\"`, "is of the wrong role, want a user's (CN user-NAME) or a reader's (CN reader-NAME)"},
			[]string{"is of the wrong role, want a node's (CN node-UUID)"}},
		{"a server's usage", s.foreign(s.path("server.crt")), []string{"incompatible key usage"}, []string{"incompatible key usage"}},
		{"the control service's", s.foreign(s.path("control-service.crt")), []string{"incompatible key usage"}, []string{"incompatible key usage"}},
		{"a user", s.foreign(s.path("alice.crt")), nil, []string{`\"user-alice\"`, "is of the wrong role, want a node's (CN node-UUID)"}},
		{"a reader", s.foreign(s.path("dashboard.crt")), nil, []string{`\"reader-dashboard\"`, "is of the wrong role"}},
		{"a node", s.foreign(s.path("node.crt")), []string{`\"node-` + nodeA + `\"`, "is of the wrong role, want a user's"}, nil},
		{"TLS 1.1", old, []string{"client offered only unsupported versions"}, []string{"client offered only unsupported versions"}},
	}
	for i, tt := range tests {
		for port, address := range []string{s.users, s.agents} {
			listener, want := "users", tt.users
			if port == 1 {
				listener, want = "agents", tt.agents
			}
			from := fmt.Sprintf("127.0.%d.%d", port+1, i+1) // another address for each: one that hammers is not logged
			response, _, err := s.get(address, from, tt.client, http.MethodGet, "/v1/version")
			if want == nil {
				if err != nil {
					t.Errorf("%s at the port for %s: got %v, want admission", tt.name, listener, err)
				}
				continue
			}
			if err == nil {
				t.Errorf("%s at the port for %s: got %d, want a refusal before HTTP", tt.name, listener, response.StatusCode)
				continue
			}
			s.log.await(t, append(want, "level=WARN", "refused in the TLS handshake", "listener="+listener, "from="+from+":")...)
		}
	}
}

func TestRefusedClientsOfOursHearWhatToDo(t *testing.T) {
	s := newSecured(t).start()
	c, err := client.New(client.Config{Endpoints: []string{s.users}, TLS: s.creds("node").Client()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Version(t.Context()); err == nil || !strings.Contains(err.Error(), "flocker ca check --control") {
		t.Errorf("a node at the users' port: got %v, want where the reason is", err)
	}
	a, err := client.NewAgent(client.Config{Endpoints: []string{s.agents}, TLS: s.creds("alice").Client()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Connect(t.Context(), hello(nodeA)); err == nil || !strings.Contains(err.Error(), "flocker ca check --control") {
		t.Errorf("a user at the agents' port: got %v, want where the reason is", err)
	}
}

func TestReadersSeeEverythingAndChangeNothing(t *testing.T) {
	s := newSecured(t).start()
	reader := s.creds("dashboard").Client()
	for _, path := range []string{"/v1/version", "/v1/configuration/datasets", "/v1/state/datasets", "/v1/state/nodes", "/v1/nodes", "/v1/status", "/health"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if response, text, err := s.get(s.users, "127.0.0.1", reader, method, path); err != nil || response.StatusCode != http.StatusOK {
				t.Errorf("%s %s: got %v, %s", method, path, err, text)
			}
		}
	}
	refused := func(method, path, want string) {
		t.Helper()
		response, text, err := s.get(s.users, "127.0.0.1", reader, method, path)
		if err != nil {
			t.Errorf("%s %s: %v", method, path, err)
			return
		}
		refusal := client.Refusal(response.StatusCode, response.Header, []byte(text))
		if code := response.Header.Get(api.HeaderError); response.StatusCode != http.StatusForbidden ||
			code != string(api.CodeForbidden) || !strings.Contains(refusal.Message, want) {
			t.Errorf("%s %s: got %d %s, want 403 and %q", method, path, response.StatusCode, text, want)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, "BREW"} {
		for _, path := range []string{"/v1/configuration/datasets", "/v1/nodes/" + nodeA + "/lost", "/v1/nowhere"} {
			refused(method, path, "is a reader's: it allows GET and HEAD, not "+method)
		}
	}
	for _, path := range []string{"/v1/backup", "/v1//backup", "/v1/%62ackup"} {
		refused(http.MethodGet, path, "a backup needs a certificate without that limit")
	}
	user := s.creds("alice").Client()
	if response, text, err := s.get(s.users, "127.0.0.1", user, http.MethodGet, "/v1/backup"); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("a user: got %v and %s, want the backup", err, text)
	}
	s.log.await(t, "level=INFO", "caller=dashboard", "role=reader", "status=403")
}

func (s *secured) connect(base, node string) *client.Session {
	s.Helper()
	creds := s.creds(base)
	a, err := client.NewAgent(client.Config{Endpoints: []string{s.agents}, TLS: creds.Client()})
	if err != nil {
		s.Fatal(err)
	}
	h := hello(node)
	h.CertificateExpires = creds.Expires()
	session, err := a.Connect(s.Context(), h)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = session.Close() })
	return session
}

func TestNodeSpeaksForItselfAlone(t *testing.T) {
	s := newSecured(t).start()
	a, b := s.connect("node", nodeA), s.connect("other", nodeB)
	d := mustClaim(t, a, "db")
	if !d.HeldBy(nodeA) {
		t.Fatalf("got %+v, want node A as the holder", d)
	}
	// Node B names A's stream, as if it were A.
	call := func(path string, body any) (int, string) {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{TLSClientConfig: s.creds("other").Client()}
		defer transport.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.agents+path, bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Client{Transport: transport}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(answer)
	}
	stream := a.Welcome().Stream
	for stream == b.Welcome().Stream { // streams of each node are counted by themselves
		a = s.connect("node", nodeA)
		stream = a.Welcome().Stream
	}
	d = mustClaim(t, a, "db")
	release := api.Report{Stream: stream, Datasets: []api.DatasetReport{{State: api.DatasetState{ID: d.ID, Epoch: d.Epoch}, Release: true}}}
	if status, text := call("/agent/v1/report", release); status != http.StatusConflict || !strings.Contains(text, `"stale"`) {
		t.Errorf("a report with another node's stream: got %d %s, want 409 stale", status, text)
	}
	if status, text := call("/agent/v1/claim", api.ClaimRequest{Stream: stream, ID: d.ID}); status != http.StatusConflict || !strings.Contains(text, `"stale"`) {
		t.Errorf("a claim with another node's stream: got %d %s, want 409 stale", status, text)
	}
	// With its own stream it is not the holder, whatever it says.
	release.Stream = b.Welcome().Stream
	if status, text := call("/agent/v1/report", release); status != http.StatusOK || !strings.Contains(text, `"refused"`) {
		t.Errorf("a release of what another node holds: got %d %s, want it refused", status, text)
	}
	if now := mustClaim(t, a, "db"); !now.HeldBy(nodeA) || now.Epoch != d.Epoch {
		t.Errorf("got %+v, want it held as before", now)
	}
}

// served returns the certificate that the control service shows now.
func (s *secured) served() *x509.Certificate {
	s.Helper()
	conn, err := tls.Dial("tcp", s.users, s.creds("alice").Client())
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

func (s *secured) renew(base string, o pki.RenewOptions) {
	s.Helper()
	if _, err := s.authority.Renew(s.path(base+".crt"), o); err != nil {
		s.Fatal(err)
	}
}

func TestRenewedCertificatesServeNewConnectionsAndStreamsGoOn(t *testing.T) {
	s := newSecured(t).start()
	stream := s.connect("node", nodeA)
	agent := s.creds("node").Client() // of a program that runs on
	before := s.served()

	s.renew(pki.ControlName, pki.RenewOptions{NewKey: true})
	after := s.served()
	if before.SerialNumber.Cmp(after.SerialNumber) == 0 {
		t.Error("a new connection was shown the old certificate")
	}
	s.renew("node", pki.RenewOptions{NewKey: true})
	renewed := s.creds("node")
	cert, err := agent.GetClientCertificate(&tls.CertificateRequestInfo{})
	if err != nil || !cert.Leaf.NotAfter.Equal(renewed.Expires()) {
		t.Errorf("the running agent shows %v, %v; want the one until %s", cert.Leaf.NotAfter, err, renewed.Expires())
	}
	if _, _, err := s.get(s.agents, "127.0.0.1", agent, http.MethodGet, "/v1/version"); err != nil {
		t.Errorf("a new connection of the running agent: %v", err)
	}
	mustClaim(t, stream, "db") // which goes on

	// What is not usable is logged, and the old one serves on.
	if err := os.WriteFile(s.path("control-service.crt"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.served(); got.SerialNumber.Cmp(after.SerialNumber) != 0 {
		t.Error("rubbish was taken up")
	}
	s.log.await(t, "level=ERROR", "the ones read before serve on", "control-service.crt: holds no PEM text (7 bytes)")
	text, err := os.ReadFile(s.path("control-service.crt.old"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(s.path("control-service.key.old"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(s.path("control-service.crt"), text, 0o600), os.WriteFile(s.path("control-service.key"), key, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := s.served(); got.SerialNumber.Cmp(before.SerialNumber) != 0 {
		t.Error("good files were not taken up after rubbish")
	}
}

func TestAuthorityIsReplacedUnderARunningService(t *testing.T) {
	s := newSecured(t).start()
	stream := s.connect("node", nodeA)
	running := s.creds("node").Client()
	old := s.foreign(s.path("other.crt"))
	admitted := func(when string, config *tls.Config) {
		t.Helper()
		if _, _, err := s.get(s.agents, "127.0.0.1", config, http.MethodGet, "/v1/version"); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	if _, err := s.authority.Replace("next"); err != nil {
		t.Fatal(err)
	}
	admitted("with both authorities, before any renewal", running)
	s.renew("node", pki.RenewOptions{})
	admitted("with the new node's and the old service's", running)
	s.renew(pki.ControlName, pki.RenewOptions{})
	s.renew("alice", pki.RenewOptions{})
	admitted("with both renewed", running)
	admitted("with another node's old one", old)
	if _, _, err := s.authority.Retire(true); err != nil {
		t.Fatal(err)
	}
	admitted("with the new authority alone", running)
	if _, _, err := s.get(s.agents, "127.0.0.9", old, http.MethodGet, "/v1/version"); err == nil {
		t.Error("what the retired authority has signed is admitted")
	}
	s.log.await(t, "from=127.0.0.9:", `made by \"test\"`, "unknown authority")
	// The stream was opened with certificates of the retired authority.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var ended error
	for ended == nil {
		_, ended = stream.Next(ctx)
	}
	if ctx.Err() != nil {
		t.Error("a stream outlives its authority")
	}
	mustClaim(t, s.connect("node", nodeA), "db") // as the agent does by itself
	if got := s.served().Issuer.CommonName; got != "next" {
		t.Errorf("the service shows a certificate of %q, want next", got)
	}
}

func TestExpiryIsTold(t *testing.T) {
	s := newSecured(t).start()
	stream := s.connect("node", nodeA)
	defer stream.Close()
	c, err := client.New(client.Config{Endpoints: []string{s.users}, TLS: s.creds("dashboard").Client()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	told := func() (replica, node time.Time) {
		t.Helper()
		status, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return status.Replicas[0].CertificateExpires, status.Nodes[0].CertificateExpires
	}
	ends := func(base string) time.Time {
		all, err := pki.Show(s.path(base + ".crt"))
		if err != nil {
			t.Fatal(err)
		}
		return all[0].To
	}
	replica, node := told()
	if want := ends(pki.ControlName); !replica.Equal(want) {
		t.Errorf("replica: got %s, want %s", replica, want)
	}
	if want := ends("node"); !node.Equal(want) {
		t.Errorf("node: got %s, want %s", node, want)
	}
	brief, err := pki.OpenAuthority(s.dir, pki.Options{Validity: 20 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s.authority = brief
	s.renew(pki.ControlName, pki.RenewOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for want := ends(pki.ControlName); !replica.Equal(want); replica, _ = told() {
		if ctx.Err() != nil {
			t.Fatalf("after a renewal: got %s, want %s", replica, want)
		}
	}
	response, err := http.Get("http://" + s.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`flocker_certificate_expiry_timestamp_seconds{name="control-service",role="control"} `,
		`flocker_certificate_expiry_timestamp_seconds{name="test",role="authority"} `,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// TestVersion1CertificatesOfOpenSSLServe has what `openssl x509 -req` makes by
// itself, and Flocker's own flocker-ca did, for all roles.
func TestVersion1CertificatesOfOpenSSLServe(t *testing.T) {
	s := &secured{T: t, dir: t.TempDir()}
	ou := "/OU=3b4ae5f2-3b4a-4ae5-8f2f-3b4ae5f2aaaa"
	request := func(base, cn string) {
		s.openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", base+".key", "-subj", "/CN="+cn+ou, "-out", base+".csr")
	}
	request("cluster", "old")
	s.openssl("x509", "-req", "-in", "cluster.csr", "-signkey", "cluster.key", "-days", "100", "-out", "cluster.crt")
	for base, cn := range map[string]string{
		"control-service": "control-service", "node": "node-" + nodeA, "alice": "user-alice",
	} {
		request(base, cn)
		s.openssl("x509", "-req", "-in", base+".csr", "-CA", "cluster.crt", "-CAkey", "cluster.key", "-CAcreateserial",
			"-days", "100", "-out", base+".crt")
		all, err := pki.Show(s.path(base + ".crt"))
		if err != nil || all[0].Version != 1 {
			t.Fatalf("%s: got version %d and %v, want 1", base, all[0].Version, err)
		}
	}
	s.start()
	mustClaim(t, s.connect("node", nodeA), "db")
	c, err := client.New(client.Config{Endpoints: []string{s.users}, TLS: s.creds("alice").Client()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Version(t.Context()); err != nil {
		t.Error(err)
	}
}
