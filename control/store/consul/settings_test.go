package consul_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/control/store/consul"
)

func TestURLIsParsed(t *testing.T) {
	for url, want := range map[string]consul.Settings{
		"consul://127.0.0.1:8500/flocker":        {Addresses: []string{"127.0.0.1:8500"}, Prefix: "flocker"},
		"consul://a:1,b:2,[::1]:3/teams/flocker": {Addresses: []string{"a:1", "b:2", "[::1]:3"}, Prefix: "teams/flocker"},
		"consul:///flocker/":                     {Prefix: "flocker"},
		"consul://a:1/f?datacenter=dc2&token-file=/t&tls=true&ca-file=/ca&cert-file=/c&key-file=/k&tls-server-name=s": {
			Addresses: []string{"a:1"}, Prefix: "f", Datacenter: "dc2", TokenFile: "/t", TLS: true,
			CAFile: "/ca", CertFile: "/c", KeyFile: "/k", TLSServerName: "s",
		},
	} {
		if got, err := consul.Parse(url); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", url, got, err, want)
		}
	}
}

func TestMistakesInURLsAreNamed(t *testing.T) {
	for url, want := range map[string]string{
		"file:/var/lib/flocker":         "is not consul://",
		"consul:127.0.0.1:8500/f":       "is not consul://",
		"consul://127.0.0.1:8500":       "prefix has 0 bytes",
		"consul://127.0.0.1:8500/":      "prefix has 0 bytes",
		"consul://127.0.0.1/f":          "missing port",
		"consul://:8500/f":              "is not HOST:PORT",
		"consul://a:1,/f":               "missing port",
		"consul://a:1/a//b":             "is not made of",
		"consul://a:1/../b":             "is not made of",
		"consul://a:1/a b":              "is not made of",
		"consul://a:1/a=b":              "is not made of",
		"consul:/a:1/f?token=secret":    "is not consul://",
		"Consul://u:secret@a:1/f":       "is not consul://",
		"consul://u:secret@a:1/f":       "must not have a user",
		"consul://secret@a:1/f?x=y":     "is unknown",
		"consul://u:secret@a:1/?x=/@/f": "is unknown",
		"consul://a:1/f?token=secret":   "option token of consul://a:1/f is unknown",
		"consul://a:1/f?ca-file=":       "give it one value",
		"consul://a:1/f?tls=false":      "is unknown",
		"consul://a:1/f?cert-file=/c":   "belong together",
		"consul://a:1/" + long(200):     "not 1 to 128",
		"consul://a:1/f?ca-file=/a%zz":  "options of",
		"consul://a:1/f?tls=true&tls=x": "give it one value",
	} {
		if s, err := consul.Parse(url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v, %v, want %q", url, s, err, want)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the secret is told: %v", url, err)
		}
	}
}

func TestNameHasNoOptions(t *testing.T) {
	s, err := consul.Parse("consul://a:1,b:2/f?token-file=/secret")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.String(), "consul://a:1,b:2/f"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func long(n int) string { return strings.Repeat("p", n) }
