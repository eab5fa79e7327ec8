package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// apply changes the document's tree by a patch, in the style of the text around.
func (d *Document) apply(p Patch) error {
	for _, o := range p {
		if err := d.applyOne(o); err != nil {
			return fmt.Errorf("%s %s: %w", o.Op, o.Path, err)
		}
	}
	return nil
}

func (d *Document) applyOne(o Operation) error {
	at := o.Path
	if o.Op == "move" {
		at = o.From
	}
	tokens := tokensOf(at)
	if len(tokens) == 0 {
		return fmt.Errorf("it is the whole document")
	}
	parent, found := find(&d.root, tokens[:len(tokens)-1])
	if array, isList := parent.Value.(*hujson.Array); found && isList && o.Op == "add" && last(tokens) == behind {
		return d.styleOf(tokens[:len(tokens)-1]).insert(array, o.Value)
	}
	object, ok := parent.Value.(*hujson.Object)
	if !found || !ok {
		return fmt.Errorf("there is no object to change")
	}
	name := tokens[len(tokens)-1]
	i := indexOf(object, name)
	switch {
	case o.Op == "add" && i < 0:
		return d.add(object, d.styleOf(tokens[:len(tokens)-1]), name, o.Value)
	case i < 0:
		return fmt.Errorf("there is no %q", name)
	case o.Op == "add", o.Op == "replace":
		return d.styleOf(tokens[:len(tokens)-1]).replace(&object.Members[i].Value, o.Value)
	case o.Op == "remove":
		remove(object, i)
	case o.Op == "move":
		rename(object, i, last(tokensOf(o.Path)))
	}
	return nil
}

// behind is the place in a list that is behind all others, as RFC 6901 has it.
const behind = "-"

func indexOf(o *hujson.Object, name string) int {
	for i := len(o.Members) - 1; i >= 0; i-- {
		if textOf(&o.Members[i].Name) == name {
			return i
		}
	}
	return -1
}

func rename(o *hujson.Object, i int, name string) {
	o.Members[i].Name.Value = hujson.String(name)
}

func remove(o *hujson.Object, i int) {
	first := o.Members[0].Name.BeforeExtra
	o.Members = slices.Delete(o.Members, i, i+1)
	if len(o.Members) == 0 {
		o.AfterExtra = nil
		return
	}
	// What is behind the last one would make a comma.
	o.Members[len(o.Members)-1].Value.AfterExtra = nil
	if i == 0 {
		o.Members[0].Name.BeforeExtra = first
	}
}

func (d *Document) add(o *hujson.Object, s style, name string, value json.RawMessage) error {
	m := hujson.ObjectMember{Name: hujson.Value{Value: hujson.String(name)}}
	if err := s.replace(&m.Value, value); err != nil {
		return err
	}
	m.Value.BeforeExtra = s.colon
	switch n := len(o.Members); {
	case n == 0:
		m.Name.BeforeExtra, o.AfterExtra = s.before, s.close
	case n == 1 && !bytes.ContainsRune(o.Members[0].Name.BeforeExtra, '\n'):
		m.Name.BeforeExtra = s.colon // as wide a space behind a comma as behind a colon
	default:
		m.Name.BeforeExtra = o.Members[n-1].Name.BeforeExtra
	}
	o.Members = append(o.Members, m)
	return nil
}

// style is how an object is written.
type style struct {
	before hujson.Extra // each member
	close  hujson.Extra // before the brace
	colon  hujson.Extra // behind a colon

	lines  bool   // each member has a line
	indent string // of the object's members
	unit   string // of one level
	end    string // of a line
}

// styleOf finds out how the object at the end of a path is written: like its
// members, or else like those of the objects around it.
func (d *Document) styleOf(tokens []string) style {
	s := style{end: "\n", unit: "  "}
	if bytes.Contains(d.text, []byte("\r\n")) {
		s.end = "\r\n"
	}
	v := &d.root
	for n := 0; ; n++ {
		switch o := v.Value.(type) {
		case *hujson.Object:
			s.inside(o)
		case *hujson.Array:
			if len(o.Elements) > 0 {
				s.enter(string(o.Elements[0].BeforeExtra), true)
			}
		}
		if n == len(tokens) {
			return s
		}
		v = child(v, tokens[n])
	}
}

