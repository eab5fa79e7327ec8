package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/confirm"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/control"
)

func newControlRepair() *cobra.Command {
	settings := defaultControlSettings()
	how := control.Repair{}
	var (
		from string
		ask  confirm.Prompt
	)
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Mend the records of the log that another program has changed",
		Long: "Shows the records of the log that are not what was committed, because another program wrote to\n" +
			"it, and mends them: what was committed is put back, and what never was is removed. Control\n" +
			"services may run meanwhile. Until then such records are set aside, and nothing is done for\n" +
			"the datasets that they are about.\n\n" +
			"What a record was before another program changed it is unknown where no control service ran\n" +
			"then: take it from a backup with --from, or give it up with --drop. A dataset whose record is\n" +
			"given up is forgotten; its volume stays in the storage system.\n\n" +
			"Where records were removed while no control service ran, --from finds out which, if the backup\n" +
			"has them as they were. Control services do not start before that.",
		Args: usage.Takes(cobra.NoArgs, "no arguments"),
	}
	load := logSettingsFlags(cmd, settings, "config", "store")
	cmd.Flags().BoolVar(&how.DryRun, "dry-run", false, "say what is damaged and what would be done, and do nothing")
	cmd.Flags().StringVar(&from, "from", "", "backup to restore records from whose committed values are unknown")
	cmd.Flags().StringArrayVar(&how.Drop, "drop", nil, "key of a record to give up; can be repeated")
	ask.AddFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := load(); err != nil {
			return err
		}
		if len(how.Drop) > 0 && !how.DryRun {
			loss := "These records are given up for good, and the datasets that they are about are forgotten:\n  " + strings.Join(how.Drop, "\n  ")
			if err := sure(cmd, &ask, loss); err != nil {
				return err
			}
		}
		if from != "" {
			b, err := readBackup(cmd, from)
			if err != nil {
				return fmt.Errorf("%s: %w. Nothing was changed", from, err)
			}
			how.Backup = &b
		}
		how.At = time.Now().UTC()
		log, err := control.OpenExisting(settings.Control)
		if err != nil {
			return err
		}
		defer func() { _ = log.Close() }() // every commit is there
		all, err := control.RepairLog(cmd.Context(), log, how)
		if err != nil {
			return err
		}
		return tellMended(cmd, all, how.DryRun)
	}
	return cmd
}

func tellMended(cmd *cobra.Command, all []control.Mended, dryRun bool) error {
	out, left := api.Printing(cmd.OutOrStdout()), 0
	if len(all) == 0 {
		fmt.Fprintln(out, "Every record is as it was committed.")
		return nil
	}
	for _, m := range all {
		fmt.Fprintf(out, "%s %s", m.Key, m.What)
		if m.How == "" {
			left++
			fmt.Fprintln(out, ". What was committed is not known.")
		} else {
			fmt.Fprintf(out, "; it %s.\n", m.How)
		}
	}
	if dryRun {
		fmt.Fprintln(out, "Nothing was done, as --dry-run asks.")
	}
	if left > 0 {
		return fmt.Errorf("%d records are left as they are: give a backup that has them with --from FILE, or give them up with --drop KEY", left)
	}
	return nil
}
