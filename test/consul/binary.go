package consul

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Binary returns the path of the Consul server that `make consul` builds.
func Binary() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	for {
		path := filepath.Join(dir, ".cache", "bin", "consul")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil || dir == filepath.Dir(dir) {
			return "", errors.New("the Consul server for tests is missing: build it with `make consul` (once, some minutes)")
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find the module: %w", err)
		}
		dir = filepath.Dir(dir)
	}
}
