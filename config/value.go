package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/flocker-mesos/flocker/api"
)

// setText sets a setting from an environment variable or a flag.
func (s Setting) setText(value string) error {
	if s.value.Kind() == reflect.Slice {
		var parts []string
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				parts = append(parts, part)
			}
		}
		s.value.Set(reflect.ValueOf(parts).Convert(s.value.Type()))
		return nil
	}
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: value}
	if s.value.Kind() == reflect.String {
		node.Tag = "!!str" // not a number because it looks like one
	}
	if s.value.Kind() == reflect.Map {
		if err := yaml.Unmarshal([]byte(value), node); err != nil || len(node.Content) != 1 {
			return s.wrong(value)
		}
		node = node.Content[0]
	}
	return s.setNode(node)
}

// setNode sets a setting from a value in a YAML file.
func (s Setting) setNode(node *yaml.Node) error {
	if isText(s.value) && node.Kind == yaml.ScalarNode {
		if err := s.value.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(node.Value)); err != nil {
			return fmt.Errorf("%q: %w", node.Value, err)
		}
		return nil
	}
	// A fresh value, so that nothing of a default list or map shines through.
	fresh := reflect.New(s.value.Type())
	if err := node.Decode(fresh.Interface()); err != nil {
		return s.wrong(node.Value)
	}
	s.value.Set(fresh.Elem())
	return nil
}

func (s Setting) wrong(value string) error {
	if value == "" {
		return fmt.Errorf("want %s", s.Kind())
	}
	return fmt.Errorf("got %q, want %s", value, s.Kind())
}

// text writes a value as a user would.
func text(v reflect.Value) string {
	if isText(v) {
		if m, ok := reflect.TypeAssert[encoding.TextMarshaler](v.Addr()); ok {
			if out, err := m.MarshalText(); err == nil {
				return string(out)
			}
		}
	}
	if v.Type() == duration {
		return api.FormatDuration(time.Duration(v.Int()))
	}
	switch v.Kind() {
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = fmt.Sprint(v.Index(i).Interface())
		}
		return strings.Join(parts, ",")
	case reflect.Map:
		var parts []string
		for _, k := range v.MapKeys() {
			parts = append(parts, fmt.Sprintf("%v: %v", k.Interface(), v.MapIndex(k).Interface()))
		}
		slices.Sort(parts)
		if len(parts) == 0 {
			return ""
		}
		return "{" + strings.Join(parts, ", ") + "}"
	default:
		return fmt.Sprint(v.Interface())
	}
}
