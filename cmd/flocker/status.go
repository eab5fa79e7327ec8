package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
)

func newStatus() *cobra.Command {
	var (
		c   connection
		out output
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the cluster is, and whatever is not as wanted, with the reason",
		Args:  takes(cobra.NoArgs, "nothing but flags"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			cl, err := c.client(cmd)
			if err != nil {
				return err
			}
			defer cl.Close()
			status, err := cl.Status(cmd.Context())
			if err != nil {
				return err
			}
			if out.format == outputJSON {
				return printJSON(cmd, status)
			}
			showStatus(cmd.OutOrStdout(), status, out.long)
			return nil
		},
	}
	out.add(cmd)
	c.add(cmd)
	return cmd
}

func showStatus(w io.Writer, s *api.ClusterStatus, long bool) {
	width := terminalWidth(w)
	fmt.Fprintf(w, "Cluster   %s\n", s.Cluster)
	fmt.Fprintf(w, "Store     %s, revision %d\n", s.Store, s.Revision)
	fmt.Fprintf(w, "Datasets  %d, %d not as wanted\n", s.Datasets, s.AllTroubles)
	fmt.Fprintf(w, "Policy    on-lost-node: %s\n", s.Settings.OnLostNode)
	if !s.StaleSince.IsZero() {
		fmt.Fprintf(w, "\nThe store cannot be reached %s: %s\nAll of this is as it was then, and nothing can be changed.\n",
			since(s.StaleSince, s.Now), s.StaleCause)
	}
	for _, key := range s.Newer {
		fmt.Fprintf(w, "\nThe record %s was written by a newer version of the control service: update this one.\n", key)
	}
	fmt.Fprintln(w)
	replicasTable(s, long).print(w, width)
	if len(s.Nodes) > 0 {
		fmt.Fprintln(w)
		nodeDetailsTable(s.Nodes, long, s.Now).print(w, width)
	}
	for _, d := range s.Troubles {
		fmt.Fprintf(w, "\n%s: %s\n", short(string(d.Dataset.ID)), d.Status)
		wrap(w, d.Why, textWidthOf(w))
	}
	if more := s.AllTroubles - len(s.Troubles); more > 0 {
		fmt.Fprintf(w, "\n... and %d more: flocker volumes list\n", more)
	}
}

func replicasTable(s *api.ClusterStatus, long bool) *table {
	t := &table{head: []string{"REPLICA", "NAME", "USERS", "AGENTS", "STATE", "VERSION"}}
	for _, r := range s.Replicas {
		id, state := string(r.ID), "runs for "+age(s.Now.Sub(r.Started))
		if !long {
			id = short(id)
		}
		if !r.Lost.IsZero() {
			state = "lost " + since(r.Lost, s.Now)
		}
		if r.ID == s.Replica {
			state += ", answers"
		}
		t.add(id, r.Name, r.Users, r.Agents, state, r.Version)
	}
	return t
}

// since says since when something is: "since 10:02:03Z (4m)".
func since(t, now time.Time) string {
	return fmt.Sprintf("since %s (%s)", t.UTC().Format(time.RFC3339), age(now.Sub(t)))
}
