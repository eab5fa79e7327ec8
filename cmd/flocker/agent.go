package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/agent"
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/backend/stopcommand"
	"github.com/flocker-mesos/flocker/catalog"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/fault"
	"github.com/flocker-mesos/flocker/isolator/reconcile"
	"github.com/flocker-mesos/flocker/marathon/info"
	"github.com/flocker-mesos/flocker/pki"
)

func newAgent() *cobra.Command {
	settings := defaultAgentSettings()
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run the agent of this machine, which brings its containers their volumes",
		Long: "Runs the agent of this machine. Containers go on and volumes stay mounted when it ends; the\n" +
			"next one finds everything again.",
		Args: usage.Takes(cobra.NoArgs, "no arguments"),
	}
	load := settingsFlags(cmd, settings, defaultAgentConfig, agentHelp)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		file, err := load()
		if err != nil {
			return err
		}
		log := settings.Log.logger(cmd.ErrOrStderr())
		s := &startup{log: log, metrics: settings.Metrics}
		run, ok, err := awaitStart(cmd.Context(), s, func(ctx context.Context) (func(context.Context) error, error) {
			err := errors.Join(checkMounts(settings.Agent.StateDir, settings.Dataset.directory()),
				checkFiles(map[string]string{"mesos.ca-file": settings.Mesos.CAFile}))
			if err != nil {
				return nil, err
			}
			return openAgent(ctx, settings, settings.certificates(file), log)
		})
		if err != nil || !ok {
			return err
		}
		return run(cmd.Context())
	}
	cmd.AddCommand(newAgentAcceptLog())
	return cmd
}

// openAgent makes an agent that is ready to run. Run runs it until its context ends.
func openAgent(ctx context.Context, settings *agentSettings, certs string, log *slog.Logger) (run func(context.Context) error, err error) {
	creds, err := pki.Load(certs, "node", pki.RoleNode, log)
	if err != nil {
		return nil, err
	}
	_, name, _ := creds.Identity()
	node := api.NodeID(name)
	cfg, err := settings.Control.Hostname.config(catalog.Agents, settings.Control.Port)
	if err != nil {
		return nil, err
	}
	cfg.TLS = creds.Client()
	control, err := client.NewAgent(cfg)
	if err != nil {
		return nil, err
	}
	volumes, err := settings.Dataset.open(node, settings.Agent.StateDir)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(creds, buildInfo())
	deps := agent.Deps{
		Node: node, Backend: volumes, Dial: dialer(control, creds),
		Mesos: settings.Mesos.Agent, Marathon: info.Asker{}, Version: version, Log: log, Metrics: registry, Now: fault.Now,
	}
	if settings.Stop != "" {
		if deps.Stopper, err = stopcommand.New(settings.Stop); err != nil {
			return nil, err
		}
	}
	mesos, err := settings.Mesos.client()
	if err != nil {
		return nil, err
	}
	if mesos != nil {
		deps.Labels, deps.Roles, deps.Inspect = mesos, reconcile.NewRoles(mesos), mesos
	}
	hurry := make(chan struct{}, 1)
	deps.Ending = func() {
		select {
		case hurry <- struct{}{}:
		default: // it hurries already
		}
	}
	a, err := agent.New(ctx, settings.Agent, deps)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if where, _ := settings.Control.Hostname.catalogue(); where != nil {
			if text := where.Warning(); text != "" {
				log.Warn(text)
			}
		}
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return a.Run(ctx) })
		group.Go(func() error { creds.Watch(ctx); return nil })
		if mesos != nil {
			r := &reconcile.Reconciler{
				Volumes: a.Volumes(), Containers: mesos, Log: log, Told: a.TellMesosTrouble,
				Hurry: hurry, Interval: settings.Mesos.Interval, Now: fault.Now,
			}
			group.Go(func() error { return r.Run(ctx) })
		}
		if settings.Metrics != "" {
			group.Go(func() error { return serveMetrics(ctx, settings.Metrics, agentMonitoring(registry, a.Health), log) })
		}
		return group.Wait()
	}, nil
}

// dialer makes the client's sessions the agent's.
func dialer(control *client.Agent, creds *pki.Credentials) agent.Dialer {
	return func(ctx context.Context, hello api.Hello) (agent.Session, error) {
		hello.CertificateExpires = creds.Expires() // which a renewal changes
		session, err := control.Connect(ctx, hello)
		if err != nil {
			return nil, err // and not a Session that is no nil
		}
		return session, nil
	}
}
