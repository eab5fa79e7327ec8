package pki_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/pki"
)

// revoked returns a new authority's directory, whose alice was revoked.
func revokedAlice(t *testing.T) (dir string, authority *pki.Authority, alice tls.ConnectionState) {
	t.Helper()
	dir, authority = newCluster(t, pki.Options{})
	cert := readCert(t, filepath.Join(dir, "alice.crt"))
	for want := 1; want >= 0; want-- { // once more changes nothing
		if _, added, err := authority.Revoke(cert.SerialNumber); err != nil || added != want {
			t.Fatalf("got %d revoked, %v, want %d", added, err, want)
		}
	}
	return dir, authority, tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
}

func TestARevokedCertificateIsNotTrusted(t *testing.T) {
	dir, authority, alice := revokedAlice(t)
	creds, err := pki.Load(dir, pki.ControlName, pki.RoleControl, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if err := creds.Recheck(alice, pki.RoleUser); err == nil || !strings.Contains(err.Error(), "is revoked") {
		t.Errorf("got %v, want it revoked", err)
	}
	node := readCert(t, filepath.Join(dir, "node.crt"))
	if err := creds.Recheck(tls.ConnectionState{PeerCertificates: []*x509.Certificate{node}}, pki.RoleNode); err != nil {
		t.Errorf("another certificate: %v", err)
	}

	t.Log("a second one joins it, and a renewed one of the same name is trusted")
	if _, added, err := authority.Revoke(node.SerialNumber); err != nil || added != 1 {
		t.Fatalf("got %d, %v", added, err)
	}
	edition := creds.Edition()
	for _, state := range []tls.ConnectionState{alice, {PeerCertificates: []*x509.Certificate{node}}} {
		if creds.Recheck(state, pki.RoleUser, pki.RoleNode) == nil {
			t.Error("a revoked certificate is trusted")
		}
	}
	if _, err := authority.Renew(filepath.Join(dir, "alice.crt"), pki.RenewOptions{}); err != nil {
		t.Fatal(err)
	}
	again := readCert(t, filepath.Join(dir, "alice.crt"))
	if err := creds.Recheck(tls.ConnectionState{PeerCertificates: []*x509.Certificate{again}}, pki.RoleUser); err != nil {
		t.Errorf("the renewed one: %v", err)
	}
	if creds.Edition() != edition {
		t.Error("nothing of its own changed, and the edition did")
	}

	t.Log("a program with a revoked certificate does not start")
	if _, err := pki.Load(dir, "node", pki.RoleNode, quiet()); err == nil || !strings.Contains(err.Error(), "is revoked") {
		t.Errorf("got %v, want it revoked", err)
	}
}

func TestARevocationListOfAnotherAuthorityRevokesNothing(t *testing.T) {
	dir, _, _ := revokedAlice(t)
	list, err := os.ReadFile(filepath.Join(dir, pki.RevokedList))
	if err != nil {
		t.Fatal(err)
	}
	other, authority := newCluster(t, pki.Options{})
	write(t, filepath.Join(other, pki.RevokedList), list)
	if _, err := pki.Load(other, pki.ControlName, pki.RoleControl, quiet()); err != nil {
		t.Errorf("a foreign list stands in the way: %v", err)
	}
	alice := readCert(t, filepath.Join(other, "alice.crt"))
	if _, _, err := authority.Revoke(alice.SerialNumber); err != nil {
		t.Fatal(err)
	}
	both, err := os.ReadFile(filepath.Join(other, pki.RevokedList))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(both, []byte("BEGIN X509 CRL")); n != 2 {
		t.Errorf("the file has %d lists, want the foreign one kept beside its own", n)
	}
}

func TestADamagedRevocationListIsRefused(t *testing.T) {
	dir, _, _ := revokedAlice(t)
	file := filepath.Join(dir, pki.RevokedList)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	block.Bytes[len(block.Bytes)-1] ^= 1 // of the signature
	for name, spoiled := range map[string][]byte{"forged": pem.EncodeToMemory(block), "empty": nil, "of another kind": []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")} {
		write(t, file, spoiled)
		if _, err := pki.Load(dir, pki.ControlName, pki.RoleControl, quiet()); err == nil || !strings.Contains(err.Error(), "revocation list") {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
}
