package api

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// CheckText reports why a text from outside is not accepted: it is not UTF-8, or
// has characters that a terminal obeys or that make a text look like another one.
// Empty texts are accepted.
func CheckText(field, text string) error {
	for _, r := range text {
		if r == utf8.RuneError { // decoders of JSON put it in the place of what is not UTF-8
			return FieldErrorf(field, "%s is not UTF-8: write it in UTF-8", quotedText(text))
		}
		if illegible(r) {
			return FieldErrorf(field, "%s has the character U+%04X: control characters, and marks that hide or reorder text, are not allowed", quotedText(text), r)
		}
	}
	return nil
}

// Printable returns a text that others made as it may be printed: what CheckText
// refuses is written as an escape, such as \x1b or \u202e. Other texts stay as they
// are, and a text that was escaped already stays so.
func Printable(text string) string {
	if !strings.ContainsFunc(text, illegible) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case !illegible(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// PrintableLines is Printable for a text of several lines, whose ends stay.
func PrintableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		cells := strings.Split(line, "\t")
		for j, cell := range cells {
			cells[j] = Printable(cell)
		}
		lines[i] = strings.Join(cells, "\t")
	}
	return strings.Join(lines, "\n")
}

// PrintableJSON returns a JSON text of the same values that may be printed: what
// Printable escapes is escaped as JSON does it.
func PrintableJSON(text []byte) []byte {
	return escaped(text, func(r rune) string {
		high, low := utf16.EncodeRune(r)
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	})
}

// PrintableYAML does so for a YAML text whose strings of that kind are in double
// quotes.
func PrintableYAML(text []byte) []byte {
	return escaped(text, func(r rune) string { return fmt.Sprintf(`\U%08x`, r) })
}

func escaped(text []byte, long func(rune) string) []byte {
	odd := func(r rune) bool { return r > unicode.MaxASCII && illegible(r) || r == 0x7f }
	if !bytes.ContainsFunc(text, odd) {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		switch {
		case !odd(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(long(r))
		}
	}
	return b.Bytes()
}

// Printing returns a writer that passes on what PrintableLines makes of each text.
func Printing(w io.Writer) io.Writer {
	return printing{w, func(text []byte) []byte { return []byte(PrintableLines(string(text))) }}
}

// PrintingJSON returns a writer that passes on what PrintableJSON makes of each text.
func PrintingJSON(w io.Writer) io.Writer { return printing{w, PrintableJSON} }

// PrintingYAML returns a writer that passes on what PrintableYAML makes of each text.
func PrintingYAML(w io.Writer) io.Writer { return printing{w, PrintableYAML} }

type printing struct {
	w   io.Writer
	how func([]byte) []byte
}

func (p printing) Write(text []byte) (int, error) {
	if _, err := p.w.Write(p.how(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}

// illegible reports whether a character is one that a terminal obeys (C0, DEL, C1),
// that breaks a line, that reorders or hides text (bidirectional marks, zero width,
// tags), or that is no character.
func illegible(r rune) bool {
	switch {
	case unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Cs, unicode.Noncharacter_Code_Point):
		return true
	case r == 0x034f, r == 0x115f, r == 0x1160, r == 0x3164, r == 0xffa0, r >= 0xfff0 && r <= 0xfff8:
		return true // shown as nothing
	case r >= 0x180b && r <= 0x180d, r >= 0xfe00 && r <= 0xfe0f, r >= 0xe0000 && r <= 0xe0fff:
		return true // variation selectors and tags
	}
	return false
}

// maxQuoted is how many bytes of a refused text an error repeats.
const maxQuoted = 80

func quotedText(text string) string {
	if len(text) > maxQuoted {
		text = text[:maxQuoted]
	}
	return fmt.Sprintf("%+q", text)
}
