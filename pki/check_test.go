package pki_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/pki"
)

func found(findings []pki.Finding) string {
	var lines []string
	for _, f := range findings {
		lines = append(lines, fmt.Sprintf("%s %s %s: %s [%s]", f.Severity, filepath.Base(f.File), f.Rule, f.Is, f.Do))
	}
	return strings.Join(lines, "\n")
}

func checkAll(t *testing.T, dir string, o pki.CheckOptions) []pki.Finding {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.crt"))
	if err != nil {
		t.Fatal(err)
	}
	o.Authority = filepath.Join(dir, "cluster.crt")
	return pki.Check(files, o)
}

func TestOwnCertificatesPassTheCheck(t *testing.T) {
	for _, kind := range []pki.KeyType{pki.ECDSA, pki.RSA} {
		dir := newClusterOf(t, kind)
		if got := found(checkAll(t, dir, pki.CheckOptions{Hosts: []string{"control.example.net", "127.0.0.1"}})); got != "" {
			t.Errorf("%s: got\n%s\nwant nothing", kind, got)
		}
	}
}

func TestCheckFindsWhatCannotWork(t *testing.T) {
	ou := func(t *testing.T, dir string) string { return "/OU=" + cluster(t, dir) }
	client := "extendedKeyUsage=clientAuth\nauthorityKeyIdentifier=keyid\n"
	tests := map[string]struct {
		spoil func(t *testing.T, dir string)
		o     pki.CheckOptions
		want  []string // of the findings, and no others
	}{
		"another authority's": {
			spoil: func(t *testing.T, dir string) {
				other, _ := newCluster(t, pki.Options{})
				for _, ext := range []string{".crt", ".key"} {
					text, err := os.ReadFile(filepath.Join(other, "node"+ext))
					if err != nil {
						t.Fatal(err)
					}
					write(t, filepath.Join(dir, "node"+ext), text)
				}
			},
			want: []string{"error node.crt cluster: belongs to cluster", "error node.crt chain: made by \"test\", does not come from the authority"},
		},
		"a user's certificate in a node's place": {
			spoil: func(t *testing.T, dir string) {
				copyFile(t, dir, "alice.crt", "node.crt")
				copyFile(t, dir, "alice.key", "node.key")
			},
			want: []string{`error node.crt role: is for "user-alice"; whoever reads this file needs a node's (CN node-UUID)`},
		},
		"no role": {
			spoil: func(t *testing.T, dir string) {
				request(t, dir, "alice", "/CN=alice"+ou(t, dir))
				sign(t, dir, "alice", client)
			},
			want: []string{`error alice.crt role: its common name "alice" is no role`},
		},
		"two units": {
			spoil: func(t *testing.T, dir string) {
				request(t, dir, "alice", "/CN=user-alice/OU=ops"+ou(t, dir))
				sign(t, dir, "alice", client)
			},
			want: []string{`error alice.crt cluster: its organizational units are ["ops"`},
		},
		"a control service without its name": {
			spoil: func(t *testing.T, dir string) {
				request(t, dir, "control-service", "/CN=control-service"+ou(t, dir))
				sign(t, dir, "control-service", "subjectAltName=DNS:a.example.net,DNS:b.example.net\nauthorityKeyIdentifier=keyid\n")
			},
			want: []string{"error control-service.crt names: is not for the name control-service"},
		},
		"a host that is dialled and not named": {
			spoil: func(*testing.T, string) {},
			o:     pki.CheckOptions{Hosts: []string{"10.9.8.7"}},
			want:  []string{"error control-service.crt names: is not for 10.9.8.7, which clients dial [make it with the subjectAltName IP:10.9.8.7 too]"},
		},
		"the wrong extended usage": {
			spoil: func(t *testing.T, dir string) {
				request(t, dir, "alice", "/CN=user-alice"+ou(t, dir))
				sign(t, dir, "alice", "extendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\n")
			},
			want: []string{"error alice.crt usage: its extended key usage lacks clientAuth"},
		},
		"the wrong usage": {
			spoil: func(t *testing.T, dir string) {
				request(t, dir, "alice", "/CN=user-alice"+ou(t, dir))
				sign(t, dir, "alice", client+"keyUsage=keyEncipherment\n")
			},
			want: []string{"error alice.crt usage: its key usage lacks digitalSignature"},
		},
		"a weak key": {
			spoil: func(t *testing.T, dir string) {
				openssl(t, "req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", filepath.Join(dir, "alice.key"),
					"-subj", "/CN=user-alice"+ou(t, dir), "-out", filepath.Join(dir, "alice.csr"))
				sign(t, dir, "alice", client)
			},
			want: []string{"error alice.crt key: user-alice: its key is RSA 1024"},
		},
		"a weak curve": {
			spoil: func(t *testing.T, dir string) {
				openssl(t, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp224r1", "-nodes", "-keyout", filepath.Join(dir, "alice.key"),
					"-subj", "/CN=user-alice"+ou(t, dir), "-out", filepath.Join(dir, "alice.csr"))
				sign(t, dir, "alice", client)
			},
			want: []string{"error alice.crt key: user-alice: its key is ECDSA P-224"},
		},
		"SHA-1": {
			spoil: func(t *testing.T, dir string) {
				request(t, dir, "alice", "/CN=user-alice"+ou(t, dir))
				write(t, filepath.Join(dir, "alice.ext"), []byte(client))
				openssl(t, "x509", "-req", "-sha1", "-in", filepath.Join(dir, "alice.csr"), "-CA", filepath.Join(dir, "cluster.crt"),
					"-CAkey", filepath.Join(dir, "cluster.key"), "-CAcreateserial", "-days", "100", "-extfile", filepath.Join(dir, "alice.ext"),
					"-out", filepath.Join(dir, "alice.crt"))
			},
			want: []string{"error alice.crt signature: user-alice: is signed with ECDSA-SHA1", "error alice.crt chain: made by"},
		},
		"another's key": {
			spoil: func(t *testing.T, dir string) { copyFile(t, dir, "node.key", "alice.key") },
			want:  []string{"error alice.crt key: key"},
		},
		"no key": {
			spoil: func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "alice.key")) },
			want:  []string{"warning alice.crt key: read key"},
		},
		"a key with a passphrase": {
			spoil: func(t *testing.T, dir string) {
				openssl(t, "pkey", "-in", filepath.Join(dir, "alice.key"), "-aes256", "-passout", "pass:secret", "-out", filepath.Join(dir, "locked.key"))
				copyFile(t, dir, "locked.key", "alice.key")
			},
			want: []string{"error alice.crt key: key", "needs a passphrase"},
		},
		"keys that others can read": {
			spoil: func(t *testing.T, dir string) {
				for name, mode := range map[string]os.FileMode{"alice.key": 0o604, "node.key": 0o640, "cluster.key": 0o644} {
					if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
						t.Fatal(err)
					}
				}
			},
			want: []string{"error cluster.crt mode: the key", "error alice.crt mode: the key", "warning node.crt mode: the key"},
		},
		"what is no certificate": {
			spoil: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "alice.crt"), []byte("hello")) },
			want:  []string{"error alice.crt file: certificate", "holds no PEM text (5 bytes)"},
		},
		"an intermediate in front": {
			spoil: func(t *testing.T, dir string) { copyFile(t, dir, "cluster.crt", "alice.crt") },
			want:  []string{`error alice.crt chain: the first certificate, "test", is an authority's [put the certificate itself first`},
		},
		"soon": {
			spoil: func(*testing.T, string) {},
			o:     pki.CheckOptions{Now: time.Now().Add(pki.CertificateValidity - 10*24*time.Hour)},
			want: []string{"warning alice.crt dates: user-alice: ends on", "warning control-service.crt dates:", "warning node.crt dates:",
				"flocker ca renew"},
		},
		"expired": {
			spoil: func(*testing.T, string) {},
			o:     pki.CheckOptions{Now: time.Now().Add(pki.CertificateValidity + 10*24*time.Hour)},
			want:  []string{"error alice.crt dates: user-alice: expired on", "error control-service.crt dates:", "error node.crt dates:"},
		},
		"a clock that is wrong": {
			spoil: func(*testing.T, string) {},
			o:     pki.CheckOptions{Now: time.Now().Add(-24 * time.Hour)},
			want: []string{"error cluster.crt dates: test: is valid only from", "error alice.crt dates:", "error control-service.crt dates:",
				"error node.crt dates:", "set the clock"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir, _ := newCluster(t, pki.Options{})
			tt.spoil(t, dir)
			got := checkAll(t, dir, tt.o)
			text := found(got)
			heads := 0
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("got\n%s\nwant %q in it", text, want)
				}
				if strings.HasPrefix(want, "error ") || strings.HasPrefix(want, "warning ") {
					heads++
				}
			}
			if len(got) != heads {
				t.Errorf("got %d findings:\n%s\nwant %d", len(got), text, heads)
			}
		})
	}
}

