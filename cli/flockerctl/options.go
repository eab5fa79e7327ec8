package flockerctl

import (
	"errors"
	"slices"
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
		name := unknown.GetSpecifiedName()
		switch {
		case unknown.GetSpecifiedShortnames() != "":
			name = "-" + name
		case len(beginning(flags, name)) > 1:
			return &optionError{"option --" + name + " not a unique prefix"}
		default:
			name = "--" + name
		}
		return &optionError{"option " + name + " not recognized"}
	}
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		name := "--" + missing.GetSpecifiedName()
		if missing.GetSpecifiedShortnames() != "" {
			name = "-" + missing.GetSpecifiedName()
		}
		return &optionError{"option " + name + " requires argument"}
	}
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok && wrong.GetFlag().Value.Type() == "bool" {
		return &optionError{"option --" + wrong.GetFlag().Name + " must not have an argument"}
	}
	return &optionError{err.Error()}
}

// complete returns the option that a shortened name stands for.
func complete(flags *pflag.FlagSet, name string) string {
	meant := beginning(flags, name)
	if slices.Contains(meant, name) || len(meant) != 1 {
		return name
	}
	return meant[0]
}

// beginning returns the options that begin with a text.
func beginning(flags *pflag.FlagSet, text string) []string {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, text) {
			names = append(names, f.Name)
		}
	})
	return names
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
