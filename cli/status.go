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
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/pki"
)

func newStatus(env *Env) *cobra.Command {
	g := newGroup(env)
	var p output.Printer
	cmd := &cobra.Command{
		Use:               "status",
		Short:             "Show the state of the cluster, and everything that needs attention, with the cause",
		Args:              usage.Takes(cobra.NoArgs, "no arguments"),
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

// setAside counts the records that are set aside. An older control service does not count.
func setAside(s *api.ClusterStatus) int { return max(s.AllDamaged, len(s.Damaged)) }

func describeStatus(p *output.Printer, s *api.ClusterStatus) {
	p.Field("Cluster", "%s", s.Cluster)
	p.Field("Store", "%s, revision %d", s.Store, s.Revision)
	if s.Log.ID != "" {
		p.Field("Log", "%s", s.Log.ID)
	}
	p.Field("Volumes", "%d, %s", s.Datasets, attentionText(s.AllTroubles))
	if n := setAside(s); n > 0 {
		p.Field("Records", "%d set aside, because another program changed or removed them", n)
	}
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
	for _, t := range grouped(s.Troubles) {
		p.Space()
		if len(t) > 1 {
			describeGroup(p, t)
			continue
		}
		p.Linef("%s: %s", volumeName(t[0]), t[0].Status)
		p.Prose(t[0].Why)
	}
	if more := s.AllTroubles - len(s.Troubles); more > 0 {
		p.Space()
		p.Linef("... and %d more: flocker volumes list", more)
	}
}

// lostNode is a node that troubles volumes by its silence, with their status.
type lostNode struct {
	node   api.NodeID
	status string
}

// grouped puts the volumes of a lost node with the same status together, where the first
// of them is.
func grouped(all []*api.DatasetDetail) [][]*api.DatasetDetail {
	var groups [][]*api.DatasetDetail
	at := map[lostNode]int{}
	for _, d := range all {
		silent := d.Status == string(cluster.StatusUnreachable) || d.Status == string(cluster.StatusFencing)
		if !silent || d.Dataset.Holder == nil {
			groups = append(groups, []*api.DatasetDetail{d})
			continue
		}
		key := lostNode{d.Dataset.Holder.Node, d.Status}
		i, ok := at[key]
		if !ok {
			i = len(groups)
			at[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], d)
	}
	return groups
}

// describeGroup shows volumes of one lost node in one entry, and the explanation of one of
// them: of one that another node waits for, if there is one.
func describeGroup(p *output.Printer, all []*api.DatasetDetail) {
	node := cmp.Or(holderName(all[0]), "an unknown node")
	p.Linef("%s: %s %s", node, count(len(all), "volume"), all[0].Status)
	names := texts(all[:min(len(all), namesShown)], volumeName)
	if more := len(all) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	p.Prose(strings.Join(names, ", ") + ".")
	example := all[0]
	if i := slices.IndexFunc(all, func(d *api.DatasetDetail) bool { return len(d.Dataset.Waiting) > 0 }); i >= 0 {
		example = all[i]
	}
	p.Prose("For example: " + example.Why)
}

// describeLog says what is wrong with the log, and with how it is reached.
func describeLog(p *output.Printer, s *api.ClusterStatus) {
	for _, o := range s.OtherLogs {
		p.Space()
		p.Prose(fmt.Sprintf("Node %s has been refused %s, because it knows another log: %s.", o.Node, output.Since(o.Since, s.Now), o.Why))
	}
	if more := s.AllDamaged - len(s.Damaged); more > 0 {
		p.Space()
		p.Linef("%d further records are set aside: flocker control repair --dry-run lists them.", more)
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
		state := "up " + output.Age(s.Now.Sub(r.Started))
		if !r.Lost.IsZero() {
			state = "lost for " + output.Age(s.Now.Sub(r.Lost))
		}
		if r.ID == s.Replica {
			state += ", responding"
		}
		t.Add(p.ID(string(r.ID)), r.Name, r.Users, r.Agents, state, r.Version, output.Time(r.CertificateExpires))
	}
	return t
}

// attentionText says how many volumes need attention: "none need attention", "2 need
// attention".
func attentionText(n int) string {
	switch n {
	case 0:
		return "none need attention"
	case 1:
		return "1 needs attention"
	default:
		return fmt.Sprintf("%d need attention", n)
	}
}

func replicaColor(state string) output.Color {
	if strings.HasPrefix(state, "lost") {
		return output.Red
	}
	return output.Green
}
