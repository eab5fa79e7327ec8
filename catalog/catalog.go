package catalog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/flocker-mesos/flocker/consulaccess"
)

// Settings say which service it is, and how Consul is talked to. What they do
// not say, the usual variables do: CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN and so
// on.
type Settings struct {
	// Addresses are HOST:PORT of Consul's HTTP API. One is used, and the next
	// when it fails.
	Addresses     []string
	Service       string
	Datacenter    string
	TLS           bool
	TokenFile     string
	CAFile        string
	CertFile      string
	KeyFile       string
	TLSServerName string
}

var serviceName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// CheckService reports what is wrong with the name of a service.
func CheckService(name string) error {
	if !serviceName.MatchString(name) {
		return fmt.Errorf("%q is not the name of a service: 1 to 63 letters, digits and dashes between them", name)
	}
	return nil
}

// Catalog is Consul's catalogue, as far as it is about one service. Any number
// of goroutines may use it.
type Catalog struct {
	service string
	consuls []*api.Client // one an address
	current atomic.Uint64 // counts up to the one in use
}

// New returns the catalogue. It does not talk to Consul yet.
func New(s Settings) (*Catalog, error) {
	if err := CheckService(s.Service); err != nil {
		return nil, err
	}
	c := &Catalog{service: s.Service}
	addresses := s.Addresses
	if len(addresses) == 0 {
		addresses = []string{""} // what the environment says
	}
	for _, address := range addresses {
		cfg, err := s.config(address)
		if err != nil {
			return nil, err
		}
		consul, err := api.NewClient(cfg)
		if err != nil {
			return nil, fmt.Errorf("read settings for Consul: %w", err)
		}
		c.consuls = append(c.consuls, consul)
	}
	return c, nil
}

// config puts what s says over what the environment says.
func (s Settings) config(address string) (*api.Config, error) {
	cfg := api.DefaultConfig()
	for _, o := range []struct {
		value string
		field *string
	}{
		{address, &cfg.Address},
		{s.Datacenter, &cfg.Datacenter},
		{s.TokenFile, &cfg.TokenFile},
		{s.CAFile, &cfg.TLSConfig.CAFile},
		{s.CertFile, &cfg.TLSConfig.CertFile},
		{s.KeyFile, &cfg.TLSConfig.KeyFile},
		{s.TLSServerName, &cfg.TLSConfig.Address},
	} {
		if o.value != "" {
			*o.field = o.value
		}
	}
	if s.TLS {
		cfg.Scheme = "https"
	}
	if err := consulaccess.CheckFiles(cfg.TokenFile, cfg.TLSConfig.CAFile, cfg.TLSConfig.CertFile, cfg.TLSConfig.KeyFile); err != nil {
		return nil, err
	}
	if cfg.TokenFile == "" {
		return cfg, nil
	}
	if path, ok := strings.CutPrefix(cfg.Address, "unix://"); ok {
		// The library would put a client of its own in place of ours.
		cfg.Address = "localhost"
		cfg.Transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	client, err := api.NewHttpClient(cfg.Transport, cfg.TLSConfig)
	if err != nil {
		return nil, fmt.Errorf("read TLS settings for Consul: %w", err)
	}
	client.Transport = &consulaccess.Transport{Base: client.Transport, File: cfg.TokenFile}
	cfg.HttpClient = client
	return cfg, nil
}

// Warning says what an operator should change in how Consul is reached, "" for nothing.
func (s Settings) Warning() string {
	cfg := api.DefaultConfig()
	addresses := s.Addresses
	if len(addresses) == 0 {
		addresses = []string{cfg.Address}
	}
	return consulaccess.Warning("Consul's catalogue", consulaccess.Plain(s.TLS || cfg.Scheme == "https", addresses...))
}

// askTimeout bounds one request. The Consul agent is on this machine or near.
const askTimeout = time.Second

// ask makes a request to the Consul agent in use and, where that fails, to the
// others, one after the other.
func (c *Catalog) ask(ctx context.Context, request func(context.Context, *api.Client) error) error {
	var failures []error
	for range c.consuls {
		current := c.current.Load()
		err := c.try(ctx, c.consuls[current%uint64(len(c.consuls))], request)
		if err == nil {
			return nil
		}
		failures = append(failures, err)
		if ctx.Err() != nil {
			break
		}
		c.current.CompareAndSwap(current, current+1)
	}
	return errors.Join(failures...)
}

func (c *Catalog) try(ctx context.Context, consul *api.Client, request func(context.Context, *api.Client) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, fmt.Errorf("no answer of Consul within %s", askTimeout))
	defer cancel()
	err := request(ctx, consul)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
