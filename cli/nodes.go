package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newNodes(env *Env) *cobra.Command {
	g := newGroup(env)
	cmd := usage.Group(&cobra.Command{
		Use:     "nodes",
		Aliases: []string{"node"},
		Short:   "List, show, drain, give up and remove the machines of the cluster",
		Long:    "Lists, shows, drains, gives up and removes the machines of the cluster. A node is named by its host name,\nits address, or as much of its id as is unique.",
	}, newNodesList(g), newNodesShow(g), newNodesDrain(g), newNodesLost(g), newNodesRemove(g), newNodesAllowInstance(g))
	g.conn.AddFlags(cmd)
	return cmd
}

func newNodesList(g *group) *cobra.Command {
	var p output.Printer
	cmd := &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List all nodes that have ever connected",
		Args:              usage.Takes(cobra.NoArgs, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: g.run(&p, func(s *session, _ []string) error {
			nodes, err := s.NodesInFull(s.ctx)
			if err != nil {
				return err
			}
			slices.SortFunc(nodes, detailsByHostname)
			return s.ListOf(nodes, texts(nodes, func(n *api.NodeDetail) string { return n.Name() }), func() {
				s.Table(nodesTable(s.Printer, nodes, s.now()))
				describeLostInMesos(s.Printer, nodes, s.now())
			})
		}),
	}
	addOutput(cmd, p.AddListFlags)
	return cmd
}

func byHostname(a, b *api.Node) int {
	return cmp.Or(cmp.Compare(a.Name(), b.Name()), cmp.Compare(a.ID, b.ID))
}

func detailsByHostname(a, b *api.NodeDetail) int { return byHostname(a.Node, b.Node) }

func newNodesShow(g *group) *cobra.Command {
	var p output.Printer
	cmd := &cobra.Command{
		Use:               "show NODE",
		Aliases:           []string{"inspect"},
		Short:             "Show a node, and what it has",
		Args:              usage.Takes(cobra.ExactArgs(1), "one node"),
		ValidArgsFunction: first(g.completeNode),
		RunE: g.run(&p, func(s *session, args []string) error {
			n, err := s.nodeInFull(args[0])
			if err != nil {
				return err
			}
			var all []*api.DatasetDetail
			if !s.Machine() {
				// It may wait for a volume that is another's, and is to stay there:
				// so all are looked through.
				if all, err = s.volumes(api.VolumeQuery{}); err != nil {
					return err
				}
			}
			return s.Show(n, n.Name(), func() { describeNode(s.Printer, n, all, s.now()) })
		}),
	}
	addOutput(cmd, p.AddFlags)
	return cmd
}

func newNodesDrain(g *group) *cobra.Command {
	var (
		p   output.Printer
		end bool
	)
	cmd := &cobra.Command{
		Use:   "drain NODE...",
		Short: "Empty nodes before maintenance: they get no further volumes and give up what nothing uses",
		Long: "Empties nodes before maintenance: they get no further volumes, and give up those that nothing uses.\n" +
			"What their containers use stays until they end: have Mesos or Marathon move them.",
		Args:              usage.Takes(cobra.MinimumNArgs(1), "at least one node"),
		ValidArgsFunction: others(g.completeNode),
		RunE: g.run(&p, func(s *session, args []string) error {
			all, err := named(args, s.node, nodeID)
			if err != nil {
				return err
			}
			drained, failed := each(all, (*api.Node).Name, func(found *api.Node) (*api.NodeDetail, error) {
				n, err := s.DrainNode(s.ctx, found.ID, end)
				if err != nil {
					return nil, err
				}
				if end {
					s.tell("%s gets volumes again.", n.Name())
				} else {
					s.tell("%s gets no further volumes. It has %d now; those that nothing uses are detached. "+
						"See the rest: flocker nodes show %s", n.Name(), n.Held, n.Name())
				}
				return n, nil
			})
			return printResults(s, drained, len(args) > 1, func(n *api.NodeDetail) string { return n.Name() }, failed)
		}),
	}
	cmd.Flags().BoolVar(&end, "end", false, "end that: the node gets volumes again")
	addOutput(cmd, p.AddFlags)
	return cmd
}

// agentState says whether a node's agent is there, since when, and what an
// operator has said about the node.
func agentState(n *api.Node, now time.Time) string {
	state := "lost"
	if n.Connected {
		state = "connected"
	}
	parts := []string{fmt.Sprintf("%s for %s", state, output.Age(now.Sub(n.Since)))}
	if !n.GivenUp.IsZero() {
		parts = append(parts, "given up")
	}
	if !n.Draining.IsZero() {
		parts = append(parts, "draining")
	}
	return strings.Join(parts, ", ")
}

func agentColor(state string) output.Color {
	switch {
	case strings.HasPrefix(state, "lost"):
		return output.Red
	case strings.HasSuffix(state, "draining"):
		return output.Yellow
	case strings.HasPrefix(state, "connected"):
		return output.Green
	}
	return output.Plain
}

