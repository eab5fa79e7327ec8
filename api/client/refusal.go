package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
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

// seeWhy is what to do where a certificate was not accepted.
const seeWhy = "its log says why, and `flocker ca check --control HOST:PORT` looks at both sides"

// explainRefusal adds to an error what to do where the other side has said that
// it does not accept our certificate.
func explainRefusal(err error) error {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" {
		return err
	}
	for _, alert := range certificateAlerts {
		if remote.Err.Error() == alert.Error() {
			return fmt.Errorf("%w: the control service does not admit this certificate (another cluster's, expired, or of a role that this "+
				"port is not for); %s", err, seeWhy)
		}
	}
	return err
}

// admission explains the failures of connections on which nothing was ever
// answered. In TLS 1.3 the handshake is over for a client before the server has
// looked at its certificate: the refusal ends the first request, and where that
// is still being written, often nothing is heard but that the other side is gone.
type admission struct {
	next     *http.Transport
	answered atomic.Bool
}

// RoundTrip implements http.RoundTripper.
func (a *admission) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.next.RoundTrip(r)
	if err == nil {
		a.answered.Store(true)
		return resp, nil
	}
	if a.answered.Load() || neverConnected(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	if explained := explainRefusal(err); explained != err { //nolint:errorlint // whether anything was added
		return nil, explained
	}
	return nil, fmt.Errorf("%w: the control service has hung up before it answered anything; if it always does, it may not admit this "+
		"certificate: %s", err, seeWhy)
}

// CloseIdleConnections is what http.Client closes by.
func (a *admission) CloseIdleConnections() { a.next.CloseIdleConnections() }

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
