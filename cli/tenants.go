package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/confirm"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newVolumesShare(g *group) *cobra.Command {
	return newShare(g, &cobra.Command{
		Use:   "share VOLUME... --with OWNER",
		Short: "Let others use volumes",
		Long: "Lets other owners use volumes: mount and see them. They do not pre-empt, move, grow, change, lease, share or\n" +
			"destroy them. An owner is role:NAME (or NAME alone) for the frameworks of a Mesos role, user:NAME for the\n" +
			"certificates of a user, or '*' for every caller.",
		Example: "  flocker volumes share orders-db --with role:reports",
	}, false)
}

func newVolumesUnshare(g *group) *cobra.Command {
	return newShare(g, &cobra.Command{
		Use:     "unshare VOLUME... --with OWNER",
		Short:   "Stop sharing volumes with an owner",
		Long:    "Stops sharing volumes with other owners. Containers that use them go on until they end.",
		Example: "  flocker volumes unshare orders-db --with role:reports",
	}, true)
}

func newShare(g *group, cmd *cobra.Command, end bool) *cobra.Command {
	var p output.Printer
	var with []string
	cmd.Args = usage.Takes(cobra.MinimumNArgs(1), "at least one volume")
	cmd.ValidArgsFunction = others(g.completeVolume)
	cmd.RunE = g.run(&p, func(s *session, args []string) error {
		owners, err := parseOwners(with)
		if err != nil {
			return err
		}
		all, err := s.volumesNamed(args)
		if err != nil {
			return err
		}
		shared, failed := s.each(all, func(d *api.DatasetDetail) (*api.DatasetDetail, error) {
			now, err := s.Share(s.ctx, ref(d.Dataset.ID), api.Share{With: owners, End: end})
			if err != nil {
				return nil, err
			}
			s.tell("%s is shared with %s.", volumeName(now), sharedText(now.Dataset))
			return now, nil
		})
		return printResults(s, shared, len(args) > 1, volumeName, failed)
	})
	cmd.Flags().StringSliceVar(&with, "with", nil, "an owner, such as role:reports or '*'; several with commas")
	addOutput(cmd, p.AddFlags)
	completeFlags(cmd, map[string]cobra.CompletionFunc{"with": g.completeOwner})
	return cmd
}

func parseOwners(texts []string) ([]api.Owner, error) {
	if len(texts) == 0 {
		return nil, usage.Errorf("--with is missing: name an owner, such as role:reports, user:alice or '*'")
	}
	var owners []api.Owner
	for _, text := range texts {
		o, err := api.ReadOwner(text)
		if err != nil {
			return nil, usage.Errorf("--with: %w", err)
		}
		owners = append(owners, o)
	}
	return owners, nil
}

// sharedText lists the owners that a dataset is shared with.
func sharedText(d *api.Dataset) string {
	if len(d.Shared) == 0 {
		return "no other owner"
	}
	names := make([]string, len(d.Shared))
	for i, o := range d.Shared {
		names[i] = o.String()
	}
	return strings.Join(names, ", ")
}

func newVolumesChown(g *group) *cobra.Command {
	var p output.Printer
	cmd := &cobra.Command{
		Use:   "chown VOLUME OWNER",
		Short: "Give a volume to another owner",
		Long: "Gives a volume to another owner. Only that owner may use, change and destroy it from then on; containers that\n" +
			"use it go on until they end. Its shares end: share it again if the new owner wants it. This is for operators.",
		Example:           "  flocker volumes chown orders-db role:postgres",
		Args:              usage.Takes(cobra.ExactArgs(2), "a volume and its new owner"),
		ValidArgsFunction: first(g.completeVolume),
		RunE: g.run(&p, func(s *session, args []string) error {
			owner, err := api.ReadOwner(args[1])
			if err != nil {
				return usage.Errorf("OWNER: %w", err)
			}
			d, err := s.volume(args[0])
			if err != nil {
				return err
			}
			changed, err := s.ChangeOwner(s.ctx, ref(d.Dataset.ID), owner)
			if err != nil {
				return err
			}
			s.tell("%s belongs to %s.", volumeName(changed), changed.Dataset.Owner)
			if s.Machine() {
				return s.showVolume(changed)
			}
			return nil
		}),
	}
	addOutput(cmd, p.AddFlags)
	return cmd
}

