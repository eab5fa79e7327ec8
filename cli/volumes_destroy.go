package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/confirm"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newVolumesDestroy(g *group) *cobra.Command {
	var (
		p    output.Printer
		ask  confirm.Prompt
		wait waiting
	)
	cmd := &cobra.Command{
		Use:        "destroy VOLUME...",
		Aliases:    []string{"rm"},
		SuggestFor: []string{"delete", "del", "remove"},
		Short:      "Destroy volumes and all data on them, as soon as nothing uses them",
		Long: "Destroys volumes and all data on them, as soon as nothing uses them. This cannot be undone, also not while a volume\n" +
			"that is in use still waits for its users to end. (flocker volumes undelete keeps volumes that Flocker is going to\n" +
			"delete because their app was destroyed, until the grace period ends.)",
		Example: "  flocker volumes destroy orders-db\n" +
			"  flocker volumes destroy --yes $(flocker volumes list --set kafka.data -o name)",
		Args:              usage.Takes(cobra.MinimumNArgs(1), "at least one volume"),
		ValidArgsFunction: others(g.completeVolume),
		PreRunE:           wait.check,
		RunE: g.run(&p, func(s *session, args []string) error {
			all, err := s.volumesNamed(args)
			if err != nil {
				return err
			}
			heading := fmt.Sprintf("This destroys %s (%s) and all data on them, and cannot be undone:", count(len(all), "volume"), totalSize(all))
			if err := s.sure(&ask, losses(heading, all)); err != nil {
				return err
			}
			doomed, failed := s.each(all, func(d *api.DatasetDetail) (*api.DatasetDetail, error) {
				if _, err := s.Delete(s.ctx, d.Dataset.ID, ""); err != nil {
					return nil, err
				}
				s.tell("Destroying %s.", volumeName(d))
				return d, nil
			})
			return errors.Join(failed, s.outcomes(doomed, len(args) > 1, &wait, destroyed(), volumeName))
		}),
	}
	ask.AddFlag(cmd.Flags())
	addOutput(cmd, p.AddFlags)
	wait.addFlags(cmd.Flags(), "destroyed")
	return cmd
}

func newVolumesUndelete(g *group) *cobra.Command {
	var p output.Printer
	cmd := &cobra.Command{
		Use:   "undelete VOLUME...",
		Short: "Keep volumes that Flocker is going to delete because their app was destroyed",
		Long: "Keeps volumes that Flocker is going to delete because their app was destroyed, as its label\n" +
			"flocker.volume.KEY.reclaim = delete asks for. This is possible until the grace period ends; flocker volumes show\n" +
			"says when that is. What flocker volumes destroy has destroyed cannot be brought back.",
		Args:              usage.Takes(cobra.MinimumNArgs(1), "at least one volume"),
		ValidArgsFunction: others(g.completeVolume),
		RunE: g.run(&p, func(s *session, args []string) error {
			all, err := s.volumesNamed(args)
			if err != nil {
				return err
			}
			kept, failed := s.each(all, func(d *api.DatasetDetail) (*api.DatasetDetail, error) {
				now, err := s.Undelete(s.ctx, ref(d.Dataset.ID))
				if err != nil {
					return nil, err
				}
				if d.Dataset.Reclaim == nil {
					s.tell("%s is not going to be deleted; nothing was changed.", volumeName(now))
				} else {
					s.tell("%s is kept.", volumeName(now))
				}
				return now, nil
			})
			return printResults(s, kept, len(args) > 1, volumeName, failed)
		}),
	}
	addOutput(cmd, p.AddFlags)
	return cmd
}
