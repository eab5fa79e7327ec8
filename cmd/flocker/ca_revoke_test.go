package main

import (
	"path/filepath"
	"testing"

	"github.com/flocker-mesos/flocker/pki"
)

func TestSerialsComeFromFilesAndTexts(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	var authorities []*pki.Authority
	for _, d := range []string{dir, other} {
		a, err := pki.Initialize(d, "test", pki.Options{})
		if err != nil {
			t.Fatal(err)
		}
		authorities = append(authorities, a)
	}
	files, err := authorities[0].UserCertificate(dir, "alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serialOf(authorities[0], files.Cert); err != nil {
		t.Errorf("its own certificate: %v", err)
	}
	if got, err := serialOf(authorities[0], "0a:FF"); err != nil || got.Int64() != 0xaff {
		t.Errorf("got %v, %v, want aff", got, err)
	}
	for _, arg := range []string{filepath.Join(dir, "nothing.crt"), "", "-1", files.Key} {
		if _, err := serialOf(authorities[0], arg); err == nil {
			t.Errorf("%q was accepted", arg)
		}
	}
	if _, err := serialOf(authorities[1], files.Cert); err == nil {
		t.Error("another authority's certificate was accepted")
	}
}
