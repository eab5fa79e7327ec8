package pki

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// RevokedList is the file beside cluster.crt that names revoked certificates: X.509
// revocation lists, each signed by an authority of cluster.crt.
const RevokedList = "cluster.crl"

const pemRevoked = "X509 CRL"

// maxRevokedList bounds the file, in bytes: it is enough for a million certificates.
const maxRevokedList = 64 << 20

// revoked are the certificates that no longer count.
type revoked struct {
	serials map[string]map[string]bool // by their issuers' names
	numbers map[listKey]*big.Int       // of the newest list of each issuer
	// others are lists of issuers that are not known here. They may be intermediates
	// that clients show.
	others []*x509.RevocationList
}

// listKey tells the issuers of lists apart.
type listKey struct{ issuer, key string }

func (r revoked) has(cert *x509.Certificate) bool {
	return r.serials[string(cert.RawIssuer)][cert.SerialNumber.String()]
}

// index returns which certificate of a chain is revoked, -1 for none.
func (r revoked) index(chain []*x509.Certificate) int {
	for i, cert := range chain {
		if r.has(cert) {
			return i
		}
		for _, list := range r.others {
			if i+1 < len(chain) && bytes.Equal(list.RawIssuer, cert.RawIssuer) && lists(list, cert) && list.CheckSignatureFrom(chain[i+1]) == nil {
				return i
			}
		}
	}
	return -1
}

// lists reports whether a list has a certificate's serial number.
func lists(list *x509.RevocationList, cert *x509.Certificate) bool {
	return slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool { return e.SerialNumber.Cmp(cert.SerialNumber) == 0 })
}

func (r revoked) count() (n int) {
	for _, serials := range r.serials {
		n += len(serials)
	}
	return n
}

func (r revoked) same(other revoked) bool {
	return maps.EqualFunc(r.serials, other.serials, maps.Equal[map[string]bool, map[string]bool]) &&
		slices.EqualFunc(r.others, other.others, func(a, b *x509.RevocationList) bool { return bytes.Equal(a.Raw, b.Raw) })
}

// follows reports why lists cannot take the place of older ones: an issuer that is
// still trusted has none any more, or an older one, and what it has revoked since
// would count again.
func (r revoked) follows(older revoked, trusted []*x509.Certificate) error {
	for of, number := range older.numbers {
		if !slices.ContainsFunc(trusted, func(c *x509.Certificate) bool { return string(c.RawSubject) == of.issuer }) {
			continue
		}
		const remedy = "put it back, or restart to trust what it revokes again"
		switch now, ok := r.numbers[of]; {
		case !ok:
			return fmt.Errorf("the list of %s is gone: %s", issuerName(of.issuer), remedy)
		case number != nil && (now == nil || now.Cmp(number) < 0):
			return fmt.Errorf("the list of %s has the number %v and is older than number %v, which was read before: %s", issuerName(of.issuer), now, number, remedy)
		}
	}
	return nil
}

// issuerName returns the name in the DER text of an issuer.
func issuerName(der string) string {
	var parts pkix.RDNSequence
	if _, err := asn1.Unmarshal([]byte(der), &parts); err != nil {
		return fmt.Sprintf("%q", der)
	}
	return fmt.Sprintf("%q", parts)
}

// readRevoked reads the revocation lists of a file, none where there is no file.
// A list of one of the issuers must be signed by it. Other lists count where a chain
// has their issuer; a retired authority's revokes nothing that is trusted.
func readRevoked(file string, issuers []*x509.Certificate) (revoked, error) {
	lists, err := readLists(file)
	if err != nil {
		return revoked{}, err
	}
	all := revoked{serials: map[string]map[string]bool{}, numbers: map[listKey]*big.Int{}}
	for _, list := range lists {
		ours, signed := false, false
		for _, issuer := range issuers {
			if bytes.Equal(list.RawIssuer, issuer.RawSubject) &&
				(len(list.AuthorityKeyId) == 0 || bytes.Equal(list.AuthorityKeyId, issuer.SubjectKeyId)) {
				ours = true
				signed = signed || list.CheckSignatureFrom(issuer) == nil
			}
		}
		if !ours {
			all.others = append(all.others, list)
			continue
		}
		if !signed {
			return revoked{}, fmt.Errorf("revocation list %s: the list of %q is not signed by it", file, list.Issuer.CommonName)
		}
		issuer := string(list.RawIssuer)
		if all.serials[issuer] == nil {
			all.serials[issuer] = map[string]bool{}
		}
		for _, entry := range list.RevokedCertificateEntries {
			all.serials[issuer][entry.SerialNumber.String()] = true
		}
		of := listKey{issuer, string(list.AuthorityKeyId)}
		if before := all.numbers[of]; before == nil || list.Number != nil && list.Number.Cmp(before) > 0 {
			all.numbers[of] = list.Number
		}
	}
	return all, nil
}

