package pki_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/pki"
)

// newCluster makes an authority with a control, a node and a user certificate
// under the names that programs want them as, and returns its directory.
func newCluster(t *testing.T, opts pki.Options) (dir string, authority *pki.Authority) {
	t.Helper()
	dir = t.TempDir()
	if _, err := pki.Initialize(dir, "test", opts); err != nil {
		t.Fatal(err)
	}
	authority, err := pki.OpenAuthority(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	control, err := authority.ControlCertificate(dir, "control.example.net", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	rename(t, control, dir, "control-service")
	_, node, err := authority.NodeCertificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	rename(t, node, dir, "node")
	if _, err := authority.UserCertificate(dir, "alice"); err != nil {
		t.Fatal(err)
	}
	return dir, authority
}

// rsaFiles are those of one cluster with keys of RSA: making them takes seconds.
var rsaFiles map[string][]byte

// newRSACluster returns a directory with a cluster, the same for all tests.
func newRSACluster(t *testing.T) (dir string) {
	t.Helper()
	if rsaFiles == nil {
		dir, _ = newCluster(t, pki.Options{Key: pki.RSA})
		files := map[string][]byte{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
		rsaFiles = files
		return dir
	}
	dir = t.TempDir()
	for name, text := range rsaFiles {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

// newClusterOf makes a cluster with keys of a kind.
func newClusterOf(t *testing.T, kind pki.KeyType) (dir string) {
	t.Helper()
	if kind == pki.RSA {
		return newRSACluster(t)
	}
	dir, _ = newCluster(t, pki.Options{Key: kind})
	return dir
}

func rename(t *testing.T, files pki.Files, dir, base string) {
	t.Helper()
	if err := os.Rename(files.Cert, filepath.Join(dir, base+".crt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(files.Key, filepath.Join(dir, base+".key")); err != nil {
		t.Fatal(err)
	}
}

func readCert(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s holds no PEM text", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func openssl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestOpenSSLVerifiesCertificatesStrictly(t *testing.T) {
	for _, kind := range []pki.KeyType{pki.ECDSA, pki.RSA} {
		t.Run(string(kind), func(t *testing.T) {
			dir := newClusterOf(t, kind)
			for base, purpose := range map[string]string{
				"control-service": "sslserver",
				"node":            "sslclient",
				"alice":           "sslclient",
			} {
				openssl(t, "verify", "-x509_strict", "-purpose", purpose,
					"-CAfile", filepath.Join(dir, "cluster.crt"), filepath.Join(dir, base+".crt"))
			}
			for _, host := range []string{"control-service", "control.example.net"} {
				openssl(t, "verify", "-x509_strict", "-verify_hostname", host,
					"-CAfile", filepath.Join(dir, "cluster.crt"), filepath.Join(dir, "control-service.crt"))
			}
			openssl(t, "verify", "-x509_strict", "-verify_ip", "127.0.0.1",
				"-CAfile", filepath.Join(dir, "cluster.crt"), filepath.Join(dir, "control-service.crt"))

			_, isRSA := readCert(t, filepath.Join(dir, "node.crt")).PublicKey.(*rsa.PublicKey)
			if want := kind == pki.RSA; isRSA != want {
				t.Errorf("node's key is RSA: got %v, want %v", isRSA, want)
			}
		})
	}
}

func TestCertificatesSayWhoTheyAreFor(t *testing.T) {
	dir, authority := newCluster(t, pki.Options{})
	ca := readCert(t, filepath.Join(dir, "cluster.crt"))
	if got, want := ca.Subject.CommonName, "test"; got != want {
		t.Errorf("authority's common name: got %q, want %q", got, want)
	}
	if got, want := ca.NotAfter.Sub(ca.NotBefore), pki.AuthorityValidity+time.Hour; got != want {
		t.Errorf("authority's validity: got %v, want %v", got, want)
	}
	tests := []struct {
		base   string
		role   pki.Role
		cn     string
		usage  x509.ExtKeyUsage
		serves []string
	}{
		{base: "control-service", role: pki.RoleControl, cn: "control-service", usage: x509.ExtKeyUsageServerAuth,
			serves: []string{"control-service", "control.example.net"}},
		{base: "node", role: pki.RoleNode, cn: "node-", usage: x509.ExtKeyUsageClientAuth},
		{base: "alice", role: pki.RoleUser, cn: "user-alice", usage: x509.ExtKeyUsageClientAuth},
	}
	for _, tt := range tests {
		cert := readCert(t, filepath.Join(dir, tt.base+".crt"))
		role, name, cluster := pki.Identity(cert)
		if role != tt.role {
			t.Errorf("%s: role: got %q, want %q", tt.base, role, tt.role)
		}
		if !strings.HasSuffix(cert.Subject.CommonName, name) || !strings.HasPrefix(cert.Subject.CommonName, tt.cn) {
			t.Errorf("%s: common name: got %q, want %q... with the name %q", tt.base, cert.Subject.CommonName, tt.cn, name)
		}
		if cluster != authority.Cluster() || cluster == "" {
			t.Errorf("%s: cluster: got %q, want %q", tt.base, cluster, authority.Cluster())
		}
		if cert.Version != 3 {
			t.Errorf("%s: X.509 version: got %d, want 3", tt.base, cert.Version)
		}
		if len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != tt.usage {
			t.Errorf("%s: extended key usage: got %v, want %v", tt.base, cert.ExtKeyUsage, tt.usage)
		}
		if got, want := strings.Join(cert.DNSNames, " "), strings.Join(tt.serves, " "); got != want {
			t.Errorf("%s: DNS names: got %q, want %q", tt.base, got, want)
		}
		if cert.IsCA {
			t.Errorf("%s: is an authority itself", tt.base)
		}
	}
	control := readCert(t, filepath.Join(dir, "control-service.crt"))
	if len(control.IPAddresses) != 1 || !control.IPAddresses[0].Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("IP addresses: got %v, want [127.0.0.1]", control.IPAddresses)
	}
}

func TestFilesAreThereUnderTheirNamesAndPrivate(t *testing.T) {
	dir := t.TempDir()
	authority, err := pki.Initialize(dir, "test", pki.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authority.ControlCertificate(dir, "10.0.0.1", "control.example.net"); err != nil {
		t.Fatal(err)
	}
	node, _, err := authority.NodeCertificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authority.UserCertificate(dir, "alice"); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, base := range []string{"cluster", "control-10.0.0.1", node, "alice"} {
		want[base+".crt"], want[base+".key"] = true, true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if !want[e.Name()] {
			t.Errorf("%s was left behind", e.Name())
		}
		delete(want, e.Name())
		if got := info.Mode(); got != 0o600 {
			t.Errorf("%s: mode: got %v, want 0600", e.Name(), got)
		}
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	dir, authority := newCluster(t, pki.Options{})
	before := readCert(t, filepath.Join(dir, "alice.crt"))
	if _, err := authority.UserCertificate(dir, "alice"); err == nil || !strings.Contains(err.Error(), "File exists "+filepath.Join(dir, "alice.crt")) {
		t.Errorf("second certificate of a user: got %v, want a refusal that names the file", err)
	}
	if err := os.Remove(filepath.Join(dir, "alice.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := authority.UserCertificate(dir, "alice"); err == nil || !strings.Contains(err.Error(), "Unable to write certificate file. File exists "+filepath.Join(dir, "alice.crt")) {
		t.Errorf("second certificate without the first's key: got %v, want a refusal that names the file", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "alice.key")); err == nil {
		t.Error("a key without its certificate was left behind")
	}
	if !readCert(t, filepath.Join(dir, "alice.crt")).Equal(before) {
		t.Error("the certificate was changed")
	}
	remove(t, filepath.Join(dir, "alice.crt"))
	write(t, filepath.Join(dir, "alice.key"), []byte("precious"))
	if _, err := authority.UserCertificate(dir, "alice"); err == nil || !strings.Contains(err.Error(), "Unable to write private key file. File exists "+filepath.Join(dir, "alice.key")) {
		t.Errorf("second key without the first's certificate: got %v, want a refusal that names the file", err)
	}
	if _, err := pki.Initialize(dir, "again", pki.Options{}); err == nil || !strings.Contains(err.Error(), "File exists "+filepath.Join(dir, "cluster.crt")) {
		t.Errorf("second authority: got %v, want a refusal that names the file", err)
	}
}

func TestBadNamesAreRefused(t *testing.T) {
	dir, authority := newCluster(t, pki.Options{})
	for _, name := range []string{"", ".", "../x", "a/b", ".hidden", "a b", strings.Repeat("x", 60)} {
		if _, err := authority.UserCertificate(dir, name); err == nil {
			t.Errorf("user %q: got no error", name)
		}
	}
	for _, host := range []string{"", "a/b", "../x", "http://x", "x:4523", "-x", "a..b", strings.Repeat("x", 300)} {
		if _, err := authority.ControlCertificate(dir, host); err == nil {
			t.Errorf("host %q: got no error", host)
		}
	}
	if _, err := authority.ControlCertificate(dir); err == nil {
		t.Error("no host: got no error")
	}
	for _, name := range []string{"", strings.Repeat("x", 65)} {
		if _, err := pki.Initialize(t.TempDir(), name, pki.Options{}); err == nil {
			t.Errorf("cluster %q: got no error", name)
		}
	}
	if _, err := pki.Initialize(t.TempDir(), "x", pki.Options{Key: "dsa"}); err == nil {
		t.Error("key type dsa: got no error")
	}
}

func TestCertificateDoesNotOutliveItsAuthority(t *testing.T) {
	dir := t.TempDir()
	if _, err := pki.Initialize(dir, "short", pki.Options{Validity: 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	authority, err := pki.OpenAuthority(dir, pki.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := authority.UserCertificate(dir, "alice")
	if err != nil {
		t.Fatal(err)
	}
	got, want := readCert(t, files.Cert).NotAfter, readCert(t, filepath.Join(dir, "cluster.crt")).NotAfter
	if !got.Equal(want) {
		t.Errorf("end of the certificate: got %v, want %v", got, want)
	}
}

func TestMissingAuthorityIsExplained(t *testing.T) {
	_, err := pki.OpenAuthority(t.TempDir(), pki.Options{})
	if err == nil || !strings.Contains(err.Error(), "cluster.crt") ||
		!strings.Contains(err.Error(), "Unable to load certificate authority file. Please run `flocker-ca initialize` to generate a new certificate authority.") {
		t.Errorf("got %v, want the file and the command that makes it", err)
	}
}