func nodesTable(p *output.Printer, nodes []*api.NodeDetail, now time.Time) *output.Table {
	columns := []output.Column{
		{Head: "NODE", Whole: true}, {Head: "HOSTNAME"}, {Head: "ADDRESS"},
		{Head: "AGENT", Whole: true, Color: agentColor}, {Head: "BACKEND"}, {Head: "ZONE", Wide: true}, {Head: "VERSION", Wide: true},
		{Head: "INSTANCE", Wide: true}, {Head: "CAN", Wide: true}, {Head: "CERTIFICATE ENDS", Wide: true},
	}
	mesos := mesosColumn(p, nodes)
	if mesos {
		columns = append(columns, output.Column{Head: "MESOS", Color: mesosColor})
	}
	t := output.NewTable(columns...)
	for _, n := range nodes {
		cells := []string{p.ID(string(n.ID)), output.Dash(n.Hostname), output.Dash(n.Address), agentState(n.Node, now), output.Dash(n.Backend),
			output.Dash(n.Zone), output.Dash(n.Version), output.Dash(n.Instance), output.Dash(strings.Join(n.Capabilities, ",")), output.Time(n.CertificateExpires)}
		if mesos {
			cells = append(cells, mesosCell(n.Mesos, now))
		}
		t.Add(cells...)
	}
	return t
}

// nodeDetailsTable shows nodes with how much they have.
func nodeDetailsTable(p *output.Printer, nodes []*api.NodeDetail, now time.Time) *output.Table {
	columns := []output.Column{
		{Head: "NODE", Whole: true}, {Head: "HOSTNAME"}, {Head: "ADDRESS"},
		{Head: "AGENT", Whole: true, Color: agentColor}, {Head: "HOLDS", Whole: true}, {Head: "AWAITS", Whole: true},
		{Head: "CERTIFICATE ENDS", Wide: true},
	}
	mesos := mesosColumn(p, nodes)
	if mesos {
		columns = append(columns, output.Column{Head: "MESOS", Color: mesosColor})
	}
	t := output.NewTable(columns...)
	for _, n := range slices.SortedFunc(slices.Values(nodes), detailsByHostname) {
		cells := []string{p.ID(string(n.ID)), output.Dash(n.Hostname), output.Dash(n.Address), agentState(n.Node, now), fmt.Sprint(n.Held),
			fmt.Sprint(n.Waiting), output.Time(n.CertificateExpires)}
		if mesos {
			cells = append(cells, mesosCell(n.Mesos, now))
		}
		t.Add(cells...)
	}
	return t
}

// describeNode shows one node, and the datasets that it holds or waits for.
func describeNode(p *output.Printer, n *api.NodeDetail, all []*api.DatasetDetail, now time.Time) {
	p.Field("Node", "%s", n.ID)
	p.Field("Hostname", "%s", output.Dash(n.Hostname))
	p.Field("Address", "%s", output.Dash(n.Address))
	state := agentState(n.Node, now)
	p.Colored("Agent", agentColor(state), state+", version "+output.Dash(n.Version))
	if m := n.Mesos; m != nil {
		p.Field("Mesos", "%s (agent %s)", mesosText(m, now), m.ID)
	}
	if t := n.MesosTrouble; t != nil && !n.Lost() {
		p.Field("Trouble", "cannot tell which containers Mesos still runs, %s: %s", output.Since(t.Since, now), t.Cause)
	}
	p.Field("Era", "%s", output.Dash(n.Era))
	p.Field("Backend", "%s, as %s", output.Dash(n.Backend), output.Dash(n.Instance))
	if n.Zone != "" {
		p.Field("Zone", "%s", n.Zone)
	}
	if len(n.Capabilities) > 0 {
		p.Field("Can", "%s", strings.Join(n.Capabilities, ", "))
	}
	if !n.CertificateExpires.IsZero() {
		p.Field("Cert", "ends %s", certificateEnd(n.CertificateExpires, now))
	}
	p.Field("Replica", "%s", output.Dash(p.ID(string(n.Replica))))
	held := output.NewTable(
		output.Column{Head: "VOLUME"}, output.Column{Head: "STATUS", Whole: true, Color: statusColor}, output.Column{Head: "NODE"}, output.Column{Head: "USED BY"})
	rows := 0
	for _, d := range all {
		if d.Dataset.HeldBy(n.ID) || d.Dataset.AwaitedBy(n.ID) {
			held.Add(volumeName(d), d.Status, output.Dash(holderName(d)), output.Dash(usedBy(d, p.ID)))
			rows++
		}
	}
	p.Space()
	if rows == 0 {
		p.Linef("It holds no volume, and waits for none.")
		return
	}
	p.Table(held)
}
