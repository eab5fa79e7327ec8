package pki_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/flocker-mesos/flocker/pki"
)

// TestOpenSSLVersion1CertificatesServe uses what `openssl x509 -req` makes by
// itself: version 1 without extensions, for the authority as for the others.
func TestOpenSSLVersion1CertificatesServe(t *testing.T) {
	dir := t.TempDir()
	ou := "/OU=3b4ae5f2-3b4a-4ae5-8f2f-3b4ae5f2aaaa"
	rsaRequest := func(base, cn string) {
		openssl(t, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", filepath.Join(dir, base+".key"),
			"-subj", "/CN="+cn+ou, "-out", filepath.Join(dir, base+".csr"))
	}
	rsaRequest("cluster", "old")
	openssl(t, "x509", "-req", "-in", filepath.Join(dir, "cluster.csr"), "-signkey", filepath.Join(dir, "cluster.key"),
		"-days", "10", "-out", filepath.Join(dir, "cluster.crt"))
	for base, cn := range map[string]string{
		"control-service": "control-service",
		"node":            "node-3B4AE5F2-3B4A-4AE5-8F2F-3B4AE5F2BBBB",
		"alice":           "user-alice",
	} {
		rsaRequest(base, cn)
		openssl(t, "x509", "-req", "-in", filepath.Join(dir, base+".csr"), "-CA", filepath.Join(dir, "cluster.crt"),
			"-CAkey", filepath.Join(dir, "cluster.key"), "-CAcreateserial", "-days", "10", "-out", filepath.Join(dir, base+".crt"))
	}
	testVersion1(t, dir)
}

// TestFlockersVersion1CertificatesServe uses what flocker-ca made: version 1
// and extensions all the same.
func TestFlockersVersion1CertificatesServe(t *testing.T) {
	testVersion1(t, newVersion1Cluster(t))
}

// newVersion1Cluster is a cluster whose certificates flocker-ca has made.
func newVersion1Cluster(t *testing.T) (dir string) {
	t.Helper()
	dir = newRSACluster(t)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cluster.crt"), filepath.Join(dir, "cluster.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{"cluster", "control-service", "node", "alice"} {
		path := filepath.Join(dir, base+".crt")
		write(t, path, asVersion1(t, readCert(t, path), pair.PrivateKey.(crypto.Signer)))
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		authorityKeyID := []byte{0x55, 0x1d, 0x23}
		if base != "cluster" && !bytes.Contains(block.Bytes, authorityKeyID) {
			t.Fatalf("%s has lost its extensions", base)
		}
	}
	return dir
}

func testVersion1(t *testing.T, dir string) {
	t.Helper()
	for _, base := range []string{"cluster", "control-service", "node", "alice"} {
		if got := readCert(t, filepath.Join(dir, base+".crt")).Version; got != 1 {
			t.Fatalf("%s: version: got %d, want 1", base, got)
		}
	}
	nodes, users := serverConfig(t, dir, pki.RoleNode), serverConfig(t, dir, pki.RoleUser)
	node, alice := clientConfig(t, dir, "node", pki.RoleNode), clientConfig(t, dir, "alice", pki.RoleUser)
	for name, tt := range map[string]struct {
		server, client *tls.Config
		admitted       bool
	}{
		"a node among nodes": {nodes, node, true},
		"a user among users": {users, alice, true},
		"a user among nodes": {nodes, alice, false},
		"a node among users": {users, node, false},
	} {
		state, serverErr, clientErr := handshake(t, tt.server, tt.client)
		if got := serverErr == nil && clientErr == nil; got != tt.admitted {
			t.Errorf("%s: got %v and %v, want admitted: %v", name, serverErr, clientErr, tt.admitted)
		}
		if serverErr == nil {
			if role, id, _ := pki.Identity(state.PeerCertificates[0]); role == pki.RoleNode && bytes.ContainsAny([]byte(id), "ABCDEF") {
				t.Errorf("%s: node: got %s, want lower case", name, id)
			}
		}
	}

	// The old authority's key makes certificates of ours.
	authority, err := pki.OpenAuthority(dir, pki.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fresh := t.TempDir()
	copyAll(t, dir, fresh)
	remove(t, filepath.Join(fresh, "control-service.crt"), filepath.Join(fresh, "control-service.key"))
	files, err := authority.ControlCertificate(fresh, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	rename(t, files, fresh, "control-service")
	if _, serverErr, clientErr := handshake(t, serverConfig(t, fresh, pki.RoleNode), node); serverErr != nil || clientErr != nil {
		t.Errorf("an old node at a control service of ours: got %v and %v, want admission", serverErr, clientErr)
	}
}

// asVersion1 takes the version out of a certificate, leaves the extensions in,
// and signs the result.
func asVersion1(t *testing.T, cert *x509.Certificate, key crypto.Signer) []byte {
	t.Helper()
	var tbs asn1.RawValue
	unmarshal(t, cert.RawTBSCertificate, &tbs)
	var version asn1.RawValue
	rest := unmarshal(t, tbs.Bytes, &version)
	if version.Class != asn1.ClassContextSpecific || version.Tag != 0 {
		t.Fatalf("the first field is no version: %+v", version)
	}
	body := marshal(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: rest})
	sum := sha256.Sum256(body)
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	var whole struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}
	unmarshal(t, cert.Raw, &whole)
	whole.TBS = asn1.RawValue{FullBytes: body}
	whole.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: marshal(t, whole)})
}

func unmarshal(t *testing.T, der []byte, into any) (rest []byte) {
	t.Helper()
	rest, err := asn1.Unmarshal(der, into)
	if err != nil {
		t.Fatal(err)
	}
	return rest
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
