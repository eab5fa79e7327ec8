package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// The words for how a dataset is, as the control service says them.
const (
	statusMounted   = string(cluster.StatusMounted)
	statusDetached  = string(cluster.StatusDetached)
	statusDeleting  = string(cluster.StatusDeleting)
	statusDestroyed = string(cluster.StatusDestroyed)
)

func statuses() []string {
	return []string{
		statusMounted, string(cluster.StatusPreparing), string(cluster.StatusReleasing), statusDetached,
		string(cluster.StatusWaiting), string(cluster.StatusFailing), string(cluster.StatusUnreachable),
		string(cluster.StatusFencing), statusDeleting, statusDestroyed,
	}
}

func statusColor(status string) output.Color {
	switch cluster.Status(status) {
	case cluster.StatusMounted:
		return output.Green
	case cluster.StatusFailing, cluster.StatusUnreachable, cluster.StatusFencing:
		return output.Red
	case cluster.StatusPreparing, cluster.StatusReleasing, cluster.StatusWaiting, cluster.StatusDeleting:
		return output.Yellow
	case cluster.StatusDetached, cluster.StatusDestroyed:
		return output.Faint
	}
	return output.Plain
}

func newVolumes(env *Env) *cobra.Command {
	g := newGroup(env)
	cmd := usage.Group(&cobra.Command{
		Use:     "volumes",
		Aliases: []string{"volume"},
		Short:   "List, explain, create, move, grow, change and destroy volumes",
		Long: "Lists, explains, creates, moves, grows, changes and destroys volumes. A volume is named by its name,\n" +
			"its dataset's id, or as much of the id as is unique; a node by its host name, address or id.",
	}, newVolumesList(g), newVolumesShow(g), newVolumesCreate(g), newVolumesMove(g), newVolumesGrow(g), newVolumesChange(g),
		newVolumesDestroy(g), newVolumesUndelete(g), newVolumesTrim(g), newVolumesAdopt(g), newVolumesShare(g), newVolumesUnshare(g), newVolumesChown(g), newVolumesWait(g))
	g.conn.AddFlags(cmd)
	return cmd
}

func newVolumesList(g *group) *cobra.Command {
	var (
		p        output.Printer
		q        api.VolumeQuery
		node     string
		metadata []string
	)
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List volumes",
		Example: "  flocker volumes list --status failing\n" +
			"  flocker volumes list --node node1 -o wide\n" +
			"  flocker volumes list --set kafka.data -o wide\n" +
			"  flocker volumes list --metadata team=shop -o name",
		Args:              usage.Takes(cobra.NoArgs, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: g.run(&p, func(s *session, _ []string) error {
			var err error
			if q.Metadata, err = pairs(metadata); err != nil {
				return err
			}
			if q.Status != "" && !slices.Contains(statuses(), q.Status) {
				return usage.Errorf("--status %q: want one of %s", q.Status, strings.Join(statuses(), ", "))
			}
			q.Gone = q.Gone || q.Status == statusDestroyed
			if node != "" {
				n, err := s.node(node)
				if err != nil {
					return err
				}
				q.Node = n.ID
			}
			all, err := s.volumes(q)
			if err != nil {
				return err
			}
			return s.List(all, volumesTable(s.Printer, all), texts(all, volumeName))
		}),
	}
	flags := cmd.Flags()
	addOutput(cmd, p.AddListFlags)
	flags.BoolVarP(&q.Gone, "deleted", "d", false, "list those as well that were deleted and destroyed")
	flags.StringVar(&q.Status, "status", "", "only those of a status, such as failing")
	flags.StringVar(&node, "node", "", "only those that a node has, or should have")
	flags.StringVarP(&q.Name, "name", "n", "", "only the one of a name")
	flags.StringVar(&q.Set, "set", "", "only the members of a volume set")
	flags.StringSliceVarP(&metadata, "metadata", "m", nil, "only those with KEY=VALUE, several with commas")
	completeFlags(cmd, map[string]cobra.CompletionFunc{
		"status": words(statuses()...), "node": g.completeNode, "name": g.completeVolume, "set": g.completeSet,
	})
	return cmd
}

