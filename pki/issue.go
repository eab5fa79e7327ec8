package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Files are where a new certificate and its key were written.
type Files struct {
	Cert string
	Key  string
}

// ControlCertificate makes a certificate for a control service that is reached
// under the given host names and IP addresses, at least one. The files are
// control-<first host>.crt and .key in dir; the control service wants them as
// control-service.crt and .key.
func (a *Authority) ControlCertificate(dir string, hosts ...string) (Files, error) {
	if len(hosts) == 0 {
		return Files{}, fmt.Errorf("host name: give at least one that the control service is reached under")
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: ControlName},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{ControlName},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		if !hostName.MatchString(host) {
			return Files{}, fmt.Errorf("host name %q: is neither a DNS name nor an IP address", host)
		}
		if !slices.Contains(template.DNSNames, host) {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return a.issue(dir, "control-"+hosts[0], template)
}

// NodeCertificate makes a certificate, and with it an identity, for the agent
// of a new node and returns the node's UUID. The files are <uuid>.crt and .key
// in dir; the agent wants them as node.crt and node.key.
func (a *Authority) NodeCertificate(dir string) (node string, files Files, err error) {
	node = uuid.NewString()
	files, err = a.RenewNodeCertificate(dir, node)
	return node, files, err
}

// RenewNodeCertificate makes a certificate like NodeCertificate, for a node
// that has its UUID already.
func (a *Authority) RenewNodeCertificate(dir, node string) (Files, error) {
	if !uuidText.MatchString(node) {
		return Files{}, fmt.Errorf("node %q: want the UUID of a node, in lower case", node)
	}
	return a.issue(dir, node, &x509.Certificate{
		Subject:     pkix.Name{CommonName: nodePrefix + node},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// UserCertificate makes a certificate for a user of the REST API. The files
// are <user>.crt and .key in dir.
func (a *Authority) UserCertificate(dir, user string) (Files, error) {
	return a.apiCertificate(dir, user, userPrefix)
}

// ReaderCertificate makes a certificate for a user who may see everything and
// change nothing. The files are <user>.crt and .key in dir.
func (a *Authority) ReaderCertificate(dir, user string) (Files, error) {
	return a.apiCertificate(dir, user, readerPrefix)
}

// TenantCertificate makes a certificate for a user that manages its own volumes, and
// uses those that are shared with it. The files are <user>.crt and .key in dir.
func (a *Authority) TenantCertificate(dir, user string) (Files, error) {
	return a.apiCertificate(dir, user, tenantPrefix)
}

func (a *Authority) apiCertificate(dir, user, prefix string) (Files, error) {
	if !userName.MatchString(user) {
		return Files{}, fmt.Errorf("user name %q: want letters, digits and ._@-, not beginning with a dot", user)
	}
	return a.issue(dir, user, &x509.Certificate{
		Subject:     pkix.Name{CommonName: prefix + user},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// Names become file names, so nothing may lead out of the directory.
var (
	hostName = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)
	userName = regexp.MustCompile(`^[\p{L}\p{N}_@-][\p{L}\p{N}._@-]*$`)
)

// issue completes the template, signs it for a new key, and writes base.crt and
// base.key.
func (a *Authority) issue(dir, base string, template *x509.Certificate) (Files, error) {
	if err := checkCommonName("name", template.Subject.CommonName); err != nil {
		return Files{}, err
	}
	key, err := newKey(a.opts.withDefaults(0).Key)
	if err != nil {
		return Files{}, err
	}
	template.Subject.OrganizationalUnit = a.cert.Subject.OrganizationalUnit
	der, err := a.sign(template, key.Public())
	if err != nil {
		return Files{}, err
	}
	base = strings.ReplaceAll(base, "*", "_")
	files := Files{Cert: filepath.Join(dir, base+".crt"), Key: filepath.Join(dir, base+".key")}
	return files, writePair(files, der, key)
}

// sign completes a template that has its subject, names and extended usage.
func (a *Authority) sign(template *x509.Certificate, key crypto.PublicKey) ([]byte, error) {
	if err := a.valid(); err != nil {
		return nil, err
	}
	opts := a.opts.withDefaults(CertificateValidity)
	now := opts.Now().Truncate(time.Second) // as a certificate has it
	template.NotBefore = now.Add(-clockSkew)
	template.NotAfter = now.Add(opts.Validity)
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter // nobody trusts it any longer than that
	}
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageDigitalSignature
	if _, ok := key.(*rsa.PublicKey); ok {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of %s: %w", template.Subject.CommonName, err)
	}
	return der, nil
}
