package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/marathon/check"
)

func newMarathonFix(g *group) *cobra.Command {
	var write, compare bool
	cmd := &cobra.Command{
		Use:   "fix FILE | -",
		Short: "Fix what has one right answer, and print the fixed definition",
		Long: "Prints the definition with everything fixed that `flocker marathon check` has a fix for, and changes nothing else\n" +
			"in it: names keep their order, and lines their form. The standard error lists what was fixed and what needs your\n" +
			"decision. If a control service is configured, the command asks it for the zones of the volumes. It does not ask\n" +
			"Marathon.",
		Example: "  flocker marathon fix app.json --diff\n" +
			"  flocker marathon fix app.json --write\n" +
			"  flocker marathon fix - <app.json | curl -X PUT -H 'Content-Type: application/json' -d @- http://marathon.example.net:8080/v2/apps//prod/orders-db",
		Args:              usage.Takes(cobra.ExactArgs(1), "one file, or - for the standard input"),
		ValidArgsFunction: completeDefinitions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if write && (compare || args[0] == "-") {
				return usage.Errorf("--write changes the file, and goes neither with --diff nor with the standard input")
			}
			return fix(g, cmd, args[0], write, compare)
		},
	}
	cmd.Flags().BoolVar(&compare, "diff", false, "print what would change as a unified diff")
	cmd.Flags().BoolVarP(&write, "write", "w", false, "change the file instead of printing")
	return cmd
}

func fix(g *group, cmd *cobra.Command, file string, write, compare bool) error {
	d, err := readDocument(file, cmd.InOrStdin())
	if err != nil {
		return err
	}
	before := bytes.Clone(d.Text())
	p := &output.Printer{W: cmd.ErrOrStderr()}
	world := &check.Context{}
	askIfNamed(cmd.Context(), g, d, world, p)
	after, fixed, left, err := check.Fix(d, world)
	if err != nil {
		return err
	}
	tellFixed(p, fixed, left)
	switch {
	case compare:
		_, err = cmd.OutOrStdout().Write(diff.Diff(d.Source, before, d.Source, after))
	case !write:
		_, err = cmd.OutOrStdout().Write(after)
	case !bytes.Equal(before, after):
		err = replaceFile(file, after)
	}
	if err != nil {
		return fmt.Errorf("write the fixed definition: %w", err)
	}
	return nil
}

// askIfNamed asks the control service for the datasets, if one is named: most of what
// can be fixed needs none.
func askIfNamed(ctx context.Context, g *group, d *check.Document, world *check.Context, p *output.Printer) {
	s, err := g.conn.resolve()
	if err == nil {
		_, err = s.control()
	}
	if unnamed(err) {
		return
	}
	askControl(ctx, g.conn, []*check.Document{d}, world, func(reason string) { p.Linef("%s", reason) })
}

// tellFixed lists what was fixed and what needs a decision.
func tellFixed(p *output.Printer, fixed, left []check.Finding) {
	for _, f := range fixed {
		p.Linef("fixed %s %s (%s): %s", f.App, f.Path, f.Rule, f.Fix)
	}
	for _, f := range left {
		p.Linef("needs your decision: %s %s %s (%s): %s; %s", f.Severity, f.App, f.Path, f.Rule, f.What, f.Fix)
	}
}

// replaceFile changes a file at once, whatever happens meanwhile. It keeps who may
// read it, and a symbolic link to it.
func replaceFile(file string, text []byte) error {
	file, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(text)
	if err == nil {
		err = temp.Chmod(info.Mode().Perm())
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), file)
	}
	return err
}
