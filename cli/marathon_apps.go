package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newMarathonApps(g *group) *cobra.Command {
	var p output.Printer
	cmd := &cobra.Command{
		Use:   "apps [APP]",
		Short: "Show Marathon's apps and pods with volumes, their instances, and how each volume is",
		Long: "Shows the apps and pods of Marathon's that ask for volumes, as Marathon last had them: each instance with its task and\n" +
			"host, each volume with its state and, if it needs attention, the cause. The control service must follow\n" +
			"Marathon for that: flocker control --marathon URL.",
		Args:              usage.Takes(cobra.MaximumNArgs(1), "at most one app or pod"),
		ValidArgsFunction: first(g.completeApp),
		RunE: g.run(&p, func(s *session, args []string) error {
			view, err := s.MarathonApps(s.ctx, strings.Join(args, ""))
			if err != nil {
				return err
			}
			if view.Marathon == nil && len(view.Apps) == 0 && !s.Machine() {
				return errors.New("no control service follows Marathon: start them with --marathon URL, or set marathon in control.yml")
			}
			if p.Format == output.FormatName {
				return s.List(view, nil, texts(view.Apps, func(a *api.AppDetail) string { return a.ID }))
			}
			return s.Show(view, "", func() { s.describeApps(view) })
		}),
	}
	addOutput(cmd, p.AddListFlags)
	return cmd
}

func newMarathonForget(g *group) *cobra.Command {
	var p output.Printer
	cmd := &cobra.Command{
		Use:               "forget APP...",
		Short:             "Forget apps that Marathon lost without reporting them destroyed; their volumes are kept",
		Args:              usage.Takes(cobra.MinimumNArgs(1), "at least one app or pod"),
		ValidArgsFunction: others(g.completeApp),
		RunE: g.run(&p, func(s *session, args []string) error {
			_, failed := each(args, func(id string) string { return id }, func(id string) (string, error) {
				if err := s.ForgetMarathonApp(s.ctx, id); err != nil {
					return "", err
				}
				s.tell("%s is forgotten; its volumes are kept.", id)
				return id, nil
			})
			return failed
		}),
	}
	addOutput(cmd, p.AddFlags)
	return cmd
}

// completeApp completes the id of an app or a pod.
func (g *group) completeApp(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return g.ask(cmd, func(s *session) ([]cobra.Completion, error) {
		view, err := s.MarathonApps(s.ctx, "")
		if err != nil {
			return nil, err
		}
		var fitting []cobra.Completion
		for _, a := range view.Apps {
			if strings.HasPrefix(a.ID, begun) {
				fitting = append(fitting, output.Clean(a.ID))
			}
		}
		return fitting, nil
	})
}

// describeApps shows the apps, and below them the reason for what is not as
// wanted.
func (s *session) describeApps(view *api.MarathonView) {
	s.Table(s.appsTable(view.Apps))
	for _, a := range view.Apps {
		if a.Why != "" {
			s.Space()
			s.Linef("%s:", a.ID)
			s.Prose(a.Why)
		}
		for _, v := range a.VolumeDetails {
			if !worthTelling(a, v) {
				continue
			}
			s.Space()
			s.Linef("%s, volume %s: %s", a.ID, v.Name, v.Status)
			s.Prose(v.Why)
		}
	}
	if m := view.Marathon; m != nil && !m.DownSince.IsZero() {
		s.Space()
		s.Prose(marathonText(m, s.now()) + " All of this is as it was then.")
	}
}

// worthTelling reports whether it needs to be said why a volume is as it is.
func worthTelling(a *api.AppDetail, v api.AppVolumeDetail) bool {
	for _, kept := range a.Volumes {
		if kept.Name == v.Name && kept.Failure != "" {
			return true
		}
	}
	free := len(a.Instances) == 0 || v.Instance == "" && isMember(a, v)
	return v.Status != statusMounted && (v.Status != statusDetached || !free)
}

func (s *session) appsTable(apps []*api.AppDetail) *output.Table {
	t := output.NewTable(
		output.Column{Head: "APP"}, output.Column{Head: "INSTANCE"}, output.Column{Head: "TASK", Whole: true},
		output.Column{Head: "HOST"}, output.Column{Head: "VOLUME"}, output.Column{Head: "STATE", Whole: true, Color: statusColor},
		output.Column{Head: "WHY", Wide: true},
	)
	for _, a := range apps {
		for _, row := range appRows(a) {
			in, v := row.instance, row.volume
			t.Add(a.ID, output.Dash(s.instanceText(in.ID)), output.Dash(taskText(a, in)), output.Dash(in.Host), output.Dash(v.Name), output.Dash(v.Status),
				strings.TrimSpace(v.Why+" "+a.Why))
		}
	}
	return t
}

// appRow is an instance with a volume that it uses; either may be none.
type appRow struct {
	instance api.AppInstance
	volume   api.AppVolumeDetail
}

// appRows pairs the instances of an app with its volumes. A volume that some
// instance has to itself is shown with that one alone.
func appRows(a *api.AppDetail) []appRow {
	var rows []appRow
	shown := map[string]bool{}
	for _, in := range a.Instances {
		alone := true
		for _, v := range a.VolumeDetails {
			if of := v.Instance; of != "" && !strings.HasPrefix(in.ID, of) || of == "" && isMember(a, v) {
				continue
			}
			shown[v.Name], alone = true, false
			rows = append(rows, appRow{in, v})
		}
		if alone {
			rows = append(rows, appRow{instance: in})
		}
	}
	for _, v := range a.VolumeDetails {
		if !shown[v.Name] {
			rows = append(rows, appRow{volume: v})
		}
	}
	return rows
}

// isMember reports whether a volume is for one instance alone.
func isMember(a *api.AppDetail, v api.AppVolumeDetail) bool {
	for _, kept := range a.Volumes {
		if kept.Name == v.Name {
			return kept.Set != ""
		}
	}
	return false
}

// instanceText writes an instance's id as short as it can be told apart by: what
// is before is the app's name.
func (s *session) instanceText(id string) string {
	if _, unique, ok := strings.Cut(id, ".instance-"); ok && !s.Long && s.Format != output.FormatWide {
		return output.Short(unique)
	}
	return id
}

// taskText says how an instance's task is, or why there is none.
func taskText(a *api.AppDetail, in api.AppInstance) string {
	switch {
	case in.State != "":
		return strings.ToLower(strings.TrimPrefix(in.State, "TASK_"))
	case !a.Missing.IsZero():
		return "gone"
	case a.Wanted == 0:
		return "suspended"
	case len(a.Instances) == 0:
		return "not started"
	default:
		return ""
	}
}

// marathonText says how well Marathon is followed.
func marathonText(m *api.MarathonStatus, now time.Time) string {
	who := m.Owner
	if who == "" {
		who = "no replica at present"
	}
	switch {
	case !m.DownSince.IsZero():
		return fmt.Sprintf("Marathon cannot be read %s, nothing changes for volumes because of that: %s.", output.Since(m.DownSince, now), m.Cause)
	case m.Read.IsZero():
		return "followed by " + who + ", not read yet"
	case !m.Events:
		return fmt.Sprintf("%s (version %s), followed by %s, without its events: %s", m.Leader, m.Version, who, m.Cause)
	default:
		return fmt.Sprintf("%s (version %s), followed by %s", m.Leader, m.Version, who)
	}
}
