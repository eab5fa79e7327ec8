package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Ports of the control service.
const (
	UserPort  = "4523"
	AgentPort = "4524"
)

// Config says how to reach the control service.
type Config struct {
	// Endpoints are the replicas, as HOST or HOST:PORT.
	Endpoints []string
	// TLS has the caller's certificate and the rules for the service's.
	TLS *tls.Config
	// Timeout bounds each attempt of a call, DefaultTimeout if it is 0.
	Timeout time.Duration
}

// DefaultTimeout bounds an attempt where the Config says nothing. It is longer
// than the control service takes to give up.
const DefaultTimeout = 35 * time.Second

const (
	dialTimeout = 5 * time.Second
	idleTimeout = 90 * time.Second
	// pingAfter is the silence after which a connection is tried, so that a
	// replica whose machine has died is noticed while an answer is awaited.
	pingAfter   = 10 * time.Second
	pingTimeout = 5 * time.Second
)

// check completes a Config or says what is wrong with it.
func (c Config) check(port string) (Config, error) {
	if c.TLS == nil {
		return c, errors.New("no certificates to call the control service with")
	}
	if len(c.Endpoints) == 0 {
		return c, errors.New("no endpoint of the control service to call")
	}
	endpoints := make([]string, len(c.Endpoints))
	for i, e := range c.Endpoints {
		if _, _, err := net.SplitHostPort(e); err != nil {
			e = net.JoinHostPort(e, port)
		}
		if host, _, err := net.SplitHostPort(e); err != nil || host == "" {
			return c, fmt.Errorf("endpoint %q is not HOST or HOST:PORT", c.Endpoints[i])
		}
		endpoints[i] = e
	}
	c.Endpoints = endpoints
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	return c, nil
}

// transport returns connections of their own.
func (c Config) transport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     c.TLS.Clone(),
		TLSHandshakeTimeout: dialTimeout,
		ForceAttemptHTTP2:   true,
		IdleConnTimeout:     idleTimeout,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
}