func (s *style) inside(o *hujson.Object) {
	if len(o.Members) == 0 {
		s.enter("", false)
		return
	}
	s.colon = o.Members[0].Value.BeforeExtra
	s.enter(string(o.Members[len(o.Members)-1].Name.BeforeExtra), true)
}

// enter notes what is before the members of an object within the last one. One
// without members is written as the one around it.
func (s *style) enter(before string, known bool) {
	if !known {
		if !s.lines {
			return
		}
		before = s.end + s.indent + s.unit
	}
	outer := s.indent
	_, indent, lines := cutLast(before, "\n")
	s.lines = lines
	if !lines {
		s.before, s.close = nil, nil
		return
	}
	if rest, deeper := strings.CutPrefix(indent, outer); deeper && rest != "" && strings.Trim(rest, " \t") == "" {
		s.unit = rest
	}
	s.indent = indent
	s.before, s.close = hujson.Extra(s.end+indent), hujson.Extra(s.end+strings.TrimSuffix(indent, s.unit))
}

func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}

// insert puts a value behind the others of a list that is not empty.
func (s style) insert(a *hujson.Array, value json.RawMessage) error {
	n := len(a.Elements)
	if n == 0 {
		return fmt.Errorf("the list is empty")
	}
	element := hujson.Value{BeforeExtra: a.Elements[n-1].BeforeExtra}
	if n == 1 && !bytes.ContainsRune(element.BeforeExtra, '\n') {
		element.BeforeExtra = s.colon // as wide a space behind a comma as behind a colon
	}
	written, err := s.inline(value)
	if err != nil {
		return err
	}
	element.Value = written.Value
	a.Elements = append(a.Elements, element)
	return nil
}

// replace puts a value, written in the style, in the place of another.
func (s style) replace(v *hujson.Value, value json.RawMessage) error {
	written, err := s.write(value)
	if err != nil {
		return err
	}
	parsed, err := hujson.Parse(written)
	if err != nil {
		return fmt.Errorf("read the new value: %w", err)
	}
	for part := range parsed.All() {
		part.StartOffset, part.EndOffset = 0, 0 // it is nowhere in the text
	}
	v.Value, v.StartOffset, v.EndOffset = parsed.Value, 0, 0
	return nil
}

func (s style) write(value json.RawMessage) ([]byte, error) {
	var b bytes.Buffer
	if s.lines && !bytes.HasPrefix(value, []byte("[")) { // a list, of constraints, is short
		if err := json.Indent(&b, value, s.indent, s.unit); err != nil {
			return nil, fmt.Errorf("write the new value: %w", err)
		}
		written := bytes.ReplaceAll(b.Bytes(), []byte("\n"), []byte(s.end))
		return written, nil
	}
	parsed, err := s.inline(value)
	return parsed.Pack(), err
}

// inline writes a value on one line, with spaces as around it.
func (s style) inline(value json.RawMessage) (hujson.Value, error) {
	parsed, err := hujson.Parse(value)
	if err != nil {
		return hujson.Value{}, fmt.Errorf("read the new value: %w", err)
	}
	for v := range parsed.All() {
		v.StartOffset, v.EndOffset = 0, 0 // it is nowhere in the text
		v.BeforeExtra, v.AfterExtra = nil, nil
	}
	for v := range parsed.All() {
		switch v := v.Value.(type) {
		case *hujson.Object:
			for i := range v.Members {
				v.Members[i].Value.BeforeExtra = s.colon
				if i > 0 {
					v.Members[i].Name.BeforeExtra = s.colon
				}
			}
		case *hujson.Array:
			for i := range v.Elements {
				if i > 0 {
					v.Elements[i].BeforeExtra = s.colon
				}
			}
		}
	}
	return parsed, nil
}
