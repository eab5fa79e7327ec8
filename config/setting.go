package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Setting is one thing that a user can set.
type Setting struct {
	Key  string // as in the YAML file, nested ones joined with dots
	Env  string // the environment variable, "" where only the file can set it
	Flag string // the flag, without the dashes, "" likewise

	value reflect.Value
}

// EnvPrefix begins the names of all environment variables.
const EnvPrefix = "FLOCKER_"

// Settings lists the settings of a struct that target points to, in order.
func Settings(target any) []Setting {
	return collect(nil, "", reflect.ValueOf(target).Elem())
}

func collect(all []Setting, prefix string, v reflect.Value) []Setting {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if !field.IsExported() || name == "-" || name == "" && options != "inline" {
			continue
		}
		key := prefix + name
		switch {
		case options == "inline":
			all = collect(all, prefix, value)
		case value.Kind() == reflect.Struct && !isText(value):
			all = collect(all, key+".", value)
		default:
			all = append(all, newSetting(key, field.Tag.Get("env"), value))
		}
	}
	return all
}

func newSetting(key, env string, value reflect.Value) Setting {
	s := Setting{Key: key, Env: env, Flag: strings.NewReplacer(".", "-", "_", "-").Replace(key), value: value}
	switch env {
	case "-":
		s.Env, s.Flag = "", ""
	case "":
		s.Env = EnvPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
	}
	return s
}

// Value returns what the setting is now, as a user would write it.
func (s Setting) Value() string { return text(s.value) }

// Kind describes the values that the setting takes.
func (s Setting) Kind() string { return kind(s.value) }

var (
	duration    = reflect.TypeFor[time.Duration]()
	unmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func isText(v reflect.Value) bool { return v.CanAddr() && v.Addr().Type().Implements(unmarshaler) }

func kind(v reflect.Value) string {
	switch {
	case v.Type() == duration:
		return "a duration such as 45s or 1m30s"
	case isText(v):
		return "a text"
	}
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Int32:
		return "a whole number"
	case reflect.Uint64, reflect.Uint32, reflect.Uint16:
		return fmt.Sprintf("a whole number from 0 to %d", uint64(1)<<v.Type().Bits()-1)
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list of texts"
	case reflect.Map:
		return "a map of texts"
	default:
		return "a text"
	}
}

// shortKind is Kind in one word.
func shortKind(v reflect.Value) string {
	switch {
	case v.Type() == duration:
		return "duration"
	case isText(v):
		return "text"
	}
	switch v.Kind() {
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint64, reflect.Uint32, reflect.Uint16, reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "map"
	default:
		return "text"
	}
}
