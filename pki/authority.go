package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// KeyType is the kind of key that a new certificate gets.
type KeyType string

// The kinds of keys.
const (
	ECDSA KeyType = "ecdsa" // P-256; small, and a handshake costs a fraction of RSA's
	RSA   KeyType = "rsa"   // 4096 bits, as Flocker's own
)

const rsaBits = 4096

// Validities of what is made, unless Options say otherwise. There is no way
// to revoke a certificate, so one that got lost should end some day; the
// authority lives as long as Flocker's own.
const (
	AuthorityValidity   = 20 * 365 * 24 * time.Hour
	CertificateValidity = 5 * 365 * 24 * time.Hour
)

// Clocks of a cluster differ; a certificate is valid a little before it was
// made, so that it can be used at once everywhere.
const clockSkew = time.Hour

// Options change how keys and certificates are made; the zero value is good.
type Options struct {
	Key      KeyType          // default ECDSA
	Validity time.Duration    // default AuthorityValidity or CertificateValidity
	Now      func() time.Time // default time.Now
}

func (o Options) withDefaults(validity time.Duration) Options {
	if o.Key == "" {
		o.Key = ECDSA
	}
	if o.Validity == 0 {
		o.Validity = validity
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Authority signs the certificates of one cluster.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	opts Options
}

// Names of the authority's files.
const (
	AuthorityCert = "cluster.crt"
	AuthorityKey  = "cluster.key"
)

// Initialize makes the authority of a new cluster, and with it the cluster's
// UUID, and writes cluster.crt and cluster.key into dir. Files that exist are
// left alone and refused.
func Initialize(dir, name string, opts Options) (*Authority, error) {
	if err := checkCommonName("cluster name", name); err != nil {
		return nil, err
	}
	opts = opts.withDefaults(AuthorityValidity)
	key, err := newKey(opts.Key)
	if err != nil {
		return nil, err
	}
	now := opts.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name, OrganizationalUnit: []string{uuid.NewString()}},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(opts.Validity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the authority of cluster %s: %w", name, err)
	}
	if err := writePair(filepath.Join(dir, AuthorityCert), filepath.Join(dir, AuthorityKey), der, key); err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back the authority of cluster %s: %w", name, err)
	}
	return &Authority{cert: cert, key: key, opts: Options{Now: opts.Now}}, nil
}

// OpenAuthority reads the authority in dir. The options are for what it signs.
func OpenAuthority(dir string, opts Options) (*Authority, error) {
	certFile, keyFile := filepath.Join(dir, AuthorityCert), filepath.Join(dir, AuthorityKey)
	pair, err := readPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("%w\n`flocker ca initialize` makes a new authority, -i says where one is", err)
	}
	opts.Now = opts.withDefaults(0).Now
	if err := checkDates(certFile, pair.Leaf, opts.Now()); err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key %s: %T cannot sign", keyFile, pair.PrivateKey)
	}
	return &Authority{cert: pair.Leaf, key: key, opts: opts}, nil
}

// Cluster returns the UUID of the authority's cluster.
func (a *Authority) Cluster() string {
	_, _, cluster := Identity(a.cert)
	return cluster
}

func newKey(kind KeyType) (crypto.Signer, error) {
	switch kind {
	case ECDSA:
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make an ECDSA key: %w", err)
		}
		return key, nil
	case RSA:
		key, err := rsa.GenerateKey(rand.Reader, rsaBits)
		if err != nil {
			return nil, fmt.Errorf("make an RSA key: %w", err)
		}
		return key, nil
	}
	return nil, fmt.Errorf("key type %q: want %s or %s", kind, ECDSA, RSA)
}

// The longest common name that X.509 allows.
const maxCommonName = 64

func checkCommonName(what, name string) error {
	if name == "" {
		return fmt.Errorf("%s: must not be empty", what)
	}
	if n := len([]rune(name)); n > maxCommonName {
		return fmt.Errorf("%s %q: has %d characters, at most %d fit in a certificate", what, name, n, maxCommonName)
	}
	return nil
}
