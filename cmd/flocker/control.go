package main

import (
	"log/slog"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/fault"
	"github.com/flocker-mesos/flocker/pki"
)

func newControl() *cobra.Command {
	settings := defaultControlSettings()
	cmd := &cobra.Command{
		Use:   "control",
		Short: "Run the control service, which knows all datasets and who holds them",
		Args:  takes(cobra.NoArgs, "nothing but flags"),
	}
	load := settingsFlags(cmd, settings, defaultControlConfig, controlHelp)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := load(); err != nil {
			return err
		}
		log := settings.Log.logger(cmd.ErrOrStderr())
		service, err := openControl(settings, log)
		if err != nil {
			return err
		}
		return service.Run(cmd.Context())
	}
	cmd.AddCommand(newControlBackup(), newControlRestore(), newControlImport())
	return cmd
}

// logSettingsFlags is settingsFlags for the commands that do something with the
// log alone: they read the same file, and show the flags that matter to them.
func logSettingsFlags(cmd *cobra.Command, settings *controlSettings, shown ...string) (load func() (file string, err error)) {
	load = settingsFlags(cmd, settings, defaultControlConfig, controlHelp)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		f.Hidden = !slices.Contains(shown, f.Name)
	})
	return load
}

// openControl makes a control service that is ready to run.
func openControl(settings *controlSettings, log *slog.Logger) (*control.Service, error) {
	creds, err := pki.Load(settings.Control.Certificates, pki.ControlName, pki.RoleControl, log)
	if err != nil {
		return nil, err
	}
	warnOfExpiry(creds, log)
	_, _, cluster := creds.Identity()
	return control.New(settings.Control, control.Deps{
		Cluster: cluster, UserTLS: creds.Server(pki.RoleUser), AgentTLS: creds.Server(pki.RoleNode),
		Version: version, Log: log, Now: fault.Now,
	})
}
