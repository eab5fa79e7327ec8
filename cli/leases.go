package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newLeases(env *Env) *cobra.Command {
	g := newGroup(env)
	cmd := usage.Group(&cobra.Command{
		Use:     "leases",
		Aliases: []string{"lease"},
		Short:   "List, acquire and release leases, which keep volumes where they are",
		Long: "Lists, acquires and releases leases. A lease is a promise that a node uses a volume: while it lasts, the volume\n" +
			"is neither moved away from there nor destroyed. Labelled apps need none.",
	}, newLeasesList(g), newLeasesAcquire(g), newLeasesRelease(g))
	g.conn.AddFlags(cmd)
	return cmd
}

func newLeasesList(g *group) *cobra.Command {
	var p output.Printer
	cmd := &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List all leases",
		Args:              usage.Takes(cobra.NoArgs, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: g.run(&p, func(s *session, _ []string) error {
			leases, err := s.Leases(s.ctx)
			if err != nil {
				return err
			}
			slices.SortFunc(leases, func(a, b client.Lease) int { return cmp.Compare(a.Dataset, b.Dataset) })
			t := output.NewTable()
			if !s.Machine() {
				if t, err = s.leasesTable(leases); err != nil {
					return err
				}
			}
			return s.List(leases, t, texts(leases, func(l client.Lease) string { return string(l.Dataset) }))
		}),
	}
	addOutput(cmd, p.AddListFlags)
	return cmd
}

// lookUps is how many datasets are asked for at once.
const lookUps = 8

// leasesTable shows leases with the names of what they are about: each volume is
// asked for by itself, since there are few leases and may be many volumes.
func (s *session) leasesTable(leases []client.Lease) (*output.Table, error) {
	nodes, err := s.Nodes(s.ctx)
	if err != nil {
		return nil, err
	}
	hosts := map[api.NodeID]string{}
	for _, n := range nodes {
		hosts[n.ID] = n.Hostname
	}
	names := make([]string, len(leases))
	group, ctx := errgroup.WithContext(s.ctx)
	group.SetLimit(lookUps)
	for i, l := range leases {
		group.Go(func() error {
			d, err := s.Volume(ctx, ref(l.Dataset))
			if api.CodeOf(err) == api.CodeNotFound {
				return nil // a lease needs no dataset
			}
			if err != nil {
				return err
			}
			names[i] = d.Dataset.Name()
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	t := output.NewTable(
		output.Column{Head: "VOLUME"}, output.Column{Head: "DATASET", Whole: true}, output.Column{Head: "NODE", Whole: true},
		output.Column{Head: "HOSTNAME"}, output.Column{Head: "ENDS", Whole: true},
	)
	for i, l := range leases {
		t.Add(output.Dash(names[i]), s.ID(string(l.Dataset)), s.ID(string(l.Node)), output.Dash(hosts[l.Node]), leaseRest(l))
	}
	return t, nil
}

// leaseRest says how long a lease lasts.
func leaseRest(l client.Lease) string {
	if l.Expires == nil {
		return "never"
	}
	return "in " + output.Age(time.Duration(*l.Expires*float64(time.Second)))
}

func newLeasesAcquire(g *group) *cobra.Command {
	var (
		p    output.Printer
		node string
		last time.Duration
	)
	cmd := &cobra.Command{
		Use:   "acquire VOLUME --node NODE",
		Short: "Acquire a lease for a node, or renew the one that it has",
		Example: "  flocker leases acquire orders-db --node node1 --for 10m\n" +
			"  flocker leases acquire orders-db --node node1             # until it is released",
		Args:              usage.Takes(cobra.ExactArgs(1), "one volume"),
		ValidArgsFunction: first(g.completeVolume),
		RunE: g.run(&p, func(s *session, args []string) error {
			if last < 0 {
				return usage.Errorf("--for %s: want a duration such as 10m, or 0 for a lease without an end", last)
			}
			d, err := s.volume(args[0])
			if err != nil {
				return err
			}
			n, err := s.nodeOf("node", node)
			if err != nil {
				return err
			}
			l, err := s.AcquireLease(s.ctx, d.Dataset.ID, n.ID, last)
			if err != nil {
				return err
			}
			return s.Show(l, string(l.Dataset), func() {
				s.Linef("%s has a lease of %s. It ends %s.", n.Name(), volumeName(d), leaseRest(*l))
			})
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&node, "node", "", "the node that uses the volume")
	flags.DurationVar(&last, "for", 0, "how long the lease lasts, 0 for until it is released")
	addOutput(cmd, p.AddFlags)
	completeFlags(cmd, map[string]cobra.CompletionFunc{"node": g.completeNode})
	return cmd
}

func newLeasesRelease(g *group) *cobra.Command {
	var p output.Printer
	cmd := &cobra.Command{
		Use:               "release VOLUME...",
		Short:             "End leases of volumes, of any node",
		Args:              usage.Takes(cobra.MinimumNArgs(1), "at least one volume"),
		ValidArgsFunction: others(g.completeVolume),
		RunE: g.run(&p, func(s *session, args []string) error {
			all, err := named(args, s.leased, func(l leased) api.DatasetID { return l.id })
			if err != nil {
				return err
			}
			released, failed := each(all, func(l leased) string { return l.name }, func(of leased) (*client.Lease, error) {
				l, err := s.ReleaseLease(s.ctx, of.id)
				if api.CodeOf(err) == api.CodeNotFound {
					return nil, fmt.Errorf("no node has a lease of %s; `flocker leases list` shows all", of.name)
				}
				if err != nil {
					return nil, err
				}
				s.tell("Lease of %s released.", of.name)
				return l, nil
			})
			return printResults(s, released, len(args) > 1, func(l *client.Lease) string { return string(l.Dataset) }, failed)
		}),
	}
	addOutput(cmd, p.AddFlags)
	return cmd
}

// leased names a dataset that may have a lease.
type leased struct {
	id   api.DatasetID
	name string
}

// leased returns the dataset that a text means. One with a whole id need not exist: a
// lease outlives it.
func (s *session) leased(text string) (leased, error) {
	d, err := s.volume(text)
	if whole, ok := api.ParseID(text); ok && errors.Is(err, errNoVolume) {
		return leased{api.DatasetID(whole), whole}, nil
	}
	if err != nil {
		return leased{}, err
	}
	return leased{d.Dataset.ID, volumeName(d)}, nil
}
