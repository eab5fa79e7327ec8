package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// ServerConfig loads a control service's certificate from dir (see Load) and
// returns the rules for a server that admits the given roles only.
func ServerConfig(dir, base string, log *slog.Logger, admitted ...Role) (*tls.Config, error) {
	c, err := Load(dir, base, RoleControl, log)
	if err != nil {
		return nil, err
	}
	return c.Server(admitted...), nil
}

// ClientConfig loads a node's or user's certificate from dir (see Load) and
// returns the rules for calling a control service.
func ClientConfig(dir, base string, role Role, log *slog.Logger) (*tls.Config, error) {
	c, err := Load(dir, base, role, log)
	if err != nil {
		return nil, err
	}
	return c.Client(), nil
}

// Server returns the rules for a server: a client must show a certificate of
// the same cluster, with one of the admitted roles. Whom it names is then
// Identity(state.PeerCertificates[0]).
func (c *Credentials) Server(admitted ...Role) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.own()
		},
		// The certificate is verified below and not by crypto/tls, whose
		// errors do not say whose certificate it was.
		ClientAuth: tls.RequireAnyClientCert,
		VerifyConnection: func(state tls.ConnectionState) error {
			return c.verify(state, x509.ExtKeyUsageClientAuth, admitted)
		},
		// A resumed session would outlive a change of the authority.
		SessionTicketsDisabled: true,
	}
}

// Client returns the rules for calling the control service: its certificate
// must be of the same cluster, have the role, and be valid for the dialled
// host or for the name control-service.
func (c *Credentials) Client() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.own()
		},
		// Verified below: crypto/tls would insist on the dialled name.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if err := c.verify(state, x509.ExtKeyUsageServerAuth, []Role{RoleControl}); err != nil {
				return err
			}
			return checkHost(state.PeerCertificates[0], state.ServerName)
		},
	}
}

// verify decides about the certificate that the other side shows.
func (c *Credentials) verify(state tls.ConnectionState, usage x509.ExtKeyUsage, admitted []Role) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the other side shows no certificate")
	}
	cert, m := state.PeerCertificates[0], c.current()
	if err := m.trusts(cert, state.PeerCertificates[1:], usage, c.now()); err != nil {
		return fmt.Errorf("%s: %w", describe(cert), err)
	}
	if role, _, _ := Identity(cert); !slices.Contains(admitted, role) {
		return fmt.Errorf("%s: is of the wrong role, want %s", describe(cert), wantedAny(admitted))
	}
	return nil
}

// trusts reports why a certificate is none of this cluster's.
func (m *material) trusts(cert *x509.Certificate, chain []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) error {
	chains, err := m.chains(cert, chain, usage, now)
	if err == nil {
		err = m.checkRevoked(chains)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		err = outOfDate(invalid.Cert, now)
	}
	if theirs := clusterOf(cert); theirs != m.cluster {
		err = errors.Join(err, fmt.Errorf("belongs to cluster %q, this is cluster %q", theirs, m.cluster))
	}
	return err
}

// checkRevoked reports why no chain counts: each has a revoked certificate.
func (m *material) checkRevoked(chains [][]*x509.Certificate) (err error) {
	for _, chain := range chains {
		i := m.revoked.index(chain)
		if i < 0 {
			return nil
		}
		err = fmt.Errorf("the certificate of %q (serial %x) is revoked", chain[i].Subject.CommonName, chain[i].SerialNumber)
	}
	return err
}

// outOfDate says what is wrong with a certificate's dates, in the same words at
// all times: who tries again and again is recognized by that.
func outOfDate(cert *x509.Certificate, now time.Time) error {
	if now.Before(cert.NotBefore) {
		return fmt.Errorf("the certificate of %q is not valid before %s: are the clocks right?", cert.Subject.CommonName, day(cert.NotBefore))
	}
	return fmt.Errorf("the certificate of %q has expired on %s", cert.Subject.CommonName, day(cert.NotAfter))
}

// chains returns the ways from a certificate to the authorities.
func (m *material) chains(cert *x509.Certificate, chain []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) ([][]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, c := range chain {
		between.AddCert(c)
	}
	return cert.Verify(x509.VerifyOptions{
		Roots:         m.roots,
		Intermediates: between,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
}

// checkHost accepts a control service's certificate for the dialled host (""
// where that is an IP address, which crypto/tls does not tell) or for its role.
func checkHost(cert *x509.Certificate, host string) error {
	if cert.Version < 3 {
		// Flocker's own certificates: the names are there, but Go does not
		// read extensions of version 1. The role in the common name, which
		// the authority vouches for, has to do.
		return nil
	}
	err := cert.VerifyHostname(ControlName)
	if err == nil || host != "" && cert.VerifyHostname(host) == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", describe(cert), err)
}

// wantedAny describes the certificates that do.
func wantedAny(roles []Role) string {
	wants := make([]string, len(roles))
	for i, role := range roles {
		wants[i] = wanted(role)
	}
	return strings.Join(wants, " or ")
}

// wanted describes the certificate that a role needs.
func wanted(role Role) string {
	switch role {
	case RoleControl:
		return "a control service's (CN " + ControlName + ")"
	case RoleNode:
		return "a node's (CN " + nodePrefix + "UUID)"
	case RoleUser:
		return "a user's (CN " + userPrefix + "NAME)"
	case RoleReader:
		return "a reader's (CN " + readerPrefix + "NAME)"
	case RoleTenant:
		return "a tenant's (CN " + tenantPrefix + "NAME)"
	}
	return string(role)
}
