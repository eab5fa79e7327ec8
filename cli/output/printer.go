package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/usage"
)

// Format is how something is shown.
type Format string

// The formats.
const (
	FormatTable Format = "table"
	FormatWide  Format = "wide" // all columns, uncut
	FormatJSON  Format = "json"
	FormatYAML  Format = "yaml"
	FormatName  Format = "name" // a name or id a line
)

// Formats lists all of them.
func Formats() []Format {
	return []Format{FormatTable, FormatWide, FormatJSON, FormatYAML, FormatName}
}

// Printer shows what a command has found, in the form that its flags ask for.
type Printer struct {
	Format Format
	Long   bool // ids in full
	Bare   bool // tables without their heads

	W      io.Writer
	Screen Screen
}

// AddFlags adds the flag of a command that shows one thing.
func (p *Printer) AddFlags(flags *pflag.FlagSet) {
	names := make([]string, 0, len(Formats()))
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	last := len(names) - 1
	flags.StringVarP((*string)(&p.Format), "output", "o", string(FormatTable), strings.Join(names[:last], ", ")+" or "+names[last])
}

// AddListFlags adds the flags of a command that shows a list.
func (p *Printer) AddListFlags(flags *pflag.FlagSet) {
	p.AddFlags(flags)
	flags.BoolVarP(&p.Long, "long", "l", false, "show ids in full")
	flags.BoolVar(&p.Bare, "no-headers", false, "leave the table's head out")
}

// Check says what is wrong with the flags.
func (p *Printer) Check() error {
	if slices.Contains(Formats(), p.Format) {
		return nil
	}
	return usage.Errorf("--output %q: want table, wide, json, yaml or name", string(p.Format))
}

// Machine reports whether a program reads what is printed: then nothing but
// that is printed.
func (p *Printer) Machine() bool {
	return p.Format == FormatJSON || p.Format == FormatYAML || p.Format == FormatName
}

// ID writes an id as far as is asked for.
func (p *Printer) ID(id string) string {
	if p.Long || p.Format == FormatWide {
		return id
	}
	return Short(id)
}

// shortID is how much of an id a table shows, and what mostly suffices to find
// it again.
const shortID = 8

// Short returns the beginning of an id.
func Short(id string) string { return id[:min(len(id), shortID)] }

// Pairs writes a map as KEY=VALUE with commas, in the order of the keys.
func Pairs(all map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, key+"="+all[key])
	}
	return strings.Join(parts, ",")
}

// List shows several values: the table of them, their names, or themselves.
func (p *Printer) List(values any, t *Table, names []string) error {
	return p.ListOf(values, names, func() { p.Table(t) })
}

// ListOf shows several values: their names, themselves, or what human writes
// about them.
func (p *Printer) ListOf(values any, names []string, human func()) error {
	return p.print(values, names, human)
}

// Show shows one value: its name, itself, or what human writes about it.
func (p *Printer) Show(value any, name string, human func()) error {
	return p.print(value, []string{name}, human)
}

func (p *Printer) print(value any, names []string, human func()) error {
	switch p.Format {
	case FormatJSON:
		return p.json(value)
	case FormatYAML:
		return p.yaml(value)
	case FormatName:
		for _, name := range names {
			p.Linef("%s", name)
		}
	case FormatTable, FormatWide:
		human()
	}
	return nil
}

// Table writes a table.
func (p *Printer) Table(t *Table) { t.write(p.W, p.Screen, !p.Bare, p.Format == FormatWide) }

// Linef writes a line.
func (p *Printer) Linef(format string, args ...any) {
	fmt.Fprintln(p.W, Clean(fmt.Sprintf(format, args...)))
}

// labelWidth is how wide the labels of fields are, with the space behind them.
const labelWidth = 10

// Field writes one thing that is known of what is shown. On a screen its lines
// stay beside the label.
func (p *Printer) Field(label, format string, args ...any) {
	text := Clean(oneLine(fmt.Sprintf(format, args...)))
	label = fmt.Sprintf("%-*s", labelWidth, label)
	if p.Screen.Width > labelWidth {
		fmt.Fprint(p.W, label+wrap(text, p.Screen.Width-labelWidth, strings.Repeat(" ", labelWidth)))
		return
	}
	fmt.Fprintln(p.W, label+text)
}

// Colored writes such a thing in a colour.
func (p *Printer) Colored(label string, c Color, text string) {
	fmt.Fprintf(p.W, "%-*s%s\n", labelWidth, label, p.Screen.paint(c, Clean(text)))
}

// Space leaves a line empty.
func (p *Printer) Space() { fmt.Fprintln(p.W) }

// Prose writes sentences.
func (p *Printer) Prose(text string) { fmt.Fprint(p.W, p.Screen.Wrap(text)) }

func (p *Printer) json(value any) error {
	encoder := json.NewEncoder(api.PrintingJSON(p.W))
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// yaml writes what json would, so that all has the same names in the same order:
// JSON is YAML, in another style.
func (p *Printer) yaml(value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	var node yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(api.PrintableYAML(text))).Decode(&node); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	inBlocks(&node)
	encoder := yaml.NewEncoder(api.PrintingYAML(p.W))
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	return nil
}

// inBlocks has a node written in lines instead of in brackets.
func inBlocks(n *yaml.Node) {
	n.Style &^= yaml.FlowStyle
	if n.Kind == yaml.ScalarNode {
		n.Style = 0
		if api.PrintableLines(n.Value) != n.Value {
			n.Style = yaml.DoubleQuotedStyle
		}
	}
	for _, child := range n.Content {
		inBlocks(child)
	}
}
