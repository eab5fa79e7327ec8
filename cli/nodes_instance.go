package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newNodesAllowInstance(g *group) *cobra.Command {
	var p output.Printer
	cmd := &cobra.Command{
		Use:   "allow-instance NODE INSTANCE",
		Short: "Let a node run on another machine: its agent may announce this instance",
		Long: "Lets a node's agent announce another instance, which is what the storage system calls its machine. An\n" +
			"instance has one node, and a node keeps its instance: what a lost node holds is detached from its instance,\n" +
			"and stop-instance powers it off. Do this when a node has moved to another machine and the old one is off.\n" +
			"A node that has never connected is named by its whole id.",
		Args:              usage.Takes(cobra.ExactArgs(2), "a node and an instance"),
		ValidArgsFunction: first(g.completeNode),
		RunE: g.run(&p, func(s *session, args []string) error {
			id, err := s.nodeToBe(args[0])
			if err != nil {
				return err
			}
			n, err := s.AllowInstance(s.ctx, id, args[1])
			if err != nil {
				return err
			}
			return s.Show(n, n.Name(), func() { s.Linef("The agent of %s may announce the instance %s.", n.Name(), args[1]) })
		}),
	}
	addOutput(cmd, p.AddFlags)
	return cmd
}

// nodeToBe returns the id of a node that may never have connected.
func (s *session) nodeToBe(text string) (api.NodeID, error) {
	n, err := s.node(text)
	if id, ok := api.ParseID(text); ok && errors.Is(err, errNoNode) {
		return api.NodeID(id), nil
	}
	if err != nil {
		return "", err
	}
	return n.ID, nil
}
