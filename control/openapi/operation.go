package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Operation is one thing that can be asked of the API.
type Operation struct {
	ID     string
	Method string
	Path   string
	// Pattern is Path as the router wants it.
	Pattern string
	// Compatible is one that Flocker has: as there, a query is not looked at.
	Compatible bool

	parameters []parameter
	body       *schema // nil: a body is not looked at
	answers    map[int]answer
}

// parameter is one of a path, a query or a header.
type parameter struct {
	name, in string
	kind     string // of the value: integer, boolean, array, or else text
	schema   *schema
}

// answer is what comes with a status.
type answer struct {
	contentType string  // "" where there is no body
	schema      *schema // nil where the body is not JSON
}

// ErrNotJSON says that a body is no JSON text.
var ErrNotJSON = errors.New("the body is not JSON")

// BodyError says that a body is JSON but not what it must be.
type BodyError struct{ Mistakes []string } // each names the field, the value and the rule

func (e *BodyError) Error() string { return strings.Join(e.Mistakes, "; ") }

// ParameterError says what is wrong with a parameter.
type ParameterError struct{ Name, Text string }

func (e *ParameterError) Error() string { return e.Name + ": " + e.Text }

// HasBody reports whether the operation takes a body.
func (op *Operation) HasBody() bool { return op.body != nil }

// Conditional reports whether the operation has a header for a condition.
func (op *Operation) Conditional(header string) bool {
	return slices.ContainsFunc(op.parameters, func(p parameter) bool { return p.in == "header" && p.name == header })
}

// CheckBody reports what is wrong with a request's body: ErrNotJSON or a
// *BodyError.
func (op *Operation) CheckBody(body []byte) error {
	if op.body == nil {
		return nil
	}
	if !utf8.Valid(body) {
		return ErrNotJSON
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return ErrNotJSON
	}
	if n, ok := monstrous(value); ok {
		return &BodyError{[]string{fmt.Sprintf("the number %s is out of range", shorten(n))}}
	}
	if mistakes := op.body.check(value); len(mistakes) > 0 {
		return &BodyError{mistakes}
	}
	return nil
}

// exponent finds one of more than three digits.
var exponent = regexp.MustCompile(`[eE][+-]?[0-9]{4}`)

// monstrous returns a number that no field has, and that takes the schemas' exact
// arithmetic long to look at.
func monstrous(value any) (string, bool) {
	switch v := value.(type) {
	case json.Number:
		return v.String(), len(v) > maxDigits || exponent.MatchString(v.String())
	case []any:
		for _, inner := range v {
			if n, ok := monstrous(inner); ok {
				return n, true
			}
		}
	case object:
		for _, inner := range v {
			if n, ok := monstrous(inner); ok {
				return n, true
			}
		}
	}
	return "", false
}

// maxDigits is how long a number can be.
const maxDigits = 1000

// CheckParameters reports what is wrong with a request's path, by the values of
// its parameters, and with its query, as a *ParameterError.
func (op *Operation) CheckParameters(path map[string]string, query url.Values) error {
	known := map[string]bool{}
	for _, p := range op.parameters {
		var values []string
		switch p.in {
		case "path":
			values = []string{path[p.name]}
		case "query":
			known[p.name] = true
			values = query[p.name]
		}
		if len(values) == 0 {
			continue
		}
		if err := p.check(values); err != nil {
			return err
		}
	}
	if op.Compatible {
		return nil
	}
	for name := range query {
		if !known[name] {
			return &ParameterError{Name: name, Text: fmt.Sprintf("is no parameter of %s %s%s", op.Method, op.Path, op.queryNames())}
		}
	}
	return nil
}

// queryNames says what a query may have.
func (op *Operation) queryNames() string {
	var names []string
	for _, p := range op.parameters {
		if p.in == "query" {
			names = append(names, p.name)
		}
	}
	if len(names) == 0 {
		return ", which has none"
	}
	return ": there are " + strings.Join(names, ", ")
}

var integer = regexp.MustCompile(`^-?[0-9]+$`)

func (p parameter) check(values []string) error {
	var value any = values[0]
	switch {
	case !utf8.ValidString(strings.Join(values, "")):
		return &ParameterError{Name: p.name, Text: fmt.Sprintf("%q is not UTF-8", values)}
	case p.kind == "array":
		all := make([]any, len(values))
		for i, v := range values {
			all[i] = v
		}
		value = all
	case len(values) > 1:
		return &ParameterError{Name: p.name, Text: fmt.Sprintf("is given %d times, and can be given once", len(values))}
	case p.kind == "integer" && integer.MatchString(values[0]):
		value = json.Number(values[0])
	case p.kind == "boolean" && (values[0] == "true" || values[0] == "false"):
		value = values[0] == "true"
	}
	if mistakes := p.schema.check(value); len(mistakes) > 0 {
		return &ParameterError{Name: p.name, Text: mistakes[0]}
	}
	return nil
}

// CheckAnswer reports why an answer is not one that the document names. Tests
// hold what the control service answers against it.
func (op *Operation) CheckAnswer(status int, contentType string, body []byte) error {
	a, ok := op.answers[status]
	if !ok {
		return fmt.Errorf("%s answers with the status %d, which is not described", op.ID, status)
	}
	if status == http.StatusNotModified || len(body) == 0 && a.contentType == "" {
		return nil
	}
	if contentType != a.contentType {
		return fmt.Errorf("%s answers %d with %q, described is %q", op.ID, status, contentType, a.contentType)
	}
	if a.schema == nil {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s answers %d with what is not JSON: %w", op.ID, status, err)
	}
	if mistakes := a.schema.check(value); len(mistakes) > 0 {
		return fmt.Errorf("%s answers %d not as described: %w", op.ID, status, &BodyError{mistakes})
	}
	return nil
}
