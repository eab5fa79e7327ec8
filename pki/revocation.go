package pki

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
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

// revoked are the certificates that no longer count: serials by their issuers' names.
type revoked map[string]map[string]bool

func (r revoked) has(cert *x509.Certificate) bool {
	return r[string(cert.RawIssuer)][cert.SerialNumber.String()]
}

func (r revoked) count() (n int) {
	for _, serials := range r {
		n += len(serials)
	}
	return n
}

// readRevoked reads the revocation lists of a file, none where there is no file.
// A list of one of the issuers must be signed by it. Other lists, such as a retired
// authority's, revoke nothing that is trusted.
func readRevoked(file string, issuers []*x509.Certificate) (revoked, error) {
	lists, err := readLists(file)
	if err != nil {
		return nil, err
	}
	all := revoked{}
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
			continue
		}
		if !signed {
			return nil, fmt.Errorf("revocation list %s: the list of %q is not signed by it", file, list.Issuer.CommonName)
		}
		issuer := string(list.RawIssuer)
		if all[issuer] == nil {
			all[issuer] = map[string]bool{}
		}
		for _, entry := range list.RevokedCertificateEntries {
			all[issuer][entry.SerialNumber.String()] = true
		}
	}
	return all, nil
}

func readLists(file string) ([]*x509.RevocationList, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read revocation list: %w", err)
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
// they are: when the first of its certificates, or of the authorities, ends.
func (c *Credentials) Until(state tls.ConnectionState) time.Time {
	m, now := c.current(), c.now()
	var until time.Time
	for _, cert := range slices.Concat(state.PeerCertificates, m.authorities) {
		if cert.NotAfter.After(now) && (until.IsZero() || cert.NotAfter.Before(until)) {
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
