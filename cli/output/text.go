package output

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"github.com/flocker-mesos/flocker/api"
)

// Clean makes a text that somebody else wrote one that can be shown: what moves
// a terminal's cursor, or worse, is written as Go would write it.
func Clean(text string) string {
	if !strings.ContainsFunc(text, unsafe) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unsafe(r) {
			quoted := fmt.Sprintf("%+q", r)
			b.WriteString(strings.Trim(quoted, "'"))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// oneLine joins the lines of a text, such as the causes that an error lists.
func oneLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	var b strings.Builder
	for i, line := range lines {
		line = strings.TrimSpace(line)
		b.WriteString(line)
		if i == len(lines)-1 || line == "" {
			continue
		}
		if !strings.ContainsAny(line[len(line)-1:], ".:;,!?") {
			b.WriteString(";")
		}
		b.WriteString(" ")
	}
	return b.String()
}

// unsafe reports whether a terminal obeys a character, or shows text in another order
// or not at all for it.
func unsafe(r rune) bool { return r != utf8.RuneError && api.Printable(string(r)) != string(r) }

// measure returns how many columns a text takes: characters of East Asia and
// most symbols in colour take two.
func measure(text string) int { return columns().StringWidth(text) }

// columns says how wide characters are, whatever the locale: a width of its own
// for a process would make tables that depend on who looks at them.
func columns() *runewidth.Condition { return &runewidth.Condition{StrictEmojiNeutral: true} }

// Cut shortens a text to a number of columns.
func Cut(text string, width int) string {
	if measure(text) <= width {
		return text
	}
	return columns().Truncate(text, width, "…")
}

// proseWidth is the longest line of an explanation.
const proseWidth = 100

// Wrap breaks a text into lines that are read well on a screen.
func (s Screen) Wrap(text string) string {
	width := proseWidth
	if s.Width > 0 {
		width = min(s.Width, proseWidth)
	}
	return wrap(text, width, "")
}

// wrap breaks a text into lines of a width, between words. What it puts before
// all lines but the first is not counted.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	line := 0
	for word := range strings.FieldsSeq(Clean(oneLine(text))) {
		n := measure(word)
		switch {
		case line == 0:
		case line+1+n > width:
			b.WriteString("\n" + indent)
			line = 0
		default:
			b.WriteString(" ")
			line++
		}
		b.WriteString(word)
		line += n
	}
	if line > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

const day = 24 * time.Hour

// Age writes how long something is, in one unit. What the clocks of two
// machines make negative is 0.
func Age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 2*day:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d/day))
	}
}

// Since says since when something is: "since 2026-01-02T10:02:03Z (4m)".
func Since(t, now time.Time) string {
	return fmt.Sprintf("since %s (%s)", Time(t), Age(now.Sub(t)))
}

// Time writes a moment as the whole world reads it, "-" for none.
func Time(t time.Time) string {
	if t.IsZero() {
		return Dash("")
	}
	return t.UTC().Format(time.RFC3339)
}

// Dash stands for nothing, so that columns can be told apart by programs.
func Dash(text string) string { return cmp.Or(text, "-") }
