package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// How an authority lives on. Its certificate can be made anew with the same key
// and name, after which all that it has signed is as good as before. And its key
// can be replaced, in three steps, without a moment in which two programs do not
// trust each other:
//
//  1. Replace makes the new authority and writes both into cluster.crt, which
//     then goes to every machine. Everybody trusts both.
//  2. Every certificate is renewed, which the new authority signs.
//  3. Retire takes the old one out of cluster.crt, which goes to every machine.

// Extend makes the authority's certificate anew in its directory, with the same
// key and subject and the validity of its options. It returns where the old
// one is kept.
func (a *Authority) Extend() (old string, err error) {
	template := authorityTemplate(a.opts.withDefaults(AuthorityValidity))
	template.RawSubject, template.Subject, template.SubjectKeyId = a.cert.RawSubject, a.cert.Subject, a.cert.SubjectKeyId
	if full := readable(a.cert); full.BasicConstraintsValid {
		template.MaxPathLen, template.MaxPathLenZero = full.MaxPathLen, full.MaxPathLenZero
		template.SubjectKeyId = full.SubjectKeyId
	}
	if template.NotAfter.Sub(a.cert.NotAfter) < 24*time.Hour {
		return "", fmt.Errorf("the authority ends on %s as it is, and would on %s: ask for more days", day(a.cert.NotAfter), day(template.NotAfter))
	}
	cert, err := selfSign(template, a.key)
	if err != nil {
		return "", err
	}
	kept, err := replaceCert(authorityFiles(a.dir).Cert, a.bundle(cert)...)
	if err != nil {
		return "", err
	}
	a.cert = cert
	return kept[0], nil
}

// bundle is what cluster.crt has when first is the authority that signs.
func (a *Authority) bundle(first *x509.Certificate) [][]byte {
	ders := [][]byte{first.Raw}
	for _, other := range a.others {
		ders = append(ders, other.Raw)
	}
	return ders
}

// errReplacing refuses a third authority.
var errReplacing = errors.New("an authority is being replaced already: cluster.crt has several. Renew every certificate, and then " +
	"`flocker ca retire-authority`")

// Replace makes a new authority of the same cluster, with a new key and a name
// of its own, "" for the old one's with a number. From then on it signs, and
// cluster.crt has both. It returns where the old files are kept.
//
// The name must be another one: OpenSSL looks for who has signed a certificate
// by name, and tries no second one where certificates do not say which key it was.
func (a *Authority) Replace(name string) (old []string, err error) {
	if len(a.others) > 0 {
		return nil, errReplacing
	}
	if name == "" {
		name = nextName(a.Name())
	}
	if err := checkCommonName("name of the authority", name); err != nil {
		return nil, err
	}
	if name == a.Name() {
		return nil, fmt.Errorf("name of the authority %q: is the old one's; two of one name cannot be told apart", name)
	}
	opts := a.opts.withDefaults(AuthorityValidity)
	if a.opts.Key == "" {
		opts.Key = a.kindLike(a.cert)
	}
	key, err := newKey(opts.Key)
	if err != nil {
		return nil, err
	}
	template := authorityTemplate(opts)
	template.Subject = pkix.Name{CommonName: name, OrganizationalUnit: a.cert.Subject.OrganizationalUnit}
	cert, err := selfSign(template, key)
	if err != nil {
		return nil, err
	}
	before := a.cert
	if old, err = replacePair(authorityFiles(a.dir), key, cert.Raw, before.Raw); err != nil {
		return nil, err
	}
	a.cert, a.key, a.others = cert, key, []*x509.Certificate{before}
	return old, nil
}

var numbered = regexp.MustCompile(`^(.*)-([0-9]{1,6})$`)

// nextName numbers the authorities of a cluster: prod, prod-2, prod-3.
func nextName(name string) string {
	if parts := numbered.FindStringSubmatch(name); parts != nil {
		if n, err := strconv.Atoi(parts[2]); err == nil {
			return parts[1] + "-" + strconv.Itoa(n+1)
		}
	}
	return name + "-2"
}

// LeftBehindError says which certificates would not be trusted any more.
type LeftBehindError struct{ Files []string }

// Error implements error.
func (e *LeftBehindError) Error() string {
	return fmt.Sprintf("not renewed yet: %s. `flocker ca renew` makes them anew", strings.Join(e.Files, ", "))
}

// Retire takes all authorities but the one that signs out of cluster.crt and
// returns their names and where the old file is kept. *LeftBehindError where a
// certificate in the authority's directory was made by one of them and has not
// expired, unless it is forced.
func (a *Authority) Retire(force bool) (retired []string, old string, err error) {
	if len(a.others) == 0 {
		return nil, "", fmt.Errorf("cluster.crt has one authority, %q: there is none to retire", a.Name())
	}
	left, err := a.leftBehind()
	if err != nil {
		return nil, "", err
	}
	if len(left) > 0 && !force {
		return nil, "", &LeftBehindError{left}
	}
	kept, err := replaceCert(authorityFiles(a.dir).Cert, a.cert.Raw)
	if err != nil {
		return nil, "", err
	}
	for _, other := range a.others {
		retired = append(retired, other.Subject.CommonName)
	}
	a.others = nil
	return retired, kept[0], nil
}

// leftBehind returns the certificates in the directory that one of the others
// has signed.
func (a *Authority) leftBehind() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(a.dir, "*.crt"))
	if err != nil {
		return nil, fmt.Errorf("look for certificates: %w", err)
	}
	var left []string
	for _, file := range files {
		certs, err := readCerts(file)
		if err != nil || filepath.Base(file) == AuthorityCert || a.opts.Now().After(certs[0].NotAfter) {
			continue
		}
		if slices.ContainsFunc(a.others, func(other *x509.Certificate) bool { return signedBy(certs[0], other) }) && !signedBy(certs[0], a.cert) {
			left = append(left, filepath.Base(file))
		}
	}
	return left, nil
}
