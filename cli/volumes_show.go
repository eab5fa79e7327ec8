package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newVolumesShow(g *group) *cobra.Command {
	var p output.Printer
	cmd := &cobra.Command{
		Use:               "show VOLUME...",
		Aliases:           []string{"inspect"},
		SuggestFor:        []string{"describe", "get"},
		Short:             "Show volumes, with the reason for their status and what comes next",
		Args:              usage.Takes(cobra.MinimumNArgs(1), "at least one volume"),
		ValidArgsFunction: others(g.completeVolume),
		RunE: g.run(&p, func(s *session, args []string) error {
			found, missing := s.volumesNamed(args)
			return errors.Join(s.showVolumes(found, len(args) > 1), missing)
		}),
	}
	addOutput(cmd, p.AddFlags)
	return cmd
}

func (s *session) showVolume(d *api.DatasetDetail) error {
	return s.Show(d, volumeName(d), func() { describeVolume(s.Printer, d, s.now()) })
}

func describeVolume(p *output.Printer, d *api.DatasetDetail, now time.Time) {
	p.Field("Name", "%s", output.Dash(d.Dataset.Name()))
	p.Field("Dataset", "%s", d.Dataset.ID)
	p.Colored("Status", statusColor(d.Status), d.Status)
	p.Field("Size", "%s", strings.TrimSuffix(sizeText(d)+", "+d.Dataset.FS, ", "))
	if m := d.Dataset.Member; m != nil {
		p.Field("Member", "%d of the volume set %s, %s", m.Index, m.Set, memberUser(m))
	}
	if d.Dataset.Owner != "" { // "" has no record of before there were owners
		p.Field("Owner", "%s", d.Dataset.Owner)
	}
	if len(d.Dataset.Shared) > 0 {
		p.Field("Shared", "with %s", sharedText(d.Dataset))
	}
	if n := d.Holder; n != nil {
		p.Field("Node", "%s (%s, %s)", n.Name(), n.Address, n.ID)
	}
	if v := d.Dataset.Volume; v != nil {
		p.Field("Volume", "%s of %s", v.ID, v.Backend)
		if v.Zone != "" {
			p.Field("Zone", "%s", v.Zone)
		}
	}
	if s := d.State; s != nil {
		if s.Path != "" {
			p.Field("Mounted", "%s from %s", s.Path, s.Device)
		}
		for _, c := range s.Consumers {
			p.Field("Used by", "%s", consumer(c))
		}
	}
	if l := d.Lease; l != nil {
		p.Field("Lease", "of node %s, %s", l.Node, leaseEnd(l, now))
	}
	for _, key := range slices.Sorted(maps.Keys(d.Dataset.Metadata)) {
		if key != api.MetadataName {
			p.Field("Metadata", "%s=%s", key, d.Dataset.Metadata[key])
		}
	}
	p.Field("Created", "%s", output.Time(d.Dataset.Created))
	p.Space()
	p.Prose(d.Why)
}

// memberUser says who has a member of a set.
func memberUser(m *api.Member) string {
	switch {
	case m.User == nil && m.Last == "":
		return "free"
	case m.User == nil:
		return "free, last of instance " + m.Last
	case m.User.Instance == "":
		return fmt.Sprintf("of container %s since %s", m.User.Consumer, output.Time(m.User.Since))
	default:
		return fmt.Sprintf("of instance %s (container %s) since %s", m.User.Instance, m.User.Consumer, output.Time(m.User.Since))
	}
}

// sizeText writes a dataset's size, and what it is to become.
func sizeText(d *api.DatasetDetail) string {
	size := api.FormatSize(volumeSize(d))
	if d.Dataset.Size > volumeSize(d) {
		size += ", to be grown to " + api.FormatSize(d.Dataset.Size)
	}
	return size
}

func leaseEnd(l *api.Lease, now time.Time) string {
	if l.Expires.IsZero() {
		return "without an end"
	}
	return fmt.Sprintf("until %s (for %s)", output.Time(l.Expires), output.Age(l.Expires.Sub(now)))
}

func consumer(c api.Consumer) string {
	parts := []string{fmt.Sprintf("%s container %s", c.Kind, c.ID)}
	if c.App != "" {
		parts = append([]string{c.App}, parts...)
	}
	if c.ReadOnly {
		parts = append(parts, "read-only")
	}
	return strings.Join(append(parts, "since "+output.Time(c.Since)), ", ")
}
