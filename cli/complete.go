package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
)

// patience is how long a person at a shell's prompt is kept waiting for what a
// word can be. After that, or when the control service cannot be reached, there
// is nothing to choose from, and nothing is said.
const patience = 2 * time.Second

// completeFlags says what the values of flags can be.
func completeFlags(cmd *cobra.Command, flags map[string]cobra.CompletionFunc) {
	for name, f := range flags {
		// It fails for a flag that there is not; a test completes all of them.
		_ = cmd.RegisterFlagCompletionFunc(name, f)
	}
}

// addOutput gives a command the flags of its printer.
func addOutput(cmd *cobra.Command, add func(*pflag.FlagSet)) {
	add(cmd.Flags())
	formats := texts(output.Formats(), func(f output.Format) string { return string(f) })
	completeFlags(cmd, map[string]cobra.CompletionFunc{"output": words(formats...)})
}

// words completes one of a few.
func words(all ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return beginning(all, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

func beginning(all []string, begun string) []cobra.Completion {
	var fitting []cobra.Completion
	for _, word := range all {
		if strings.HasPrefix(word, begun) {
			fitting = append(fitting, word)
		}
	}
	return fitting
}

// first completes the first argument, and nothing behind it.
func first(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(cmd, args, begun)
	}
}

// others completes any number of arguments, each with what is not among them yet.
func others(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		all, directive := f(cmd, args, begun)
		return slices.DeleteFunc(all, func(c cobra.Completion) bool {
			word, _, _ := strings.Cut(c, "\t")
			return slices.Contains(args, word)
		}), directive
	}
}

// completeContexts completes the name of a context.
func completeContexts(env *Env) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		file, _, err := openContexts(env)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return beginning(file.Names(), begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeVolume completes the name of a volume, or the id of one without.
func (g *group) completeVolume(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return g.ask(cmd, func(s *session) ([]cobra.Completion, error) {
		all, err := s.volumes(api.VolumeQuery{})
		if err != nil {
			return nil, err
		}
		var fitting []cobra.Completion
		for _, d := range all {
			for _, word := range []string{volumeName(d), string(d.Dataset.ID)} {
				// An id is for who has begun to write one.
				if output.Clean(word) == word && strings.HasPrefix(word, begun) && (begun != "" || word == volumeName(d)) {
					fitting = append(fitting, cobra.CompletionWithDesc(word, volumeHint(d)))
					break
				}
			}
		}
		return fitting, nil
	})
}

// completeSet completes the name of a volume set.
func (g *group) completeSet(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return g.ask(cmd, func(s *session) ([]cobra.Completion, error) {
		all, err := s.volumes(api.VolumeQuery{})
		if err != nil {
			return nil, err
		}
		var sets []cobra.Completion
		for _, d := range all {
			if m := d.Dataset.Member; m != nil && output.Clean(m.Set) == m.Set && strings.HasPrefix(m.Set, begun) && !slices.Contains(sets, m.Set) {
				sets = append(sets, m.Set)
			}
		}
		return sets, nil
	})
}

func volumeHint(d *api.DatasetDetail) string {
	hint := d.Status
	if holder := holderName(d); holder != "" {
		hint = fmt.Sprintf("%s, %s", hint, holder)
	}
	return output.Clean(hint)
}

// completeNode completes the name of a node, or the id of one without.
func (g *group) completeNode(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return g.ask(cmd, func(s *session) ([]cobra.Completion, error) {
		all, err := s.Nodes(s.ctx)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(all, byHostname)
		var fitting []cobra.Completion
		for _, n := range all {
			if output.Clean(n.Name()) == n.Name() && strings.HasPrefix(n.Name(), begun) {
				fitting = append(fitting, cobra.CompletionWithDesc(n.Name(), output.Clean(agentState(n, s.now()))))
			}
		}
		return fitting, nil
	})
}

// ask asks the control service what a word can be.
func (g *group) ask(cmd *cobra.Command, what func(*session) ([]cobra.Completion, error)) ([]cobra.Completion, cobra.ShellCompDirective) {
	cl, err := g.conn.Client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), patience)
	defer cancel()
	found, err := what(&session{Client: cl, Printer: &output.Printer{W: io.Discard}, ctx: ctx, env: g.env, errs: io.Discard})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}
