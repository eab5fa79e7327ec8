package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
)

func newVolumesShow(c *connection) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "show VOLUME",
		Short: "Show a volume, and explain why it is as it is and what comes next",
		Args:  takes(cobra.ExactArgs(1), "a volume's name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			cl, err := c.client(cmd)
			if err != nil {
				return err
			}
			defer cl.Close()
			all, err := cl.Volumes(cmd.Context(), api.VolumeQuery{Gone: true})
			if err != nil {
				return err
			}
			d, err := findDataset(all, args[0])
			if err != nil {
				return err
			}
			if out.format == outputJSON {
				return printJSON(cmd, d)
			}
			showVolume(cmd.OutOrStdout(), d)
			return nil
		},
	}
	out.addFormat(cmd)
	return cmd
}

// textWidth is how wide explanations are written where the terminal does not
// say.
const textWidth = 100

func showVolume(w io.Writer, d *api.DatasetDetail) {
	line := func(label, format string, args ...any) {
		fmt.Fprintf(w, "%-9s %s\n", label, fmt.Sprintf(format, args...))
	}
	line("Name", "%s", dash(d.Dataset.Name()))
	line("Dataset", "%s", d.Dataset.ID)
	line("Status", "%s", d.Status)
	line("Size", "%s, %s", api.FormatSize(volumeSize(d)), d.Dataset.FS)
	if n := d.Holder; n != nil {
		line("Node", "%s (%s, %s)", n.Name(), n.Address, n.ID)
	}
	if v := d.Dataset.Volume; v != nil {
		line("Volume", "%s of %s", v.ID, v.Backend)
	}
	if s := d.State; s != nil && s.Path != "" {
		line("Mounted", "%s from %s", s.Path, s.Device)
	}
	if s := d.State; s != nil {
		for _, c := range s.Consumers {
			line("Used by", "%s", consumer(c))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(d.Dataset.Metadata)) {
		if key != api.MetadataName {
			line("Metadata", "%s=%s", key, d.Dataset.Metadata[key])
		}
	}
	line("Created", "%s", d.Dataset.Created.UTC().Format(time.RFC3339))
	fmt.Fprintln(w)
	wrap(w, d.Why, textWidthOf(w))
}

// textWidthOf returns how wide explanations are written.
func textWidthOf(w io.Writer) int {
	width := terminalWidth(w)
	if width == 0 || width > textWidth {
		return textWidth
	}
	return width
}

func consumer(c api.Consumer) string {
	parts := []string{fmt.Sprintf("%s container %s", c.Kind, c.ID)}
	if c.App != "" {
		parts = append([]string{c.App}, parts...)
	}
	if c.ReadOnly {
		parts = append(parts, "read-only")
	}
	return strings.Join(append(parts, "since "+c.Since.UTC().Format(time.RFC3339)), ", ")
}

// wrap writes words in lines of at most the given width.
func wrap(w io.Writer, text string, width int) {
	line := 0
	for word := range strings.FieldsSeq(text) {
		n := len([]rune(word))
		switch {
		case line == 0:
		case line+1+n > width:
			fmt.Fprintln(w)
			line = 0
		default:
			fmt.Fprint(w, " ")
			line++
		}
		fmt.Fprint(w, word)
		line += n
	}
	if line > 0 {
		fmt.Fprintln(w)
	}
}
