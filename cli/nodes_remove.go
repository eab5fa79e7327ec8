package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/confirm"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newNodesRemove(g *group) *cobra.Command {
	var (
		p         output.Printer
		ask       confirm.Prompt
		leftovers bool
	)
	cmd := &cobra.Command{
		Use:     "remove NODE",
		Aliases: []string{"rm", "delete"},
		Short:   "Remove a node whose machine is gone for good",
		Long: "Removes a node whose machine is gone for good: its record, its leases, its places in queues, and the choice of a\n" +
			"user to have a volume there. The command is refused while the node's agent is connected, and while the node holds a\n" +
			"volume: declare the node lost and have its volumes moved first.\n\n" +
			"Volumes of a zone without another node stay, and no node can reach them. With --leftovers they are forgotten, too.\n\n" +
			"If the machine's agent connects again, it registers as a new node. To keep it out, revoke its certificate.",
		Args:              usage.Takes(cobra.ExactArgs(1), "one node"),
		ValidArgsFunction: first(g.completeNode),
		RunE: g.run(&p, func(s *session, args []string) error {
			n, err := s.nodeInFull(args[0])
			if err != nil {
				return err
			}
			if err := s.sureOfRemoval(n, &ask, leftovers); err != nil {
				return err
			}
			removed, err := s.RemoveNode(s.ctx, n.ID, leftovers)
			if err != nil {
				return err
			}
			return s.Show(removed, n.Name(), func() {
				s.Linef("%s is removed.", n.Name())
				if expires := n.CertificateExpires; expires.After(s.now()) {
					s.Linef("Its certificate is valid until %s. If its machine must not register again, revoke it: flocker ca revoke %s.crt",
						output.Time(expires), n.ID)
				}
			})
		}),
	}
	ask.AddFlag(cmd.Flags())
	cmd.Flags().BoolVar(&leftovers, "leftovers", false, "forget the volumes, too, that only this node could reach, as its zone has no other node")
	addOutput(cmd, p.AddFlags)
	return cmd
}

// sureOfRemoval confirms that a node is to be removed, and shows which volumes are
// forgotten with it.
func (s *session) sureOfRemoval(n *api.NodeDetail, ask *confirm.Prompt, leftovers bool) error {
	if n.Connected || ask.Yes {
		return nil // the control service refuses a connected node, with the reason
	}
	s.attach(ask)
	text := fmt.Sprintf("%s (%s) is removed for good, with its leases and its places in queues.", n.Name(), n.ID)
	if leftovers {
		lost, err := s.leftoversOf(n.Node)
		if err != nil {
			return err
		}
		if len(lost) > 0 {
			text = losses(fmt.Sprintf("%s (%s) is removed for good. No other node is in its zone %s, so these volumes are forgotten with it, and no node will find their data:",
				n.Name(), n.ID, n.Zone), lost)
		}
	}
	return ask.Sure(text)
}

// leftoversOf lists the volumes of a node's zone, if no other node is there.
func (s *session) leftoversOf(n *api.Node) ([]*api.DatasetDetail, error) {
	nodes, err := s.NodesInFull(s.ctx)
	if err != nil || n.Zone == "" {
		return nil, err
	}
	if slices.ContainsFunc(nodes, func(o *api.NodeDetail) bool { return o.ID != n.ID && o.Zone == n.Zone }) {
		return nil, nil
	}
	all, err := s.volumes(api.VolumeQuery{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(d *api.DatasetDetail) bool { return d.Dataset.Volume == nil || d.Dataset.Volume.Zone != n.Zone }), nil
}
