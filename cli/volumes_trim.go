package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newVolumesTrim(g *group) *cobra.Command {
	var p output.Printer
	w := waiting{wait: waitFlag{on: true}}
	cmd := &cobra.Command{
		Use:   "trim VOLUME...",
		Short: "Give the free blocks of mounted volumes back to their storage",
		Long: "Gives the blocks that the file systems of mounted volumes do not use back to the storage, as fstrim does, and\n" +
			"waits for that. Volumes stay in use meanwhile. Blocks that were trimmed before and not written since may not\n" +
			"count again. Agents do this by themselves every trim-interval of agent.yml.",
		Example:           "  flocker volumes trim orders-db",
		Args:              usage.Takes(cobra.MinimumNArgs(1), "at least one volume"),
		ValidArgsFunction: others(g.completeVolume),
		PreRunE:           func(*cobra.Command, []string) error { return w.checkTimeout() },
		RunE: g.run(&p, func(s *session, args []string) error {
			all, err := s.volumesNamed(args)
			if err != nil {
				return err
			}
			asked, failed := s.each(all, func(d *api.DatasetDetail) (*api.DatasetDetail, error) {
				return s.TrimVolume(s.ctx, ref(d.Dataset.ID))
			})
			return errors.Join(failed, s.outcomes(asked, len(args) > 1, &w, trimmed(), volumeName))
		}),
	}
	addOutput(cmd, p.AddFlags)
	w.addTimeout(cmd.Flags())
	return cmd
}

// trimmed is reached when the last request to trim has its answer.
func trimmed() goal {
	return goal{word: "trimmed", what: "trimmed", reached: func(d *api.DatasetDetail) bool {
		return d.Dataset.Trim != nil && d.State != nil && d.State.Trim != nil && d.State.Trim.Number >= d.Dataset.Trim.Number
	}, failed: func(d *api.DatasetDetail) error {
		if text := d.State.Trim.Error; text != "" {
			return errors.New(text)
		}
		return nil
	}, detail: func(d *api.DatasetDetail) string {
		t := d.State.Trim
		return fmt.Sprintf("%d bytes (%s) trimmed in %s", t.Bytes, trimmedSize(t.Bytes), t.Took.Round(time.Millisecond))
	}}
}

// trimmedSize writes a number of bytes in the unit below which little is lost.
func trimmedSize(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}
