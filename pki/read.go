package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Kinds of PEM blocks.
const (
	pemCertificate  = "CERTIFICATE"
	pemKey          = "PRIVATE KEY"
	pemEncryptedKey = "ENCRYPTED PRIVATE KEY"
)

// readPair reads a certificate, with the intermediates behind it, and its key
// and sees that they belong together. The key's file may hold several keys, of
// which one fits: a renewal with a new key leaves both there for the moment in
// which the certificate is changed, so that whoever reads the two files then
// finds a pair.
func readPair(certFile, keyFile string) (tls.Certificate, error) {
	certs, certPEM, err := readCertsPEM(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	keys, err := readKeys(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	var first error
	for _, key := range keys {
		pair, err := tls.X509KeyPair(certPEM, pem.EncodeToMemory(key))
		if err == nil {
			return pair, nil
		}
		if first == nil {
			first = err
		}
	}
	return tls.Certificate{}, fmt.Errorf("key %s does not fit certificate %s (%s): %w",
		keyFile, certFile, certs[0].Subject.CommonName, first)
}

// readKeys reads the keys of a file, at least one.
func readKeys(file string) ([]*pem.Block, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	var keys []*pem.Block
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == pemEncryptedKey || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, fmt.Errorf("key %s: needs a passphrase; programs have nobody to ask, so `openssl pkey -in %[1]s -out NEW` takes it off", file)
		}
		if strings.HasSuffix(block.Type, pemKey) {
			keys = append(keys, block)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("key %s: holds no private key in PEM text (%d bytes)", file, len(text))
	}
	return keys, nil
}

// readCerts reads all certificates of a file, at least one.
func readCerts(file string) ([]*x509.Certificate, error) {
	certs, _, err := readCertsPEM(file)
	return certs, err
}

func readCertsPEM(file string) (certs []*x509.Certificate, text []byte, err error) {
	text, err = os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("read certificate: %w", err)
	}
	if err := wholePEM(text); err != nil {
		return nil, nil, fmt.Errorf("certificate %s: %w", file, err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != pemCertificate {
			return nil, nil, fmt.Errorf("certificate %s: holds a %q instead", file, block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("certificate %s: %w", file, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, nil, fmt.Errorf("certificate %s: holds no PEM text (%d bytes)", file, len(text))
	}
	return certs, text, nil
}

// ErrNotYetValid is that a certificate will be valid later, or the clock is slow.
var ErrNotYetValid = errors.New("not yet valid")

// earlyError is an ErrNotYetValid in words of its own.
type earlyError string

func (e earlyError) Error() string        { return string(e) }
func (e earlyError) Is(target error) bool { return target == ErrNotYetValid }

// checkDates says, with the dates, why a certificate is not valid at a time.
func checkDates(file string, cert *x509.Certificate, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("certificate %s of %q expired on %s (it was valid from %s); `flocker ca renew` makes a new one",
			file, cert.Subject.CommonName, day(cert.NotAfter), day(cert.NotBefore))
	case now.Before(cert.NotBefore):
		return earlyError(fmt.Sprintf("certificate %s of %q is valid only from %s on (to %s) and it is %s here; is the clock right?",
			file, cert.Subject.CommonName, day(cert.NotBefore), day(cert.NotAfter), day(now)))
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }
