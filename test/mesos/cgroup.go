package mesos

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// cgroup is the directory of a container's control group, in the freezer
// hierarchy of cgroups v1. It shows which process lives, and no more.
type cgroup string

// cgroup returns the control group of a container: a nested one's is in a
// group mesos in its parent's.
func (a *Agent) cgroup(key string) cgroup {
	hierarchy, root := a.cgroups()
	if hierarchy == defaultHierarchy {
		hierarchy = a.host.Cgroups()
	} else {
		hierarchy = a.host.Path(hierarchy)
	}
	return cgroup(filepath.Join(hierarchy, "freezer", root, strings.ReplaceAll(key, ".", "/mesos/")))
}

const defaultHierarchy = "/sys/fs/cgroup"

// cgroups returns the flags that say where the control groups are.
func (a *Agent) cgroups() (hierarchy, root string) {
	return cmp.Or(a.config.CgroupsHierarchy, defaultHierarchy), cmp.Or(a.config.CgroupsRoot, "mesos")
}

func (g cgroup) enter(pid int) error {
	if err := os.MkdirAll(string(g), 0o755); err != nil {
		return err
	}
	return os.WriteFile(g.procs(), fmt.Appendln(nil, pid), 0o644)
}

// empty is what the kernel does when the last process has ended.
func (g cgroup) empty() { _ = os.WriteFile(g.procs(), nil, 0o644) }

// remove is what Mesos does when it destroys the container.
func (g cgroup) remove() { _ = os.RemoveAll(string(g)) }

func (g cgroup) procs() string { return filepath.Join(string(g), "cgroup.procs") }
