package flockerctl

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/flocker-mesos/flocker/api"
)

const (
	maxWidth  = 140
	columnGap = 3
)

// printTable prints rows, the first of which is the head, and an empty line. All
// is measured in bytes, as the original did: who cuts its output at columns finds
// them where they were.
func printTable(out io.Writer, rows [][]string) {
	rows = legible(rows)
	widths := columnWidths(rows)
	for _, row := range rows {
		cells := make([][]string, len(row))
		lines := 0
		for i, cell := range row {
			cells[i] = wrap(cell, widths[i])
			lines = max(lines, len(cells[i]))
		}
		for n := range lines {
			var line strings.Builder
			for i, cell := range cells {
				text := ""
				if n < len(cell) {
					text = cell[n]
				}
				line.WriteString(text + strings.Repeat(" ", max(widths[i]-len(text), 0)))
				if i < len(cells)-1 {
					line.WriteString(strings.Repeat(" ", columnGap))
				}
			}
			fmt.Fprintln(out, line.String()+" ")
		}
	}
	fmt.Fprintln(out)
}

// legible returns rows with escapes for what a terminal obeys.
func legible(rows [][]string) [][]string {
	out := make([][]string, len(rows))
	for i, row := range rows {
		out[i] = make([]string, len(row))
		for j, cell := range row {
			out[i][j] = api.Printable(cell)
		}
	}
	return out
}

// columnWidths gives every column what it needs, if that fits. Else all get an
// equal share, and what some need not of theirs is shared by the others, until
// nothing is left: the parts are rounded up, so the first of them get the more.
func columnWidths(rows [][]string) []int {
	needs := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			needs[i] = max(needs[i], len(cell))
		}
	}
	total := columnGap*len(needs) + 1
	for _, n := range needs {
		total += n
	}
	if total <= maxWidth {
		return needs
	}
	share := (maxWidth - columnGap*len(needs) - 1) / len(needs)
	widths, spare, wanting := make([]int, len(needs)), 0, 0
	for i, need := range needs {
		widths[i] = min(share, need)
		spare += share - widths[i]
		if need > share {
			wanting++
		}
	}
	for spare > 0 && wanting > 0 {
		part := (spare + wanting - 1) / wanting
		for i, need := range needs {
			if more := min(part, need-widths[i], spare); more > 0 {
				widths[i] += more
				spare -= more
				if widths[i] == need {
					wanting--
				}
			}
		}
	}
	return widths
}

// wrap breaks a cell into lines, between words where that can be.
func wrap(text string, width int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		if *last != "" && len(*last)+1+len(word) <= width {
			*last += " " + word
			continue
		}
		if *last != "" {
			lines = append(lines, "")
		}
		for len(word) > width {
			n := fitting(word, width)
			lines[len(lines)-1] = word[:n]
			lines = append(lines, "")
			word = word[n:]
		}
		lines[len(lines)-1] = word
	}
	return lines
}

// fitting returns how many bytes of a word fit, in whole characters, at least
// one.
func fitting(word string, width int) int {
	n := 0
	for n < len(word) {
		_, size := utf8.DecodeRuneInString(word[n:])
		if n > 0 && n+size > width {
			break
		}
		n += size
	}
	return n
}
