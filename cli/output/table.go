package output

import (
	"fmt"
	"io"
	"strings"
)

// Column is one column of a Table.
type Column struct {
	Head  string
	Wide  bool               // shown only where all is shown
	Whole bool               // not cut, even where there is little room
	Color func(string) Color // of a cell, nil for none
}

// Table has rows in columns that are as wide as they need, and cuts the widest
// ones where the screen is narrower.
//
// The table libraries there are give each column a limit that has to be worked
// out first, or cut off what is right of the screen's edge: working that out is
// most of what is done here.
type Table struct {
	Columns []Column
	rows    [][]string
}

// NewTable makes a table without rows.
func NewTable(columns ...Column) *Table { return &Table{Columns: columns} }

// Add adds a row, with a cell for every column.
func (t *Table) Add(cells ...string) { t.rows = append(t.rows, cells) }

const (
	columnGap = 3
	minColumn = 8 // a column is not cut to less
)

// write writes the table. With all, columns that are wide are shown too, and
// nothing is cut.
func (t *Table) write(w io.Writer, s Screen, head, all bool) {
	shown := t.shown(all)
	lines := make([][]string, 0, len(t.rows)+1)
	if head {
		names := make([]string, len(shown))
		for i, c := range shown {
			names[i] = t.Columns[c].Head
		}
		lines = append(lines, names)
	}
	for _, row := range t.rows {
		cells := make([]string, len(shown))
		for i, c := range shown {
			cells[i] = Clean(row[c])
		}
		lines = append(lines, cells)
	}
	widths := t.widths(lines, shown)
	if s.Width > 0 && !all {
		t.narrow(widths, shown, s.Width)
	}
	for n, cells := range lines {
		var line strings.Builder
		for i, cell := range cells {
			cell = Cut(cell, widths[i])
			gap := strings.Repeat(" ", widths[i]-measure(cell)+columnGap)
			if i == len(cells)-1 {
				gap = ""
			}
			if paint := t.Columns[shown[i]].Color; paint != nil && (n > 0 || !head) {
				cell = s.paint(paint(cell), cell)
			}
			line.WriteString(cell + gap)
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// shown lists the columns that are shown.
func (t *Table) shown(all bool) []int {
	var shown []int
	for i, c := range t.Columns {
		if all || !c.Wide {
			shown = append(shown, i)
		}
	}
	return shown
}

func (t *Table) widths(lines [][]string, shown []int) []int {
	widths := make([]int, len(shown))
	for _, cells := range lines {
		for i, cell := range cells {
			widths[i] = max(widths[i], measure(cell))
		}
	}
	return widths
}

// narrow takes from the widest column until all fit or none can give more.
func (t *Table) narrow(widths, shown []int, limit int) {
	total := columnGap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > limit; total-- {
		widest := -1
		for i, w := range widths {
			if !t.Columns[shown[i]].Whole && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 || widths[widest] <= minColumn {
			return
		}
		widths[widest]--
	}
}
