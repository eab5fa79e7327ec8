package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
)

func newVolumes() *cobra.Command {
	var c connection
	cmd := group(&cobra.Command{
		Use:   "volumes",
		Short: "List, explain, create, move and destroy volumes",
		Long: "Lists, explains, creates, moves and destroys volumes. A volume is named by its name, its\n" +
			"dataset's id, or as much of the id as is unique; a node by its host name, address or id.",
	}, newVolumesList(&c), newVolumesShow(&c), newVolumesCreate(&c), newVolumesMove(&c), newVolumesDestroy(&c))
	c.add(cmd)
	return cmd
}

func newVolumesList(c *connection) *cobra.Command {
	var (
		out  output
		gone bool
	)
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List all volumes",
		Args:    takes(cobra.NoArgs, "nothing but flags"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			cl, err := c.client(cmd)
			if err != nil {
				return err
			}
			defer cl.Close()
			all, err := cl.Volumes(cmd.Context(), api.VolumeQuery{Gone: gone})
			if err != nil {
				return err
			}
			slices.SortFunc(all, func(a, b *api.DatasetDetail) int {
				return cmp.Or(cmp.Compare(a.Dataset.Name(), b.Dataset.Name()), cmp.Compare(a.Dataset.ID, b.Dataset.ID))
			})
			return out.print(cmd, all, volumesTable(all, out.long))
		},
	}
	out.add(cmd)
	cmd.Flags().BoolVarP(&gone, "deleted", "d", false, "list those as well that were deleted and destroyed")
	return cmd
}

func volumesTable(all []*api.DatasetDetail, long bool) *table {
	t := &table{head: []string{"NAME", "DATASET", "SIZE", "STATUS", "NODE", "USED BY"}}
	for _, d := range all {
		id := string(d.Dataset.ID)
		if !long {
			id = short(id)
		}
		t.add(dash(d.Dataset.Name()), id, api.FormatSize(volumeSize(d)), d.Status, dash(holderName(d)), dash(usedBy(d)))
	}
	return t
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

// usedBy names the apps that use a dataset, and counts the users without one.
func usedBy(d *api.DatasetDetail) string {
	if d.State == nil || d.Dataset.Holder == nil || d.State.Node != d.Dataset.Holder.Node {
		return ""
	}
	var users []string
	for _, c := range d.State.Consumers {
		if user := cmp.Or(c.App, fmt.Sprintf("%s %s", c.Kind, short(c.ID))); !slices.Contains(users, user) {
			users = append(users, user)
		}
	}
	return strings.Join(users, ", ")
}

func dash(text string) string { return cmp.Or(text, "-") }
