package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// timeline prints what happens, when and where: milliseconds since the start,
// the machine, a mark, a sentence. It counts what was not as it must be.
type timeline struct {
	out   io.Writer
	color bool
	start time.Time

	mu       sync.Mutex
	checks   int
	failures []string
}

// newTimeline starts the clock.
func newTimeline(out io.Writer, color bool) *timeline {
	return &timeline{out: out, color: color, start: time.Now()}
}

// ANSI colours, few and dim: the sentence itself stays as the terminal has it.
const (
	reset  = "\x1b[0m"
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
)

func (t *timeline) paint(style, text string) string {
	if !t.color || text == "" {
		return text
	}
	return style + text + reset
}

// Widths of the columns, in characters.
const (
	timeWidth = 8
	nodeWidth = 8
	lineWidth = 118
)

func (t *timeline) row(at time.Time, node, mark, text string) {
	ms := fmt.Sprintf("%*d", timeWidth, at.Sub(t.start).Milliseconds())
	name := fmt.Sprintf("%-*s", nodeWidth, node)
	lines := wrap(text, lineWidth-timeWidth-nodeWidth-6)
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, line := range lines {
		if i > 0 {
			ms, name, mark = strings.Repeat(" ", timeWidth), strings.Repeat(" ", nodeWidth), " "
		}
		fmt.Fprintf(t.out, "%s  %s  %s %s\n", t.paint(dim, ms), t.paint(cyan, name), mark, line)
	}
}

// chapter begins a part of the story.
func (t *timeline) chapter(title string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "\n%s\n", t.paint(bold, title))
}

// event tells what happened on a machine.
func (t *timeline) event(node, format string, args ...any) {
	t.eventAt(time.Now(), node, format, args...)
}

// eventAt tells what happened at a moment in the past.
func (t *timeline) eventAt(at time.Time, node, format string, args ...any) {
	t.row(at, node, t.paint(dim, "·"), fmt.Sprintf(format, args...))
}

// says quotes a program's own words.
func (t *timeline) says(node, text string) {
	for line := range strings.Lines(strings.TrimSpace(text)) {
		t.row(time.Now(), node, t.paint(yellow, "│"), t.paint(yellow, strings.TrimRight(line, "\n")))
	}
}

// check notes whether something is as it must be.
func (t *timeline) check(node string, ok bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.mu.Lock()
	t.checks++
	if !ok {
		t.failures = append(t.failures, text)
	}
	t.mu.Unlock()
	if ok {
		t.row(time.Now(), node, t.paint(green, "✓"), text)
	} else {
		t.row(time.Now(), node, t.paint(red, "✗"), t.paint(red, text))
	}
}

// verdict prints the end of the story and reports whether all was well.
func (t *timeline) verdict() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	took := time.Since(t.start).Round(100 * time.Millisecond)
	if len(t.failures) == 0 {
		fmt.Fprintf(t.out, "\n%s\n", t.paint(green, fmt.Sprintf("All %d checks hold, after %s.", t.checks, took)))
		return true
	}
	fmt.Fprintf(t.out, "\n%s\n", t.paint(red, fmt.Sprintf("%d of %d checks failed, after %s:", len(t.failures), t.checks, took)))
	for _, f := range t.failures {
		fmt.Fprintf(t.out, "  %s %s\n", t.paint(red, "✗"), f)
	}
	return false
}

// wrap breaks text between words into lines of at most width characters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.SplitSeq(text, " ") {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
