package pki_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/pki"
)

func publicKey(t *testing.T, file string) interface{ Equal(crypto.PublicKey) bool } {
	t.Helper()
	key, ok := readCert(t, file).PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		t.Fatalf("%s has a key that cannot be compared", file)
	}
	return key
}

func TestRenewalKeepsWhoAndWhatFor(t *testing.T) {
	for _, kind := range []pki.KeyType{pki.ECDSA, pki.RSA} {
		for _, newKey := range []bool{false, true} {
			dir := newClusterOf(t, kind)
			authority, err := pki.OpenAuthority(dir, pki.Options{Validity: 48 * time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			for _, base := range []string{"control-service", "node", "alice"} {
				file := filepath.Join(dir, base+".crt")
				before, key := readCert(t, file), publicKey(t, file)
				if err := os.Chmod(file, 0o644); err != nil {
					t.Fatal(err)
				}
				r, err := authority.Renew(file, pki.RenewOptions{NewKey: newKey})
				if err != nil {
					t.Fatalf("%s %s: %v", kind, base, err)
				}
				after := readCert(t, file)
				if !bytes.Equal(after.RawSubject, before.RawSubject) || !slices.Equal(after.DNSNames, before.DNSNames) ||
					len(after.IPAddresses) != len(before.IPAddresses) || !slices.Equal(after.ExtKeyUsage, before.ExtKeyUsage) {
					t.Errorf("%s %s: got %v, %v, %v, %v", kind, base, after.Subject, after.DNSNames, after.IPAddresses, after.ExtKeyUsage)
				}
				if after.SerialNumber.Cmp(before.SerialNumber) == 0 || !r.Ends.Equal(after.NotAfter) || !r.Was.Equal(before.NotAfter) {
					t.Errorf("%s %s: got %+v, want another serial and the dates of %s and %s", kind, base, r, before.NotAfter, after.NotAfter)
				}
				if got := publicKey(t, file).Equal(key); got == newKey {
					t.Errorf("%s %s: same key: got %v, want %v", kind, base, got, !newKey)
				}
				if _, err := pki.ReadPair(file, filepath.Join(dir, base+".key")); err != nil {
					t.Error(err)
				}
				if !readCert(t, file+".old").Equal(before) {
					t.Errorf("%s %s: the old one was not kept", kind, base)
				}
				for name, want := range map[string]os.FileMode{base + ".crt": 0o644, base + ".key": 0o600} {
					if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
						t.Errorf("%s: got %v and mode %v, want %v", name, err, info.Mode(), want)
					}
				}
				openssl(t, "verify", "-x509_strict", "-CAfile", filepath.Join(dir, "cluster.crt"), file)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "*.tmp")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		}
	}
}

func TestRenewalElsewhereLeavesTheOldAlone(t *testing.T) {
	dir, authority := newCluster(t, pki.Options{})
	file, out := filepath.Join(dir, "node.crt"), t.TempDir()
	before := readCert(t, file)
	remove(t, filepath.Join(dir, "node.key")) // which need not be there
	if _, err := authority.Renew(file, pki.RenewOptions{Dir: out}); err != nil {
		t.Fatal(err)
	}
	if !readCert(t, file).Equal(before) {
		t.Error("the old one was changed")
	}
	if after := readCert(t, filepath.Join(out, "node.crt")); after.Equal(before) || after.Subject.CommonName != before.Subject.CommonName {
		t.Errorf("got %s", after.Subject)
	}
	_, err := authority.Renew(file, pki.RenewOptions{Dir: out})
	if _, ok := errors.AsType[*pki.ExistsError](err); !ok {
		t.Errorf("a second time: got %v, want a refusal to overwrite", err)
	}
}

func TestExpiredCertificatesAreRenewed(t *testing.T) {
	past := func() time.Time { return time.Now().Add(-100 * 24 * time.Hour) }
	dir, _ := newCluster(t, pki.Options{Now: past, Validity: 50 * 24 * time.Hour})
	authority, err := pki.OpenAuthority(dir, pki.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "node.crt")
	if _, err := authority.Renew(file, pki.RenewOptions{}); err == nil || !strings.Contains(err.Error(), "flocker ca renew-authority") {
		t.Errorf("with an authority that has expired: got %v, want the remedy", err)
	}
	if _, err := authority.Extend(); err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Renew(file, pki.RenewOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.Load(dir, "node", pki.RoleNode, quiet()); err != nil {
		t.Error(err)
	}
}

func TestOnlyOnesOwnAreRenewed(t *testing.T) {
	dir, authority := newCluster(t, pki.Options{})
	other, _ := newCluster(t, pki.Options{})
	request(t, dir, "web", "/CN=www.example.net/OU="+cluster(t, dir))
	sign(t, dir, "web", "extendedKeyUsage=serverAuth\n")
	request(t, dir, "weak", "/CN=user-weak/OU="+cluster(t, dir))
	openssl(t, "req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", filepath.Join(dir, "weak.key"),
		"-subj", "/CN=user-weak/OU="+cluster(t, dir), "-out", filepath.Join(dir, "weak.csr"))
	sign(t, dir, "weak", "extendedKeyUsage=clientAuth\n")
	forged := filepath.Join(other, "forged.crt")
	request(t, other, "forged", "/CN=user-mallory/OU="+cluster(t, dir))
	sign(t, other, "forged", "extendedKeyUsage=clientAuth\n")
	for file, want := range map[string]string{
		filepath.Join(other, "node.crt"):  "belongs to cluster",
		filepath.Join(dir, "cluster.crt"): "flocker ca renew-authority",
		filepath.Join(dir, "web.crt"):     "no role",
		filepath.Join(dir, "weak.crt"):    "--new-key",
		filepath.Join(dir, "node.key"):    "PRIVATE KEY",
		filepath.Join(dir, "none.crt"):    "no such file",
		forged:                            "made by another authority",
	} {
		before, _ := os.ReadFile(file)
		if _, err := authority.Renew(file, pki.RenewOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", file, err, want)
		}
		if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
			t.Errorf("%s was changed", file)
		}
	}
	if _, err := authority.Renew(filepath.Join(dir, "weak.crt"), pki.RenewOptions{NewKey: true}); err != nil {
		t.Error(err)
	}
}

// TestPairIsThereAtEveryMoment has a program read the files over and over while
// they are renewed with new keys.
func TestPairIsThereAtEveryMoment(t *testing.T) {
	dir, authority := newCluster(t, pki.Options{})
	cert, key := filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key")
	renewals := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			if _, err := pki.Load(dir, "node", pki.RoleNode, quiet()); err != nil {
				t.Errorf("while it is renewed: %v", err)
				return
			}
			select {
			case <-renewals:
				return
			default:
			}
		}
	})
	for range 50 {
		if _, err := authority.Renew(cert, pki.RenewOptions{NewKey: true}); err != nil {
			t.Error(err)
		}
	}
	close(renewals)
	reader.Wait()
	if text, err := os.ReadFile(key); err != nil || strings.Count(string(text), "BEGIN") != 1 {
		t.Errorf("got %q and %v, want one key in the end", text, err)
	}
	// Other programs take the first key, and here the only one.
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		t.Error(err)
	}
}

