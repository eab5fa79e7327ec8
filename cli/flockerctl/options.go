package flockerctl

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// optionError is a command line that cannot be understood.
type optionError struct{ text string }

// Error implements error.
func (e *optionError) Error() string { return e.text }

// newFlags makes the options that the program and all its commands have.
func newFlags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.Bool("help", false, "")
	flags.Bool("version", false, "")
	return flags
}

func given(flags *pflag.FlagSet, name string) bool { return flags.Changed(name) }

// parse reads options as Python's getopt did: a long one may be shortened as long
// as it is clear which one is meant.
func parse(flags *pflag.FlagSet, args []string) error {
	flags.SetNormalizeFunc(func(f *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(complete(f, name))
	})
	err := flags.Parse(args)
	if err == nil {
		return nil
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return &optionError{"option " + dashes(unknown.GetSpecifiedName()) + " not recognized"}
	}
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return &optionError{"option " + dashes(missing.GetSpecifiedName()) + " requires argument"}
	}
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok && wrong.GetFlag().Value.Type() == "bool" {
		return &optionError{"option --" + wrong.GetFlag().Name + " must not have an argument"}
	}
	return &optionError{err.Error()}
}

func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// complete returns the option that a shortened name stands for.
func complete(flags *pflag.FlagSet, name string) string {
	var meant []string
	exact := false
	flags.VisitAll(func(f *pflag.Flag) {
		exact = exact || f.Name == name
		if strings.HasPrefix(f.Name, name) {
			meant = append(meant, f.Name)
		}
	})
	if exact || len(meant) != 1 {
		return name
	}
	return meant[0]
}

// parseMetadata reads a=b,c=d.
func parseMetadata(text string) (map[string]string, error) {
	metadata := map[string]string{}
	if text == "" {
		return metadata, nil
	}
	for pair := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, errors.New("malformed metadata specification '" + text + "', please use format 'a=b,c=d'")
		}
		metadata[key] = value
	}
	return metadata, nil
}
