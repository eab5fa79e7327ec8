package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newNodesLost(g *group) *cobra.Command {
	var (
		p          output.Printer
		yes, force bool
	)
	cmd := &cobra.Command{
		Use:   "lost NODE",
		Short: "Say that a silent node's machine is off, so that its volumes may go to other nodes",
		Long: "Says, on your word, that the machine of a silent node is off or cut off from the storage for good.\n" +
			"Its volumes are then taken, also where the storage system cannot tell whether the machine still writes. If it\n" +
			"runs all the same, what its containers write is lost. Your word ends when the node's agent connects again.\n\n" +
			"A volume that the storage system knows to be in use on the machine stays there without --force.\n\n" +
			"What Mesos says of the machine is shown first, where the control service is told of its masters. Where Mesos\n" +
			"takes the machine to be well, nothing is done without --force.",
		Args:              usage.Takes(cobra.ExactArgs(1), "a node's name, address or id"),
		ValidArgsFunction: first(g.completeNode),
		RunE: g.run(&p, func(s *session, args []string) error {
			found, err := s.node(args[0])
			if err != nil {
				return err
			}
			n, err := s.Node(s.ctx, found.ID)
			if err != nil {
				return err
			}
			if err := s.sureOfLoss(n, yes, force); err != nil {
				return err
			}
			if n, err = s.GiveUpNode(s.ctx, found.ID, force); err != nil {
				return err
			}
			return s.Show(n, n.Name(), func() {
				s.Linef("%s is given up. The %d datasets that it holds go to whoever asks for them.", n.Name(), n.Held)
			})
		}),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask whether the machine is really off; scripts are not asked")
	cmd.Flags().BoolVar(&force, "force", false, "even if Mesos takes the machine to be well, or the storage system knows that it uses a volume")
	addOutput(cmd, p.AddFlags)
	return cmd
}

// sureOfLoss makes sure that who gives a node up means it, and knows what Mesos
// says of its machine.
func (s *session) sureOfLoss(n *api.NodeDetail, yes, force bool) error {
	if n.Connected {
		return nil // the control service refuses it, and says why
	}
	if m := n.Mesos; m != nil {
		fmt.Fprintln(s.errs, output.Clean("Mesos: "+mesosText(m, s.now())))
	}
	if n.Mesos.Runs() && !force {
		return s.sureAgainstMesos(n)
	}
	if !yes && !s.confirmed("Is the machine of %s off, or cut off from the storage for good? Then type yes: ", n.Name()) {
		return errNothingDone
	}
	return nil
}

// sureAgainstMesos is for a machine that Mesos takes to be well. Mesos notices a
// dead one a minute and more after its end, so it may be wrong; but mostly who
// calls has the wrong machine, or the Flocker agent alone is down.
func (s *session) sureAgainstMesos(n *api.NodeDetail) error {
	fmt.Fprint(s.errs, s.errsView.Wrap(output.Clean(fmt.Sprintf("WARNING: Mesos has the machine of %s registered and runs %d tasks on it. If only its Flocker "+
		"agent is down, start that: its containers are writing, and what they write from now on is lost if you go on. If the machine "+
		"is dead, Mesos notices after a minute or so (75 s by default): look again then.", n.Name(), n.Mesos.TaskCount()))))
	const way = "nothing was done: Mesos takes the machine of %s to be well; if it is off all the same, say --force"
	if !s.onTerminal() {
		return fmt.Errorf(way, n.Name())
	}
	if !s.typed(n.Name(), "Is it off all the same? Then type its name, %s: ", n.Name()) {
		return errNothingDone
	}
	return nil
}
