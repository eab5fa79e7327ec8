package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/flocker-mesos/flocker/api"
)

// Validator is a settings struct that knows what is right. An *api.Error, by
// itself or joined with others, that names a setting's key as its field is
// reported with the place where the setting was made.
type Validator interface{ Validate() error }

// Loader fills one settings struct.
type Loader struct {
	target   any
	settings map[string]Setting
	order    []string
	flags    map[string]*flagText // by key
	origins  map[string]string    // by key; none where the default holds
}

// New makes a loader for the struct that target points to and that holds the
// defaults.
func New(target any) *Loader {
	l := &Loader{target: target, settings: map[string]Setting{}, flags: map[string]*flagText{}, origins: map[string]string{}}
	for _, s := range Settings(target) {
		l.settings[s.Key] = s
		l.order = append(l.order, s.Key)
	}
	return l
}

// AddFlags adds a flag for each setting. Usage describes a setting by its key.
func (l *Loader) AddFlags(flags *pflag.FlagSet, usage func(key string) string) {
	for _, key := range l.order {
		s := l.settings[key]
		if s.Flag == "" {
			continue
		}
		f := &flagText{text: s.Value(), kind: shortKind(s.value)}
		l.flags[key] = f
		flag := flags.VarPF(f, s.Flag, "", fmt.Sprintf("%s (%s)", usage(key), s.Env))
		if s.value.Kind() == reflect.Bool {
			flag.NoOptDefVal = "true"
		}
	}
}

// Load reads the file ("" for none) and then the environment and the flags,
// and validates the result.
func (l *Loader) Load(file string, lookupEnv func(string) (string, bool)) error {
	if file != "" {
		if err := l.loadFile(file); err != nil {
			return err
		}
	}
	for _, key := range l.order {
		s := l.settings[key]
		if value, ok := lookupEnv(s.Env); ok && value != "" && s.Env != "" {
			if err := l.set(s, value, "environment variable "+s.Env); err != nil {
				return err
			}
		}
		if f := l.flags[key]; f != nil && f.given {
			if err := l.set(s, f.text, "flag --"+s.Flag); err != nil {
				return err
			}
		}
	}
	return l.validate()
}

func (l *Loader) set(s Setting, value, origin string) error {
	if err := s.setText(value); err != nil {
		return fmt.Errorf("%s: %w", origin, err)
	}
	l.origins[s.Key] = origin
	return nil
}

// validate asks the struct, and says where the settings that it refuses were
// made.
func (l *Loader) validate() error {
	v, ok := l.target.(Validator)
	if !ok {
		return nil
	}
	err := v.Validate()
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var located []error
		for _, err := range several.Unwrap() {
			located = append(located, l.locate(err))
		}
		return errors.Join(located...)
	}
	return l.locate(err)
}

// locate adds to a refusal where the setting was made, or can be.
func (l *Loader) locate(err error) error {
	refused, ok := errors.AsType[*api.Error](err)
	if !ok {
		return err
	}
	if origin := l.origins[refused.Field]; origin != "" {
		return fmt.Errorf("%s: %w", origin, err)
	}
	if s := l.settings[refused.Field]; s.Env != "" {
		return fmt.Errorf("%w (set it in the file, as %s or with --%s)", err, s.Env, s.Flag)
	}
	return err
}

func (l *Loader) loadFile(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil // empty, or only comments
	} else if err != nil {
		return fmt.Errorf("read settings %s: %w", file, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("read settings %s: there is more than one YAML document in it", file)
	}
	return l.walk(file, "", document.Content[0])
}

// walk sets what a mapping of the file says; prefix is the key of the mapping
// and a dot. It is done by hand and not by yaml's strict decoding because its
// errors know neither the key's place in the file nor what it should have been.
func (l *Loader) walk(file, prefix string, node *yaml.Node) error {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil // a section without anything in it
	}
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: %s: want settings in the form `key: value`", file, node.Line, strings.TrimSuffix("settings."+prefix, "."))
	}
	seen := map[string]int{}
	for i := 0; i < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		key := prefix + name.Value
		place := fmt.Sprintf("%s:%d", file, name.Line)
		if line, twice := seen[key]; twice {
			return fmt.Errorf("%s: %s: is there already, on line %d", place, key, line)
		}
		seen[key] = name.Line
		setting, ok := l.settings[key]
		if !ok && !l.isSection(key) {
			return fmt.Errorf("%s: %s: there is no such setting; there are: %s", place, key,
				strings.Join(l.within(prefix), ", "))
		}
		if !ok {
			if err := l.walk(file, key+".", value); err != nil {
				return err
			}
			continue
		}
		if value.Kind == yaml.ScalarNode && value.Tag == "!!null" {
			continue // left at its default
		}
		if err := setting.setNode(value); err != nil {
			return fmt.Errorf("%s: %s: %w", place, key, err)
		}
		l.origins[key] = place
	}
	return nil
}

// within lists the settings and sections that a mapping may have.
func (l *Loader) within(prefix string) []string {
	var names []string
	for _, key := range l.order {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			name, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func (l *Loader) isSection(key string) bool {
	for _, k := range l.order {
		if strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

// flagText keeps what a flag was given until the file has been read.
type flagText struct {
	text, kind string
	given      bool
}

func (f *flagText) String() string { return f.text }

// Type is what the help shows in the place of a value.
func (f *flagText) Type() string { return f.kind }

func (f *flagText) Set(s string) error {
	f.text, f.given = s, true
	return nil
}