func volumesTable(p *output.Printer, all []*api.DatasetDetail) *output.Table {
	t := output.NewTable(
		output.Column{Head: "NAME"}, output.Column{Head: "DATASET", Whole: true}, output.Column{Head: "SIZE", Whole: true},
		output.Column{Head: "STATUS", Whole: true, Color: statusColor}, output.Column{Head: "NODE"}, output.Column{Head: "USED BY"},
		output.Column{Head: "SHOULD BE ON", Wide: true}, output.Column{Head: "VOLUME", Wide: true}, output.Column{Head: "BACKEND", Wide: true}, output.Column{Head: "ZONE", Wide: true},
		output.Column{Head: "FS", Wide: true}, output.Column{Head: "LEASE", Wide: true}, output.Column{Head: "MEMBER OF", Wide: true}, output.Column{Head: "CREATED", Wide: true},
		output.Column{Head: "OWNER", Wide: true}, output.Column{Head: "SHARED WITH", Wide: true},
		output.Column{Head: "METADATA", Wide: true},
	)
	for _, d := range all {
		var volume api.Volume
		if d.Dataset.Volume != nil {
			volume = *d.Dataset.Volume
		}
		lease := ""
		if d.Lease != nil {
			lease = string(d.Lease.Node)
		}
		t.Add(output.Dash(d.Dataset.Name()), p.ID(string(d.Dataset.ID)), api.FormatSize(volumeSize(d)), d.Status,
			output.Dash(holderName(d)), output.Dash(usedBy(d, p.ID)),
			output.Dash(string(d.Dataset.Primary)), output.Dash(volume.ID), output.Dash(volume.Backend), output.Dash(volume.Zone), output.Dash(d.Dataset.FS),
			output.Dash(lease), output.Dash(memberOf(d)), output.Time(d.Dataset.Created),
			d.Dataset.Owner.String(), output.Dash(sharedList(d.Dataset)), output.Dash(metadataText(d)))
	}
	return t
}

// byName has the members of a set in the order of their numbers.
func byName(a, b *api.DatasetDetail) int {
	aName, aNumber := sortName(a)
	bName, bNumber := sortName(b)
	return cmp.Or(cmp.Compare(aName, bName), cmp.Compare(aNumber, bNumber), cmp.Compare(a.Dataset.ID, b.Dataset.ID))
}

func sortName(d *api.DatasetDetail) (name string, number int) {
	if m := d.Dataset.Member; m != nil && d.Dataset.Name() == api.MemberName(m.Set, m.Index) {
		return m.Set, m.Index
	}
	return d.Dataset.Name(), -1
}

// memberOf says which member of a set a dataset is, and whether an instance has it.
func memberOf(d *api.DatasetDetail) string {
	m := d.Dataset.Member
	switch {
	case m == nil:
		return ""
	case m.User == nil:
		return fmt.Sprintf("%s, %d, free", m.Set, m.Index)
	default:
		return fmt.Sprintf("%s, %d, in use", m.Set, m.Index)
	}
}

// volumeName is what a dataset is called, and by which a command finds it again.
func volumeName(d *api.DatasetDetail) string {
	if d.Dataset.Deleted { // its name is free, or another's
		return string(d.Dataset.ID)
	}
	return cmp.Or(d.Dataset.Name(), string(d.Dataset.ID))
}

// volumeSize is the volume's where there is one, else what it must have.
func volumeSize(d *api.DatasetDetail) int64 {
	if d.Dataset.Volume != nil {
		return d.Dataset.Volume.Size
	}
	return d.Dataset.Size
}

func holderName(d *api.DatasetDetail) string {
	switch {
	case d.Holder != nil:
		return d.Holder.Name()
	case d.Dataset.Holder != nil:
		return string(d.Dataset.Holder.Node)
	}
	return ""
}

// usedBy names the apps that use a dataset, and containers without one by their ids, as
// far as these are to be shown.
func usedBy(d *api.DatasetDetail, id func(string) string) string {
	if d.State == nil || d.Dataset.Holder == nil || d.State.Node != d.Dataset.Holder.Node {
		return ""
	}
	var users []string
	for _, c := range d.State.Consumers {
		if user := cmp.Or(c.App, fmt.Sprintf("%s %s", c.Kind, id(c.ID))); !slices.Contains(users, user) {
			users = append(users, user)
		}
	}
	return strings.Join(users, ", ")
}

// metadataText writes what else is noted with a dataset.
func metadataText(d *api.DatasetDetail) string {
	rest := maps.Clone(d.Dataset.Metadata)
	delete(rest, api.MetadataName)
	return output.Pairs(rest)
}

// pairs reads KEY=VALUE of flags.
func pairs(entries []string) (map[string]string, error) {
	all := map[string]string{}
	for _, entry := range entries {
		key, value, ok := strings.Cut(entry, "=")
		if !ok || key == "" {
			return nil, usage.Errorf("--metadata %q: want KEY=VALUE, several with commas", entry)
		}
		all[key] = value
	}
	return all, nil
}

func texts[T any](all []T, text func(T) string) []string {
	out := make([]string, len(all))
	for i, x := range all {
		out[i] = text(x)
	}
	return out
}
