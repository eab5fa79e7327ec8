package api

import (
	"fmt"
	"strings"
)

// Mistakes are all that is wrong with the volumes an app asks for. It is one
// error with one text, and errors.As finds its first *Error.
type Mistakes []*Error

// maxMistakes bounds the text: whoever made more has to begin somewhere.
const maxMistakes = 20

// Error returns the mistakes as one text of one line.
func (m Mistakes) Error() string {
	if len(m) == 1 {
		return m[0].Error()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d mistakes:", len(m))
	for i, e := range m {
		if i > 0 {
			text.WriteByte(';')
		}
		if i == maxMistakes {
			text.WriteString(" ...")
			break
		}
		fmt.Fprintf(&text, " (%d) %v", i+1, e)
	}
	return text.String()
}

// Unwrap returns the mistakes one by one.
func (m Mistakes) Unwrap() []error {
	errs := make([]error, len(m))
	for i, e := range m {
		errs[i] = e
	}
	return errs
}

// suggest says which word was probably meant, or else which ones there are.
func suggest(word string, choices []string) string {
	if best := nearest(word, choices); best != "" {
		return "did you mean " + best + "?"
	}
	return "it can be " + strings.Join(choices[:len(choices)-1], ", ") + " or " + choices[len(choices)-1]
}

// nearest returns the choice that was probably meant by a word, "" for none.
func nearest(word string, choices []string) string {
	best, distance := "", 3
	for _, c := range choices {
		if d := EditDistance(strings.ToLower(word), c, distance-1); d < distance && d < len(c) {
			best, distance = c, d
		}
	}
	return best
}
