package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/pki"
)

func newStatus(env *Env) *cobra.Command {
	g := newGroup(env)
	var p output.Printer
	cmd := &cobra.Command{
		Use:               "status",
		Short:             "Show how the cluster is, and whatever is not as wanted, with the reason",
		Args:              usage.Takes(cobra.NoArgs, "nothing but flags"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: g.run(&p, func(s *session, _ []string) error {
			status, err := s.Status(s.ctx)
			if err != nil {
				return err
			}
			return s.Show(status, status.Cluster, func() { describeStatus(s.Printer, status) })
		}),
	}
	addOutput(cmd, p.AddListFlags)
	g.conn.AddFlags(cmd)
	return cmd
}

func describeStatus(p *output.Printer, s *api.ClusterStatus) {
	p.Field("Cluster", "%s", s.Cluster)
	p.Field("Store", "%s, revision %d", s.Store, s.Revision)
	if s.Log.ID != "" {
		p.Field("Log", "%s", s.Log.ID)
	}
	p.Field("Datasets", "%d, %d not as wanted", s.Datasets, s.AllTroubles)
	p.Field("Policy", "on-lost-node: %s", s.Settings.OnLostNode)
	if s.Marathon != nil {
		p.Field("Marathon", "%s", marathonText(s.Marathon, s.Now))
	}
	describeMasters(p, s)
	if !s.StaleSince.IsZero() {
		p.Space()
		p.Prose(fmt.Sprintf("The store cannot be reached %s: %s", output.Since(s.StaleSince, s.Now), s.StaleCause))
		p.Prose("All of this is as it was then, and nothing can be changed.")
	}
	if s.Orphans > 0 {
		p.Space()
		p.Prose(fmt.Sprintf("%d volumes of the storage systems are not in the log: flocker backends orphans lists them, flocker volumes adopt takes them in. "+
			"Apps that ask for one by its name wait.", s.Orphans))
	}
	for _, key := range s.Newer {
		p.Space()
		p.Prose(fmt.Sprintf("The record %s was written by a newer version of the control service: update this one.", key))
	}
	describeLog(p, s)
	p.Space()
	p.Table(replicasTable(p, s))
	if len(s.Nodes) > 0 {
		p.Space()
		p.Table(nodeDetailsTable(p, s.Nodes, s.Now))
		describeLostInMesos(p, s.Nodes, s.Now)
		describeMesosTroubles(p, s.Nodes, s.Now)
	}
	describeExpiry(p, s)
	for _, d := range s.Troubles {
		p.Space()
		p.Linef("%s: %s", volumeName(d), d.Status)
		p.Prose(d.Why)
	}
	if more := s.AllTroubles - len(s.Troubles); more > 0 {
		p.Space()
		p.Linef("... and %d more: flocker volumes list", more)
	}
}

// describeLog says what is wrong with the log, and with how it is reached.
func describeLog(p *output.Printer, s *api.ClusterStatus) {
	for _, o := range s.OtherLogs {
		p.Space()
		p.Prose(fmt.Sprintf("Node %s has been refused %s, because it knows another log: %s.", o.Node, output.Since(o.Since, s.Now), o.Why))
	}
	for _, d := range s.Damaged {
		p.Space()
		text := fmt.Sprintf("The record %s %s. It has been set aside %s.", d.Key, d.What, output.Since(d.Since, s.Now))
		if d.Dataset != "" {
			text += " Nothing is done for its dataset meanwhile."
		}
		if d.Mendable {
			text += " To put back what was committed: flocker control repair."
		}
		p.Prose(text)
	}
	for _, w := range s.Warnings {
		p.Space()
		p.Prose("WARNING: " + w)
	}
}

// describeExpiry names whose certificates end soon.
func describeExpiry(p *output.Printer, s *api.ClusterStatus) {
	warn := func(who string, end time.Time) {
		if !end.IsZero() && end.Sub(s.Now) < pki.ExpiryWarning {
			p.Space()
			p.Prose(fmt.Sprintf("The certificate of %s ends %s. A new one is taken up without a restart.", who, certificateEnd(end, s.Now)))
		}
	}
	for _, r := range s.Replicas {
		if r.Lost.IsZero() {
			warn("replica "+r.Name, r.CertificateExpires)
		}
	}
	for _, n := range s.Nodes {
		warn("node "+n.Name(), n.CertificateExpires)
	}
}

// certificateEnd says when a certificate ends, and how long that is.
func certificateEnd(end, now time.Time) string {
	if left := end.Sub(now); left > 0 {
		return fmt.Sprintf("%s (in %s)", output.Time(end), output.Age(left))
	}
	return fmt.Sprintf("%s (%s ago)", output.Time(end), output.Age(now.Sub(end)))
}

func replicasTable(p *output.Printer, s *api.ClusterStatus) *output.Table {
	t := output.NewTable(
		output.Column{Head: "REPLICA", Whole: true}, output.Column{Head: "NAME"}, output.Column{Head: "USERS"}, output.Column{Head: "AGENTS", Wide: true},
		output.Column{Head: "STATE", Whole: true, Color: replicaColor}, output.Column{Head: "VERSION"}, output.Column{Head: "CERTIFICATE ENDS", Wide: true},
	)
	for _, r := range s.Replicas {
		state := "runs for " + output.Age(s.Now.Sub(r.Started))
		if !r.Lost.IsZero() {
			state = "lost for " + output.Age(s.Now.Sub(r.Lost))
		}
		if r.ID == s.Replica {
			state += ", answers"
		}
		t.Add(p.ID(string(r.ID)), r.Name, r.Users, r.Agents, state, r.Version, output.Time(r.CertificateExpires))
	}
	return t
}

func replicaColor(state string) output.Color {
	if strings.HasPrefix(state, "lost") {
		return output.Red
	}
	return output.Green
}
