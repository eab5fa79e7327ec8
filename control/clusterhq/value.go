package clusterhq

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// value is a part of the file, with the way to it for errors.
type value struct {
	path string
	v    any // as encoding/json decodes it, numbers as json.Number
}

// pathError says what is not understood, and where it is in the file.
type pathError struct {
	path string
	what string
}

func (e *pathError) Error() string {
	return value{path: e.path}.place() + ": " + e.what
}

func (v value) errorf(format string, args ...any) error {
	return &pathError{v.path, fmt.Sprintf(format, args...)}
}

// place returns the way to v as people read it.
func (v value) place() string {
	if v.path == "" {
		return "the file"
	}
	return strings.TrimPrefix(v.path, ".")
}

func (v value) at(key string) string { return v.path + "." + key }

// parse reads the text of a file.
func parse(text []byte) (value, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return value{}, fmt.Errorf("it is not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return value{}, errors.New("it has something after its end")
	}
	return value{v: v}, nil
}

// classKey is where Flocker notes the class of an object.
const classKey = "$__class__$"

// object is a value that is an object of a class.
type object struct {
	value
	fields map[string]any
}

// object returns v as an object of a class, which has no other keys than those
// that are named.
func (v value) object(class string, keys ...string) (object, error) {
	fields, ok := v.v.(map[string]any)
	if !ok {
		return object{}, v.errorf("is no object of class %s, but %s", class, kind(v.v))
	}
	if got := fields[classKey]; got != class {
		return object{}, v.errorf("has class %v, not %s", shown(got), class)
	}
	var unknown []string
	for key := range fields {
		if key != classKey && !slices.Contains(keys, key) {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return object{}, v.errorf("has %q, which is not known", unknown[0])
	}
	return object{v, fields}, nil
}

// has reports whether a key is there.
func (o object) has(key string) bool {
	_, ok := o.fields[key]
	return ok
}

// get returns what is under a key; nothing is null.
func (o object) get(key string) value { return value{o.at(key), o.fields[key]} }

// pair is an entry of a map.
type pair struct{ key, value value }

// pairs returns the entries of a PMap, which Flocker writes as a list.
func (v value) pairs() ([]pair, error) {
	o, err := v.object("PMap", "values")
	if err != nil {
		return nil, err
	}
	entries, err := o.get("values").list()
	if err != nil {
		return nil, err
	}
	out := make([]pair, 0, len(entries))
	for _, entry := range entries {
		both, err := entry.list()
		if err != nil {
			return nil, err
		}
		if len(both) != 2 {
			return nil, entry.errorf("has %d parts, not a key and a value", len(both))
		}
		out = append(out, pair{both[0], both[1]})
	}
	return out, nil
}

func (v value) list() ([]value, error) {
	items, ok := v.v.([]any)
	if !ok {
		return nil, v.errorf("is no list, but %s", kind(v.v))
	}
	out := make([]value, len(items))
	for i, item := range items {
		out[i] = value{fmt.Sprintf("%s[%d]", v.path, i), item}
	}
	return out, nil
}

func (v value) text() (string, error) {
	s, ok := v.v.(string)
	if !ok {
		return "", v.errorf("is no text, but %s", kind(v.v))
	}
	return s, nil
}

func (v value) boolean() (bool, error) {
	b, ok := v.v.(bool)
	if !ok {
		return false, v.errorf("is neither true nor false, but %s", kind(v.v))
	}
	return b, nil
}

func (v value) integer() (int64, error) {
	n, ok := v.v.(json.Number)
	if !ok {
		return 0, v.errorf("is no number, but %s", kind(v.v))
	}
	i, err := n.Int64()
	if err != nil {
		return 0, v.errorf("is %s, which is no whole number of 64 bits", n)
	}
	return i, nil
}

// id returns a UUID that is written as an object of that class, in lower case.
func (v value) id() (string, error) {
	o, err := v.object("UUID", "hex")
	if err != nil {
		return "", err
	}
	return o.get("hex").idText()
}

// idText returns a UUID that is written as a text.
func (v value) idText() (string, error) {
	s, err := v.text()
	if err != nil {
		return "", err
	}
	id, err := uuid.Parse(s)
	if err != nil || len(s) != len(id.String()) {
		return "", v.errorf("is %s, which is no UUID", shown(s))
	}
	return id.String(), nil
}

func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return "the text " + shown(v)
	case bool, json.Number:
		return fmt.Sprint(v)
	case []any:
		return "a list"
	default:
		return "an object"
	}
}

// shown writes a value of the file in an error, or its beginning.
func shown(v any) string { return fmt.Sprintf("%.80q", fmt.Sprint(v)) }
