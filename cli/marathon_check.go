package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/marathon/check"
)

// checking is one run of the command.
type checking struct {
	*output.Printer

	group    *group
	cmd      *cobra.Command
	all      bool
	strict   bool
	marathon marathonFlags
	timeouts check.Timeouts
}

func newMarathonCheck(g *group) *cobra.Command {
	c := &checking{Printer: &output.Printer{}, group: g}
	cmd := &cobra.Command{
		Use:   "check FILE... | - | --all",
		Short: "Find what in apps and pods would lose a volume, lock it up or delay it",
		Long: "Reads apps and pods as Marathon takes them: an app, a pod, a list of them, a group, or an answer of\n" +
			"/v2/apps or /v2/pods; - is the standard input. Where a control service is named, as for all commands, it is\n" +
			"asked for the datasets that exist; with --marathon, Marathon for what runs. Nothing is changed.\n\n" +
			"An error would lose or lock up a volume, or keep an app from starting; a warning delays or risks something.\n" +
			"The exit code is 1 where there are errors, or with --strict warnings.",
		Example: "  flocker marathon check app.json\n" +
			"  flocker marathon check --all --marathon http://marathon.example.net:8080\n" +
			"  curl -s http://marathon.example.net:8080/v2/apps | flocker marathon check - -o json",
		ValidArgsFunction: completeDefinitions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.cmd = cmd
			return c.run(cmd.Context(), args)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&c.all, "all", false, "check what Marathon runs now")
	flags.BoolVar(&c.strict, "strict", false, "warnings make the exit code 1 as well")
	c.marathon.add(flags)
	flags.DurationVar(&c.timeouts.ExecutorRegistration, "executor-registration-timeout", 0, "the Mesos agents' flag of that name, to be checked too")
	flags.DurationVar(&c.timeouts.TaskLaunch, "task-launch-timeout", 0, "Marathon's flag of that name, to be checked too; Marathon may tell it")
	flags.DurationVar(&c.timeouts.Wait, "wait-limit", 0, "the Flocker agents' wait-limit, 45s where it is not set")
	addOutput(cmd, c.AddFlags)
	return cmd
}

func (c *checking) run(ctx context.Context, args []string) error {
	if err := prepare(c.group.env, c.cmd, c.Printer); err != nil {
		return err
	}
	if urls, _ := c.group.env.LookupEnv(envMarathon); urls != "" && !c.marathon.named() {
		c.marathon.URLs = strings.Split(urls, ",")
	}
	switch {
	case c.all && len(args) > 0:
		return usage.Errorf("--all checks what runs, and files are checked by themselves: use one of both")
	case c.all && !c.marathon.named():
		return usage.Errorf("which Marathon? Name it with --marathon or %s", envMarathon)
	case !c.all && len(args) == 0:
		return usage.Errorf("%s: want files, - for the standard input, or --all", c.cmd.CommandPath())
	}
	documents, err := readDocuments(args, c.cmd.InOrStdin())
	if err != nil {
		return err
	}
	world := &check.Context{Timeouts: c.timeouts}
	if c.marathon.named() {
		running, err := c.askMarathon(ctx, world)
		if err != nil {
			return err
		}
		if c.all {
			documents = running
		}
	}
	askControl(ctx, c.group.conn, documents, world, func(reason string) {
		fmt.Fprintln(c.cmd.ErrOrStderr(), output.Clean(reason))
	})
	return c.report(documents, check.Check(documents, world))
}

// readDocuments reads files, and the standard input where one is called "-".
func readDocuments(files []string, stdin io.Reader) ([]*check.Document, error) {
	var documents []*check.Document
	for _, file := range files {
		d, err := readDocument(file, stdin)
		if err != nil {
			return nil, err
		}
		documents = append(documents, d)
	}
	return documents, nil
}

func readDocument(file string, stdin io.Reader) (*check.Document, error) {
	if file == "-" {
		text, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("read the standard input: %w", err)
		}
		return check.Parse("standard input", text)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read definitions: %w", err)
	}
	return check.Parse(file, text)
}

// askMarathon notes what Marathon runs and how it is set.
func (c *checking) askMarathon(ctx context.Context, world *check.Context) ([]*check.Document, error) {
	m, err := c.marathon.client()
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return readMarathon(ctx, m, world)
}
