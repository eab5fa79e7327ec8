package pki_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/pki"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestLoadSaysWhatIsWrong(t *testing.T) {
	past := pki.Options{Now: func() time.Time { return time.Now().Add(-50 * 24 * time.Hour) }, Validity: 40 * 24 * time.Hour}
	future := pki.Options{Now: func() time.Time { return time.Now().Add(50 * 24 * time.Hour) }}
	issue := func(t *testing.T, dir string, opts pki.Options) {
		t.Helper()
		authority, err := pki.OpenAuthority(dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		remove(t, filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key"))
		_, files, err := authority.NodeCertificate(dir)
		if err != nil {
			t.Fatal(err)
		}
		rename(t, files, dir, "node")
	}
	tests := map[string]struct {
		spoil func(t *testing.T, dir string)
		want  []string
	}{
		"no certificate": {
			spoil: func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "node.crt")) },
			want:  []string{"read certificate", "node.crt", "no such file"},
		},
		"no key": {
			spoil: func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "node.key")) },
			want:  []string{"read key", "node.key", "no such file"},
		},
		"no authority": {
			spoil: func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "cluster.crt")) },
			want:  []string{"read certificate", "cluster.crt", "no such file"},
		},
		"an empty certificate": {
			spoil: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "node.crt"), nil) },
			want:  []string{"node.crt", "no PEM text (0 bytes)"},
		},
		"a garbled certificate": {
			spoil: func(t *testing.T, dir string) {
				write(t, filepath.Join(dir, "node.crt"), []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
			},
			want: []string{"node.crt", "x509"},
		},
		"the key in the certificate's place": {
			spoil: func(t *testing.T, dir string) { copyFile(t, dir, "node.key", "node.crt") },
			want:  []string{"node.crt", `holds a "PRIVATE KEY"`},
		},
		"another certificate's key": {
			spoil: func(t *testing.T, dir string) { copyFile(t, dir, "alice.key", "node.key") },
			want:  []string{"node.key", "does not fit", "node.crt"},
		},
		"an expired certificate": {
			spoil: func(t *testing.T, dir string) {
				issue(t, dir, past)
			},
			want: []string{"node.crt", "expired on " + time.Now().Add(-10*24*time.Hour).UTC().Format("2006-01-02")},
		},
		"a certificate of the future": {
			spoil: func(t *testing.T, dir string) { issue(t, dir, future) },
			want:  []string{"node.crt", "is valid only from", "is the clock right?"},
		},
		"a user's certificate": {
			spoil: func(t *testing.T, dir string) {
				copyFile(t, dir, "alice.crt", "node.crt")
				copyFile(t, dir, "alice.key", "node.key")
			},
			want: []string{"node.crt", `"user-alice"`, "a node's (CN node-UUID)"},
		},
		"another cluster's authority": {
			spoil: func(t *testing.T, dir string) {
				other, _ := newCluster(t, pki.Options{})
				text, err := os.ReadFile(filepath.Join(other, "cluster.crt"))
				if err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(dir, "cluster.crt"), text)
			},
			want: []string{"node.crt", "does not come from the authority", "cluster.crt"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir, _ := newCluster(t, pki.Options{Now: past.Now})
			if _, err := pki.Load(dir, "node", pki.RoleNode, quiet()); err != nil {
				t.Fatalf("before: %v", err)
			}
			tt.spoil(t, dir)
			_, err := pki.Load(dir, "node", pki.RoleNode, quiet())
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}

func TestRenewedFilesServeWithoutRestart(t *testing.T) {
	dir, authority := newCluster(t, pki.Options{})
	var log bytes.Buffer
	creds, err := pki.Load(dir, "node", pki.RoleNode, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	_, before, _ := creds.Identity()

	node, files, err := authority.NodeCertificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(files.Cert, filepath.Join(dir, "node.crt")); err != nil {
		t.Fatal(err)
	}
	if _, got, _ := creds.Identity(); got != before {
		t.Errorf("with a certificate and no key for it: got %s, want still %s", got, before)
	}
	if !strings.Contains(log.String(), "not usable") {
		t.Errorf("log: got %q, want the reason why the new files do not serve", log.String())
	}
	if err := os.Rename(files.Key, filepath.Join(dir, "node.key")); err != nil {
		t.Fatal(err)
	}
	if _, got, _ := creds.Identity(); got != node {
		t.Errorf("with both files: got %s, want %s", got, node)
	}
}

func TestExpiresIsTheFirstEnd(t *testing.T) {
	dir, _ := newCluster(t, pki.Options{})
	creds, err := pki.Load(dir, "node", pki.RoleNode, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := creds.Expires(), readCert(t, filepath.Join(dir, "node.crt")).NotAfter; !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func remove(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, dir, from, to string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, from))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, to), text)
}
