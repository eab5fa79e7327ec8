// Package contexts keeps the clusters that a user works with in one file: how
// each is reached, and which of them is meant where none is named.
package contexts

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Context is how a cluster is reached. What is empty is left to the environment
// and to the defaults.
type Context struct {
	ControlService string `yaml:"control-service,omitempty"`
	ControlPort    string `yaml:"control-port,omitempty"`
	CertsPath      string `yaml:"certs-path,omitempty"`
	User           string `yaml:"user,omitempty"`
	CAFile         string `yaml:"ca-file,omitempty"`
	CertFile       string `yaml:"cert-file,omitempty"`
	KeyFile        string `yaml:"key-file,omitempty"`
}

// Keys are the settings of a context, as they are called in the file.
func Keys() []string {
	return []string{"control-service", "control-port", "certs-path", "user", "ca-file", "cert-file", "key-file"}
}

// Value returns where c has a setting, nil for one that there is not.
func (c *Context) Value(key string) *string {
	switch key {
	case "control-service":
		return &c.ControlService
	case "control-port":
		return &c.ControlPort
	case "certs-path":
		return &c.CertsPath
	case "user":
		return &c.User
	case "ca-file":
		return &c.CAFile
	case "cert-file":
		return &c.CertFile
	case "key-file":
		return &c.KeyFile
	}
	return nil
}

// File is what a user's file has.
type File struct {
	Current  string              `yaml:"current,omitempty"`
	Contexts map[string]*Context `yaml:"contexts,omitempty"`
}

// ErrUnknown is what an error about a context that there is not wraps.
var ErrUnknown = errors.New("there is no such context")

// Names lists the contexts.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.Contexts)) }

// Context returns the context of a name.
func (f *File) Context(name string) (*Context, error) {
	if c := f.Contexts[name]; c != nil {
		return c, nil
	}
	if len(f.Contexts) == 0 {
		return nil, fmt.Errorf("%q: %w, nor any other; `flocker context set %[1]s --control-service HOST` makes it", name, ErrUnknown)
	}
	return nil, fmt.Errorf("%q: %w; there are: %s", name, ErrUnknown, strings.Join(f.Names(), ", "))
}

// Set puts a context in the place of the one of its name. The first one becomes
// the current one.
func (f *File) Set(name string, c *Context) error {
	if strings.TrimSpace(name) == "" {
		return errors.New("a context needs a name")
	}
	if f.Contexts == nil {
		f.Contexts = map[string]*Context{}
	}
	if len(f.Contexts) == 0 && f.Current == "" {
		f.Current = name
	}
	f.Contexts[name] = c
	return nil
}

// Use makes a context the current one.
func (f *File) Use(name string) error {
	if _, err := f.Context(name); err != nil {
		return err
	}
	f.Current = name
	return nil
}

// Delete removes a context. When it was the current one, none is.
func (f *File) Delete(name string) error {
	if _, err := f.Context(name); err != nil {
		return err
	}
	delete(f.Contexts, name)
	if f.Current == name {
		f.Current = ""
	}
	return nil
}

// EnvFile is the variable that names the file.
const EnvFile = "FLOCKER_CONFIG"

// Path returns where the file is: where FLOCKER_CONFIG says, else below the
// user's directory of settings, by the XDG base directory specification.
func Path(lookupEnv func(string) (string, bool)) (string, error) {
	if file, _ := lookupEnv(EnvFile); file != "" {
		return file, nil
	}
	// A relative path is to be taken for none, by the specification.
	if dir, _ := lookupEnv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "flocker", "config.yml"), nil
	}
	home, _ := lookupEnv("HOME")
	if home == "" {
		return "", fmt.Errorf("where are the settings of users? Neither HOME nor %s is set", EnvFile)
	}
	return filepath.Join(home, ".config", "flocker", "config.yml"), nil
}
