package consul_test

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/consul"
	"github.com/flocker-mesos/flocker/control/store/storetest"
	servers "github.com/flocker-mesos/flocker/test/consul"
)

// settings returns those of a log that no other test has.
func settings(t testing.TB, addresses ...string) consul.Settings {
	prefix := strings.Map(func(r rune) rune {
		if r == '/' || r == '-' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, t.Name())
	return consul.Settings{Addresses: addresses, Prefix: prefix[max(0, len(prefix)-100):]}
}

func open(t testing.TB, s consul.Settings) *consul.Log {
	t.Helper()
	log, err := consul.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return log
}

func TestLogOnOneServer(t *testing.T) {
	c := servers.Start(t, 1)
	storetest.Run(t, func(t *testing.T) storetest.Open {
		s := settings(t, c.Addresses()...)
		return func() (store.Log, error) { return consul.Open(s) }
	})
}

// TestLogOnThreeServers opens the log at another server each time.
func TestLogOnThreeServers(t *testing.T) {
	c := servers.Start(t, 3)
	storetest.Run(t, func(t *testing.T) storetest.Open {
		next := 0
		return func() (store.Log, error) {
			next++
			return consul.Open(settings(t, c.Addresses()[next%3]))
		}
	})
}
