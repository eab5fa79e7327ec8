package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// certificateAlerts are how TLS says that a certificate does not do. It has no
// words for why: of a control service one hears the first or the last.
var certificateAlerts = []tls.AlertError{
	42,  // bad certificate
	43,  // unsupported certificate
	44,  // certificate revoked
	45,  // certificate expired
	46,  // certificate unknown
	48,  // unknown certificate authority
	116, // certificate required
}

// explainRefusal adds to an error what to do where the other side did not accept
// our certificate. In TLS 1.3 it says so only after the handshake is over for
// us, and has hung up then: whoever writes meanwhile may never hear it.
func explainRefusal(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%w: the control service has hung up; if it always does, it may not admit this certificate: its log says so, "+
			"and `flocker ca check --control HOST:PORT` looks at both sides", err)
	}
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" {
		return err
	}
	for _, alert := range certificateAlerts {
		if remote.Err.Error() == alert.Error() {
			return fmt.Errorf("%w: the control service does not admit this certificate (another cluster's, expired, or of a role that this "+
				"port is not for); its log says which, and `flocker ca check --control HOST:PORT` looks at both sides", err)
		}
	}
	return err
}

// certificate returns the certificate that a connection would show now, nil for
// none.
func (c Config) certificate() []byte {
	if c.TLS == nil || c.TLS.GetClientCertificate == nil {
		return nil
	}
	cert, err := c.TLS.GetClientCertificate(&tls.CertificateRequestInfo{})
	if err != nil || len(cert.Certificate) == 0 {
		return nil
	}
	return cert.Certificate[0]
}