func newTenancy(env *Env) *cobra.Command {
	g := newGroup(env)
	var p output.Printer
	var ask confirm.Prompt
	cmd := &cobra.Command{
		Use:   "tenancy [owners|shared]",
		Short: "Show or set whether owners are kept apart",
		Long: "Shows whether owners are kept apart, what each owner has, and which uses of volumes are refused, or would be,\n" +
			"when they come again. With owners, each owner has its volumes to itself; with shared, the cluster is one trust\n" +
			"domain, in which every caller may use, change and destroy every volume. It holds for all replicas at once.",
		Example:           "  flocker tenancy\n  flocker tenancy owners",
		Args:              usage.Takes(cobra.MaximumNArgs(1), "at most one of owners and shared"),
		ValidArgsFunction: cobra.FixedCompletions([]cobra.Completion{string(api.TenancyOwners), string(api.TenancyShared)}, cobra.ShellCompDirectiveNoFileComp),
		RunE: g.run(&p, func(s *session, args []string) error {
			view, err := s.Tenancy(s.ctx)
			if err != nil {
				return err
			}
			if len(args) == 0 || view.Tenancy == api.Tenancy(args[0]) {
				return s.Show(view, string(view.Tenancy), func() { describeTenancy(s, view) })
			}
			to := api.Tenancy(args[0])
			if to != api.TenancyOwners && to != api.TenancyShared {
				return usage.Errorf("%q: want %s or %s", args[0], api.TenancyOwners, api.TenancyShared)
			}
			if !s.Machine() {
				describeTenancy(s, view)
				s.Space()
			}
			if err := s.sure(&ask, tenancyLoss(view, to)); err != nil {
				return err
			}
			if view, err = s.SetTenancy(s.ctx, to); err != nil {
				return err
			}
			if s.Machine() {
				return s.Show(view, string(view.Tenancy), func() {})
			}
			s.Linef("The tenancy is %s.", view.Tenancy)
			return nil
		}),
	}
	ask.AddFlag(cmd.Flags())
	addOutput(cmd, p.AddFlags)
	g.conn.AddFlags(cmd)
	return cmd
}

// tenancyLoss says what a change of the tenancy does to the volumes' users.
func tenancyLoss(view *api.TenancyView, to api.Tenancy) string {
	if to == api.TenancyShared {
		return "With the tenancy shared, every caller may use, change and destroy every volume."
	}
	return fmt.Sprintf("With the tenancy owners, %s of volumes by other owners end with their containers, and new ones are refused.",
		count(len(view.Losing), "use"))
}

func describeTenancy(s *session, view *api.TenancyView) {
	s.Field("Tenancy", "%s", view.Tenancy)
	s.Space()
	s.Table(usageTable(nil, view.Owners))
	s.Space()
	if len(view.Losing) == 0 {
		s.Prose("No volume is used by an owner that may not use it. Volumes of * are open to every caller.")
		return
	}
	refused := "These uses end with their containers, and new ones are refused"
	if view.Tenancy == api.TenancyShared {
		refused = "With the tenancy owners, these uses would end with their containers, and new ones would be refused"
	}
	s.Prose(refused + ". To allow them, share the volume (flocker volumes share) or give it to that owner (flocker volumes chown):")
	t := output.NewTable(output.Column{Head: "VOLUME"}, output.Column{Head: "OWNER"}, output.Column{Head: "USED BY"}, output.Column{Head: "APP"}, output.Column{Head: "NODE"})
	for _, u := range view.Losing {
		t.Add(output.Dash(u.Name), u.Owner.String(), u.By.String(), output.Dash(u.App), output.Dash(string(u.Node)))
	}
	s.Table(t)
}

func usageTable(byDefault *api.Quota, owners []api.OwnerUsage) *output.Table {
	t := output.NewTable(output.Column{Head: "OWNER"}, output.Column{Head: "VOLUMES", Whole: true}, output.Column{Head: "OF", Whole: true},
		output.Column{Head: "SIZE", Whole: true}, output.Column{Head: "OF", Whole: true}, output.Column{Head: "QUOTA", Whole: true})
	for _, o := range owners {
		volumes, bytes, whose := "-", "-", "-"
		if o.Quota != nil {
			volumes, bytes = quotaTexts(*o.Quota)
			if whose = "own"; o.Default {
				whose = api.QuotaDefault
			}
		}
		t.Add(o.Owner.String(), fmt.Sprint(o.Usage.Volumes), volumes, api.FormatSize(o.Usage.Bytes), bytes, whose)
	}
	if byDefault != nil {
		volumes, bytes := quotaTexts(*byDefault)
		t.Add("(others)", "-", volumes, "-", bytes, api.QuotaDefault)
	}
	return t
}

