package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/backend/loopback"
	"github.com/flocker-mesos/flocker/host"
)

// backendSettings say which storage system makes the volumes; the keys are
// Flocker's. A key of another backend than the chosen one has no effect.
type backendSettings struct {
	Backend  string `yaml:"backend"`
	RootPath string `yaml:"root_path"`
	Zone     string `yaml:"zone"`
}

// backends is the list of all backends, by their names in agent.yml.
var backends = map[string]func(s backendSettings, node api.NodeID, stateDir string) (backend.Backend, error){
	loopback.Name: openLoopback,
}

func (s backendSettings) validate() error {
	if backends[s.Backend] == nil {
		return api.FieldErrorf("dataset.backend", "there is no backend %q; there is: %s", s.Backend, loopback.Name)
	}
	if s.Backend == loopback.Name && !filepath.IsAbs(s.RootPath) {
		return api.FieldErrorf("dataset.root_path", "%q is not an absolute path", s.RootPath)
	}
	return api.CheckZone("dataset.zone", s.Zone)
}

// directory returns the directory that the volumes are in, "" for a backend without one.
func (s backendSettings) directory() string {
	if s.Backend == loopback.Name {
		return s.RootPath
	}
	return ""
}

// open opens the chosen backend. What it has to remember goes into stateDir.
func (s backendSettings) open(node api.NodeID, stateDir string) (backend.Backend, error) {
	return backends[s.Backend](s, node, stateDir)
}

// openLoopback opens the directory of volumes, and remembers which one it was:
// where it is only a mount point whose file system is missing, the volumes are
// elsewhere and must not be made anew.
func openLoopback(s backendSettings, node api.NodeID, stateDir string) (backend.Backend, error) {
	memory := filepath.Join(stateDir, "loopback-storage")
	known, err := os.ReadFile(memory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read which storage is ours: %w", err)
	}
	b, err := loopback.New(loopback.Config{
		RootPath: s.RootPath, InstanceID: string(node), Zone: s.Zone, StorageID: strings.TrimSpace(string(known)),
	})
	if err != nil {
		return nil, err
	}
	if len(known) == 0 {
		if err := remember(memory, b.StorageID()); err != nil {
			return nil, fmt.Errorf("note which storage is ours: %w", err)
		}
	}
	return b, nil
}

// remember writes a small file, whole or not at all.
func remember(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return host.ReplaceFile(path, []byte(text+"\n"), 0o600)
}
