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
			asked, failed := s.each(all, func(d *api.DatasetDetail) error {
				now, err := s.TrimVolume(s.ctx, ref(d.Dataset.ID))
				if err == nil {
					*d = *now
				}
				return err
			})
			failed = errors.Join(failed, s.outcomes(asked, len(args) > 1, &w, trimmed(), volumeName))
			_, unfinished := s.each(asked, s.tellTrim)
			return errors.Join(failed, unfinished)
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
	}}
}

// tellTrim tells how much of a volume was trimmed, if the request had an answer without
// an error.
func (s *session) tellTrim(asked *api.DatasetDetail) error {
	d, err := s.Volume(s.ctx, ref(asked.Dataset.ID))
	if err != nil || !trimmed().reached(d) || trimmed().failed(d) != nil {
		return err // outcomes has told of an answer that is missing, or an error
	}
	t := d.State.Trim
	s.tell("%s: %d bytes (%s) trimmed in %s.", volumeName(d), t.Bytes, trimmedSize(t.Bytes), t.Took.Round(time.Millisecond))
	return nil
}

// trimmedSize writes a number of bytes in the unit below which little is lost.
func trimmedSize(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}
