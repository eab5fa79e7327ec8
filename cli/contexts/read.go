package contexts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Read reads a file. One that does not exist has nothing in it.
func Read(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read contexts: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return &File{}, nil // empty, or only comments
	} else if err != nil {
		return nil, fmt.Errorf("read contexts %s: %w", path, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read contexts %s: there is more than one YAML document in it", path)
	}
	f := &File{Contexts: map[string]*Context{}}
	if err := f.decode(path, document.Content[0]); err != nil {
		return nil, err
	}
	if f.Current != "" {
		if _, err := f.Context(f.Current); err != nil {
			return nil, fmt.Errorf("%s: current: %w", path, err)
		}
	}
	return f, nil
}

// decode reads the whole file by hand and not by yaml's strict decoding, whose
// errors say what Go types there are instead of what could be written.
func (f *File) decode(path string, n *yaml.Node) error {
	return pairs(path, "the file", n, func(key, value *yaml.Node) error {
		switch key.Value {
		case "current":
			return text(path, key, value, &f.Current)
		case "contexts":
			return pairs(path, "contexts", value, func(name, settings *yaml.Node) error {
				c := &Context{}
				f.Contexts[name.Value] = c
				return c.decode(path, name.Value, settings)
			})
		}
		return fmt.Errorf("%s:%d: %s: there is no such setting; there are: current, contexts", path, key.Line, key.Value)
	})
}

func (c *Context) decode(path, name string, n *yaml.Node) error {
	return pairs(path, "context "+name, n, func(key, value *yaml.Node) error {
		into := c.Value(key.Value)
		if into == nil {
			return fmt.Errorf("%s:%d: %s: a context has no such setting; there are: %s", path, key.Line, key.Value, strings.Join(Keys(), ", "))
		}
		if err := text(path, key, value, into); err != nil {
			return err
		}
		if key.Value == "control-port" && *into != "" {
			if _, err := Port(*into); err != nil {
				return fmt.Errorf("%s:%d: %s: %w", path, value.Line, key.Value, err)
			}
		}
		return nil
	})
}

// Port reads a port.
func Port(text string) (uint16, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("%q is not a port: want a number from 1 to 65535", text)
	}
	return uint16(port), nil
}

// pairs reads a mapping.
func pairs(path, what string, n *yaml.Node, each func(key, value *yaml.Node) error) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: %s: want settings in the form `key: value`", path, n.Line, what)
	}
	lines := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if first, twice := lines[key.Value]; twice {
			return fmt.Errorf("%s:%d: %s: is there already, on line %d", path, key.Line, key.Value, first)
		}
		lines[key.Value] = key.Line
		if err := each(key, n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func text(path string, key, value *yaml.Node, into *string) error {
	if value.Kind != yaml.ScalarNode {
		return fmt.Errorf("%s:%d: %s: want one text", path, value.Line, key.Value)
	}
	if value.Tag != "!!null" {
		*into = value.Value
	}
	return nil
}
