package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// Document is a text with definitions, as Marathon takes it or answers it: an
// app, a pod, a list of them, a group with those below it, or the answer of
// /v2/apps or /v2/pods.
//
// It is kept as hujson's tree, which knows every space of the text: so settings
// are found again by line, and a mended text differs from the old one only where
// it was mended.
type Document struct {
	Source      string // the file, for people; "" where it is in none, and lines say nothing
	Definitions []*Definition

	text []byte
	root hujson.Value
}

// ParseError is a text that is not what Marathon takes.
type ParseError struct {
	Source       string
	Line, Column int
	Problem      string
}

// Error implements error.
func (e *ParseError) Error() string {
	if e.Source == "" {
		return e.Problem
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.Source, e.Line, e.Column, e.Problem)
}

// Parse reads a text. An error is a ParseError.
func Parse(source string, text []byte) (*Document, error) {
	d := &Document{Source: source, text: text}
	var checked json.RawMessage
	if err := json.Unmarshal(text, &checked); err != nil {
		return nil, d.syntaxError(err)
	}
	root, err := hujson.Parse(text)
	if err != nil {
		return nil, d.errorAt(0, "this is not JSON: %v", err)
	}
	d.root = root
	if err := d.collect(&d.root, "/", ""); err != nil {
		return nil, err
	}
	return d, nil
}

// Text returns the text as it is now.
func (d *Document) Text() []byte { return d.root.Pack() }

// collect finds the definitions in a value. Ids are relative to base, as in groups.
func (d *Document) collect(v *hujson.Value, base, at string) error {
	switch value := v.Value.(type) {
	case *hujson.Array:
		for i := range value.Elements {
			if err := d.collect(&value.Elements[i], base, at+"/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
		return nil
	case *hujson.Object:
		return d.collectObject(v, value, base, at)
	}
	return d.errorAt(v.StartOffset, "want an app, a pod, a group or a list of them, got %s", brief(v.Pack()))
}

func (d *Document) collectObject(v *hujson.Value, o *hujson.Object, base, at string) error {
	id := textOf(member(o, "id"))
	switch {
	case id == "" && isObject(member(o, "app")): // GET /v2/apps/ID
		return d.collect(member(o, "app"), base, at+"/app")
	case isGroup(o):
		if id != "" {
			base = resolve(base, id)
		}
		for _, name := range []string{"apps", "pods", "groups"} {
			list := member(o, name)
			if list == nil || list.Value.Kind() == 'n' {
				continue
			}
			if list.Value.Kind() != '[' {
				return d.errorAt(list.StartOffset, "%s: want a list, got %s", name, brief(list.Pack()))
			}
			if err := d.collect(list, base, at+"/"+name); err != nil {
				return err
			}
		}
		return nil
	case id == "":
		return d.errorAt(v.StartOffset, `this is no app, pod or group: it has no id; write it as in "id": "/prod/orders-db"`)
	}
	pod := member(o, "containers") != nil
	definition := &Definition{ID: resolve(base, id), Pod: pod, At: at, doc: d, value: v, object: o}
	definition.decode()
	d.Definitions = append(d.Definitions, definition)
	return nil
}

// isGroup tells a group, or the answer of /v2/apps, from an app: by what only an
// app has, so that an app with a stray "groups" is still checked.
func isGroup(o *hujson.Object) bool {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return member(o, name) != nil })
	}
	return has("apps", "pods", "groups") && !has("cmd", "args", "container", "containers", "instances")
}

// resolve returns the whole id of an app in a group.
func resolve(base, id string) string {
	if path.IsAbs(id) {
		return path.Clean(id)
	}
	return path.Join(base, id)
}

// member returns the value of a name, nil where there is none. Of several the
// last counts, as in Marathon.
func member(o *hujson.Object, name string) *hujson.Value {
	for i := len(o.Members) - 1; i >= 0; i-- {
		if textOf(&o.Members[i].Name) == name {
			return &o.Members[i].Value
		}
	}
	return nil
}

func isObject(v *hujson.Value) bool { return v != nil && v.Value.Kind() == '{' }

// textOf returns a string's text, "" for anything else.
func textOf(v *hujson.Value) string {
	if v == nil || v.Value.Kind() != '"' {
		return ""
	}
	literal, _ := v.Value.(hujson.Literal)
	return literal.String()
}

func (d *Document) errorAt(offset int, format string, args ...any) *ParseError {
	e := &ParseError{Source: d.Source, Problem: fmt.Sprintf(format, args...)}
	e.Line, e.Column = d.position(offset)
	return e
}

func (d *Document) syntaxError(err error) *ParseError {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return d.errorAt(0, "%v", err)
	}
	// The offset is that behind the byte that is wrong, or the text's end.
	return d.errorAt(max(int(syntax.Offset)-1, 0), "this is not JSON: %v", err)
}

// position returns the line and column of a byte, from 1. A column is a character.
func (d *Document) position(offset int) (line, column int) {
	before := d.text[:min(max(offset, 0), len(d.text))]
	line = 1 + bytes.Count(before, []byte("\n"))
	start := bytes.LastIndexByte(before, '\n') + 1
	return line, 1 + utf8.RuneCount(before[start:])
}

// brief returns the beginning of a text, for messages.
func brief(text []byte) string {
	const limit = 60
	short := strings.TrimSpace(string(text))
	if len(short) > limit {
		return strings.ToValidUTF8(short[:limit], "") + "..."
	}
	return short
}
