package client

import (
	"crypto/tls"
	"errors"
	"time"
)

// Ports of the control service.
const (
	UserPort  = "4523"
	AgentPort = "4524"
)

// Config says how to reach the control service.
type Config struct {
	// Endpoints are the replicas, as HOST or HOST:PORT. A host's name is looked
	// up whenever a connection is needed, and all its addresses are used.
	Endpoints []string
	// Port is that of endpoints which name none, "" for UserPort or AgentPort.
	Port string
	// Resolver names the replicas instead of Endpoints, if it is not nil.
	Resolver Resolver
	// TLS has the caller's certificate and the rules for the service's.
	TLS *tls.Config
	// Timeout bounds each attempt of a call, DefaultTimeout if it is 0.
	Timeout time.Duration
	// Settle is about how often an agent that is not at the replica where it
	// belongs looks whether it can go there, DefaultSettle if it is 0.
	Settle time.Duration
}

// DefaultTimeout bounds an attempt where the Config says nothing. It is longer
// than the control service takes to give up.
const DefaultTimeout = 35 * time.Second

// DefaultSettle is how often it is looked whether agents are spread evenly.
const DefaultSettle = 10 * time.Minute

// Watching connections while answers are awaited. A replica that runs answers
// pings however long it takes for the call itself; one whose machine has died,
// or that is stopped, is left after these two.
const (
	idleTimeout = 30 * time.Second
	pingAfter   = time.Second
	pingTimeout = 2 * time.Second
)

// check completes a Config or says what is wrong with it.
func (c Config) check(port string) (Config, error) {
	if c.TLS == nil {
		return c, errors.New("no certificates to call the control service with")
	}
	if len(c.Endpoints) == 0 && c.Resolver == nil {
		return c, errors.New("no endpoint of the control service to call")
	}
	if c.Port == "" {
		c.Port = port
	}
	endpoints := make([]string, len(c.Endpoints))
	for i, e := range c.Endpoints {
		var err error
		if endpoints[i], err = hostPort(e, c.Port); err != nil {
			return c, err
		}
	}
	c.Endpoints = endpoints
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Settle == 0 {
		c.Settle = DefaultSettle
	}
	return c, nil
}

// CheckEndpoints reports what is wrong with how replicas are called.
func CheckEndpoints(endpoints []string) error {
	for _, e := range endpoints {
		if _, err := hostPort(e, UserPort); err != nil {
			return err
		}
	}
	return nil
}
