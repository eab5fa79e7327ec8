package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/config"
)

// Ports of the control service, Flocker's.
const (
	defaultRESTPort  = 4523
	defaultAgentPort = 4524
)

// Where a machine has its settings and certificates.
const (
	defaultConfigDir     = "/etc/flocker"
	defaultAgentConfig   = defaultConfigDir + "/agent.yml"
	defaultControlConfig = defaultConfigDir + "/control.yml"
)

// flagHelp returns a text of the manual for --help, in which the first text between
// backquotes would be taken for the name of the flag's value.
func flagHelp(text string) string { return strings.ReplaceAll(text, "`", "") }

// settingsFlags makes a command take settings from a file, the environment and
// flags. Settings holds the defaults; the returned function fills it and says
// which file it read, "" for none.
func settingsFlags(cmd *cobra.Command, settings any, defaultFile string, help map[string]string) (load func() (file string, err error)) {
	var file string
	cmd.Flags().StringVarP(&file, "config", "c", defaultFile, "file of settings; the default may be missing")
	cmd.Flags().SortFlags = false
	loader := config.New(settings)
	loader.AddFlags(cmd.Flags(), func(key string) string { return flagHelp(help[key]) })
	return func() (string, error) {
		if !cmd.Flags().Changed("config") {
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				file = ""
			}
		}
		return file, loader.Load(file, os.LookupEnv)
	}
}
