package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newRoot() *cobra.Command {
	root := group(&cobra.Command{
		Use:   "flocker",
		Short: "Volumes that follow containers from machine to machine",
		Long: "Flocker gives containers volumes that follow them: found or created, attached, formatted\n" +
			"and mounted on the machine where Mesos starts the container.",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}, newControl(), newAgent(), newVolumes(), newNodes(), newStatus(), newCA(), newDev(), newVersion())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	return root
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// group makes a command that only has others below it. Cobra by itself takes a
// mistyped one among them for a call for help, and says that all is well.
func group(cmd *cobra.Command, children ...*cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2 // letters that may be wrong
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		err := fmt.Errorf("%s: there is no command %q", cmd.CommandPath(), args[0])
		if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
			err = fmt.Errorf("%w; did you mean %q?", err, like[0])
		}
		return &usageError{err}
	}
	cmd.AddCommand(children...)
	return cmd
}

// takes makes the check of the number of arguments, which names say.
func takes(check cobra.PositionalArgs, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{fmt.Errorf("%s: want %s, got %d arguments", cmd.CommandPath(), names, len(args))}
		}
		return nil
	}
}
