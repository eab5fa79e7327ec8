package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newBackends(env *Env) *cobra.Command {
	g := newGroup(env)
	var p output.Printer
	cmd := &cobra.Command{
		Use:               "backends",
		Short:             "List the storage systems of the cluster, and what they can do",
		Args:              usage.Takes(cobra.NoArgs, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: g.run(&p, func(s *session, _ []string) error {
			all, err := s.Backends(s.ctx)
			if err != nil {
				return err
			}
			slices.SortFunc(all, func(a, b *api.BackendDetail) int { return cmp.Compare(a.Name, b.Name) })
			return s.List(all, backendsTable(all), texts(all, func(b *api.BackendDetail) string { return b.Name }))
		}),
	}
	addOutput(cmd, p.AddListFlags)
	g.conn.AddFlags(cmd)
	cmd.AddCommand(newBackendsOrphans(g))
	return cmd
}

func backendsTable(all []*api.BackendDetail) *output.Table {
	t := output.NewTable(
		output.Column{Head: "BACKEND"}, output.Column{Head: "VOLUMES", Whole: true}, output.Column{Head: "SIZE", Whole: true},
		output.Column{Head: "NODES", Whole: true}, output.Column{Head: "CAN"}, output.Column{Head: "SIZES ARE MULTIPLES OF", Wide: true},
	)
	for _, b := range all {
		unit := ""
		if b.AllocationUnit > 0 {
			unit = api.FormatSize(b.AllocationUnit)
		}
		t.Add(b.Name, fmt.Sprint(b.Volumes), api.FormatSize(b.Bytes), fmt.Sprint(len(b.Nodes)),
			output.Dash(strings.Join(b.Capabilities, ",")), output.Dash(unit))
	}
	return t
}