func readLists(file string) ([]*x509.RevocationList, error) {
	text, err := readBounded(file, maxRevokedList)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read revocation list: %w", err)
	}
	if err := wholePEM(text); err != nil {
		return nil, fmt.Errorf("revocation list %s: %w", file, err)
	}
	var lists []*x509.RevocationList
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != pemRevoked {
			return nil, fmt.Errorf("revocation list %s: holds a %q instead", file, block.Type)
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("revocation list %s: %w", file, err)
		}
		lists = append(lists, list)
	}
	if len(lists) == 0 {
		return nil, fmt.Errorf("revocation list %s: holds no PEM text (%d bytes)", file, len(text))
	}
	return lists, nil
}

// readBounded reads a regular file of at most limit bytes.
func readBounded(file string, limit int64) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file (%s)", file, info.Mode())
	case info.Size() > limit:
		return nil, fmt.Errorf("%s has %d bytes, more than %d", file, info.Size(), limit)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, limit))
	return text, errors.Join(err, f.Close())
}

// wholePEM reports a text of which the decoder would pass over a block that is
// damaged or cut short.
func wholePEM(text []byte) error {
	n := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		n++
	}
	if begun := bytes.Count(text, []byte("-----BEGIN ")); begun != n {
		return fmt.Errorf("%d of %d PEM blocks are damaged or cut short", begun-n, begun)
	}
	return nil
}

// Revoke adds certificates, by their serial numbers, to the authority's revocation
// list in cluster.crl, and returns the file and how many were new. Lists of other
// authorities in the file stay.
func (a *Authority) Revoke(serials ...*big.Int) (file string, added int, err error) {
	file = filepath.Join(a.dir, RevokedList)
	lists, err := readLists(file)
	if err != nil {
		return file, 0, err
	}
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: a.opts.Now(), NextUpdate: a.cert.NotAfter}
	var blocks []*pem.Block
	for _, list := range lists {
		if bytes.Equal(list.RawIssuer, a.cert.RawSubject) && list.CheckSignatureFrom(a.cert) == nil {
			template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, list.RevokedCertificateEntries...)
			if list.Number != nil && list.Number.Cmp(template.Number) >= 0 {
				template.Number = new(big.Int).Add(list.Number, big.NewInt(1))
			}
			continue
		}
		blocks = append(blocks, &pem.Block{Type: pemRevoked, Bytes: list.Raw})
	}
	for _, serial := range serials {
		if !slices.ContainsFunc(template.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool { return e.SerialNumber.Cmp(serial) == 0 }) {
			template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
				x509.RevocationListEntry{SerialNumber: serial, RevocationTime: a.opts.Now()})
			added++
		}
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.cert, a.key)
	if err != nil {
		return file, 0, fmt.Errorf("sign revocation list of %s: %w; `flocker ca renew-authority` makes an old authority one that can", a.Name(), err)
	}
	blocks = append(blocks, &pem.Block{Type: pemRevoked, Bytes: der})
	if len(lists) == 0 {
		return file, added, writeNew(file, blocks...)
	}
	return file, added, replace(file, blocks...)
}

// Signed reports whether the authority made a certificate.
func (a *Authority) Signed(cert *x509.Certificate) bool {
	// Not CheckSignatureFrom, which refuses an authority of version 1.
	return bytes.Equal(cert.RawIssuer, a.cert.RawSubject) && a.cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}

// Recheck verifies again the certificate that the client of an open connection has
// shown.
func (c *Credentials) Recheck(state tls.ConnectionState, admitted ...Role) error {
	return c.verify(state, x509.ExtKeyUsageClientAuth, admitted)
}

// Until returns when a connection has to be verified again if the files stay as
// they are: when its certificate ends, or the first of the others above it that have
// not ended.
func (c *Credentials) Until(state tls.ConnectionState) time.Time {
	m, now := c.current(), c.now()
	var until time.Time
	for i, cert := range slices.Concat(state.PeerCertificates, m.authorities) {
		if i > 0 && !cert.NotAfter.After(now) {
			continue
		}
		if until.IsZero() || cert.NotAfter.Before(until) {
			until = cert.NotAfter
		}
	}
	return until
}

// Edition returns a number that is another one after the files were read anew. It
// looks whether they have changed.
func (c *Credentials) Edition() uint64 {
	c.current()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.edition
}

// Expired reports whether a time has passed by the clock that certificates are
// verified by.
func (c *Credentials) Expired(at time.Time) bool { return c.now().After(at) }
