package story

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Differences compares an answer in JSON with a recorded one: the same keys, and at
// each key a value of the same type. Values are compared where the last key is
// among exact. Lists are compared by their first elements.
func Differences(got, want []byte, exact ...string) ([]string, error) {
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		return nil, fmt.Errorf("read %q: %w", got, err)
	}
	if err := json.Unmarshal(want, &w); err != nil {
		return nil, fmt.Errorf("read %q: %w", want, err)
	}
	c := comparison{exact: exact}
	c.value("", g, w)
	slices.Sort(c.found)
	return c.found, nil
}

type comparison struct {
	exact []string
	found []string
}

func (c *comparison) note(path, format string, args ...any) {
	c.found = append(c.found, path+": "+fmt.Sprintf(format, args...))
}

func (c *comparison) value(path string, got, want any) {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			c.note(path, "is %T, recorded an object", got)
			return
		}
		for key := range w {
			if _, ok := g[key]; !ok {
				c.note(path+"."+key, "is missing")
				continue
			}
			c.value(path+"."+key, g[key], w[key])
		}
		for key := range g {
			if _, ok := w[key]; !ok {
				c.note(path+"."+key, "is not in the recording")
			}
		}
	case []any:
		g, ok := got.([]any)
		switch {
		case !ok:
			c.note(path, "is %T, recorded a list", got)
		case (len(g) == 0) != (len(w) == 0):
			c.note(path, "has %d elements, recorded %d", len(g), len(w))
		case len(w) > 0:
			c.value(path+"[]", g[0], w[0])
		}
	default:
		switch {
		case fmt.Sprintf("%T", got) != fmt.Sprintf("%T", want):
			c.note(path, "is %T, recorded %T", got, want)
		case slices.Contains(c.exact, path[strings.LastIndexByte(path, '.')+1:]) && got != want:
			c.note(path, "is %v, recorded %v", got, want)
		}
	}
}
