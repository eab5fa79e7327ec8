package reconcile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Cgroups tells whether a container has a living process, whatever Mesos says:
// a container outlives its Mesos agent.
type Cgroups struct {
	// Roots are the directories in which Mesos makes its control groups.
	Roots []string
}

// DefaultCgroups are Mesos' own defaults, for cgroups v1 and v2. It makes a
// freezer, and with systemd a group of that name, for every container; in v2
// its processes are in a leaf below the container's group.
func DefaultCgroups() Cgroups {
	return Cgroups{Roots: []string{"/sys/fs/cgroup/freezer/mesos", "/sys/fs/cgroup/systemd/mesos", "/sys/fs/cgroup/mesos"}}
}

// Alive reports whether a process of the container, or of one nested in it,
// lives. Where that can't be found out, as when Mesos has none of the roots, it
// reports true.
func (c Cgroups) Alive(id string) bool {
	parts := strings.Split(id, ".")
	for _, p := range parts {
		if p == "" || strings.Contains(p, "/") {
			return true
		}
	}
	// A nested container's group is in a group mesos in its parent's.
	group := strings.Join(parts, "/mesos/")
	unknown := true
	for _, root := range c.Roots {
		_, err := os.Stat(root)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return true
		}
		unknown = false
		if occupied(filepath.Join(root, group)) {
			return true
		}
	}
	return unknown
}

// occupied reports whether a process is in a group or one below it.
func occupied(group string) bool {
	found := errors.New("found")
	err := filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			return nil
		}
		if err == nil {
			var processes []byte
			processes, err = os.ReadFile(filepath.Join(path, "cgroup.procs"))
			if len(processes) > 0 {
				return found
			}
		}
		// Groups come and go; a removed one's files say "no such device".
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			return nil
		}
		return err
	})
	return err != nil
}
