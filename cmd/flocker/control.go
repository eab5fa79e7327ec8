package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/catalog"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/control/store/consul"
	"github.com/flocker-mesos/flocker/fault"
	"github.com/flocker-mesos/flocker/pki"
)

func newControl() *cobra.Command {
	settings := defaultControlSettings()
	cmd := &cobra.Command{
		Use:   "control",
		Short: "Run the control service, which knows all datasets and their holders",
		Args:  usage.Takes(cobra.NoArgs, "no arguments"),
	}
	load := settingsFlags(cmd, settings, defaultControlConfig, controlHelp)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := load(); err != nil {
			return err
		}
		log := settings.Log.logger(cmd.ErrOrStderr())
		s := &startup{log: log, metrics: settings.Control.MetricsListen}
		run, ok, err := awaitStart(cmd.Context(), s, func(ctx context.Context) (func() error, error) {
			if err := errors.Join(checkMounts(settings.Control.StateDir, settings.Control.Directory()), checkFiles(settings.files())); err != nil {
				return nil, err
			}
			service, err := openControl(ctx, settings, s.silence, log)
			if err != nil {
				return nil, err
			}
			return assembleControl(ctx, service, settings, log)
		})
		if err != nil || !ok {
			return err
		}
		return run()
	}
	cmd.AddCommand(newControlBackup(), newControlRestore(), newControlImport(), newControlAcceptLog(), newControlRepair())
	return cmd
}

// assembleControl returns what runs a control service until ctx ends. Where its
// log is in Consul it keeps it in Consul's catalogue, and where there is a Marathon it
// follows that. With an error the service is closed.
func assembleControl(ctx context.Context, service *control.Service, settings *controlSettings, log *slog.Logger) (func() error, error) {
	register, err := registration(service, settings, log)
	if err != nil {
		return nil, errors.Join(err, service.Close())
	}
	followMarathon, err := settings.Marathon.following(service, log)
	if err != nil {
		return nil, errors.Join(err, service.Close())
	}
	return func() error {
		group, ctx := errgroup.WithContext(ctx)
		for _, run := range []func(context.Context) error{register, followMarathon, service.Run} {
			if run != nil {
				group.Go(func() error { return run(ctx) })
			}
		}
		return group.Wait()
	}, nil
}

// registration returns what keeps a control service in Consul's catalogue, nil
// where it is in none.
func registration(service *control.Service, settings *controlSettings, log *slog.Logger) (func(context.Context) error, error) {
	url := settings.Control.Store
	if settings.Register == "" || !strings.HasPrefix(url, consul.Scheme+"://") {
		return nil, nil
	}
	entry, err := catalogSettings(url, settings.Register)
	if err != nil {
		return nil, err
	}
	c, err := catalog.New(*entry)
	if err != nil {
		return nil, err
	}
	self := service.Self()
	in := catalog.Instance{Users: self.Users, Agents: self.Agents, Version: version}
	return func(ctx context.Context) error { return c.Register(ctx, in, service.Well, log) }, nil
}

// logSettingsFlags is settingsFlags for the commands that do something with the
// log alone: they read the same file, and show the flags that matter to them.
func logSettingsFlags(cmd *cobra.Command, settings *controlSettings, shown ...string) (load func() (file string, err error)) {
	load = settingsFlags(cmd, settings, defaultControlConfig, controlHelp)
	hideFlagsBut(cmd, shown...)
	return load
}

func hideFlagsBut(cmd *cobra.Command, shown ...string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		f.Hidden = !slices.Contains(shown, f.Name)
	})
}

// openControl makes a control service that is ready to run. Listening is called before it
// listens, nil for no call.
func openControl(ctx context.Context, settings *controlSettings, listening func(), log *slog.Logger) (*control.Service, error) {
	creds, err := pki.Load(settings.Control.Certificates, pki.ControlName, pki.RoleControl, log)
	if err != nil {
		return nil, err
	}
	_, _, cluster := creds.Identity()
	deps := control.Deps{
		Cluster: cluster, UserTLS: creds.Server(pki.APIRoles()...), AgentTLS: creds.Server(pki.RoleNode),
		Credentials: creds, Version: version, Log: log, Now: fault.Now, Listening: listening,
	}
	mesos, err := settings.Masters.watcher(log)
	if err != nil {
		return nil, err
	}
	if mesos != nil {
		deps.Mesos = mesos // and not a Mesos that is no nil
	}
	return control.Open(ctx, settings.Control, deps)
}
