package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/catalog"
	"github.com/flocker-mesos/flocker/control/store/consul"
)

// replicas say how the replicas of the control service are found: by hosts, or
// by consul://HOST:PORT/SERVICE, which is where Consul's catalogue has them. As
// a text they are separated by commas.
type replicas []string

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *replicas) UnmarshalText(text []byte) error { //nolint:unparam // the interface has the error
	*r = readReplicas(string(text))
	return nil
}

func readReplicas(text string) replicas {
	var r replicas
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			r = append(r, part)
		}
	}
	return r
}

// String writes them as UnmarshalText reads them.
func (r replicas) String() string { return strings.Join(r, ",") }

// catalogue returns where they are found, nil for the hosts themselves.
func (r replicas) catalogue() (*catalog.Settings, error) {
	isURL := func(part string) bool { return strings.HasPrefix(part, consul.Scheme+"://") }
	if !slices.ContainsFunc(r, isURL) {
		return nil, nil
	}
	if !isURL(r[0]) {
		return nil, errors.New("give either hosts or one URL of Consul")
	}
	// The URL may have commas too, between several addresses of Consul.
	return catalogSettings(strings.Join(r, ","), "")
}

// withoutPorts returns the hosts alone: the ports that an agent's settings name
// are not those for users.
func (r replicas) withoutPorts() replicas {
	if settings, err := r.catalogue(); settings != nil || err != nil {
		return r
	}
	hosts := slices.Clone(r)
	for i, part := range hosts {
		if host, _, err := net.SplitHostPort(part); err == nil {
			hosts[i] = host
		}
	}
	return hosts
}

// catalogSettings reads how Consul is talked to from a URL such as that of a log
// in Consul. The service is the last part of the URL, or another one.
func catalogSettings(url, service string) (*catalog.Settings, error) {
	s, err := consul.Parse(url)
	if err != nil {
		return nil, fmt.Errorf("%s://HOST:PORT/SERVICE is how Consul's catalogue is named: %w", consul.Scheme, err)
	}
	if service == "" {
		service = s.Prefix
	}
	return &catalog.Settings{
		Addresses: s.Addresses, Service: service, Datacenter: s.Datacenter, TLS: s.TLS, TokenFile: s.TokenFile,
		CAFile: s.CAFile, CertFile: s.CertFile, KeyFile: s.KeyFile, TLSServerName: s.TLSServerName,
	}, catalog.CheckService(service)
}

// validate says what is wrong.
func (r replicas) validate() error {
	settings, err := r.catalogue()
	if settings != nil || err != nil {
		return err
	}
	return client.CheckEndpoints(r)
}

// config says how one side of the replicas is called. Port is that of hosts for
// which none is given.
func (r replicas) config(side catalog.Side, port uint16) (client.Config, error) {
	cfg := client.Config{Port: strconv.Itoa(int(port))}
	settings, err := r.catalogue()
	switch {
	case err != nil:
		return cfg, err
	case settings == nil:
		cfg.Endpoints = r
		return cfg, nil
	}
	c, err := catalog.New(*settings)
	if err != nil {
		return cfg, err
	}
	cfg.Resolver = c.Finder(side)
	return cfg, nil
}
