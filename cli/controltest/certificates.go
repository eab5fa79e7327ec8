package controltest

import (
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

// Reader makes a certificate of somebody who may only read.
func Reader(t *testing.T, certs string) pki.Files {
	t.Helper()
	authority, err := pki.OpenAuthority(certs, pki.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := authority.ReaderCertificate(certs, "bob")
	if err != nil {
		t.Fatal(err)
	}
	return files
}
