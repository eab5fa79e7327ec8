package isolator

import (
	"fmt"
	"strconv"
	"strings"
)

// parseModulesText reads modules in the text format of protobuf, in which /flags
// shows them: fields `name: "value"` and blocks `name { ... }`, one a line.
func parseModulesText(text string) (*Modules, error) {
	modules := new(Modules)
	var blocks []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			continue
		case line == "}" && len(blocks) > 0:
			blocks = blocks[:len(blocks)-1]
			continue
		case strings.HasSuffix(line, "{"):
			blocks = append(blocks, strings.TrimSpace(strings.TrimSuffix(line, "{")))
			modules.begin(blocks)
			continue
		}
		name, quoted, ok := strings.Cut(line, ": ")
		value, err := strconv.Unquote(strings.ReplaceAll(quoted, `\'`, "'")) // which Go does not escape
		if !ok || err != nil {
			return nil, fmt.Errorf("read modules: %q is not a field of them", line)
		}
		modules.set(strings.Join(blocks, "."), name, value)
	}
	if len(blocks) > 0 {
		return nil, fmt.Errorf("read modules: %s has no end", blocks[len(blocks)-1])
	}
	return modules, nil
}

// The blocks that matter.
const (
	blockLibrary   = "libraries"
	blockModule    = "libraries.modules"
	blockParameter = "libraries.modules.parameters"
)

func (m *Modules) begin(blocks []string) {
	switch strings.Join(blocks, ".") {
	case blockLibrary:
		m.Libraries = append(m.Libraries, Library{})
	case blockModule:
		l := &m.Libraries[len(m.Libraries)-1]
		l.Modules = append(l.Modules, Module{})
	case blockParameter:
		module := m.last()
		module.Parameters = append(module.Parameters, Parameter{})
	}
}

// last returns the module that is being read.
func (m *Modules) last() *Module {
	l := &m.Libraries[len(m.Libraries)-1]
	return &l.Modules[len(l.Modules)-1]
}

func (m *Modules) set(block, name, value string) {
	switch block + "." + name {
	case blockLibrary + ".file":
		m.Libraries[len(m.Libraries)-1].File = value
	case blockLibrary + ".name":
		m.Libraries[len(m.Libraries)-1].Name = value
	case blockModule + ".name":
		m.last().Name = value
	case blockParameter + ".key":
		p := m.last().Parameters
		p[len(p)-1].Key = value
	case blockParameter + ".value":
		p := m.last().Parameters
		p[len(p)-1].Value = value
	}
}
