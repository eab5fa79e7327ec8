package cli

import (
	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/cli/usage"
)

func newMarathon(env *Env) *cobra.Command {
	g := newGroup(env)
	cmd := usage.Group(&cobra.Command{
		Use:   "marathon",
		Short: "Show, check and mend Marathon's apps and pods with volumes",
		Long: "Shows apps and pods of Marathon's with their volumes, and checks and mends what in them would lose a volume, lock\n" +
			"it up or delay it, with the reason and the fix.",
	}, newMarathonApps(g), newMarathonForget(g), newMarathonCheck(g), newMarathonFix(g))
	g.conn.AddFlags(cmd)
	return cmd
}

// completeDefinitions has the shell offer files of JSON.
func completeDefinitions(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"json"}, cobra.ShellCompDirectiveFilterFileExt
}
