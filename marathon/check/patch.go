package check

import (
	"encoding/json"
	"slices"

	"github.com/tailscale/hujson"
)

// set makes the patch that gives a setting a value, with the objects around it that
// are missing.
func (d *Definition) set(value json.RawMessage, tokens ...string) Patch {
	n := 0
	for n < len(tokens)-1 {
		if v, found := find(d.value, tokens[:n+1]); !found || v.Value.Kind() != '{' && v.Value.Kind() != '[' {
			break
		}
		n++
	}
	here, rest := tokens[:n+1], tokens[n+1:]
	for _, name := range slices.Backward(rest) {
		value = slices.Concat([]byte("{"), text(name), []byte(":"), value, []byte("}"))
	}
	op := "add"
	if d.has(here...) {
		op = "replace"
	}
	return Patch{{Op: op, Path: d.At + pointer(here...), Value: value}}
}

// insert makes the patch that puts a value behind the others of a list.
func (d *Definition) insert(value json.RawMessage, tokens ...string) Patch {
	return Patch{{Op: "add", Path: d.At + pointer(append(slices.Clone(tokens), behind)...), Value: value}}
}

// rename makes the patch that gives a value another name, nil where that is taken.
func (d *Definition) rename(to string, tokens ...string) Patch {
	target := append(slices.Clone(tokens[:len(tokens)-1]), to)
	if d.has(target...) {
		return nil
	}
	return Patch{{Op: "move", From: d.At + pointer(tokens...), Path: d.At + pointer(target...)}}
}

// remove makes the patch that takes a setting away.
func (d *Definition) remove(tokens ...string) Patch {
	return Patch{{Op: "remove", Path: d.At + pointer(tokens...)}}
}

// text writes a string as JSON, with no more escapes than are needed.
func text(s string) json.RawMessage { return json.RawMessage(hujson.String(s)) }
