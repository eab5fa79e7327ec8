package main

import (
	"os"
	"strings"
	"testing"
)

// TestManualSaysWhatCanBeTyped looks up every command and flag that the manual
// has an example of.
func TestManualSaysWhatCanBeTyped(t *testing.T) {
	manual, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for line := range strings.Lines(string(manual)) {
		line, ok := strings.CutPrefix(line, "    ")
		if !ok {
			continue
		}
		line, _, _ = strings.Cut(line, " # ")
		for _, part := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune("|;&()>", r) }) {
			words := strings.Fields(strings.ReplaceAll(part, `"`, ""))
			for len(words) > 0 && words[0] != "flocker" {
				words = words[1:]
			}
			if len(words) < 2 || strings.HasPrefix(words[1], "/") || words[1] == "completion" {
				continue
			}
			examples++
			cmd, rest, err := newRoot().Find(words[1:])
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err == nil {
				err = cmd.ValidateArgs(cmd.Flags().Args())
			}
			if err != nil || cmd.HasSubCommands() {
				t.Errorf("%s: got %v, %v, want a command", strings.Join(words, " "), cmd.CommandPath(), err)
			}
		}
	}
	if examples < 30 {
		t.Errorf("got %d examples, want those of the whole manual", examples)
	}
}
