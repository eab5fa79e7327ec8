package flockerctl

import (
	"strings"
	"testing"
)

func TestTablesShowNothingThatATerminalObeys(t *testing.T) {
	var out strings.Builder
	printTable(&out, [][]string{{"NAME"}, {"a\x1b[2J\u202eb\u009bc"}})
	if got := out.String(); strings.ContainsAny(got, "\x1b\u202e\u009b") || !strings.Contains(got, `a\x1b[2J\u202eb\x9bc`) {
		t.Errorf("got %q", got)
	}
}
