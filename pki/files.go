package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// writePair writes a certificate and its key, both or neither, and never over
// a file that exists.
func writePair(certFile, keyFile string, der []byte, key crypto.Signer) error {
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key %s: %w", keyFile, err)
	}
	if err := writeNew(keyFile, "PRIVATE KEY", keyDER); err != nil {
		return err
	}
	if err := writeNew(certFile, "CERTIFICATE", der); err != nil {
		return errors.Join(err, os.Remove(keyFile))
	}
	return nil
}

// writeNew makes a file that nobody but its owner can read and that is there
// whole or not at all.
func writeNew(path, kind string, der []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".flocker-ca-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name()) // the content lives on under its own name
	err = pem.Encode(tmp, &pem.Block{Type: kind, Bytes: der})
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	// A link, unlike a rename, fails where something has the name already.
	if err := os.Link(tmp.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s exists already and is never overwritten; move it away or write elsewhere with -o", path)
		}
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// readPair reads a certificate and its key and sees that they belong together.
func readPair(certFile, keyFile string) (tls.Certificate, error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read certificate: %w", err)
	}
	cert, err := parseCert(certFile, certPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read key: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key %s does not fit certificate %s (%s): %w",
			keyFile, certFile, cert.Subject.CommonName, err)
	}
	return pair, nil
}

func readCert(file string) (*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return parseCert(file, text)
}

func parseCert(file string, text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("certificate %s: holds no PEM text (%d bytes)", file, len(text))
	}
	if block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("certificate %s: holds a %q instead", file, block.Type)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", file, err)
	}
	return cert, nil
}

// checkDates says, with the dates, why a certificate is not valid at a time.
func checkDates(file string, cert *x509.Certificate, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("certificate %s of %q expired on %s (it was valid from %s); make a new one with `flocker ca`",
			file, cert.Subject.CommonName, day(cert.NotAfter), day(cert.NotBefore))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("certificate %s of %q is valid only from %s on (to %s) and it is %s here; is the clock right?",
			file, cert.Subject.CommonName, day(cert.NotBefore), day(cert.NotAfter), day(now))
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }
