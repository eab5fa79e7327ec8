package cli

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/cli/contexts"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newContext(env *Env) *cobra.Command {
	return usage.Group(&cobra.Command{
		Use:     "context",
		Aliases: []string{"contexts"},
		Short:   "Save how each of several clusters is reached, and switch between them",
		Long: "Saves, in one file, how the clusters that you work with are reached. Flags and environment variables override a\n" +
			"context; settings that it leaves open come from agent.yml and the defaults. The file is\n" +
			"~/.config/flocker/config.yml, or the value of FLOCKER_CONFIG.",
	}, newContextList(env), newContextUse(env), newContextSet(env), newContextShow(env), newContextDelete(env))
}

// open reads the file of contexts.
func openContexts(env *Env) (*contexts.File, string, error) {
	path, err := contexts.Path(env.LookupEnv)
	if err != nil {
		return nil, "", err
	}
	file, err := contexts.Read(path)
	return file, path, err
}

func newContextList(env *Env) *cobra.Command {
	var p output.Printer
	cmd := &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List all contexts; * marks the current one",
		Args:              usage.Takes(cobra.NoArgs, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := prepare(env, cmd, &p); err != nil {
				return err
			}
			file, path, err := openContexts(env)
			if err != nil {
				return err
			}
			if len(file.Contexts) == 0 && !p.Machine() {
				p.Linef("%s has no contexts. To create one: flocker context set NAME --control-service HOST", path)
				return nil
			}
			return p.List(contextList(file), contextsTable(file), file.Names())
		},
	}
	addOutput(cmd, p.AddListFlags)
	return cmd
}

// listed is a context as programs read it.
type listed struct {
	Name           string `json:"name"`
	Current        bool   `json:"current"`
	ControlService string `json:"control_service,omitempty"`
	ControlPort    string `json:"control_port,omitempty"`
	CertsPath      string `json:"certs_path,omitempty"`
	User           string `json:"user,omitempty"`
	CAFile         string `json:"ca_file,omitempty"`
	CertFile       string `json:"cert_file,omitempty"`
	KeyFile        string `json:"key_file,omitempty"`
}

func contextList(f *contexts.File) []listed {
	all := []listed{}
	for _, name := range f.Names() {
		c := f.Contexts[name]
		all = append(all, listed{
			name, name == f.Current, c.ControlService, c.ControlPort, c.CertsPath, c.User, c.CAFile, c.CertFile, c.KeyFile,
		})
	}
	return all
}

func contextsTable(f *contexts.File) *output.Table {
	t := output.NewTable(
		output.Column{Head: "", Whole: true}, output.Column{Head: "NAME"}, output.Column{Head: "CONTROL SERVICE"}, output.Column{Head: "PORT"},
		output.Column{Head: "USER"}, output.Column{Head: "CERTIFICATES"},
		output.Column{Head: "CA FILE", Wide: true}, output.Column{Head: "CERTIFICATE FILE", Wide: true}, output.Column{Head: "KEY FILE", Wide: true},
	)
	for _, name := range f.Names() {
		c, mark := f.Contexts[name], ""
		if name == f.Current {
			mark = "*"
		}
		t.Add(mark, name, output.Dash(c.ControlService), output.Dash(c.ControlPort), output.Dash(c.User), output.Dash(c.CertsPath),
			output.Dash(c.CAFile), output.Dash(c.CertFile), output.Dash(c.KeyFile))
	}
	return t
}

func newContextUse(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:               "use NAME",
		Short:             "Make a context the current one",
		Args:              usage.Takes(cobra.ExactArgs(1), "one context"),
		ValidArgsFunction: first(completeContexts(env)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeContexts(env, cmd, func(f *contexts.File) (string, error) {
				return fmt.Sprintf("Now using context %s.", args[0]), f.Use(args[0])
			})
		},
	}
}

