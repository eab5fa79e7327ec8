package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestHelpNamesTheKindOfEveryValue finds backquotes in help texts: pflag takes what is
// between them for the name of the flag's value.
func TestHelpNamesTheKindOfEveryValue(t *testing.T) {
	kinds := map[string]bool{"": true, "string": true, "strings": true, "stringArray": true, "text": true, "number": true, "duration": true, "list": true, "int": true, "uint16": true, "uint": true}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, text := range []string{cmd.Short, cmd.Example} {
			if strings.Contains(text, "`") {
				t.Errorf("%s: got a backquote in %q", cmd.CommandPath(), text)
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if kind, text := pflag.UnquoteUsage(f); !kinds[kind] || strings.Contains(text, "`") {
				t.Errorf("%s --%s: got the kind %q and the text %q", cmd.CommandPath(), f.Name, kind, text)
			}
		})
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(newRoot())
}
