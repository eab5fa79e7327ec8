// Package usage is how command lines are refused: in words that say what would
// be right, and so that the program ends with an exit code of its own.
package usage

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Error is a command line that cannot be understood.
type Error struct{ Err error }

// Errorf makes an Error.
func Errorf(format string, args ...any) *Error { return &Error{Err: fmt.Errorf(format, args...)} }

// Error implements error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// likeness is how many letters of a word may be wrong for another to be
// suggested.
const likeness = 2

// Group makes a command that only has others below it. Cobra by itself takes a
// mistyped one among them for a call for help, and says that all is well.
func Group(cmd *cobra.Command, children ...*cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		err := fmt.Errorf("%s: there is no command %q", cmd.CommandPath(), args[0])
		if below := namedBelow(cmd, args[0]); len(below) > 0 {
			return Errorf("%w; did you mean %s?", err, strings.Join(below, " or "))
		}
		if meant := suggested(cmd, args[0]); meant != nil {
			err = fmt.Errorf("%w; did you mean %q? (%s)", err, meant.Name(), meant.Short)
		}
		return &Error{Err: err}
	}
	cmd.AddCommand(children...)
	return cmd
}

// namedBelow returns the commands of a command's groups that have the word as their name,
// or as another name by which a person calls them: "flocker rm" lacks the group alone.
func namedBelow(cmd *cobra.Command, word string) []string {
	var all []string
	for _, group := range cmd.Commands() {
		for _, c := range group.Commands() {
			if !c.Hidden && (c.Name() == word || c.HasAlias(word) || slices.Contains(c.SuggestFor, strings.ToLower(word))) {
				all = append(all, fmt.Sprintf("%q", c.CommandPath()))
			}
		}
	}
	return all
}

// suggested returns the command that a word was perhaps meant to be, nil for none: first
// one that names the word among its suggestions, which another may only be similar to.
func suggested(cmd *cobra.Command, word string) *cobra.Command {
	for _, child := range cmd.Commands() {
		if slices.Contains(child.SuggestFor, strings.ToLower(word)) {
			return child
		}
	}
	// Two wrong letters of two make every short name a likely one.
	cmd.SuggestionsMinimumDistance = min(likeness, max(1, len(word)/2))
	if like := cmd.SuggestionsFor(word); len(like) > 0 {
		if child, _, err := cmd.Find(like[:1]); err == nil {
			return child
		}
	}
	return nil
}

// Takes wraps a check of the number of arguments with an error that says what was
// expected, such as "one volume".
func Takes(check cobra.PositionalArgs, expected string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return Errorf("%s: expected %s, got %d", cmd.CommandPath(), expected, len(args))
		}
		return nil
	}
}

// FlagError refuses a flag, and names the one that was perhaps meant.
func FlagError(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || len(unknown.GetSpecifiedName()) < 2 {
		return &Error{Err: err}
	}
	// Cobra finds words that are like others only among commands.
	words := &cobra.Command{SuggestionsMinimumDistance: likeness}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			words.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
		}
	})
	if like := words.SuggestionsFor(unknown.GetSpecifiedName()); len(like) > 0 {
		return Errorf("%w; did you mean --%s?", err, like[0])
	}
	return &Error{Err: err}
}
