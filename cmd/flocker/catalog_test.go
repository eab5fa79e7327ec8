package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/catalog"
	"github.com/flocker-mesos/flocker/pki"
	"github.com/flocker-mesos/flocker/test/consul"
)

// startReplica runs a replica over a log in Consul, and returns what stops it.
func startReplica(t *testing.T, d *devDir, store string) (stop func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	settings := defaultControlSettings()
	settings.Control.Listen, settings.Control.AgentListen = "127.0.0.1:0", "127.0.0.1:0"
	settings.Control.Certificates, settings.Control.Store = d.certs(), store
	service, err := openControl(t.Context(), settings, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		run, err := assembleControl(ctx, service, settings, log)
		if err == nil {
			err = run()
		}
		if err != nil {
			t.Errorf("replica: %v", err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(stop)
	return stop
}

func TestReplicasAreFoundInConsulsCatalogue(t *testing.T) {
	d := &devDir{root: t.TempDir()}
	if err := d.makeCertificates(); err != nil {
		t.Fatal(err)
	}
	address := consul.Start(t, 1).Addresses()[0]
	store, service := "consul://"+address+"/log", "consul://"+address+"/flocker-control"
	stopFirst := startReplica(t, d, store)
	startReplica(t, d, store)
	t.Setenv("FLOCKER_CONTROL_SERVICE", service)
	t.Setenv("FLOCKER_CERTS_PATH", d.certs())
	t.Setenv("FLOCKER_USER", devUser)
	t.Setenv("FLOCKER_CONFIG", filepath.Join(t.TempDir(), "config.yml")) // and not whoever runs the tests

	creds, err := pki.Load(d.certs(), "node", pki.RoleNode, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := replicas{service}.config(catalog.Agents, defaultAgentPort)
	if err != nil {
		t.Fatal(err)
	}
	awaitReplicas(t, cfg.Resolver, 2)
	cfg.TLS = creds.Client()
	agent, err := client.NewAgent(cfg)
	if err != nil {
		t.Fatal(err)
	}
	session, err := agent.Connect(t.Context(), api.Hello{
		Hostname: "machine", Era: "5d8f4a4a-9a52-4d7a-9e0a-111111111111", Agent: "a", Instance: "i", Backend: "loopback", Version: "1",
	})
	if err != nil {
		t.Fatalf("an agent: %v", err)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	users := func(what string) {
		t.Helper()
		if exit, out, errs := flocker(t, "nodes", "list"); exit != exitOK || !strings.Contains(out, "machine") {
			t.Errorf("a user, %s: got %d, %q, %q", what, exit, out, errs)
		}
	}
	users("of two replicas")
	stopFirst()
	awaitReplicas(t, cfg.Resolver, 1)
	users("of the one that is left")
}

// awaitReplicas waits until so many are in the catalogue.
func awaitReplicas(t *testing.T, r client.Resolver, want int) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for {
		got, err := r.Replicas(t.Context())
		if err == nil && len(got) == want {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("got %v, %v, want %d replicas", got, err, want)
		}
	}
}