// TestRenewalThatWasCutShortLeavesAPair stops between the steps of a renewal
// with a new key, as far as they leave different files.
func TestRenewalThatWasCutShortLeavesAPair(t *testing.T) {
	dir, authority := newCluster(t, pki.Options{})
	copyFile(t, dir, "node.crt", "before.crt")
	copyFile(t, dir, "node.key", "before.key")
	if _, err := authority.Renew(filepath.Join(dir, "node.crt"), pki.RenewOptions{NewKey: true}); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	both := append(read("before.key"), read("node.key")...)
	for name, crt := range map[string][]byte{"before the certificate": read("before.crt"), "after the certificate": read("node.crt")} {
		write(t, filepath.Join(dir, "node.crt"), crt)
		write(t, filepath.Join(dir, "node.key"), both)
		if _, err := pki.Load(dir, "node", pki.RoleNode, quiet()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := authority.Renew(filepath.Join(dir, "node.crt"), pki.RenewOptions{NewKey: true}); err != nil {
			t.Errorf("%s: once more: %v", name, err)
		}
		if _, err := pki.Load(dir, "node", pki.RoleNode, quiet()); err != nil {
			t.Errorf("%s: once more: %v", name, err)
		}
	}
}

func TestSymbolicLinksStay(t *testing.T) {
	dir, authority := newCluster(t, pki.Options{})
	link := filepath.Join(t.TempDir(), "node.crt")
	if err := os.Symlink(filepath.Join(dir, "node.crt"), link); err != nil {
		t.Fatal(err)
	}
	before := readCert(t, link)
	if _, err := authority.Renew(link, pki.RenewOptions{}); err != nil {
		t.Fatal(err)
	}
	if readCert(t, link).Equal(before) {
		t.Error("what the link leads to was not renewed")
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("got %v and %v, want still a link", info.Mode(), err)
	}
}
