package check

import (
	"bytes"
	"encoding/json"
	"math"
	"path"
	"slices"
	"strconv"

	"github.com/tailscale/hujson"

	"github.com/flocker-mesos/flocker/marathon"
)

// Definition is one app or pod of a document.
type Definition struct {
	ID  string // the whole one, /prod/orders-db, also where the text has part of it
	Pod bool
	At  string // JSON pointer in the document

	doc    *Document
	value  *hujson.Value
	object *hujson.Object

	app *marathon.App // one of both
	pod *marathon.Pod
	// unread is why the definition could not be read, nil where it could.
	unread error
	// numbers are labels that are no texts, which Marathon refuses: pointers.
	numbers []string
}

// decode reads the definition from the tree.
func (d *Definition) decode() {
	d.app, d.pod, d.unread = nil, nil, nil
	d.numbers = d.labelsWithoutText()
	text := d.plain()
	if d.Pod {
		d.pod = &marathon.Pod{}
		d.unread = json.Unmarshal(text, d.pod)
		d.pod.ID = d.ID
		return
	}
	d.app = &marathon.App{}
	d.unread = json.Unmarshal(text, d.app)
	d.app.ID = d.ID
}

// keys returns which names matter in the definition itself.
func (d *Definition) keys() []string {
	if d.Pod {
		return podKeys
	}
	return appKeys
}

// plain returns the definition as Marathon understands it: of a name that is there
// twice the last value, and no names that only Go would take for others.
func (d *Definition) plain() []byte {
	var b bytes.Buffer
	writePlain(&b, *d.value, "", func(at, name string) bool {
		switch path.Base(at) {
		case "labels", "env", "environment", "options": // of which all names are users'
			return !slices.Contains(d.numbers, at+pointer(name))
		}
		return !onlyLike(name)
	})
	return b.Bytes()
}

func writePlain(b *bytes.Buffer, v hujson.Value, at string, keep func(at, name string) bool) {
	switch value := v.Value.(type) {
	case *hujson.Object:
		b.WriteByte('{')
		first := true
		last := map[string]int{}
		for i := range value.Members {
			last[textOf(&value.Members[i].Name)] = i
		}
		for i, m := range value.Members {
			name := textOf(&m.Name)
			if last[name] != i || !keep(at, name) {
				continue
			}
			if !first {
				b.WriteByte(',')
			}
			first = false
			b.Write(hujson.String(name))
			b.WriteByte(':')
			writePlain(b, m.Value, at+pointer(name), keep)
		}
		b.WriteByte('}')
	case *hujson.Array:
		b.WriteByte('[')
		for i, e := range value.Elements {
			if i > 0 {
				b.WriteByte(',')
			}
			writePlain(b, e, at+pointer(strconv.Itoa(i)), keep)
		}
		b.WriteByte(']')
	case hujson.Literal:
		b.Write(wholeNumber(value))
	}
}

// wholeNumber writes 20.0 and 2e1 as 20: Marathon takes them for whole numbers, and
// encoding/json does not.
func wholeNumber(v hujson.Literal) hujson.Literal {
	if v.Kind() != '0' || !bytes.ContainsAny(v, ".eE") {
		return v
	}
	n, err := strconv.ParseFloat(string(v), 64)
	if err != nil || n != math.Trunc(n) || math.Abs(n) >= 1<<53 {
		return v
	}
	return hujson.Int(int64(n))
}

// labelsWithoutText lists labels such as "flocker.volume.data.preempt": true.
func (d *Definition) labelsWithoutText() []string {
	var all []string
	look := func(at ...string) {
		labels, found := find(d.value, at)
		o, ok := labels.Value.(*hujson.Object)
		if !found || !ok {
			return
		}
		for _, m := range o.Members {
			if m.Value.Value.Kind() != '"' {
				all = append(all, pointer(append(slices.Clone(at), textOf(&m.Name))...))
			}
		}
	}
	look("labels")
	if containers := member(d.object, "containers"); d.Pod && containers.Value.Kind() == '[' {
		for i := range containers.Value.(*hujson.Array).Elements {
			look("containers", strconv.Itoa(i), "labels")
		}
	}
	return all
}

// has reports whether there is a value at a pointer.
func (d *Definition) has(tokens ...string) bool {
	_, found := find(d.value, tokens)
	return found
}

// line returns where the value at a pointer stands in the document's text, or else
// what is around it.
func (d *Definition) line(at string) (line, column int) {
	tokens := tokensOf(at)
	for n := len(tokens); n >= 0; n-- {
		if v, found := find(d.value, tokens[:n]); found && v.StartOffset > 0 {
			return d.doc.position(v.StartOffset)
		}
	}
	return d.doc.position(d.value.StartOffset)
}
