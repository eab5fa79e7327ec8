package main

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/catalog"
	"github.com/flocker-mesos/flocker/config"
)

func TestReplicasAreNamedInManyWays(t *testing.T) {
	for text, want := range map[string]replicas{
		"control-service: {hostname: a.example}":                  {"a.example"},
		"control-service: {hostname: 'a,b:4525, 10.0.0.3'}":       {"a", "b:4525", "10.0.0.3"},
		"control-service: {hostname: [a, 'b:4525', '::1']}":       {"a", "b:4525", "::1"},
		"control-service: {hostname: consul://a:8500/flocker}":    {"consul://a:8500/flocker"},
		"control-service: {hostname: 'consul://a:1,b:2/flocker'}": {"consul://a:1", "b:2/flocker"},
	} {
		s := defaultAgentSettings()
		if err := config.New(s).Load(settingsFile(t, text), func(string) (string, bool) { return "", false }); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := s.Control.Hostname; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
		env := func(name string) (string, bool) {
			return strings.Join(want, ","), name == "FLOCKER_CONTROL_SERVICE_HOSTNAME"
		}
		s = defaultAgentSettings()
		if err := config.New(s).Load("", env); err != nil || !reflect.DeepEqual(s.Control.Hostname, want) {
			t.Errorf("%s from the environment: got %q, %v, want %q", text, s.Control.Hostname, err, want)
		}
	}
}

func TestCatalogueIsNamedAsALogInConsulIs(t *testing.T) {
	got, err := replicas{"consul://a:1", "b:2/flocker-control?tls=true&token-file=/t"}.catalogue()
	want := &catalog.Settings{Addresses: []string{"a:1", "b:2"}, Service: "flocker-control", TLS: true, TokenFile: "/t"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := (replicas{"a", "b"}).catalogue(); got != nil || err != nil {
		t.Errorf("hosts: got %+v, %v, want none", got, err)
	}
}

func TestUsersDoNotCallThePortsOfAgents(t *testing.T) {
	all := replicas{"a", "b:4525", "[::1]:1", "::1"}
	if got, want := all.withoutPorts(), (replicas{"a", "b", "::1", "::1"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := netip.ParseAddr(all.withoutPorts()[2]); err != nil {
		t.Errorf("got %v, want an address", err)
	}
	consul := replicas{"consul://a:8500/flocker"}
	if got := consul.withoutPorts(); !reflect.DeepEqual(got, consul) {
		t.Errorf("got %q, want %q", got, consul)
	}
}