func TestCheckKnowsVersion1(t *testing.T) {
	dir := newVersion1Cluster(t)
	got := found(checkAll(t, dir, pki.CheckOptions{}))
	for _, want := range []string{
		"warning cluster.crt version: the authority \"test\" is X.509 version 1",
		"[`flocker ca renew-authority` makes it anew with the same key",
		"warning control-service.crt version: is X.509 version 1",
		"control-service.crt` makes it anew with the same key and names]",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %q in it", got, want)
		}
	}
	if strings.Contains(got, "error") || strings.Contains(got, "node.crt") || strings.Contains(got, "alice.crt") {
		t.Errorf("got\n%s\nwant no errors, and nothing about clients", got)
	}

	// The remedies help, and the names are still there.
	authority, err := pki.OpenAuthority(dir, pki.Options{Validity: pki.AuthorityValidity + 1000*time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Extend(); err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{"control-service", "node", "alice"} {
		file := filepath.Join(dir, base+".crt")
		openssl(t, "verify", "-CAfile", filepath.Join(dir, "cluster.crt"), file)
		if _, err := authority.Renew(file, pki.RenewOptions{}); err != nil {
			t.Fatal(err)
		}
		openssl(t, "verify", "-x509_strict", "-CAfile", filepath.Join(dir, "cluster.crt"), file)
	}
	if got := found(checkAll(t, dir, pki.CheckOptions{Hosts: []string{"control.example.net", "127.0.0.1"}})); got != "" {
		t.Errorf("got\n%s\nwant nothing", got)
	}
}