func quotaTexts(q api.Quota) (volumes, bytes string) {
	volumes, bytes = "-", "-"
	if q.Volumes > 0 {
		volumes = fmt.Sprint(q.Volumes)
	}
	if q.Bytes > 0 {
		bytes = api.FormatSize(q.Bytes)
	}
	return volumes, bytes
}

func newQuotas(env *Env) *cobra.Command {
	g := newGroup(env)
	var p output.Printer
	cmd := &cobra.Command{
		Use:     "quotas",
		Aliases: []string{"quota"},
		Short:   "Show and set how many volumes and how much storage each owner may have",
		Args:    usage.Takes(cobra.NoArgs, "set or no arguments"),
		RunE: g.run(&p, func(s *session, _ []string) error {
			quotas, err := s.Quotas(s.ctx)
			if err != nil {
				return err
			}
			return s.showQuotas(quotas)
		}),
	}
	addOutput(cmd, p.AddListFlags)
	cmd.AddCommand(newQuotasSet(g))
	g.conn.AddFlags(cmd)
	return cmd
}

func newQuotasSet(g *group) *cobra.Command {
	var (
		p       output.Printer
		volumes int
		size    string
		none    bool
	)
	cmd := &cobra.Command{
		Use:   "set OWNER",
		Short: "Bound how many volumes, and how much storage, an owner may have",
		Long: "Bounds how many volumes, and how much storage, an owner may have. The owner \"default\" stands for those that have\n" +
			"no quota of their own. What an owner has beyond its quota it keeps. This is for operators.",
		Example: "  flocker quotas set role:postgres --volumes 20 --size 1TiB\n  flocker quotas set default --volumes 100\n" +
			"  flocker quotas set role:postgres --none",
		Args:              usage.Takes(cobra.ExactArgs(1), "one owner, or default"),
		ValidArgsFunction: first(g.completeOwner),
		RunE: g.run(&p, func(s *session, args []string) error {
			owner, quota, err := quotaOf(args[0], volumes, size, none)
			if err != nil {
				return err
			}
			quotas, err := s.SetQuota(s.ctx, owner, quota)
			if err != nil {
				return err
			}
			return s.showQuotas(quotas)
		}),
	}
	cmd.Flags().IntVar(&volumes, "volumes", 0, "how many volumes; 0 for no limit")
	cmd.Flags().StringVarP(&size, "size", "s", "", "the sum of their sizes, such as 1TiB; unlimited by default")
	cmd.Flags().BoolVar(&none, "none", false, "remove the owner's own quota")
	addOutput(cmd, p.AddListFlags)
	completeFlags(cmd, map[string]cobra.CompletionFunc{"volumes": words("10", "20", "50", "100"), "none": words("true", "false")})
	return cmd
}

func quotaOf(name string, volumes int, size string, none bool) (api.Owner, api.Quota, error) {
	owner := api.Owner(api.QuotaDefault)
	if name != api.QuotaDefault {
		var err error
		if owner, err = api.ReadOwner(name); err != nil {
			return "", api.Quota{}, usage.Errorf("OWNER: %w", err)
		}
	}
	quota := api.Quota{Volumes: volumes}
	if size != "" {
		var err error
		if quota.Bytes, err = api.ParseSize(size); err != nil {
			return "", api.Quota{}, usage.Errorf("--size: %w", err)
		}
	}
	switch {
	case volumes < 0:
		return "", api.Quota{}, usage.Errorf("--volumes %d: want a number from 0 on", volumes)
	case none && quota != api.Quota{}:
		return "", api.Quota{}, usage.Errorf("--none: cannot be combined with --volumes or --size")
	case !none && quota == api.Quota{}:
		return "", api.Quota{}, usage.Errorf("the bound is missing: give --volumes, --size or both, or --none to remove the owner's quota")
	}
	return owner, quota, nil
}

func (s *session) showQuotas(q *api.Quotas) error {
	names := make([]string, len(q.Owners))
	for i, o := range q.Owners {
		names[i] = o.Owner.String()
	}
	slices.Sort(names)
	return s.List(q, usageTable(q.Default, q.Owners), names)
}

// sharedList lists the owners that a dataset is shared with, for tables.
func sharedList(d *api.Dataset) string {
	if len(d.Shared) == 0 {
		return ""
	}
	return sharedText(d)
}

func (g *group) completeOwner(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return g.ask(cmd, func(s *session) ([]cobra.Completion, error) {
		quotas, err := s.Quotas(s.ctx)
		if err != nil {
			return nil, err
		}
		var owners []cobra.Completion
		for _, o := range quotas.Owners {
			if name := o.Owner.String(); strings.HasPrefix(name, begun) {
				owners = append(owners, name)
			}
		}
		return owners, nil
	})
}
