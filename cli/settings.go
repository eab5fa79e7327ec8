package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/flocker-mesos/flocker/cli/contexts"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/pki"
)

// rank orders the places that a setting can come from: a higher one is stronger.
type rank int

const (
	rankNone rank = iota
	rankDefault
	rankAgent // agent.yml, in the directory of certificates
	rankContext
	rankEnvironment
	rankFlag
)

// setting is a value, and where it comes from.
type setting struct {
	text   string
	rank   rank
	origin string // for people: "flag --user"
}

// settings are what holds for a connection, by the keys of contexts.
type settings map[string]setting

// resolve finds out what holds.
func (c *Connection) resolve() (settings, error) {
	name, chosen, _, err := c.chosen()
	if err != nil {
		return nil, err
	}
	return c.resolveIn(name, chosen)
}

// resolveIn finds out what holds in a context.
func (c *Connection) resolveIn(name string, chosen *contexts.Context) (settings, error) {
	s := settings{}
	for _, o := range options() {
		s[o.key] = c.setting(o, name, chosen)
	}
	s.deriveFiles()
	return s, c.fromAgent(s)
}

// chosen returns the context that is meant, an empty one where none is.
func (c *Connection) chosen() (name string, chosen *contexts.Context, place string, err error) {
	place, err = contexts.Path(c.env.LookupEnv)
	if err != nil {
		return "", &contexts.Context{}, "", nil // no home, no contexts
	}
	file, err := contexts.Read(place)
	if err != nil {
		return "", nil, "", err
	}
	variable, _ := c.env.LookupEnv(envContext)
	if name = cmp.Or(c.context, variable, file.Current); name == "" {
		return "", &contexts.Context{}, place, nil
	}
	if chosen, err = file.Context(name); err != nil {
		if c.context == "" {
			return "", nil, "", fmt.Errorf("environment variable %s: %w", envContext, err)
		}
		return "", nil, "", usage.Errorf("--context %w", err)
	}
	return name, chosen, place, nil
}

// setting returns the strongest value of an option.
func (c *Connection) setting(o option, name string, chosen *contexts.Context) setting {
	if c.flags != nil && c.flags.Changed(o.key) {
		return setting{*c.values[o.key], rankFlag, "flag --" + o.key}
	}
	for _, variable := range o.variables {
		if text, _ := c.env.LookupEnv(variable); text != "" {
			return setting{text, rankEnvironment, "environment variable " + variable}
		}
	}
	if text := *chosen.Value(o.key); text != "" {
		if isFile(o.key) {
			text = c.fromHome(text)
		}
		return setting{text, rankContext, "context " + name}
	}
	if o.otherwise != "" {
		return setting{o.otherwise, rankDefault, "default"}
	}
	return setting{origin: "nowhere"}
}

// isFile reports whether a setting names something in the file system.
func isFile(key string) bool { return key == "certs-path" || strings.HasSuffix(key, "-file") }

// fromHome reads ~ as a shell would: people write files of settings by hand.
func (c *Connection) fromHome(path string) string {
	home, _ := c.env.LookupEnv("HOME")
	if rest, ok := strings.CutPrefix(path, "~/"); ok && home != "" {
		return filepath.Join(home, rest)
	}
	return path
}

// deriveFiles completes the files of certificates. One that is named counts
// unless the directory, or the user, was named in a stronger place.
func (s settings) deriveFiles() {
	dir, user := s["certs-path"], s["user"]
	paths := pki.PathsIn(dir.text, user.text)
	derive := func(key, path string, from ...setting) {
		strongest := from[0]
		for _, f := range from {
			if f.rank > strongest.rank {
				strongest = f
			}
		}
		if s[key].rank < strongest.rank {
			s[key] = setting{path, strongest.rank, "certs-path and user"}
		}
	}
	derive("ca-file", paths.Authority, dir)
	derive("cert-file", paths.Cert, dir, user)
	derive("key-file", paths.Key, dir, user)
}

// fromAgent takes the control service from agent.yml, where nothing else names
// it.
func (c *Connection) fromAgent(s settings) error {
	if s["control-service"].rank > rankAgent {
		return nil
	}
	file := filepath.Join(s["certs-path"].text, "agent.yml")
	replicas, err := c.env.AgentReplicas(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; use --control-service or %s", err, envControl)
	}
	s["control-service"] = setting{replicas, rankAgent, file}
	return nil
}

// control returns which control service is meant.
func (s settings) control() (setting, error) {
	control := s["control-service"]
	if control.rank == rankNone {
		return control, usage.Errorf("which control service? Name its host with --control-service or %s, "+
			"or keep it: flocker context set NAME --control-service HOST", envControl)
	}
	return control, nil
}
