package pki_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/pki"
)

// handshake connects a client to a server over TCP and returns whom the server
// saw, and what each of them says.
func handshake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	type outcome struct {
		state tls.ConnectionState
		err   error
	}
	served := make(chan outcome, 1)
	go func() {
		raw, err := listener.Accept()
		if err != nil {
			served <- outcome{err: err}
			return
		}
		conn := tls.Server(raw, server)
		defer conn.Close()
		err = conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte("hello"))
		}
		served <- outcome{conn.ConnectionState(), err}
	}()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, client)
	// In TLS 1.3 a client learns only by reading whether it was accepted.
	_, clientErr = io.ReadAll(conn)
	conn.Close()
	got := <-served
	return got.state, got.err, clientErr
}

func serverConfig(t *testing.T, dir string, admitted ...pki.Role) *tls.Config {
	t.Helper()
	config, err := pki.ServerConfig(dir, "control-service", quiet(), admitted...)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func clientConfig(t *testing.T, dir, base string, role pki.Role) *tls.Config {
	t.Helper()
	config, err := pki.ClientConfig(dir, base, role, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// bare is a client without our rules that shows the given certificate.
func bare(t *testing.T, dir, base string) *tls.Config {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true}
	if base != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, base+".crt"), filepath.Join(dir, base+".key"))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

func TestServerAdmitsOnlyItsRole(t *testing.T) {
	for _, kind := range []pki.KeyType{pki.ECDSA, pki.RSA} {
		t.Run(string(kind), func(t *testing.T) {
			dir := newClusterOf(t, kind)
			tests := []struct {
				base     string
				role     pki.Role
				admitted []pki.Role
				refused  string
			}{
				{base: "node", role: pki.RoleNode, admitted: []pki.Role{pki.RoleNode}},
				{base: "alice", role: pki.RoleUser, admitted: []pki.Role{pki.RoleUser}},
				{base: "node", role: pki.RoleNode, admitted: []pki.Role{pki.RoleUser, pki.RoleNode}},
				{base: "alice", role: pki.RoleUser, admitted: []pki.Role{pki.RoleNode}, refused: "want a node's (CN node-UUID)"},
				{base: "node", role: pki.RoleNode, admitted: []pki.Role{pki.RoleUser}, refused: "want a user's (CN user-NAME)"},
			}
			for _, tt := range tests {
				state, serverErr, clientErr := handshake(t, serverConfig(t, dir, tt.admitted...), clientConfig(t, dir, tt.base, tt.role))
				if tt.refused == "" {
					if serverErr != nil || clientErr != nil {
						t.Errorf("%s at %v: got %v and %v, want admission", tt.base, tt.admitted, serverErr, clientErr)
						continue
					}
					if role, _, _ := pki.Identity(state.PeerCertificates[0]); role != tt.role {
						t.Errorf("%s: role seen by the server: got %q, want %q", tt.base, role, tt.role)
					}
					continue
				}
				if serverErr == nil || !strings.Contains(serverErr.Error(), tt.refused) || !strings.Contains(serverErr.Error(), "certificate of") {
					t.Errorf("%s at %v: server says %v, want whose certificate and %q", tt.base, tt.admitted, serverErr, tt.refused)
				}
				if clientErr == nil {
					t.Errorf("%s at %v: the client was not told", tt.base, tt.admitted)
				}
			}
		})
	}
}

func TestServerRefusesWhoIsNotOfItsCluster(t *testing.T) {
	dir, _ := newCluster(t, pki.Options{})
	other, _ := newCluster(t, pki.Options{})
	server := serverConfig(t, dir, pki.RoleNode)

	expired, err := pki.OpenAuthority(dir, pki.Options{Validity: time.Minute, Now: func() time.Time { return time.Now().Add(-2 * time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	_, files, err := expired.NodeCertificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	rename(t, files, dir, "expired")

	tests := map[string]struct {
		client *tls.Config
		want   string
	}{
		"no certificate":       {bare(t, "", ""), "didn't provide a certificate"},
		"another authority":    {bare(t, other, "node"), "signed by unknown authority"},
		"expired":              {bare(t, dir, "expired"), "has expired on"},
		"a server's":           {bare(t, dir, "control-service"), "incompatible key usage"},
		"the authority itself": {bare(t, dir, "cluster"), "wrong role"},
	}
	for name, tt := range tests {
		_, serverErr, clientErr := handshake(t, server, tt.client)
		if serverErr == nil || !strings.Contains(serverErr.Error(), tt.want) {
			t.Errorf("%s: server says %v, want %q", name, serverErr, tt.want)
		}
		if clientErr == nil {
			t.Errorf("%s: the client was not told", name)
		}
	}
}

func TestCertificateOfAnotherClusterIsRefused(t *testing.T) {
	// The authority's key signed it, by hand, but for another cluster.
	dir, _ := newCluster(t, pki.Options{})
	request(t, dir, "stranger", "/CN=node-9c1d2e3f-7a6b-4c5d-8e9f-102132435465/OU=00000000-0000-4000-8000-000000000000")
	sign(t, dir, "stranger", "extendedKeyUsage=clientAuth\n")
	_, serverErr, clientErr := handshake(t, serverConfig(t, dir, pki.RoleNode), bare(t, dir, "stranger"))
	if want := `belongs to cluster "00000000-0000-4000-8000-000000000000"`; serverErr == nil || !strings.Contains(serverErr.Error(), want) {
		t.Errorf("server says %v, want %q", serverErr, want)
	}
	if clientErr == nil {
		t.Error("the client was not told")
	}
	if _, err := pki.Load(dir, "stranger", pki.RoleNode, quiet()); err == nil || !strings.Contains(err.Error(), "this is cluster") {
		t.Errorf("load: got %v, want a refusal with the clusters", err)
	}
}

func TestClientAcceptsOnlyTheControlService(t *testing.T) {
	dir, _ := newCluster(t, pki.Options{})
	other, _ := newCluster(t, pki.Options{})
	client := clientConfig(t, dir, "node", pki.RoleNode)
	plain := func(dir, base string) *tls.Config {
		config := bare(t, dir, base)
		config.ClientAuth = tls.RequireAnyClientCert
		return config
	}
	tests := map[string]struct {
		server *tls.Config
		want   string
	}{
		"another authority": {plain(other, "control-service"), "signed by unknown authority"},
		"a node's":          {plain(dir, "node"), "incompatible key usage"},
	}
	for name, tt := range tests {
		_, _, clientErr := handshake(t, tt.server, client)
		if clientErr == nil || !strings.Contains(clientErr.Error(), tt.want) {
			t.Errorf("%s: client says %v, want %q", name, clientErr, tt.want)
		}
	}

	// A certificate that may serve, but for a user's name.
	request(t, dir, "web", "/CN=user-web/OU="+cluster(t, dir))
	sign(t, dir, "web", "subjectAltName=DNS:control-service\nextendedKeyUsage=serverAuth\n")
	_, _, clientErr := handshake(t, plain(dir, "web"), client)
	if clientErr == nil || !strings.Contains(clientErr.Error(), "wrong role, want a control service's") {
		t.Errorf("a user's certificate that may serve: client says %v, want the wrong role", clientErr)
	}

	// A control certificate for other names than the dialled one.
	request(t, dir, "named", "/CN=control-service/OU="+cluster(t, dir))
	sign(t, dir, "named", "subjectAltName=DNS:flocker.example.net\nextendedKeyUsage=serverAuth\n")
	for host, want := range map[string]string{"flocker.example.net": "", "evil.example.net": "not control-service", "": "not control-service"} {
		config := client.Clone()
		config.ServerName = host
		_, _, clientErr := handshake(t, plain(dir, "named"), config)
		if want == "" && clientErr != nil || want != "" && (clientErr == nil || !strings.Contains(clientErr.Error(), want)) {
			t.Errorf("dialled as %q: client says %v, want %q", host, clientErr, want)
		}
	}
}

func TestOldProtocolsAreRefused(t *testing.T) {
	dir, _ := newCluster(t, pki.Options{})
	client := bare(t, dir, "node")
	client.MinVersion, client.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, _, clientErr := handshake(t, serverConfig(t, dir, pki.RoleNode), client); clientErr == nil {
		t.Error("a client of TLS 1.1 was served")
	}
	client = bare(t, dir, "node")
	client.MaxVersion = tls.VersionTLS12
	if _, _, clientErr := handshake(t, serverConfig(t, dir, pki.RoleNode), client); clientErr != nil {
		t.Errorf("a client of TLS 1.2 was refused: %v", clientErr)
	}
}

func TestServerTakesUpANewAuthority(t *testing.T) {
	dir, _ := newCluster(t, pki.Options{})
	server := serverConfig(t, dir, pki.RoleNode)
	if _, serverErr, _ := handshake(t, server, bare(t, dir, "node")); serverErr != nil {
		t.Fatal(serverErr)
	}
	old := t.TempDir()
	copyAll(t, dir, old)
	other, _ := newCluster(t, pki.Options{})
	copyAll(t, other, dir)
	if _, serverErr, clientErr := handshake(t, server, bare(t, dir, "node")); serverErr != nil || clientErr != nil {
		t.Errorf("a node of the new authority: got %v and %v, want admission", serverErr, clientErr)
	}
	if _, serverErr, _ := handshake(t, server, bare(t, old, "node")); serverErr == nil {
		t.Error("a node of the old authority was admitted")
	}
}

func TestExpiryOfOnesOwnCertificateIsSaidAtHome(t *testing.T) {
	dir, _ := newCluster(t, pki.Options{Validity: 10 * 24 * time.Hour})
	server := serverConfig(t, dir, pki.RoleNode)
	now := time.Now()
	clock := func() time.Time { return now }
	creds, err := pki.LoadAt(pki.PathsIn(dir, "node"), quiet(), clock, pki.RoleNode)
	if err != nil {
		t.Fatal(err)
	}
	client := creds.Client()
	if _, _, clientErr := handshake(t, server, client); clientErr != nil {
		t.Fatal(clientErr)
	}
	// The server's certificate must not be what fails.
	client.VerifyConnection = nil
	now = now.Add(11 * 24 * time.Hour)
	_, _, clientErr := handshake(t, server, client)
	if clientErr == nil || !strings.Contains(clientErr.Error(), "node.crt") || !strings.Contains(clientErr.Error(), "expired on") {
		t.Errorf("got %v, want the file and its date", clientErr)
	}
}

func cluster(t *testing.T, dir string) string {
	t.Helper()
	_, _, cluster := pki.Identity(readCert(t, filepath.Join(dir, "cluster.crt")))
	return cluster
}

// request makes base.key and base.csr as openssl does.
func request(t *testing.T, dir, base, subject string) {
	t.Helper()
	openssl(t, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", filepath.Join(dir, base+".key"), "-subj", subject, "-out", filepath.Join(dir, base+".csr"))
}

// sign makes base.crt from base.csr with the extensions given, as openssl does.
func sign(t *testing.T, dir, base, extensions string) {
	t.Helper()
	ext := filepath.Join(dir, base+".ext")
	write(t, ext, []byte(extensions))
	openssl(t, "x509", "-req", "-in", filepath.Join(dir, base+".csr"), "-CA", filepath.Join(dir, "cluster.crt"),
		"-CAkey", filepath.Join(dir, "cluster.key"), "-CAcreateserial", "-days", "100", "-extfile", ext,
		"-out", filepath.Join(dir, base+".crt"))
}

func copyAll(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(from, e.Name()))
		errs = append(errs, err, os.WriteFile(filepath.Join(to, e.Name()), text, 0o600))
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
