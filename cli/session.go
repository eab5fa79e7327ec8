package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/pki"
)

// group is what the commands about one kind of thing share.
type group struct {
	env  *Env
	conn *Connection
}

func newGroup(env *Env) *group { return &group{env, NewConnection(env)} }

// session is a command under way: connected, and with a place to print to.
type session struct {
	*client.Client
	*output.Printer

	ctx      context.Context //nolint:containedctx // a session is the command's run, and ends with it
	env      *Env
	in       io.Reader
	errs     io.Writer
	errsView output.Screen
}

// run makes what a command does of what it does with a session: all open it in
// the same way, see first whether the flags are right, and end it.
func (g *group) run(p *output.Printer, do func(s *session, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := prepare(g.env, cmd, p); err != nil {
			return err
		}
		cl, err := g.conn.Client()
		if err != nil {
			return err
		}
		defer cl.Close()
		s := &session{
			Client: cl, Printer: p, ctx: cmd.Context(), env: g.env,
			in: cmd.InOrStdin(), errs: cmd.ErrOrStderr(), errsView: g.env.Screen(cmd.ErrOrStderr()),
		}
		s.warnOfExpiry(g.conn.expires)
		return do(s, args)
	}
}

// prepare checks what a printer was asked for, and has it print where the
// command does.
func prepare(env *Env, cmd *cobra.Command, p *output.Printer) error {
	p.W = cmd.OutOrStdout()
	p.Screen = env.Screen(p.W)
	return p.Check()
}

func (s *session) now() time.Time { return s.env.Now() }

// tell says what has been done, unless a program reads.
func (s *session) tell(format string, args ...any) {
	if !s.Machine() {
		s.Linef(format, args...)
	}
}

// warnOfExpiry tells a person whose certificate ends soon, while there is time to
// get another.
func (s *session) warnOfExpiry(end time.Time) {
	if !s.Machine() && end.Sub(s.now()) < pki.ExpiryWarning {
		fmt.Fprintf(s.errs, "Warning: your certificate, or its authority's, ends %s.\n", certificateEnd(end, s.now()))
	}
}
