package catalog_test

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/flocker-mesos/flocker/catalog"
	"github.com/flocker-mesos/flocker/test/consul"
)

func open(t *testing.T, addresses ...string) *catalog.Catalog {
	t.Helper()
	c, err := catalog.New(catalog.Settings{Addresses: addresses, Service: "flocker-control"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// raw is Consul itself, to look at what it was told.
func raw(t *testing.T, address string) *api.Client {
	t.Helper()
	cfg := api.DefaultConfig()
	cfg.Address = address
	c, err := api.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// member is a replica that keeps its place in the catalogue.
type member struct {
	unwell atomic.Bool
	leave  func()
}

func register(t *testing.T, c *catalog.Catalog, host string) *member {
	t.Helper()
	m := &member{}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		in := catalog.Instance{Users: host + ":4523", Agents: host + ":4524", Version: "1.2.3"}
		err := c.Register(ctx, in, func() error {
			if m.unwell.Load() {
				return errors.New("the store cannot be reached")
			}
			return nil
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("register: %v", err)
		}
	})
	m.leave = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(m.leave)
	return m
}

// await waits until a side of the service is found at the given addresses.
func await(t *testing.T, c *catalog.Catalog, side catalog.Side, want ...string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for {
		got, err := c.Finder(side).Replicas(t.Context())
		slices.Sort(got)
		if len(want) == 0 && err != nil || err == nil && reflect.DeepEqual(got, want) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
	}
}

func TestReplicasFindTheirPlaceAndAreFound(t *testing.T) {
	address := consul.Start(t, 1).Addresses()[0]
	c := open(t, address)
	await(t, c, catalog.Users)
	a, b := register(t, c, "10.0.0.1"), register(t, c, "b.example")
	await(t, c, catalog.Users, "10.0.0.1:4523", "b.example:4523")
	await(t, c, catalog.Agents, "10.0.0.1:4524", "b.example:4524")

	a.unwell.Store(true)
	await(t, c, catalog.Agents, "b.example:4524")
	b.unwell.Store(true) // who fails its check may serve all the same
	await(t, c, catalog.Agents, "10.0.0.1:4524", "b.example:4524")
	a.unwell.Store(false)
	await(t, c, catalog.Agents, "10.0.0.1:4524")
	b.unwell.Store(false)
	await(t, c, catalog.Agents, "10.0.0.1:4524", "b.example:4524")

	// Consul's agent has lost what it was told.
	if err := raw(t, address).Agent().ServiceDeregister("flocker-control-10.0.0.1:4523"); err != nil {
		t.Fatal(err)
	}
	await(t, c, catalog.Users, "10.0.0.1:4523", "b.example:4523")

	a.leave()
	await(t, c, catalog.Users, "b.example:4523")
	b.leave()
	await(t, c, catalog.Users)
}

func TestReplicaThatDiesFailsItsCheckByItself(t *testing.T) {
	address := consul.Start(t, 1).Addresses()[0]
	c := open(t, address)
	register(t, c, "10.0.0.1")
	await(t, c, catalog.Users, "10.0.0.1:4523")
	checks, err := raw(t, address).Agent().ChecksWithFilter(`ServiceName == "flocker-control"`)
	if err != nil || len(checks) != 1 {
		t.Fatalf("got %v, %v, want one check", checks, err)
	}
	for _, check := range checks {
		if check.Type != "ttl" || check.Status != api.HealthPassing {
			t.Errorf("got %+v, want a check that passes only while it is told to", check)
		}
	}
}

func TestNextConsulIsAsked(t *testing.T) {
	address := consul.Start(t, 1).Addresses()[0]
	c := open(t, "127.0.0.1:1", address)
	m := register(t, c, "10.0.0.1")
	await(t, open(t, "127.0.0.1:1", address), catalog.Users, "10.0.0.1:4523")
	m.leave()
	await(t, c, catalog.Users)
}

func TestPlaceIsTakenWhenConsulComesBack(t *testing.T) {
	servers := consul.Start(t, 1)
	c := open(t, servers.Addresses()...)
	servers.Kill(0)
	register(t, c, "10.0.0.1")
	servers.Restart(0)
	await(t, c, catalog.Users, "10.0.0.1:4523")
}

func TestConsulThatIsAwayIsAnErrorThatNamesIt(t *testing.T) {
	_, err := open(t, "127.0.0.1:1").Finder(catalog.Users).Replicas(t.Context())
	if err == nil || !strings.Contains(err.Error(), "flocker-control in Consul") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("got %v, want the service and the address", err)
	}
}

func TestNamesOfServices(t *testing.T) {
	for name, ok := range map[string]bool{
		"flocker-control": true, "f": true, "F1": true, strings.Repeat("f", 63): true,
		"": false, "-f": false, "f-": false, "a.b": false, "a/b": false, "a_b": false, strings.Repeat("f", 64): false,
	} {
		if err := catalog.CheckService(name); (err == nil) != ok {
			t.Errorf("%q: got %v", name, err)
		}
		if _, err := catalog.New(catalog.Settings{Service: name}); (err == nil) != ok {
			t.Errorf("%q: got %v", name, err)
		}
	}
}
