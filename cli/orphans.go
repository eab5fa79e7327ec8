package cli

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newBackendsOrphans(g *group) *cobra.Command {
	var (
		p      output.Printer
		forget []string
	)
	cmd := &cobra.Command{
		Use:   "orphans",
		Short: "List volumes of the storage systems that are not in the log",
		Long: "Lists volumes that a storage system has and whose datasets the log does not know: it was lost, or is older than they\n" +
			"are. No volume is made under their names before they are adopted (flocker volumes adopt) or forgotten.",
		Example:           "  flocker backends orphans\n  flocker backends orphans --forget orders-db",
		Args:              usage.Takes(cobra.NoArgs, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: g.run(&p, func(s *session, _ []string) error {
			for _, orphan := range forget {
				o, err := s.ForgetOrphan(s.ctx, orphan)
				if err != nil {
					return err
				}
				s.tell("Forgot %s, volume %s.", orphanName(o), o.Volume.ID)
			}
			if len(forget) > 0 {
				return nil
			}
			all, err := s.Orphans(s.ctx)
			if err != nil {
				return err
			}
			return s.List(all, orphansTable(s, all), texts(all, func(o *api.Orphan) string { return o.Volume.ID }))
		}),
	}
	cmd.Flags().StringSliceVar(&forget, "forget", nil, "forget a volume by its name or id, several with commas; it comes back while the storage system has it")
	addOutput(cmd, p.AddListFlags)
	_ = cmd.RegisterFlagCompletionFunc("forget", g.completeOrphan)
	return cmd
}

// completeOrphan completes the name of an orphan, or the volume's id where it has none.
func (g *group) completeOrphan(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return g.ask(cmd, func(s *session) ([]cobra.Completion, error) {
		all, err := s.Orphans(s.ctx)
		if err != nil {
			return nil, err
		}
		var fitting []cobra.Completion
		for _, o := range all {
			if name := orphanName(o); strings.HasPrefix(name, begun) {
				fitting = append(fitting, cobra.CompletionWithDesc(name, api.FormatSize(o.Volume.Size)+" on "+o.Volume.Backend))
			}
		}
		return fitting, nil
	})
}

func orphanName(o *api.Orphan) string { return cmp.Or(o.Name, string(o.Dataset)) }

func orphansTable(s *session, all []*api.Orphan) *output.Table {
	t := output.NewTable(
		output.Column{Head: "NAME"}, output.Column{Head: "DATASET"}, output.Column{Head: "SIZE", Whole: true},
		output.Column{Head: "BACKEND"}, output.Column{Head: "VOLUME"}, output.Column{Head: "ATTACHED TO"},
		output.Column{Head: "FOUND BY"}, output.Column{Head: "FOUND", Wide: true},
	)
	for _, o := range all {
		t.Add(output.Dash(o.Name), s.ID(string(o.Dataset)), api.FormatSize(o.Volume.Size), o.Volume.Backend, o.Volume.ID,
			output.Dash(o.AttachedTo), s.ID(string(o.Node)), output.Time(o.Found))
	}
	return t
}

func newVolumesAdopt(g *group) *cobra.Command {
	var (
		p    output.Printer
		all  bool
		name string
		to   string
	)
	cmd := &cobra.Command{
		Use:   "adopt VOLUME... | --all",
		Short: "Take orphan volumes into the log",
		Long: "Takes volumes into the log that only their storage system knows (flocker backends orphans): with the dataset's id, name\n" +
			"and size that they carry. Their data stays as it is. Metadata, owner, leases and the place in a volume set are lost. Where\n" +
			"owners are kept apart, you own them unless --owner names another owner.",
		Example: "  flocker volumes adopt orders-db\n" +
			"  flocker volumes adopt 0d7a3c1e-58f4-4b6d-9f0a-3f1c2b4d5e6f --name orders-db\n" +
			"  flocker volumes adopt --all",
		ValidArgsFunction: g.completeOrphan,
		RunE: g.run(&p, func(s *session, args []string) error {
			if all == (len(args) > 0) {
				return usage.Errorf("name the volumes to adopt, or give --all")
			}
			if name != "" && len(args) != 1 {
				return usage.Errorf("--name: needs exactly one volume")
			}
			how := api.Adoption{Name: name}
			if to != "" {
				owner, err := api.ReadOwner(to)
				if err != nil {
					return usage.Errorf("--owner: %w", err)
				}
				how.Owner = owner
			}
			if all {
				orphans, err := s.Orphans(s.ctx)
				if err != nil {
					return err
				}
				if args = texts(orphans, func(o *api.Orphan) string { return o.Volume.ID }); len(args) == 0 {
					s.tell("There are no orphan volumes.")
				}
			}
			return s.adopt(args, how)
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "adopt every orphan volume")
	cmd.Flags().StringVarP(&name, "name", "n", "", "the dataset's name, instead of the one that the volume carries")
	cmd.Flags().StringVar(&to, "owner", "", "the owner, such as role:postgres or '*'; by default you, or * where the tenancy is shared")
	addOutput(cmd, p.AddListFlags)
	completeFlags(cmd, map[string]cobra.CompletionFunc{"owner": g.completeOwner})
	return cmd
}

// adopt goes on where one of several cannot be adopted, and says so at the end.
func (s *session) adopt(orphans []string, how api.Adoption) error {
	var first error
	adopted := []*api.DatasetDetail{}
	for _, orphan := range slices.Compact(orphans) {
		d, err := s.Adopt(s.ctx, orphan, how)
		if err != nil {
			if len(orphans) > 1 {
				s.tell("Not adopted: %s: %v", orphan, err)
			}
			first = cmp.Or(first, err)
			continue
		}
		s.tell("Adopted %s, %s.", volumeName(d), api.FormatSize(d.Dataset.Size))
		adopted = append(adopted, d)
	}
	if s.Machine() {
		if err := s.List(adopted, output.NewTable(), texts(adopted, func(d *api.DatasetDetail) string { return string(d.Dataset.ID) })); err != nil {
			return err
		}
	}
	return first
}
