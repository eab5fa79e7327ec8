package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRowsAreAlignedAndNoWiderThanAScreen(t *testing.T) {
	var out bytes.Buffer
	tl := newTimeline(&out, false)
	tl.event("node1", "%s", strings.Repeat("a word or two ", 20))
	tl.check("node1", true, "fine")
	tl.says("control", "one\ntwo\n")
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	column := utf8.RuneCountInString(lines[0][:strings.Index(lines[0], "a word")])
	for i, line := range lines {
		if n := utf8.RuneCountInString(line); n > lineWidth {
			t.Errorf("line %d has %d characters: %q", i, n, line)
		}
		if blank := len(line) - len(strings.TrimLeft(line, " ")); i > 0 && strings.Contains(line, "a word") && blank != column {
			t.Errorf("line %d begins in column %d, not %d: %q", i, blank, column, line)
		}
	}
	if got := lines[len(lines)-2:]; !strings.HasSuffix(got[0], "│ one") || !strings.HasSuffix(got[1], "│ two") {
		t.Errorf("quoted lines are %q", got)
	}
}

func TestFailedCheckIsToldAgainAtTheEnd(t *testing.T) {
	var out bytes.Buffer
	tl := newTimeline(&out, true)
	tl.check("node1", true, "this holds")
	tl.check("node1", false, "that does not")
	if tl.verdict() {
		t.Error("the verdict is good")
	}
	if got := strings.Count(out.String(), "that does not"); got != 2 {
		t.Errorf("the failure is told %d times: %s", got, out.String())
	}
	if !strings.Contains(out.String(), red) {
		t.Error("nothing is red")
	}
}

func TestNoColourWithoutATerminalOrWithNO_COLOR(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if colourful(file) {
		t.Error("a file is coloured")
	}
	t.Setenv("NO_COLOR", "1")
	if null, err := os.Open(os.DevNull); err != nil || colourful(null) {
		t.Errorf("a device is coloured though NO_COLOR is set, %v", err)
	}
}
