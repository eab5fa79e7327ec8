package pki_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

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

func TestAListThatForgetsIsNotTakenUpWhileRunning(t *testing.T) {
	two := func(t *testing.T, into string) (one, both []byte) {
		t.Helper()
		dir, authority := newCluster(t, pki.Options{})
		first, second := readCert(t, filepath.Join(dir, "alice.crt")), readCert(t, filepath.Join(dir, "node.crt"))
		for i, cert := range []*x509.Certificate{second, first} {
			if _, _, err := authority.Revoke(cert.SerialNumber); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(dir, pki.RevokedList))
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				one = text
			}
			both = text
		}
		if err := os.CopyFS(into, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		return one, both
	}
	for name, spoil := range map[string]func(file string, one, both []byte) error{
		"deleted":      func(file string, _, _ []byte) error { return os.Remove(file) },
		"emptied":      func(file string, _, _ []byte) error { return os.WriteFile(file, nil, 0o600) },
		"rolled back":  func(file string, one, _ []byte) error { return os.WriteFile(file, one, 0o600) },
		"half written": func(file string, _, both []byte) error { return os.WriteFile(file, both[:len(both)/2], 0o600) },
		"older, then cut": func(file string, one, both []byte) error {
			return os.WriteFile(file, append(bytes.Clone(one), both[:len(both)/2]...), 0o600)
		},
		"its end overwritten": func(file string, _, both []byte) error {
			return os.WriteFile(file, append(both[:len(both)-20], "garbage"...), 0o600)
		},
		"a directory": func(file string, _, _ []byte) error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) },
		"huge": func(file string, _, both []byte) error {
			return errors.Join(os.WriteFile(file, both, 0o600), os.Truncate(file, 1<<40))
		},
		"a pipe without a writer": func(file string, _, _ []byte) error {
			return errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			one, both := two(t, dir)
			alice := tls.ConnectionState{PeerCertificates: []*x509.Certificate{readCert(t, filepath.Join(dir, "alice.crt"))}}
			creds, err := pki.Load(dir, pki.ControlName, pki.RoleControl, quiet())
			if err != nil {
				t.Fatal(err)
			}
			if err := spoil(filepath.Join(dir, pki.RevokedList), one, both); err != nil {
				t.Fatal(err)
			}
			if creds.Recheck(alice, pki.RoleUser) == nil {
				t.Error("what was revoked is trusted again")
			}
		})
	}
}

func TestARevocationCountsBesideOtherFilesThatAreNotUsable(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"another key":    func(t *testing.T, dir string) { copyFile(t, dir, "node.key", pki.ControlName+".key") },
		"no certificate": func(t *testing.T, dir string) { remove(t, filepath.Join(dir, pki.ControlName+".crt")) },
		"an authority cut short": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, pki.AuthorityCert), []byte("-----BEGIN CERT"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, authority := newCluster(t, pki.Options{})
			cert := readCert(t, filepath.Join(dir, "alice.crt"))
			alice := tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
			creds, err := pki.Load(dir, pki.ControlName, pki.RoleControl, quiet())
			if err != nil {
				t.Fatal(err)
			}
			before := creds.Edition()
			spoil(t, dir)
			if err := creds.Recheck(alice, pki.RoleUser); err != nil {
				t.Fatal(err)
			}
			if _, _, err := authority.Revoke(cert.SerialNumber); err != nil {
				t.Fatal(err)
			}
			if creds.Recheck(alice, pki.RoleUser) == nil || creds.Edition() == before {
				t.Error("the revocation does not count")
			}
		})
	}
}

func TestACutAuthorityIsRefused(t *testing.T) {
	dir, _ := newCluster(t, pki.Options{})
	file := filepath.Join(dir, pki.AuthorityCert)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, append(bytes.Clone(text), text[:len(text)/2]...))
	if _, err := pki.Load(dir, "node", pki.RoleNode, quiet()); err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("got %v, want the second authority missed", err)
	}
}

func TestAnEndedCertificateIsVerifiedAgainAtOnce(t *testing.T) {
	dir, _ := newCluster(t, pki.Options{})
	later := time.Now()
	creds, err := pki.LoadAt(pki.PathsIn(dir, pki.ControlName), quiet(), func() time.Time { return later }, pki.RoleControl)
	if err != nil {
		t.Fatal(err)
	}
	alice := tls.ConnectionState{PeerCertificates: []*x509.Certificate{readCert(t, filepath.Join(dir, "alice.crt"))}}
	later = alice.PeerCertificates[0].NotAfter.Add(time.Second)
	if until := creds.Until(alice); !creds.Expired(until) {
		t.Errorf("it is verified again at %s, and ended at %s", until, alice.PeerCertificates[0].NotAfter)
	}
}

// TestAListOfAnIntermediateOfClientsCounts has users' certificates from an intermediate
// that the control service's own file does not have.
func TestAListOfAnIntermediateOfClientsCounts(t *testing.T) {
	dir, _ := newCluster(t, pki.Options{})
	unit := readCert(t, filepath.Join(dir, pki.AuthorityCert)).Subject.OrganizationalUnit
	sign := func(template, parent *x509.Certificate, key, signer any) *x509.Certificate {
		t.Helper()
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.(*ecdsa.PrivateKey).Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	rootKey, betweenKey, userKey := newKey(), newKey(), newKey()
	root := &x509.Certificate{SerialNumber: big.NewInt(6), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	root = sign(root, root, rootKey, rootKey)
	authorities, err := os.ReadFile(filepath.Join(dir, pki.AuthorityCert))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, pki.AuthorityCert), append(authorities, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})...))
	between := sign(&x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "users"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}, root, betweenKey, rootKey)
	user := sign(&x509.Certificate{SerialNumber: big.NewInt(8), Subject: pkix.Name{CommonName: "user-bob", OrganizationalUnit: unit},
		KeyUsage: x509.KeyUsageDigitalSignature}, between, userKey, betweenKey)
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{user, between}}
	creds, err := pki.Load(dir, pki.ControlName, pki.RoleControl, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if err := creds.Recheck(state, pki.RoleUser); err != nil {
		t.Fatal(err)
	}
	list := func(signer *ecdsa.PrivateKey) {
		t.Helper()
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: user.SerialNumber, RevocationTime: time.Now()}}}, between, signer)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, pki.RevokedList), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
	}
	list(betweenKey)
	if err := creds.Recheck(state, pki.RoleUser); err == nil || !strings.Contains(err.Error(), "is revoked") {
		t.Errorf("got %v, want it revoked", err)
	}
}
