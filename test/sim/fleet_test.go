package sim_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/pki"
	"github.com/flocker-mesos/flocker/test/sim"
)

// world is a control service with certificates for a user and some nodes.
type world struct {
	*testing.T
	dir     string
	service *control.Service
	nodes   []api.NodeID
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) credentials(base string, role pki.Role) *pki.Credentials {
	w.Helper()
	creds, err := pki.Load(w.dir, base, role, slog.New(slog.DiscardHandler))
	w.must(err)
	return creds
}

func newWorld(t *testing.T, nodes int) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir()}
	authority, err := pki.Initialize(w.dir, "sim", pki.Options{})
	w.must(err)
	files, err := authority.ControlCertificate(w.dir, "127.0.0.1")
	w.must(err)
	w.must(errors.Join(os.Rename(files.Cert, filepath.Join(w.dir, pki.ControlName+".crt")),
		os.Rename(files.Key, filepath.Join(w.dir, pki.ControlName+".key"))))
	_, err = authority.UserCertificate(w.dir, "user")
	w.must(err)
	for range nodes {
		node, _, err := authority.NodeCertificate(w.dir)
		w.must(err)
		w.nodes = append(w.nodes, api.NodeID(node))
	}
	cfg := control.DefaultConfig()
	cfg.Listen, cfg.AgentListen, cfg.Store = "127.0.0.1:0", "127.0.0.1:0", "file:"+t.TempDir()
	creds := w.credentials(pki.ControlName, pki.RoleControl)
	_, _, cluster := creds.Identity()
	w.service, err = control.New(cfg, control.Deps{
		Cluster: cluster, UserTLS: creds.Server(pki.RoleUser), AgentTLS: creds.Server(pki.RoleNode), Log: slog.New(slog.DiscardHandler),
	})
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

func TestPlayedAgentsMountMoveAndDestroy(t *testing.T) {
	w := newWorld(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	fleet, err := sim.Start(sim.Options{
		Endpoints: []string{w.service.AgentAddr().String()}, Nodes: w.nodes,
		TLS: func(node api.NodeID) (*tls.Config, error) {
			return w.credentials(string(node), pki.RoleNode).Client(), nil
		},
	})
	w.must(err)
	defer fleet.Stop()
	w.must(fleet.AwaitAttached(ctx, time.Time{}))
	user, err := client.New(client.Config{
		Endpoints: []string{w.service.UserAddr().String()}, TLS: w.credentials("user", pki.RoleUser).Client(),
	})
	w.must(err)

	d, err := fleet.Claim(ctx, w.nodes[0], api.DatasetSpec{Name: "db"})
	w.must(err)
	mounted := func(on api.NodeID) {
		t.Helper()
		detail, err := user.AwaitVolume(ctx, string(d.ID), func(d *api.DatasetDetail) bool {
			return d.State != nil && d.State.Phase == api.PhaseMounted && d.Dataset.HeldBy(on) && d.State.Node == on
		})
		w.must(err)
		if detail.Dataset.Volume == nil {
			t.Error("no volume is registered")
		}
	}
	mounted(w.nodes[0])
	watch := fleet.Watch(d.ID)
	defer watch.Close()
	_, err = user.Move(ctx, d.ID, w.nodes[1], "")
	w.must(err)
	_, err = watch.Await(ctx, func(ev sim.Event) bool { return ev.Node == w.nodes[1] && ev.Told != nil })
	w.must(err)
	_, err = watch.Await(ctx, func(ev sim.Event) bool { return ev.Node == w.nodes[1] && ev.Reported == api.PhaseMounted })
	w.must(err)
	mounted(w.nodes[1])
	_, err = user.Delete(ctx, d.ID, "")
	w.must(err)
	_, err = user.AwaitVolume(ctx, string(d.ID), func(d *api.DatasetDetail) bool { return d.Dataset.Destroyed })
	w.must(err)
}
