// Package output shows what commands have found: as tables that fit where they
// go, or as JSON, YAML and names for programs.
package output

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Screen is what is known of where a text goes. The zero value stands for a
// file or a pipe.
type Screen struct {
	Width int  // in columns, 0 for no limit
	Color bool // colours are shown
	Live  bool // a line can be drawn anew
}

// ScreenOf looks where a text goes. Colours are for terminals that can show
// them, unless NO_COLOR (https://no-color.org) is set.
func ScreenOf(w io.Writer, lookupEnv func(string) (string, bool)) Screen {
	f, ok := w.(*os.File)
	if !ok {
		return Screen{}
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return Screen{}
	}
	kind, _ := lookupEnv("TERM")
	able := kind != "dumb" && kind != ""
	without, _ := lookupEnv("NO_COLOR")
	return Screen{Width: width, Color: able && without == "", Live: able}
}

// Color is one of a terminal's colours. They are for what a person should see
// first, and say nothing that the words do not say.
type Color int

// The colours.
const (
	Plain Color = iota
	Green
	Yellow
	Red
	Faint
)

// codes are the parameters of ECMA-48's SELECT GRAPHIC RENDITION.
var codes = [...]string{Plain: "0", Green: "32", Yellow: "33", Red: "31", Faint: "2"}

// paint colours a text, on a screen that shows colours.
func (s Screen) paint(c Color, text string) string {
	if !s.Color || c == Plain || text == "" {
		return text
	}
	return "\x1b[" + codes[c] + "m" + text + "\x1b[0m"
}
