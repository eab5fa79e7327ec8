package consul_test

import (
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/consul"
	servers "github.com/flocker-mesos/flocker/test/consul"
)

const managementToken = "6a1253d2-1785-24fd-91c2-f8e78c745511"

// token makes a token with a policy's rules.
func token(t *testing.T, address, name, rules string) string {
	t.Helper()
	acl := client(t, address, managementToken).ACL()
	policy, _, err := acl.PolicyCreate(&api.ACLPolicy{Name: name, Rules: rules}, nil)
	if err != nil {
		t.Fatal(err)
	}
	made, _, err := acl.TokenCreate(&api.ACLToken{Policies: []*api.ACLLink{{ID: policy.ID}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return made.SecretID
}

func TestTokens(t *testing.T) {
	c := servers.StartWith(t, 1, map[string]any{"acl": map[string]any{
		"enabled": true, "default_policy": "deny", "tokens": map[string]any{"initial_management": managementToken},
	}})
	address := c.Addresses()[0]
	s := consul.Settings{Addresses: []string{address}, Prefix: "flocker"}

	t.Run("the policy of the package's text suffices", func(t *testing.T) {
		t.Setenv("CONSUL_HTTP_TOKEN", token(t, address, "whole", `key_prefix "flocker/" { policy = "write" } key "flocker-begun" { policy = "write" }`))
		log := open(t, s)
		commit(t, log, 0, put("a", "1"), put("b", "1"))
		if got := len(load(t, log).Records); got != 2 {
			t.Errorf("got %d records, want 2", got)
		}
		if _, err := log.Follow(t.Context(), 0); err != nil {
			t.Error(err)
		}
	})
	t.Run("a token is read from a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(managementToken+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s := s
		s.TokenFile = file
		log := open(t, s)
		load(t, log)
		// The token in use is taken back, and another one is put into the file.
		next := token(t, address, "next", `key_prefix "flocker/" { policy = "write" } key "flocker-begun" { policy = "write" }`)
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(file+".new", file); err != nil {
				t.Fatal(err)
			}
		}
		const wrong = "00000000-0000-0000-0000-0000000000ee"
		write(wrong)
		if _, err := log.Load(t.Context()); err == nil || strings.Contains(err.Error(), wrong) {
			t.Errorf("with a wrong token: got %v, want an error that does not show it", err)
		}
		write(next + "\n")
		load(t, log)
	})
	for name, rules := range map[string]string{
		"no token that may read anything": `key_prefix "other/" { policy = "write" }`,
		"no token that may not read head": `key_prefix "flocker/records/" { policy = "write" }`,
		"no token that may not read mark": `key_prefix "flocker/" { policy = "write" }`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CONSUL_HTTP_TOKEN", token(t, address, strings.ReplaceAll(name, " ", "-"), rules))
			log := open(t, s)
			_, loadErr := log.Load(t.Context())
			_, commitErr := log.Commit(t.Context(), newBatch(1, put("a", "2")))
			for op, err := range map[string]error{"load": loadErr, "commit": commitErr} {
				if err == nil || !strings.Contains(err.Error(), "token's policy") {
					t.Errorf("%s: got %v, want it to name the token's policy", op, err)
				}
			}
		})
	}
	t.Run("records that may not be read are missed", func(t *testing.T) {
		t.Setenv("CONSUL_HTTP_TOKEN", token(t, address, "some", `key_prefix "flocker" { policy = "write" } key "flocker/records/a" { policy = "deny" }`))
		_, err := open(t, s).Load(t.Context())
		checkDamaged(t, "load", err, "has 1 records, not the 2")
	})
	t.Run("a token that may only read commits nothing", func(t *testing.T) {
		t.Setenv("CONSUL_HTTP_TOKEN", token(t, address, "reader", `key_prefix "flocker" { policy = "read" }`))
		log := open(t, s)
		load(t, log)
		_, err := log.Commit(t.Context(), newBatch(1, put("a", "2")))
		if err == nil || errors.Is(err, store.ErrUncertain) || errors.Is(err, store.ErrRaced) || !strings.Contains(err.Error(), "Permission denied") {
			t.Errorf("got %v, want that permission was denied, without a doubt", err)
		}
	})
	t.Run("a token that is unknown reads nothing", func(t *testing.T) {
		t.Setenv("CONSUL_HTTP_TOKEN", "00000000-0000-0000-0000-0000000000ff")
		if _, err := open(t, s).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "ACL not found") {
			t.Errorf("got %v, want that the token is unknown", err)
		}
	})
}

func TestEnvironmentSaysWhereConsulIs(t *testing.T) {
	c := servers.Start(t, 1)
	address := c.Addresses()[0]
	for name, value := range map[string]string{"a plain address": address, "a URL": "http://" + address} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CONSUL_HTTP_ADDR", value)
			commit(t, open(t, settings(t)), 0, put("a", "1"))
		})
	}
	t.Run("a unix socket", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "consul.sock")
		forward(t, path, address)
		t.Setenv("CONSUL_HTTP_ADDR", "unix://"+path)
		log := open(t, settings(t))
		commit(t, log, 0, put("a", "1"))
		c := make(chan error)
		go func() {
			_, err := log.Commit(t.Context(), newBatch(0, put("a", "2")))
			c <- err
		}()
		if err := <-c; !errors.Is(err, store.ErrRaced) {
			t.Errorf("got %v, want %v", err, store.ErrRaced)
		}
	})
	t.Run("the settings win", func(t *testing.T) {
		t.Setenv("CONSUL_HTTP_ADDR", "127.0.0.1:1")
		commit(t, open(t, settings(t, address)), 0, put("a", "1"))
	})
}

// forward serves an address's HTTP on a unix socket.
func forward(t *testing.T, path, address string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		out := req.Clone(req.Context())
		out.RequestURI, out.URL.Scheme, out.URL.Host = "", "http", address
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		maps.Copy(w.Header(), resp.Header)
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = proxy.Serve(l)
	}()
	t.Cleanup(func() {
		_ = proxy.Close()
		<-served
	})
}

func TestNextAddressIsTried(t *testing.T) {
	c := servers.Start(t, 3)
	addresses := c.Addresses()
	leader := c.Leader()
	first := (leader + 1) % 3
	s := settings(t, addresses[first], addresses[leader], addresses[3-first-leader])
	log := open(t, s)
	commit(t, log, 0, put("a", "1"))
	c.Kill(first)
	revision, _, err := settle(t.Context(), log, newBatch(1, put("a", "2")))
	if err != nil || revision != 2 {
		t.Errorf("with the first address dead: got revision %d, %v, want 2", revision, err)
	}
	c.Restart(first)
	c.Leader()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	load(t, open(t, settings(t, addresses[first]))) // until it serves again
	log = open(t, s)
	c.Stop(first)
	if snap := load(t, log); snap.Revision != 2 {
		t.Errorf("with the first address paused: got revision %d, want 2", snap.Revision)
	}
}
