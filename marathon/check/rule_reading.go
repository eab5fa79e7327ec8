package check

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/flocker-mesos/flocker/api"
)

func lookUnreadable(p *probe) {
	for _, at := range p.numbers {
		tokens := tokensOf(at)
		v, _ := find(p.value, tokens)
		literal := brief(v.Pack())
		r := remedy{text: "write " + string(text(literal))}
		switch v.Value.Kind() {
		case '0', 't', 'f':
			r.patch = p.set(text(literal), tokens...)
		default:
			r.text = "write a text"
		}
		p.find(at, r, "the value of the label %s is %s, and must be a text", tokens[len(tokens)-1], literal)
	}
	if p.unread == nil {
		return
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](p.unread); ok && wrong.Field != "" {
		// A label's own dots cannot be told from those of the path.
		first, _, _ := strings.Cut(wrong.Field, ".")
		p.find(pointer(first), remedy{}, "%s cannot be a %s", wrong.Field, wrong.Value)
		return
	}
	p.find("", remedy{}, "%v", p.unread)
}

func lookKeys(p *probe) {
	p.lookNames(p.object, p.keys())
	p.lookMisplaced()
	containers := member(p.object, "containers")
	if !p.Pod {
		return
	}
	list, _ := containers.Value.(*hujson.Array)
	for i := 0; list != nil && i < len(list.Elements); i++ {
		if o, ok := list.Elements[i].Value.(*hujson.Object); ok {
			p.lookNames(o, containerKeys, "containers", strconv.Itoa(i))
		}
	}
}

// lookNames looks at the names of an object.
func (p *probe) lookNames(o *hujson.Object, keys []string, at ...string) {
	for i := range o.Members {
		m := &o.Members[i]
		name := textOf(&m.Name)
		meant := meantKey(name, keys)
		if meant == "" || !p.ours() && !strings.Contains(strings.ToLower(string(m.Value.Pack())), "flocker") {
			continue
		}
		at := append(slices.Clone(at), name)
		r := remedy{text: "write " + meant, patch: p.rename(meant, at...)}
		p.find(pointer(at...), r, "%s is no setting of Marathon's; %s is", strconv.Quote(name), meant)
	}
}

// lookTwice looks at the definition, its labels and those of its containers.
func lookTwice(p *probe) {
	var walk func(v *hujson.Value, at string)
	walk = func(v *hujson.Value, at string) {
		switch value := v.Value.(type) {
		case *hujson.Object:
			seen := map[string]int{}
			for i := range value.Members {
				name := textOf(&value.Members[i].Name)
				if seen[name]++; seen[name] == 2 && (p.ours() || strings.HasPrefix(name, api.LabelPrefix)) {
					p.find(at+pointer(name), remedy{}, "%s is there twice", strconv.Quote(name))
				}
				walk(&value.Members[i].Value, at+pointer(name))
			}
		case *hujson.Array:
			for i := range value.Elements {
				walk(&value.Elements[i], at+pointer(strconv.Itoa(i)))
			}
		}
	}
	walk(p.value, "")
}

func lookMistakes(p *probe) {
	for _, m := range p.mistakes {
		tokens := tokensOf(m.at)
		key := tokens[len(tokens)-1]
		var r remedy
		if near, ok := api.NearestLabel(key); ok && key == m.Field {
			if patch := p.rename(near, tokens...); patch != nil {
				r = remedy{text: "write " + near, patch: patch}
			}
		}
		p.find(m.at, r, "%s", m.Error.Error())
	}
}

// eachOwnLabels calls f with every label of the definition and where it is.
func (w *workload) eachOwnLabels(f func(tokens []string, key, value string)) {
	look := func(labels map[string]string, at ...string) {
		for _, l := range listed(labels) {
			f(append(slices.Clone(at), l.Key), l.Key, l.Value)
		}
	}
	if w.pod != nil {
		look(w.pod.Labels, "labels")
	}
	for _, c := range w.containers {
		look(c.own, append(slices.Clone(c.at), "labels")...)
	}
}

func lookIgnored(p *probe) {
	p.eachOwnLabels(func(tokens []string, key, _ string) {
		near, almost := api.AlmostLabel(key)
		switch {
		case !almost:
			return
		case near == "":
			p.find(pointer(tokens...), remedy{text: "write " + api.LabelPrefix + "KEY"},
				"the label %s is none of Flocker's, which all begin with %s", key, api.LabelPrefix)
			return
		}
		p.find(pointer(tokens...), remedy{text: "write " + near, patch: p.rename(near, tokens...)},
			"the label %s is none of Flocker's, but almost %s", key, near)
	})
}

// What Marathon leaves out of the environment.
const (
	maxLabelKey   = 493
	maxLabelValue = 512
)

func lookLong(p *probe) {
	if !p.Pod {
		p = p.as(Note)
	}
	p.eachOwnLabels(func(tokens []string, key, value string) {
		if !strings.HasPrefix(key, api.LabelPrefix) || len(key) < maxLabelKey && len(value) < maxLabelValue {
			return
		}
		p.find(pointer(tokens...), remedy{}, "the label %s has %d characters, its value %d", brief([]byte(key)), len(key), len(value))
	})
}
