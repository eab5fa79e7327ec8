package main

import (
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/control"
)

func newControlAcceptLog() *cobra.Command {
	settings := defaultControlSettings()
	cmd := &cobra.Command{
		Use:   "accept-log ID",
		Short: "Accept another log than the one that this machine knows",
		Long: "Has the control service of this machine go on with the log that the settings name, although\n" +
			"the machine knows another one: its error message has the ID, or the word empty for a log\n" +
			"without records, with which a new cluster begins.\n\n" +
			"Agents refuse the log until they accept it as well (flocker agent accept-log, on each node).\n" +
			"Volumes that only the other log knows are orphans then: their apps wait until you take them\n" +
			"in (flocker backends orphans, flocker volumes adopt). If you have a backup, restore it\n" +
			"instead: flocker control restore --replace FILE.",
		Args: usage.Takes(cobra.ExactArgs(1), "one log's id, or empty"),
	}
	load := logSettingsFlags(cmd, settings, "config", "store", "certificates", "state-dir")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := load(); err != nil {
			return err
		}
		clusterID, err := clusterOf(settings.Control)
		if err != nil {
			return err
		}
		was, err := control.AcceptLog(cmd.Context(), settings.Control, clusterID, args[0])
		if err != nil {
			return err
		}
		tellAccepted(cmd.OutOrStdout(), was, args[0])
		fmt.Fprintln(cmd.OutOrStdout(), "Now start the control service.")
		return nil
	}
	return cmd
}

func newAgentAcceptLog() *cobra.Command {
	settings := defaultAgentSettings()
	cmd := &cobra.Command{
		Use:   "accept-log ID",
		Short: "Accept another log of the control service on this node",
		Long: "Has the agent of this machine, which may run, follow a control service with another log than\n" +
			"the node knows: the agent's status and the log of the control service have its ID. With the\n" +
			"word any it follows the first log that it meets.\n\n" +
			"Containers that run keep their volumes. Volumes that only the other log knows are orphans:\n" +
			"their apps wait until you take them in (flocker backends orphans, flocker volumes adopt). If\n" +
			"you have a backup of the other log, restore it instead: flocker control restore --replace FILE.",
		Args: usage.Takes(cobra.ExactArgs(1), "one log's id, or any"),
	}
	settings.Control.Hostname = replicas{"localhost"} // not called, and not worth a refusal
	load := settingsFlags(cmd, settings, defaultAgentConfig, agentHelp)
	hideFlagsBut(cmd, "config", "state-dir")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := load(); err != nil {
			return err
		}
		if _, err := uuid.Parse(args[0]); err != nil && args[0] != api.AnyLog {
			return fmt.Errorf("%q is not the id of a log, which is a UUID, nor the word %s", args[0], api.AnyLog)
		}
		was, err := settings.Agent.AcceptLog(args[0])
		if err != nil {
			return err
		}
		tellAccepted(cmd.OutOrStdout(), was, args[0])
		return nil
	}
	return cmd
}

func tellAccepted(w io.Writer, was api.LogIdentity, id string) {
	if was.ID != "" {
		fmt.Fprintf(w, "This machine knew log %s, up to revision %d.\n", was.ID, was.Revision)
	}
	fmt.Fprintf(w, "It accepts from now on: %s.\n", id)
}
