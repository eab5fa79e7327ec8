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

func newNodesLost(g *group) *cobra.Command {
	var (
		p     output.Printer
		ask   confirm.Prompt
		force bool
	)
	cmd := &cobra.Command{
		Use:   "lost NODE",
		Short: "Declare a silent node's machine to be off, so that its volumes may go to other nodes",
		Long: "Declares that the machine of a silent node is off, or cut off from the storage for good. Other nodes may then\n" +
			"take its volumes, even if the storage system cannot tell whether the machine still writes. If it runs all the\n" +
			"same, what its containers write is lost. The declaration ends when the node's agent connects again.\n\n" +
			"A volume that the storage system knows to be in use on the machine stays there without --force.\n\n" +
			"The command shows what Mesos says of the machine, if the control service knows its masters, and which volumes the\n" +
			"node holds, and asks. If Mesos reports the machine as running, it does nothing without --force.",
		Args:              usage.Takes(cobra.ExactArgs(1), "one node"),
		ValidArgsFunction: first(g.completeNode),
		RunE: g.run(&p, func(s *session, args []string) error {
			n, err := s.nodeInFull(args[0])
			if err != nil {
				return err
			}
			if err := s.sureOfLoss(n, &ask, force); err != nil {
				return err
			}
			if n, err = s.GiveUpNode(s.ctx, n.ID, force); err != nil {
				return err
			}
			return s.Show(n, n.Name(), func() {
				s.Linef("%s is given up. Other nodes can get what it holds: %s.", n.Name(), count(n.Held, "volume"))
			})
		}),
	}
	ask.AddFlag(cmd.Flags())
	cmd.Flags().BoolVar(&force, "force", false, "give the machine up even if Mesos reports it as running, or the storage system knows that it uses a volume")
	addOutput(cmd, p.AddFlags)
	return cmd
}

// sureOfLoss confirms that the machine of a node is off, and shows what Mesos says of
// it and what the node holds.
func (s *session) sureOfLoss(n *api.NodeDetail, ask *confirm.Prompt, force bool) error {
	if n.Connected {
		return nil // the control service refuses it, with the reason
	}
	s.attach(ask)
	if m := n.Mesos; m != nil {
		fmt.Fprintln(s.errs, output.Clean("Mesos: "+mesosText(m, s.now())))
	}
	if n.Mesos.Runs() && !force {
		return s.sureAgainstMesos(n, ask)
	}
	if ask.Yes {
		return nil
	}
	held, err := s.heldBy(n.Node)
	if err != nil {
		return err
	}
	return ask.Sure(lostText(n, held))
}

// heldBy lists the volumes that a node holds.
func (s *session) heldBy(n *api.Node) ([]*api.DatasetDetail, error) {
	all, err := s.volumes(api.VolumeQuery{Node: n.ID})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(d *api.DatasetDetail) bool { return !d.Dataset.HeldBy(n.ID) }), nil
}

func lostText(n *api.NodeDetail, held []*api.DatasetDetail) string {
	const risk = "Give %s up only if its machine is off or cut off from the storage for good: if it runs, what its containers write from now on is lost."
	text := fmt.Sprintf("%s holds no volume that you may use.\n", n.Name())
	if len(held) > 0 {
		text = losses(fmt.Sprintf("%s holds %s (%s) that other nodes may get:", n.Name(), count(len(held), "volume"), totalSize(held)), held)
	}
	return text + fmt.Sprintf(risk, n.Name())
}

// sureAgainstMesos is for a machine that Mesos reports as running. Mesos notices a dead
// machine a minute and more after its end, so Mesos may be wrong; but mostly the operator
// has the wrong machine, or only the Flocker agent is down.
func (s *session) sureAgainstMesos(n *api.NodeDetail, ask *confirm.Prompt) error {
	warning := fmt.Sprintf("WARNING: Mesos has the machine of %s registered and runs %d tasks on it. If only its Flocker "+
		"agent is down, start that: its containers are writing, and what they write from now on is lost if you go on. If the machine "+
		"is dead, Mesos notices after a minute or so (75 s by default): look again then.", n.Name(), n.Mesos.TaskCount())
	if !ask.Terminal() {
		fmt.Fprint(s.errs, s.errsView.Wrap(output.Clean(warning)))
		return fmt.Errorf("nothing was done: Mesos reports the machine of %s as running; if it is off all the same, give --force --yes", n.Name())
	}
	return ask.Ask(n.Name(), s.errsView.Wrap(output.Clean(warning)))
}
