package cli

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

// versions are those of this program and, where it was asked, of the control
// service.
type versions struct {
	Client  string `json:"client"`
	Go      string `json:"go"`
	System  string `json:"system"`
	Control string `json:"control_service,omitempty"`
}

func newVersion(env *Env) *cobra.Command {
	g := newGroup(env)
	var (
		p      output.Printer
		server bool
	)
	cmd := &cobra.Command{
		Use:               "version",
		Short:             "Print the version of this program, and with --server of the control service",
		Args:              usage.Takes(cobra.NoArgs, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			v := versions{Client: env.Version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
			if !server {
				if err := prepare(env, cmd, &p); err != nil {
					return err
				}
				return v.show(&p)
			}
			return g.run(&p, func(s *session, _ []string) error {
				var err error
				if v.Control, err = s.Version(s.ctx); err != nil {
					return err
				}
				return v.show(&p)
			})(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&server, "server", false, "ask the control service as well")
	addOutput(cmd, p.AddFlags)
	g.conn.AddFlags(cmd)
	return cmd
}

func (v versions) show(p *output.Printer) error {
	return p.Show(v, v.Client, func() {
		p.Linef("flocker %s (%s, %s)", v.Client, v.Go, v.System)
		if v.Control != "" {
			p.Linef("control service %s", v.Control)
		}
	})
}
