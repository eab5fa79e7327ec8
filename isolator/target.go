package isolator

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// Place finds the targets of volumes. A path of a container
//
//   - without an image is below its sandbox, also when it is absolute: such
//     a container sees the host's own files, and a volume at an absolute path
//     would be mounted over the host's
//   - with an image is below its rootfs, if it is absolute, and where the
//     sandbox is mounted in the rootfs (view, normally api.SandboxPath), if it
//     is relative
//
// It refuses paths that mean one place, or one inside another. What symbolic
// links do to them is known only when the volumes are mounted; see Mounter. It
// is pure.
func Place(c *Config, view string, volumes []api.VolumeRequest) ([]Target, error) {
	if c.Directory == "" {
		return nil, errors.New("read container config: the sandbox directory is missing")
	}
	targets := make([]Target, 0, len(volumes))
	for _, v := range volumes {
		targets = append(targets, Target{Key: v.Key, Path: v.Path, ReadOnly: v.ReadOnly})
	}
	if err := checkTargets(c, filepath.Clean(view), volumes); err != nil {
		return nil, err
	}
	return targets, nil
}

// outputFiles are what Mesos makes in every sandbox.
var outputFiles = []string{"stdout", "stderr"}

// checkTargets refuses paths that differ in the labels but not in the
// container: without an image a relative and an absolute path mean the same,
// and in an image a path may name the sandbox.
func checkTargets(c *Config, view string, volumes []api.VolumeRequest) error {
	place := func(v api.VolumeRequest) string {
		if c.Rootfs != "" && !filepath.IsAbs(v.Path) {
			return filepath.Join(view, v.Path) + "/"
		}
		return filepath.Join("/", v.Path) + "/"
	}
	sorted := slices.Clone(volumes)
	slices.SortFunc(sorted, func(a, b api.VolumeRequest) int { return strings.Compare(place(a), place(b)) })
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; strings.HasPrefix(place(b), place(a)) {
			return fmt.Errorf("volumes %s and %s would be mounted over each other, at %s and %s: "+
				"give them different paths", a.Name, b.Name, a.Path, b.Path)
		}
	}
	sandbox := "/"
	if c.Rootfs != "" {
		sandbox = view
	}
	for _, v := range volumes {
		for _, file := range outputFiles {
			if strings.HasPrefix(place(v), filepath.Join(sandbox, file)+"/") {
				return fmt.Errorf("find path %s of volume %s: %s in the sandbox is the file to which Mesos writes the task's output, and no directory: "+
					"name another path, such as data", v.Path, v.Name, file)
			}
		}
		if c.Rootfs != "" && strings.HasPrefix(view+"/", place(v)) {
			return fmt.Errorf("find path %s of volume %s: it would hide the sandbox, %s: name another directory", v.Path, v.Name, view)
		}
	}
	return nil
}

// findSpace returns the file tree of a container.
func findSpace(c *Config, view string) (Space, error) {
	var s Space
	var err error
	if s.Sandbox, err = FindDirectory(c.Directory); err != nil {
		return s, fmt.Errorf("find the sandbox: %w", err)
	}
	if c.Rootfs == "" {
		return s, nil
	}
	s.View = filepath.Clean(view)
	if s.Rootfs, err = FindDirectory(c.Rootfs); err != nil {
		return s, fmt.Errorf("find the image's root directory: %w", err)
	}
	return s, nil
}
