package reconcile

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"

	"github.com/flocker-mesos/flocker/api"
)

// The defaults of a Mesos agent's flags.
const (
	defaultHierarchy = "/sys/fs/cgroup"
	posixLauncher    = "posix"

	// wholeMachine is the PID namespace of the machine, in which all processes are
	// seen. Its number is part of Linux' interface.
	wholeMachine = "pid:[4026531836]"
)

// Cgroups find the control groups of a Mesos agent on this machine, cgroups v1
// and v2.
type Cgroups struct {
	Proc string // "" for /proc
}

// Groups are the control groups of a Mesos agent's containers. They tell whether
// a container has a living process, whatever Mesos says: a container outlives
// its Mesos agent. They are looked at once and are not kept.
type Groups struct {
	proc string
	// bases are the directories in which any Mesos agent may have its root.
	bases []string
	// roots are those of this Mesos agent.
	roots []string
	// paths are the control groups of all processes, nil before the first question.
	paths []string
	// partial says that there may be processes which this program does not see.
	// Cgroups v1 leaves them out of cgroup.procs, so a group without processes
	// proves nothing.
	partial bool
	// v2 says that the Mesos agent has cgroups v2 alone. There a container nested in
	// another one may share that one's group.
	v2 bool
}

// Find returns the control groups of the Mesos agent with these flags. The error
// says why they cannot be found: then nothing tells whether a container lives.
func (c Cgroups) Find(flags Flags) (*Groups, error) {
	if flags["launcher"] == posixLauncher {
		return nil, troublef(api.MesosGroups, "the Mesos agent's --launcher is posix, whose containers have no control groups; start it with --launcher=linux")
	}
	root, ok := flags["cgroups_root"]
	if !ok {
		return nil, troublef(api.MesosGroups, "the flags of the Mesos agent have no cgroups_root")
	}
	g := &Groups{proc: cmp.Or(c.Proc, "/proc")}
	if namespace, err := os.Readlink(filepath.Join(g.proc, "self/ns/pid")); err != nil || namespace != wholeMachine {
		g.partial = true
	}
	hierarchy := cmp.Or(flags["cgroups_hierarchy"], defaultHierarchy)
	mounted, err := g.mounted()
	if err != nil {
		return nil, troublef(api.MesosGroups, "find the control groups of Mesos: %v", err)
	}
	// With v1 every container has a group in the freezer, and with v2 in the only
	// hierarchy. Its group for systemd is not always there.
	proving := append([]string{filepath.Join(hierarchy, "freezer"), hierarchy}, mounted...)
	for _, base := range proving {
		if isDirectory(filepath.Join(base, root)) {
			g.roots = append(g.roots, filepath.Join(base, root))
		}
	}
	if len(g.roots) == 0 {
		return nil, troublef(api.MesosGroups, "the Mesos agent runs with --cgroups_root=%s and --cgroups_hierarchy=%s, and this machine has no control group %s in any of %s; "+
			"run the flocker agent in the Mesos agent's mount namespace, where it sees that hierarchy", root, hierarchy, root, strings.Join(compact(proving), ", "))
	}
	g.v2 = !slices.ContainsFunc(g.roots, func(root string) bool { return !isV2(root) })
	if g.v2 && !strings.Contains(","+flags["isolation"], ",cgroups/") {
		return nil, troublef(api.MesosGroups, "the Mesos agent runs with --isolation=%s, and on cgroups v2 Mesos makes control groups for containers "+
			"only with a cgroups/... isolator; add cgroups/cpu,cgroups/mem", flags["isolation"])
	}
	g.bases = compact(append(proving, filepath.Join(hierarchy, "systemd")))
	g.roots = compact(g.roots)
	return g, nil
}

// mounted returns where the hierarchies are mounted in which Mesos makes groups.
func (g *Groups) mounted() ([]string, error) {
	f, err := os.Open(filepath.Join(g.proc, "self/mountinfo"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mounts, err := mountinfo.GetMountsFromReader(f, func(i *mountinfo.Info) (skip, stop bool) {
		v1 := i.FSType == "cgroup" && slices.Contains(strings.Split(i.VFSOptions, ","), "freezer")
		return !v1 && i.FSType != "cgroup2", false
	})
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, m := range mounts {
		dirs = append(dirs, m.Mountpoint)
	}
	return dirs, nil
}

func compact(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// isV2 reports whether a control group is one of cgroups v2.
func isV2(group string) bool {
	_, err := os.Stat(filepath.Join(group, "cgroup.controllers"))
	return err == nil
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Alive reports whether a process of the container, or of a container nested in
// it, lives. It looks for the container's group below the Mesos agent's root,
// below any other root, since the agent may have been started with another one
// meanwhile, and among the groups of all processes. What cannot be read counts
// as alive, and so does a group that is there, where not all processes are seen:
// Mesos removes the group when it destroys the container. With cgroups v2 a nested
// container without a group of its own lives as long as its parent.
func (g *Groups) Alive(id string) bool {
	parts := strings.Split(id, ".")
	for _, p := range parts {
		if p == "" || p == "*" || strings.ContainsAny(p, "/[?\\") {
			return true
		}
	}
	// A nested container's group is in a group mesos in its parent's.
	group := strings.Join(parts, "/mesos/")
	own := false
	for _, root := range g.roots {
		if g.occupied(filepath.Join(root, group)) {
			return true
		}
		own = own || isDirectory(filepath.Join(root, group))
	}
	for _, base := range g.bases {
		others, err := filepath.Glob(filepath.Join(base, "*", group))
		if err != nil || slices.ContainsFunc(others, g.occupied) {
			return true
		}
	}
	if g.paths == nil {
		var err error
		if g.paths, err = processGroups(g.proc); err != nil {
			return true
		}
	}
	if slices.ContainsFunc(g.paths, func(path string) bool { return strings.Contains(path, "/"+group+"/") }) {
		return true
	}
	return g.v2 && !own && len(parts) > 1 && g.Alive(strings.Join(parts[:len(parts)-1], "."))
}

// processGroups returns the control groups of all processes, each with a slash
// at its end.
func processGroups(proc string) ([]string, error) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(proc, e.Name(), "cgroup"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			// hierarchy:controllers:path
			if fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3); len(fields) == 3 {
				seen[fields[2]+"/"] = true
			}
		}
	}
	paths := make([]string, 0, len(seen))
	for path := range seen {
		paths = append(paths, path)
	}
	return paths, nil
}

// occupied reports whether a process is, or may be, in a group or one below it.
func (g *Groups) occupied(group string) bool {
	if g.partial && isDirectory(group) {
		return true
	}
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
