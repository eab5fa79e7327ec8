package pki_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/pki"
)

func TestLongerLifeOfTheAuthorityKeepsAllItHasSigned(t *testing.T) {
	for _, kind := range []pki.KeyType{pki.ECDSA, pki.RSA} {
		dir := newClusterOf(t, kind)
		old := t.TempDir()
		copyAll(t, dir, old)
		authority, err := pki.OpenAuthority(dir, pki.Options{Validity: 30 * 365 * 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		before := readCert(t, filepath.Join(dir, "cluster.crt"))
		if _, err := authority.Extend(); err != nil {
			t.Fatal(err)
		}
		after := readCert(t, filepath.Join(dir, "cluster.crt"))
		if !after.NotAfter.After(before.NotAfter) || after.Subject.String() != before.Subject.String() {
			t.Errorf("got %s until %s, want %s for longer than %s", after.Subject, after.NotAfter, before.Subject, before.NotAfter)
		}
		// What the old one has signed is good under the new one, and the reverse.
		if _, err := authority.Renew(filepath.Join(dir, "alice.crt"), pki.RenewOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, base := range []string{"control-service", "node", "alice"} {
			for _, ca := range []string{dir, old} {
				openssl(t, "verify", "-x509_strict", "-CAfile", filepath.Join(ca, "cluster.crt"), filepath.Join(dir, base+".crt"))
			}
		}
		for _, dirs := range [][2]string{{dir, old}, {old, dir}} {
			if _, serverErr, clientErr := handshake(t, serverConfig(t, dirs[0], pki.RoleUser), clientConfig(t, dirs[1], "alice", pki.RoleUser)); serverErr != nil || clientErr != nil {
				t.Errorf("%s: got %v and %v, want admission", kind, serverErr, clientErr)
			}
		}
		if _, err := authority.Extend(); err == nil {
			t.Error("a life that is no longer: got no error")
		}
	}
}

// TestAuthorityIsReplacedWithoutAnInterruption goes through the three steps, and
// after every single file that is changed all connect to all.
func TestAuthorityIsReplacedWithoutAnInterruption(t *testing.T) {
	ca, authority := newCluster(t, pki.Options{})
	server, node, alice := t.TempDir(), t.TempDir(), t.TempDir()
	for _, dir := range []string{server, node, alice} {
		copyAll(t, ca, dir)
	}
	nodes, users := serverConfig(t, server, pki.RoleNode), serverConfig(t, server, pki.RoleUser)
	nodeClient, userClient := clientConfig(t, node, "node", pki.RoleNode), clientConfig(t, alice, "alice", pki.RoleUser)
	all := func(when string) {
		t.Helper()
		if _, serverErr, clientErr := handshake(t, nodes, nodeClient); serverErr != nil || clientErr != nil {
			t.Errorf("%s: node: got %v and %v, want admission", when, serverErr, clientErr)
		}
		if _, serverErr, clientErr := handshake(t, users, userClient); serverErr != nil || clientErr != nil {
			t.Errorf("%s: user: got %v and %v, want admission", when, serverErr, clientErr)
		}
		openssl(t, "verify", "-x509_strict", "-CAfile", filepath.Join(alice, "cluster.crt"), filepath.Join(server, "control-service.crt"))
	}
	give := func(name string, dirs ...string) {
		t.Helper()
		for _, dir := range dirs {
			text, err := os.ReadFile(filepath.Join(ca, name))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, name), text)
			all(name + " in " + dir)
		}
	}
	if _, err := authority.Replace(""); err != nil {
		t.Fatal(err)
	}
	if got, want := authority.Name(), "test-2"; got != want {
		t.Errorf("name: got %q, want %q", got, want)
	}
	if _, err := authority.Replace(""); err == nil || !strings.Contains(err.Error(), "being replaced already") {
		t.Errorf("a second time: got %v", err)
	}
	give("cluster.crt", node, server, alice)

	// The directory is opened anew, as the next command would.
	authority, err := pki.OpenAuthority(ca, pki.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = authority.Retire(false)
	left, ok := errors.AsType[*pki.LeftBehindError](err)
	if want := []string{"alice.crt", "control-service.crt", "node.crt"}; !ok || !slices.Equal(left.Files, want) {
		t.Errorf("retired too early: got %v, want a refusal that names %v", err, want)
	}
	for base, dir := range map[string]string{"alice": alice, "control-service": server, "node": node} {
		if _, err := authority.Renew(filepath.Join(ca, base+".crt"), pki.RenewOptions{}); err != nil {
			t.Fatal(err)
		}
		give(base+".crt", dir)
	}
	retired, _, err := authority.Retire(false)
	if err != nil || !slices.Equal(retired, []string{"test"}) {
		t.Fatalf("got %v and %v, want the old one retired", retired, err)
	}
	give("cluster.crt", alice, server, node)

	copyFile(t, ca, "node.crt.old", "late.crt")
	copyFile(t, ca, "node.key", "late.key")
	if _, serverErr, _ := handshake(t, nodes, bare(t, ca, "late")); serverErr == nil || !strings.Contains(serverErr.Error(), "unknown authority") {
		t.Errorf("what the old one has signed: got %v, want a refusal", serverErr)
	}
	if _, _, err := authority.Retire(false); err == nil || !strings.Contains(err.Error(), "none to retire") {
		t.Errorf("nothing to retire: got %v", err)
	}
}

func TestAuthorityThatExpiredDoesNoHarmBesideAnother(t *testing.T) {
	past := func() time.Time { return time.Now().Add(-100 * 24 * time.Hour) }
	dir, _ := newCluster(t, pki.Options{Now: past, Validity: 50 * 24 * time.Hour})
	authority, err := pki.OpenAuthority(dir, pki.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Replace("second"); err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Renew(filepath.Join(dir, "node.crt"), pki.RenewOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.Load(dir, "node", pki.RoleNode, quiet()); err != nil {
		t.Error(err)
	}
}

func TestNamesOfAuthoritiesAreCounted(t *testing.T) {
	dir, authority := newCluster(t, pki.Options{})
	for _, want := range []string{"test-2", "test-3"} {
		if _, err := authority.Replace(""); err != nil {
			t.Fatal(err)
		}
		if got := authority.Name(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if _, _, err := authority.Retire(true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := authority.Replace("test-3"); err == nil || !strings.Contains(err.Error(), "cannot be told apart") {
		t.Errorf("the same name: got %v", err)
	}
	if got := cluster(t, dir); got != authority.Cluster() {
		t.Errorf("cluster: got %s, want %s as ever", got, authority.Cluster())
	}
}
