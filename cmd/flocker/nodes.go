package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

func newNodes() *cobra.Command {
	var c connection
	cmd := group(&cobra.Command{
		Use:   "nodes",
		Short: "List, show, drain and give up the machines of the cluster",
		Long:  "Lists, shows, drains and gives up the machines of the cluster. A node is named by its host name,\nits address, or as much of its id as is unique.",
	}, newNodesList(&c), newNodesShow(&c), newNodesDrain(&c), newNodesLost(&c))
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

func newNodesShow(c *connection) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "show NODE",
		Short: "Show a node, and what it has",
		Args:  takes(cobra.ExactArgs(1), "a node's name, address or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			return onNode(cmd, c, args[0], func(ctx context.Context, cl *client.Client, id api.NodeID) error {
				n, err := cl.Node(ctx, id)
				if err != nil {
					return err
				}
				all, err := cl.Volumes(ctx, api.VolumeQuery{})
				if err != nil {
					return err
				}
				return out.print(cmd, n, nodeTable(n, all, time.Now()))
			})
		},
	}
	out.addFormat(cmd)
	return cmd
}

func newNodesDrain(c *connection) *cobra.Command {
	var end bool
	cmd := &cobra.Command{
		Use:   "drain NODE",
		Short: "Empty a node before maintenance: it gets no further volumes and gives up what nothing uses",
		Long: "Empties a node before maintenance: it gets no further volumes, and gives up those that nothing uses.\n" +
			"What its containers use stays until they end: have Mesos or Marathon move them.",
		Args: takes(cobra.ExactArgs(1), "a node's name, address or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onNode(cmd, c, args[0], func(ctx context.Context, cl *client.Client, id api.NodeID) error {
				n, err := cl.DrainNode(ctx, id, end)
				if err != nil {
					return err
				}
				if end {
					fmt.Fprintf(cmd.OutOrStdout(), "%s gets volumes again.\n", n.Name())
					return nil
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s gets no further volumes. It has %d now; those that nothing uses are detached. "+
					"See the rest: flocker nodes show %s\n", n.Name(), n.Held, n.Name())
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&end, "end", false, "end that: the node gets volumes again")
	return cmd
}

func newNodesLost(c *connection) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "lost NODE",
		Short: "Say that a silent node's machine is off, so that its volumes may go to other nodes",
		Long: "Says, on your word, that the machine of a silent node is off or cut off from the storage for good.\n" +
			"Its volumes are then taken without asking whether it can still write. If it runs all the same, what its\n" +
			"containers write is lost. It ends by itself when the node's agent connects again.",
		Args: takes(cobra.ExactArgs(1), "a node's name, address or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes && !confirmed(cmd, "Is the machine of %s off, or cut off from the storage for good? Then type yes: ", args[0]) {
				return errors.New("nothing was done")
			}
			return onNode(cmd, c, args[0], func(ctx context.Context, cl *client.Client, id api.NodeID) error {
				n, err := cl.GiveUpNode(ctx, id)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s is given up. The %d datasets that it holds go to whoever asks for them.\n", n.Name(), n.Held)
				return nil
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask whether the machine is really off; scripts are not asked")
	return cmd
}

// confirmed asks a person. Who calls from a script has thought about it.
func confirmed(cmd *cobra.Command, question string, args ...any) bool {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return true
	}
	fmt.Fprintf(cmd.ErrOrStderr(), question, args...)
	answer, err := bufio.NewReader(in).ReadString('\n')
	return err == nil && strings.TrimSpace(answer) == "yes"
}

// onNode does something about the node that a person means.
func onNode(cmd *cobra.Command, c *connection, text string, do func(context.Context, *client.Client, api.NodeID) error) error {
	cl, err := c.client(cmd)
	if err != nil {
		return err
	}
	defer cl.Close()
	id, err := nodeID(cmd, cl, text)
	if err != nil {
		return err
	}
	return do(cmd.Context(), cl, id)
}

// agentState says whether a node's agent is there, since when, and what an
// operator has said about the node.
func agentState(n *api.Node, now time.Time) string {
	state := "lost"
	if n.Connected {
		state = "connected"
	}
	parts := []string{fmt.Sprintf("%s for %s", state, age(now.Sub(n.Since)))}
	if !n.GivenUp.IsZero() {
		parts = append(parts, "given up")
	}
	if !n.Draining.IsZero() {
		parts = append(parts, "draining")
	}
	return strings.Join(parts, ", ")
}

func nodesTable(nodes []*api.Node, long bool, now time.Time) *table {
	t := &table{head: []string{"NODE", "HOSTNAME", "ADDRESS", "AGENT", "BACKEND", "VERSION"}}
	for _, n := range nodes {
		t.add(nodeText(n, long), n.Hostname, n.Address, agentState(n, now), n.Backend, n.Version)
	}
	return t
}

func nodeDetailsTable(nodes []*api.NodeDetail, long bool, now time.Time) *table {
	t := &table{head: []string{"NODE", "HOSTNAME", "ADDRESS", "AGENT", "HOLDS", "WAITS FOR"}}
	for _, n := range nodes {
		t.add(nodeText(n.Node, long), n.Hostname, n.Address, agentState(n.Node, now), fmt.Sprint(n.Held), fmt.Sprint(n.Waiting))
	}
	return t
}

func nodeText(n *api.Node, long bool) string {
	if long {
		return string(n.ID)
	}
	return short(string(n.ID))
}

// nodeTable shows one node, and the datasets that it holds.
func nodeTable(n *api.NodeDetail, all []*api.DatasetDetail, now time.Time) *table {
	t := &table{head: []string{"NODE", string(n.ID)}}
	t.add("Hostname", n.Hostname)
	t.add("Address", n.Address)
	t.add("Agent", agentState(n.Node, now)+", version "+n.Version)
	t.add("Era", n.Era)
	t.add("Backend", n.Backend+", as "+n.Instance)
	t.add("Replica", short(string(n.Replica)))
	for _, d := range all {
		if d.Dataset.HeldBy(n.ID) {
			t.add("Holds", fmt.Sprintf("%s, %s, used by %s", cmp.Or(d.Dataset.Name(), string(d.Dataset.ID)), d.Status, dash(usedBy(d))))
		}
	}
	for _, d := range all {
		if d.Dataset.AwaitedBy(n.ID) {
			t.add("Waits for", fmt.Sprintf("%s, which %s has", cmp.Or(d.Dataset.Name(), string(d.Dataset.ID)), dash(holderName(d))))
		}
	}
	return t
}
