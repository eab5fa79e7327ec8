// Package progress tells a person who waits how it goes on: on a terminal in one
// line that is drawn anew, elsewhere in a line for each change.
package progress

import (
	"fmt"
	"io"

	"github.com/flocker-mesos/flocker/cli/output"
)

// Line is the line. One goroutine may use it.
type Line struct {
	w      io.Writer
	screen output.Screen
	said   string
	drawn  bool
}

// New makes a line.
func New(w io.Writer, screen output.Screen) *Line { return &Line{w: w, screen: screen} }

// Show shows how it is, for how long, which alone is not worth a line of its own
// where lines stay, and why.
func (l *Line) Show(what, howLong, why string) {
	if why != "" {
		why = ": " + why
	}
	if l.screen.Live {
		if howLong != "" {
			howLong = " (" + howLong + ")"
		}
		text := output.Clean(what + howLong + why)
		if l.screen.Width > 1 {
			// The last column stays free: some terminals begin a new line after it.
			text = output.Cut(text, l.screen.Width-1)
		}
		fmt.Fprintf(l.w, "\r%s\x1b[K", text)
		l.drawn = true
		return
	}
	if text := output.Clean(what + why); text != l.said {
		fmt.Fprintln(l.w, text)
		l.said = text
	}
}

// End makes room for what is said next.
func (l *Line) End() {
	if l.drawn {
		fmt.Fprint(l.w, "\r\x1b[K")
		l.drawn = false
	}
}
