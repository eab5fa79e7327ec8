package isolator

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	securejoin "github.com/cyphar/filepath-securejoin"

	"github.com/flocker-mesos/flocker/api"
)

// Placement is where a volume goes.
type Placement struct {
	Key    string
	Name   string // of the volume
	Target string // the absolute path of the mount point, on the host

	// root and dir say which directory must be there before Mesos mounts:
	// dir, relative to root, whose contents the container may control.
	root, dir string
}

// Place finds the mount points of volumes. A path of a container
//
//   - without an image is below its sandbox, also when it is absolute: such
//     a container sees the host's own files, and a volume at an absolute path
//     would be mounted over the host's
//   - with an image is below its rootfs, if it is absolute, and where the
//     sandbox is mounted in the rootfs (sandbox, normally
//     api.SandboxPath), if it is relative
//
// Symbolic links on the way are followed as the container would follow them,
// so no target is ever outside. Place changes nothing.
func Place(c *Config, sandbox string, volumes []api.VolumeRequest) ([]Placement, error) {
	if c.Directory == "" {
		return nil, errors.New("read container config: the sandbox directory is missing")
	}
	sandbox = filepath.Clean(sandbox)
	placements := make([]Placement, 0, len(volumes))
	for _, v := range volumes {
		p, err := place(c, sandbox, v)
		if err != nil {
			return nil, fmt.Errorf("find path %s of volume %s: %w", v.Path, v.Name, err)
		}
		placements = append(placements, p)
	}
	if err := checkTargets(placements); err != nil {
		return nil, err
	}
	return placements, nil
}

func place(c *Config, sandbox string, v api.VolumeRequest) (Placement, error) {
	p := Placement{Key: v.Key, Name: v.Name, root: c.Directory}
	path := v.Path
	if below, ok := strings.CutPrefix(path, sandbox+"/"); ok && c.Rootfs != "" {
		path = below
	}
	if c.Rootfs != "" && filepath.IsAbs(path) {
		p.root = c.Rootfs
	}
	inside, err := securejoin.SecureJoin(p.root, path)
	if err != nil {
		return p, err
	}
	p.Target = inside
	if p.dir, err = filepath.Rel(p.root, inside); err != nil {
		return p, err
	}
	if c.Rootfs != "" && p.root == c.Directory {
		// The bind mount of the sandbox in the rootfs is not recursive, so
		// what is mounted in the sandbox itself would not show there.
		mounted, err := securejoin.SecureJoin(c.Rootfs, sandbox)
		if err != nil {
			return p, err
		}
		p.Target = filepath.Join(mounted, p.dir)
	}
	if p.dir == "." {
		return p, errors.New("a symbolic link there leads to the top")
	}
	if !utf8.ValidString(p.Target) {
		return p, fmt.Errorf("a symbolic link there leads to %q, which is not UTF-8", p.Target)
	}
	return p, nil
}

// checkTargets refuses what only shows on the host: paths that differ in the
// container but not here, because of a symbolic link, or because there is no
// image and a relative and an absolute path mean the same.
func checkTargets(placements []Placement) error {
	sorted := slices.Clone(placements)
	slices.SortFunc(sorted, func(a, b Placement) int { return strings.Compare(a.Target+"/", b.Target+"/") })
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; strings.HasPrefix(b.Target+"/", a.Target+"/") {
			return fmt.Errorf("volumes %s and %s would be mounted over each other, at %s and %s: "+
				"give them different paths", a.Name, b.Name, a.Target, b.Target)
		}
	}
	return nil
}

// makeTarget makes the directory that a placement needs. The container's
// other tasks may be at work in its sandbox, so this stays inside root whatever
// they do meanwhile.
func (p *Placement) makeTarget() error {
	root, err := os.OpenRoot(p.root)
	if err != nil {
		return fmt.Errorf("make mount point of volume %s: %w", p.Name, err)
	}
	defer root.Close()
	if err := root.MkdirAll(p.dir, 0o755); err != nil {
		return fmt.Errorf("make mount point of volume %s in %s: %w", p.Name, p.root, err)
	}
	return nil
}
