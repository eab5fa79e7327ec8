package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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

// Validities of what is made, unless Options say otherwise. A certificate that got
// lost and was not revoked should end some day; the authority lives as long as Flocker's own.
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
	dir    string
	cert   *x509.Certificate
	key    crypto.Signer
	others []*x509.Certificate // trusted as well, while one authority replaces another
	opts   Options
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
	template := authorityTemplate(opts)
	template.Subject = pkix.Name{CommonName: name, OrganizationalUnit: []string{uuid.NewString()}}
	cert, err := selfSign(template, key)
	if err != nil {
		return nil, err
	}
	if err := writePair(authorityFiles(dir), cert.Raw, key); err != nil {
		return nil, err
	}
	return &Authority{dir: dir, cert: cert, key: key, opts: Options{Now: opts.Now}}, nil
}

func authorityFiles(dir string) Files {
	return Files{Cert: filepath.Join(dir, AuthorityCert), Key: filepath.Join(dir, AuthorityKey)}
}

// authorityTemplate is an authority's certificate without a name.
func authorityTemplate(opts Options) *x509.Certificate {
	now := opts.Now()
	return &x509.Certificate{
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(opts.Validity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
}

// selfSign signs an authority's certificate with its own key.
func selfSign(template *x509.Certificate, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the authority %s: %w", template.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back the authority %s: %w", template.Subject.CommonName, err)
	}
	return cert, nil
}

// MissingAuthorityError says that there is no authority where one was looked
// for. Its first two sentences are those of Flocker's flocker-ca.
type MissingAuthorityError struct {
	File string
	Err  error
}

// Error implements error.
func (e *MissingAuthorityError) Error() string {
	return fmt.Sprintf("Unable to load certificate authority file. Please run `flocker-ca initialize` to generate a new certificate "+
		"authority. No such file or directory %s; -i says where one is", e.File)
}

func (e *MissingAuthorityError) Unwrap() error { return e.Err }

// OpenAuthority reads the authority in dir, even if it has expired: see Check.
// Where cluster.crt has several, the one whose key is in cluster.key signs. The
// options are for what it signs.
func OpenAuthority(dir string, opts Options) (*Authority, error) {
	files := authorityFiles(dir)
	for _, file := range []string{files.Cert, files.Key} {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil, &MissingAuthorityError{file, err}
		}
	}
	all, err := readCerts(files.Cert)
	if err != nil {
		return nil, err
	}
	keys, err := readKeys(files.Key)
	if err != nil {
		return nil, err
	}
	opts.Now = opts.withDefaults(0).Now
	for i, cert := range all {
		for _, block := range keys {
			pair, err := tls.X509KeyPair(pem.EncodeToMemory(certBlock(cert.Raw)), pem.EncodeToMemory(block))
			if err != nil {
				continue
			}
			key, ok := pair.PrivateKey.(crypto.Signer)
			if !ok {
				return nil, fmt.Errorf("key %s: %T cannot sign", files.Key, pair.PrivateKey)
			}
			if !uuidText.MatchString(clusterOf(cert)) {
				return nil, fmt.Errorf("authority %s: has no cluster's UUID as its only organizational unit, so `flocker ca` can "+
					"make nothing with it; see docs/certificates.md on a PKI of your own", files.Cert)
			}
			return &Authority{dir: dir, cert: cert, key: key, others: slices.Delete(slices.Clone(all), i, i+1), opts: opts}, nil
		}
	}
	return nil, fmt.Errorf("key %s does not fit the authority %s (%s)", files.Key, files.Cert, all[0].Subject.CommonName)
}

// Cluster returns the UUID of the authority's cluster.
func (a *Authority) Cluster() string { return clusterOf(a.cert) }

// Name returns what the authority is called.
func (a *Authority) Name() string { return a.cert.Subject.CommonName }

// Ends returns when the authority, and with it all that it signs, ends.
func (a *Authority) Ends() time.Time { return a.cert.NotAfter }

// valid says why nothing can be signed now.
func (a *Authority) valid() error {
	if file := authorityFiles(a.dir).Cert; a.opts.Now().After(a.cert.NotAfter) {
		return fmt.Errorf("authority %s of %q expired on %s; `flocker ca renew-authority` gives it a longer life, with the same key, "+
			"and all that it has signed serves on", file, a.cert.Subject.CommonName, day(a.cert.NotAfter))
	}
	return checkDates(authorityFiles(a.dir).Cert, a.cert, a.opts.Now())
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
