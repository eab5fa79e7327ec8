package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/cli"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newRoot() *cobra.Command {
	root := usage.Group(&cobra.Command{
		Use:   "flocker",
		Short: "Volumes that follow containers from machine to machine",
		Long: "Flocker gives containers volumes that follow them: found or created, attached, formatted\n" +
			"and mounted on the machine where Mesos starts the container.",
	}, newControl(), newAgent(), newCA(), newDev())
	root.AddCommand(cli.Commands(userEnv())...)
	root.Version = version
	root.SetVersionTemplate(fmt.Sprintf("flocker %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH))
	return asRoot(root)
}

// newFlockerCA is Flocker's program of that name.
func newFlockerCA() *cobra.Command {
	root := newCA()
	root.Use = "flocker-ca"
	return asRoot(root)
}

// asRoot has run say what is wrong, instead of cobra.
func asRoot(cmd *cobra.Command) *cobra.Command {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(usage.FlagError)
	return cmd
}
