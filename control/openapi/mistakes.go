package openapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// schema is a schema of the document.
type schema struct {
	*jsonschema.Schema
	rules map[string]string // what patterns are for, by the URLs of their schemas
}

// check returns all mistakes that a value has, each once and in a fixed order. A
// mistake names the field, the value and the rule. Its words are about those of
// the library that Flocker had.
func (s *schema) check(value any) []string {
	failure, ok := errors.AsType[*jsonschema.ValidationError](s.Validate(value))
	if !ok {
		return nil
	}
	f := finder{rules: s.rules, value: value}
	f.walk(failure)
	slices.Sort(f.mistakes)
	return slices.Compact(f.mistakes)
}

// finder collects mistakes.
type finder struct {
	rules    map[string]string
	value    any
	mistakes []string
}

// walk goes down to what is really wrong: everything above only says that
// something is.
func (f *finder) walk(e *jsonschema.ValidationError) {
	if len(e.Causes) == 0 {
		f.mistakes = append(f.mistakes, field(e.InstanceLocation)+f.text(e, at(f.value, e.InstanceLocation)))
		return
	}
	for _, cause := range e.Causes {
		if names, ok := cause.ErrorKind.(*kind.PropertyNames); ok {
			// Where the cause says that it is must not be believed: the library
			// goes on to write there. Who refers to the schema of the names says
			// it as well.
			f.key(e.InstanceLocation, names.Property, cause)
			continue
		}
		f.walk(cause)
	}
}

// key tells what is wrong with a key, which the library takes for a value of its
// own.
func (f *finder) key(location []string, name string, e *jsonschema.ValidationError) {
	if len(e.Causes) == 0 {
		f.mistakes = append(f.mistakes, field(location)+"the key "+f.text(e, name))
	}
	for _, cause := range e.Causes {
		f.key(location, name, cause)
	}
}

// field names where a mistake is: "metadata.name: ".
func field(location []string) string {
	if len(location) == 0 {
		return ""
	}
	steps := make([]string, len(location))
	for i, step := range location {
		steps[i] = shorten(step)
	}
	return strings.Join(steps, ".") + ": "
}

// at returns the part of a value.
func at(value any, location []string) any {
	for _, step := range location {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			if i, err := strconv.Atoi(step); err == nil && i < len(v) {
				value = v[i]
			}
		}
	}
	return value
}

// text says what is wrong with a value.
func (f *finder) text(e *jsonschema.ValidationError, value any) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		slices.SortFunc(k.Want, func(a, b string) int { return cmp.Or(last(a)-last(b), cmp.Compare(a, b)) })
		return fmt.Sprintf("%s is not of type %s", quote(value), quoteAll(k.Want, " or "))
	case *kind.Required:
		return quoteAll(k.Missing, ", ") + is(k.Missing, " is a required property", " are required properties")
	case *kind.AdditionalProperties:
		slices.Sort(k.Properties) // in whose order the library finds them
		return fmt.Sprintf("Additional properties are not allowed (%s unexpected)", quoteAll(k.Properties, ", ")+is(k.Properties, " was", " were"))
	case *kind.Pattern:
		return fmt.Sprintf("%s is not %s", quote(value), f.rule(e, k.Want))
	case *kind.MinLength:
		return fmt.Sprintf("%s has %d characters, less than the %d that are needed", quote(value), k.Got, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("%s has %d characters, more than the %d that are allowed", quote(value), k.Got, k.Want)
	case *kind.Minimum:
		return fmt.Sprintf("%s is less than the minimum of %s%s", quote(value), number(k.Want), f.reason(e))
	case *kind.Maximum:
		return fmt.Sprintf("%s is more than the maximum of %s%s", quote(value), number(k.Want), f.reason(e))
	case *kind.MultipleOf:
		return fmt.Sprintf("%s is not a multiple of %s", quote(value), number(k.Want))
	case *kind.MaxProperties:
		return fmt.Sprintf("has %d entries, more than the %d that are allowed", k.Got, k.Want)
	case *kind.MinProperties:
		return fmt.Sprintf("%s has no entry, and needs %d", quote(value), k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has %d items, more than the %d that are allowed", k.Got, k.Want)
	case *kind.Const:
		return fmt.Sprintf("%s is not %s", quote(value), quote(k.Want))
	case *kind.Enum:
		words := make([]string, len(k.Want))
		for i, w := range k.Want {
			words[i] = fmt.Sprint(w)
		}
		return fmt.Sprintf("%s is none of %s", quote(value), strings.Join(words, ", "))
	case *kind.Format:
		return fmt.Sprintf("%s %v", quote(value), k.Err)
	default:
		return quote(value) + ": " + e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
	}
}

// rule says what a pattern is for, in the words that the schema has for it.
func (f *finder) rule(e *jsonschema.ValidationError, pattern string) string {
	if rule := f.rules[e.SchemaURL]; rule != "" {
		return rule
	}
	return "as " + pattern
}

// reason says why there is a limit, in the words that the schema has for it.
func (f *finder) reason(e *jsonschema.ValidationError) string {
	if rule := f.rules[e.SchemaURL]; rule != "" {
		return ", " + rule
	}
	return ""
}

// last sorts null behind what it stands in for.
func last(kind string) int {
	if kind == "null" {
		return 1
	}
	return 0
}

// is chooses the words for one or for several.
func is(words []string, one, several string) string {
	if len(words) == 1 {
		return one
	}
	return several
}

func quoteAll(words []string, between string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + shorten(w) + "'"
	}
	return strings.Join(quoted, between)
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	return r.FloatString(3)
}

// quote shows a piece of a request so that a person recognises it.
func quote(value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return shorten(strings.TrimSpace(text.String()))
}

func shorten(text string) string {
	const most = 100 // bytes
	if len(text) <= most {
		return text
	}
	cut := most
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "..."
}

// checkInt64 refuses numbers that are written with a point or an exponent, as
// Flocker does, and those that a size cannot have.
func checkInt64(value any) error {
	n, ok := value.(json.Number)
	if !ok {
		return nil
	}
	if !integer.MatchString(n.String()) {
		return errors.New("is not of type 'integer'")
	}
	if _, err := n.Int64(); err != nil {
		return errors.New("is out of range")
	}
	return nil
}
