package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/control/clusterhq"
)

func newControlImport() *cobra.Command {
	var backend string
	var renames []string
	var dryRun bool
	settings := defaultControlSettings()
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take over the datasets of ClusterHQ's Flocker from its current_configuration.json",
		Long: "Puts the datasets of ClusterHQ's Flocker, up to 1.15, into the empty log that the settings\n" +
			"name, from the file that its control service keeps in /var/lib/flocker, of any version.\n" +
			"Ids, names, sizes, primaries, deleted datasets, the registered volumes, and the leases that\n" +
			"have not expired are taken over.\n\n" +
			"Stop Flocker's own control service and agents first, for good. Each dataset is held by its\n" +
			"primary node, and no other gets it before the agent of that node has connected, or the node\n" +
			"was declared lost. The cluster is that of the certificates here: Flocker's own serve on.",
		Args: usage.Takes(cobra.ExactArgs(1), "one file to read"),
	}
	load := logSettingsFlags(cmd, settings, "config", "store", "certificates")
	cmd.Flags().StringVar(&backend, "backend", "", "what agent.yml calls the storage system of the volumes, such as aws")
	cmd.Flags().StringArrayVar(&renames, "rename", nil,
		"ID=NAME to give a dataset another name; or others: where several live ones have one name, all but the only one with a volume get a suffix")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be taken over, and do nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		options := clusterhq.Options{Backend: backend, At: time.Now().UTC()}
		if err := readRenames(renames, &options); err != nil {
			return &usage.Error{Err: err}
		}
		if _, err := load(); err != nil {
			return err
		}
		var err error
		if options.Cluster, err = clusterOf(settings.Control); err != nil {
			return err
		}
		c, err := readConfiguration(cmd, args[0])
		if err != nil {
			return err
		}
		t, err := c.TakeOver(options)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		r, err := control.FromTakeover(t)
		if err != nil {
			return err
		}
		out := api.Printing(cmd.OutOrStdout())
		if dryRun {
			p := output.Printer{W: out, Screen: userEnv().Screen(out)}
			p.Table(takeoverTable(t))
		}
		fmt.Fprintf(out, "%s is of version %d. It has %s.\n", args[0], c.Version, counts(r))
		tellLeases(out, t)
		tellOmissions(out, c, t)
		return fill(cmd, settings.Control, r, filling{dryRun: dryRun, remedy: "Datasets are taken over into a new log only: name another one with --store, or see to that one first"})
	}
	return cmd
}

// readRenames reads the values of --rename.
func readRenames(texts []string, o *clusterhq.Options) error {
	o.Rename = map[api.DatasetID]string{}
	for _, text := range texts {
		if text == "others" {
			o.RenameOthers = true
			continue
		}
		id, name, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return fmt.Errorf("--rename %q: want ID=NAME, or others", text)
		}
		o.Rename[api.DatasetID(strings.ToLower(id))] = name
	}
	return nil
}

func readConfiguration(cmd *cobra.Command, path string) (*clusterhq.Configuration, error) {
	in, err := openInput(cmd, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	c, err := clusterhq.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s is not understood: %w. Nothing was changed", path, err)
	}
	return c, nil
}

func takeoverTable(t *clusterhq.Takeover) *output.Table {
	rows := output.NewTable(output.Column{Head: "DATASET", Whole: true}, output.Column{Head: "NAME"}, output.Column{Head: "SIZE", Whole: true},
		output.Column{Head: "NODE", Whole: true}, output.Column{Head: "VOLUME"}, output.Column{Head: "REMARKS"})
	for _, d := range t.Datasets {
		var remarks []string
		if d.Deleted {
			remarks = append(remarks, "deleted")
		}
		if former, ok := t.Renamed[d.ID]; ok {
			remarks = append(remarks, "was called "+former)
		}
		volume := ""
		if d.Volume != nil {
			volume = d.Volume.ID
		}
		rows.Add(string(d.ID), output.Dash(d.Name()), api.FormatSize(d.Size), output.Short(string(d.Primary)), output.Dash(volume),
			output.Dash(strings.Join(remarks, ", ")))
	}
	return rows
}

// tellLeases says what stays where it is until somebody ends that.
func tellLeases(out io.Writer, t *clusterhq.Takeover) {
	for _, l := range t.Leases {
		until := "for ever"
		if !l.Expires.IsZero() {
			until = "until " + l.Expires.Format(time.RFC3339)
		}
		fmt.Fprintf(out, "Leased: dataset %s by node %s, %s.\n", l.Dataset, l.Node, until)
	}
}

// tellOmissions says what is not taken over, and what somebody should know.
func tellOmissions(out io.Writer, c *clusterhq.Configuration, t *clusterhq.Takeover) {
	for _, l := range t.Expired {
		fmt.Fprintf(out, "Not taken over: the lease of dataset %s by node %s, which expired at %s.\n", l.Dataset, l.Node, l.Expires.Format(time.RFC3339))
	}
	for _, v := range c.Strays {
		fmt.Fprintf(out, "Not taken over: volume %s, which is registered for dataset %s, of which nothing else is known.\n", v.ID, v.Dataset)
	}
	if c.Applications > 0 {
		fmt.Fprintf(out, "Not taken over: %d containers that Flocker itself ran. Their datasets are.\n", c.Applications)
	}
	if c.Replicas > 0 {
		fmt.Fprintf(out, "Not taken over: %d copies of datasets on nodes that are not their primaries.\n", c.Replicas)
	}
	without := 0
	for _, d := range t.Datasets {
		if d.Volume == nil && !d.Deleted {
			without++
		}
	}
	if without > 0 {
		fmt.Fprintf(out, "%d datasets have no volume registered. Their nodes look for one that carries the dataset's id, "+
			"and make a new and empty one where there is none.\n", without)
	}
}
