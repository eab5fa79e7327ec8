package controltest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/pki"
)

// Certificates makes the certificates of a cluster, with a user and a control
// service on 127.0.0.1, and returns their directory.
func Certificates(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	authority, err := pki.Initialize(dir, "test", pki.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authority.ControlCertificate(dir, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	if _, err := authority.UserCertificate(dir, User); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Short makes a certificate of a user that ends within a day of when the tests
// run.
func Short(t *testing.T, certs string) pki.Files {
	t.Helper()
	authority, err := pki.OpenAuthority(certs, pki.Options{Validity: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	files, err := authority.UserCertificate(certs, "carol")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Reader makes a certificate of somebody who may only read, as any authority's
// program would.
func Reader(t *testing.T, certs string) pki.Files {
	t.Helper()
	authority, err := tls.LoadX509KeyPair(filepath.Join(certs, pki.AuthorityCert), filepath.Join(certs, pki.AuthorityKey))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(4711),
		Subject:      pkix.Name{CommonName: "reader-bob", OrganizationalUnit: authority.Leaf.Subject.OrganizationalUnit},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * 365 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	signer, ok := authority.PrivateKey.(crypto.Signer)
	if !ok {
		t.Fatalf("got a key of type %T", authority.PrivateKey)
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := pki.Files{Cert: filepath.Join(certs, "bob.crt"), Key: filepath.Join(certs, "bob.key")}
	for file, block := range map[string]*pem.Block{
		files.Cert: {Type: "CERTIFICATE", Bytes: cert}, files.Key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}
