package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
)

func newNodes() *cobra.Command {
	var c connection
	cmd := group(&cobra.Command{
		Use:   "nodes",
		Short: "List the machines of the cluster",
	}, newNodesList(&c))
	c.add(cmd)
	return cmd
}

func newNodesList(c *connection) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List all nodes that have ever connected",
		Args:    takes(cobra.NoArgs, "nothing but flags"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			cl, err := c.client(cmd)
			if err != nil {
				return err
			}
			defer cl.Close()
			nodes, err := cl.Nodes(cmd.Context())
			if err != nil {
				return err
			}
			slices.SortFunc(nodes, func(a, b *api.Node) int {
				return cmp.Or(cmp.Compare(a.Name(), b.Name()), cmp.Compare(a.ID, b.ID))
			})
			return out.print(cmd, nodes, nodesTable(nodes, out.long, time.Now()))
		},
	}
	out.add(cmd)
	return cmd
}

func nodesTable(nodes []*api.Node, long bool, now time.Time) *table {
	t := &table{head: []string{"NODE", "HOSTNAME", "ADDRESS", "AGENT", "BACKEND", "VERSION"}}
	for _, n := range nodes {
		id := string(n.ID)
		if !long {
			id = short(id)
		}
		state := "disconnected"
		if n.Connected {
			state = "connected"
		}
		t.add(id, n.Hostname, n.Address, fmt.Sprintf("%s for %s", state, age(now.Sub(n.Since))), n.Backend, n.Version)
	}
	return t
}
