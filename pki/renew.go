package pki

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// RenewOptions say how a certificate is renewed.
type RenewOptions struct {
	// Dir is where the new files are written, under their old names and never
	// over others; "" puts them in the old ones' place.
	Dir string
	// NewKey makes a new key, of the kind of the old one unless the
	// authority's options say another. Without it the key stays, and need not
	// even be there.
	NewKey bool
}

// Renewal is what was done to a certificate.
type Renewal struct {
	Role  Role
	Name  string
	Files Files     // Key is "" where the key stayed
	Old   []string  // where the old files are kept
	Was   time.Time // when the old one ends, or ended
	Ends  time.Time
	// Short says that it ends early because its authority does.
	Short bool
}

// Renew makes a certificate anew from the old one: same subject, same names,
// and the same key unless the options say otherwise. One that has expired can
// be renewed too. Version 1 becomes version 3.
//
// A program that reads the files anew while they are replaced always finds a
// certificate with its key. Where the key stays, one file changes, in one step.
// Where it does not, the key's file has both keys from before the certificate
// is changed until after that.
func (a *Authority) Renew(file string, o RenewOptions) (Renewal, error) {
	file, err := filepath.EvalSymlinks(file)
	if err != nil {
		return Renewal{}, fmt.Errorf("read certificate: %w", err)
	}
	certs, err := readCerts(file)
	if err != nil {
		return Renewal{}, err
	}
	old := certs[0]
	if err := a.mayRenew(file, old); err != nil {
		return Renewal{}, err
	}
	role, name, _ := Identity(old)
	r := Renewal{Role: role, Name: name, Was: old.NotAfter}
	var key crypto.Signer // a new one
	public := old.PublicKey
	if o.NewKey {
		if key, err = newKey(a.kindLike(old)); err != nil {
			return Renewal{}, err
		}
		public = key.Public()
	} else if err := weakKey(public); err != nil {
		return Renewal{}, fmt.Errorf("certificate %s: %w; --new-key makes another", file, err)
	}
	template := renewed(role, old)
	der, err := a.sign(template, public)
	if err != nil {
		return Renewal{}, err
	}
	r.Ends = template.NotAfter
	r.Short = template.NotAfter.Equal(a.cert.NotAfter)
	base := strings.TrimSuffix(filepath.Base(file), ".crt")
	dir := cmp.Or(o.Dir, filepath.Dir(file))
	r.Files = Files{Cert: filepath.Join(dir, filepath.Base(file)), Key: filepath.Join(dir, base+".key")}
	switch {
	case o.Dir != "" && key != nil:
		err = writePair(r.Files, der, key)
	case o.Dir != "":
		err = writeNew(r.Files.Cert, certBlock(der))
	case key != nil:
		r.Old, err = replacePair(r.Files, key, der)
	default:
		r.Old, err = replaceCert(file, der)
	}
	if key == nil {
		r.Files.Key = ""
	}
	return r, err
}

// replaceCert puts a certificate in an old one's place.
func replaceCert(file string, ders ...[]byte) (kept []string, err error) {
	old, err := keepOld(file)
	if err != nil {
		return nil, err
	}
	var blocks []*pem.Block
	for _, der := range ders {
		blocks = append(blocks, certBlock(der))
	}
	return []string{old}, replace(file, blocks...)
}

// mayRenew says why a certificate is not this authority's to make anew.
func (a *Authority) mayRenew(file string, old *x509.Certificate) error {
	if bytes.Equal(old.RawIssuer, old.RawSubject) && old.CheckSignatureFrom(old) == nil || old.Equal(a.cert) {
		return fmt.Errorf("certificate %s is an authority's: `flocker ca renew-authority` renews the one of the directory that -i names", file)
	}
	role, _, cluster := Identity(old)
	if role == "" {
		return fmt.Errorf("certificate %s is for %q, which is no role of a cluster's: want %s", file, old.Subject.CommonName,
			wantedAny(roles()))
	}
	if cluster != a.Cluster() {
		return fmt.Errorf("certificate %s belongs to cluster %q, the authority to %q; -i names the authority's directory", file, cluster, a.Cluster())
	}
	for _, authority := range append([]*x509.Certificate{a.cert}, a.others...) {
		if signedBy(old, authority) {
			return nil
		}
	}
	return fmt.Errorf("certificate %s was made by another authority (%q): renew it there, or make a new one here", file, old.Issuer.CommonName)
}

// signedBy reports whether an authority has signed a certificate, of whatever
// version both are.
func signedBy(cert, authority *x509.Certificate) bool {
	return bytes.Equal(cert.RawIssuer, authority.RawSubject) &&
		authority.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}

// kindLike returns the kind of key that a certificate gets anew.
func (a *Authority) kindLike(old *x509.Certificate) KeyType {
	if a.opts.Key != "" {
		return a.opts.Key
	}
	if _, ok := old.PublicKey.(*rsa.PublicKey); ok {
		return RSA
	}
	return ECDSA
}

// renewed is the template of a certificate like the old one.
func renewed(role Role, old *x509.Certificate) *x509.Certificate {
	full := readable(old)
	template := &x509.Certificate{
		RawSubject: old.RawSubject, Subject: old.Subject,
		DNSNames: full.DNSNames, IPAddresses: full.IPAddresses, URIs: full.URIs, EmailAddresses: full.EmailAddresses,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if role == RoleControl {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if !slices.Contains(template.DNSNames, ControlName) {
			template.DNSNames = append([]string{ControlName}, template.DNSNames...)
		}
	}
	return template
}

// replacePair puts certificates, of which the first has a new key, in the place
// of the old ones. At every moment the two files have a pair: see readPair.
func replacePair(files Files, key crypto.Signer, ders ...[]byte) (kept []string, err error) {
	block, err := keyBlock(key)
	if err != nil {
		return nil, err
	}
	current, err := fittingKey(files)
	if err != nil {
		return nil, err
	}
	kept, err = replaceKeyAnd(files, []*pem.Block{current, block}, ders)
	if err != nil {
		return nil, err
	}
	return kept, replace(files.Key, block)
}

// replaceKeyAnd puts both keys in place, and then the certificates. The old key
// comes first: programs that are not ours take the first.
func replaceKeyAnd(files Files, keys []*pem.Block, ders [][]byte) (kept []string, err error) {
	old, err := keepOld(files.Key)
	if err != nil {
		return nil, err
	}
	if err := replace(files.Key, keys...); err != nil {
		return nil, err
	}
	kept, err = replaceCert(files.Cert, ders...)
	return append(kept, old), err
}

// fittingKey returns the key of a file that a certificate has.
func fittingKey(files Files) (*pem.Block, error) {
	pair, err := readPair(files.Cert, files.Key)
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key %s: %T cannot sign", files.Key, pair.PrivateKey)
	}
	return keyBlock(key)
}