// changeContexts changes the file, and says what was done.
func changeContexts(env *Env, cmd *cobra.Command, change func(*contexts.File) (done string, err error)) error {
	file, path, err := openContexts(env)
	if err != nil {
		return err
	}
	done, err := change(file)
	if err != nil {
		return err
	}
	if err := file.Write(path); err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), output.Clean(done))
	return nil
}

func newContextSet(env *Env) *cobra.Command {
	conn := NewConnection(env)
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Create a context or change its settings; an empty value leaves a setting open",
		Example: "  flocker context set prod --control-service a.example,b.example --certs-path ~/.flocker/prod --user alice\n" +
			"  flocker context set prod --user bob",
		Args:              usage.Takes(cobra.ExactArgs(1), "one context"),
		ValidArgsFunction: first(completeContexts(env)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeContexts(env, cmd, func(f *contexts.File) (string, error) {
				var c contexts.Context
				if known := f.Contexts[args[0]]; known != nil {
					c = *known
				}
				if err := conn.keep(&c); err != nil {
					return "", err
				}
				done := fmt.Sprintf("Context %s saved.", args[0])
				if err := f.Set(args[0], &c); err != nil {
					return "", err
				}
				if f.Current != args[0] {
					done += fmt.Sprintf(" To use it: flocker context use %s", args[0])
				}
				return done, nil
			})
		},
	}
	conn.flags = cmd.Flags()
	conn.addSettings()
	return cmd
}

// keep puts what the flags say into a context. Files are found from anywhere.
func (c *Connection) keep(into *contexts.Context) error {
	for _, o := range options() {
		if !c.flags.Changed(o.key) {
			continue
		}
		text := *c.values[o.key]
		if o.key == "control-port" && text != "" {
			if _, err := contexts.Port(text); err != nil {
				return usage.Errorf("--control-port: %w", err)
			}
		}
		if isFile(o.key) && text != "" {
			path, err := filepath.Abs(text)
			if err != nil {
				return fmt.Errorf("--%s: %w", o.key, err)
			}
			text = path
		}
		*into.Value(o.key) = text
	}
	return nil
}

// origin is a setting as programs read it.
type origin struct {
	Setting string `json:"setting"`
	Value   string `json:"value"`
	From    string `json:"from"`
}

func newContextShow(env *Env) *cobra.Command {
	conn := NewConnection(env)
	var p output.Printer
	cmd := &cobra.Command{
		Use:               "show [NAME]",
		Short:             "Show how the cluster is reached, and where each setting comes from",
		Args:              usage.Takes(cobra.MaximumNArgs(1), "at most one context"),
		ValidArgsFunction: first(completeContexts(env)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := prepare(env, cmd, &p); err != nil {
				return err
			}
			if len(args) > 0 {
				conn.context = args[0]
			}
			name, chosen, file, err := conn.chosen()
			if err != nil {
				return err
			}
			s, err := conn.resolveIn(name, chosen)
			if err != nil {
				return err
			}
			var all []origin
			t := output.NewTable(output.Column{Head: "SETTING", Whole: true}, output.Column{Head: "VALUE"}, output.Column{Head: "FROM"})
			for _, o := range options() {
				all = append(all, origin{o.key, s[o.key].text, s[o.key].origin})
				t.Add(o.key, output.Dash(s[o.key].text), s[o.key].origin)
			}
			return p.Show(all, name, func() {
				p.Field("Context", "%s", output.Dash(name))
				p.Field("File", "%s", output.Dash(file))
				p.Space()
				p.Table(t)
			})
		},
	}
	addOutput(cmd, p.AddListFlags)
	conn.AddFlags(cmd)
	return cmd
}

func newContextDelete(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a context; its certificates stay where they are",
		Args:              usage.Takes(cobra.ExactArgs(1), "one context"),
		ValidArgsFunction: first(completeContexts(env)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeContexts(env, cmd, func(f *contexts.File) (string, error) {
				return fmt.Sprintf("Context %s deleted.", args[0]), f.Delete(args[0])
			})
		},
	}
}
