package isolator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// Facts are what the doctor judges.
type Facts struct {
	Program, Version, Socket string

	Agent    *api.AgentStatus // nil with AgentErr
	AgentErr error

	Asked    *api.MesosInfo // what the flocker agent hears from mesos.agent, nil where that is not set, or with AskedErr
	AskedErr error

	Marathon    *api.MarathonInfo // nil with MarathonErr, or where it was not asked
	MarathonErr error

	Mesos    *MesosProcess // nil with MesosErr
	MesosErr error

	Modules     *Modules // nil with ModulesErr, or where nobody says which file it is
	ModulesFrom string
	ModulesErr  error

	// Executables has, for every command that the modules name, what it is.
	Executables map[string]Executable
	DVDCLI      Executable // the dvdcli in the Mesos agent's PATH

	Mounts      []MountPoint // of this process
	MesosMounts []MountPoint // of the Mesos agent
	MountsErr   error

	MesosDirs []MesosDir
	CgroupsV1 bool // this machine has cgroups v1
}

// MesosProcess is a running Mesos agent.
type MesosProcess struct {
	PID   int
	Flags map[string]string // by name, from command line and environment
	// Environment has the flags among them that came from MESOS_ variables:
	// those are also in the environment of an isolator.
	Environment map[string]bool
	Path        string // the variable PATH
}

// Executable is what a path leads to.
type Executable struct {
	Path string // after symbolic links
	Err  error  // it is missing, or can't be run
}

// gather collects the facts. What can't be had becomes an error among them.
func (d *Doctor) gather(ctx context.Context) *Facts {
	f := &Facts{Program: d.Program, Version: d.Version, Socket: d.Socket}
	f.Agent, f.AgentErr = d.askAgent(ctx)
	if f.Agent != nil && f.Agent.Mesos != "" {
		f.Asked, f.AskedErr = d.askMesos(ctx)
	}
	if d.Marathon != "" {
		f.Marathon, f.MarathonErr = d.askMarathon(ctx)
	}
	f.Mesos, f.MesosErr = d.findMesos()
	f.ModulesFrom = cmp.Or(d.ModulesFile, f.processFlag("modules"), f.flags()["modules"])
	f.MesosDirs, f.CgroupsV1 = mesosDirs(f.flags()), hasCgroupsV1(d.Proc)
	if f.ModulesFrom != "" {
		f.Modules, f.ModulesErr = readModules(f.ModulesFrom)
	}
	f.Executables = executables(f.Modules)
	f.Mounts, f.MountsErr = readMounts(filepath.Join(d.Proc, "self/mountinfo"))
	if f.Mesos != nil {
		f.DVDCLI = lookPath("dvdcli", f.Mesos.Path)
		var err error
		f.MesosMounts, err = readMounts(filepath.Join(d.Proc, strconv.Itoa(f.Mesos.PID), "mountinfo"))
		f.MountsErr = errors.Join(f.MountsErr, err)
	}
	return f
}

func (d *Doctor) askAgent(ctx context.Context) (*api.AgentStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	return (&Client{Socket: d.Socket}).Status(ctx)
}

func (d *Doctor) askMesos(ctx context.Context) (*api.MesosInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, mesosTimeout)
	defer cancel()
	return (&Client{Socket: d.Socket}).Mesos(ctx)
}

// hasCgroupsV1 reports whether processes have a freezer group, which cgroups v2 lacks.
func hasCgroupsV1(proc string) bool {
	text, err := os.ReadFile(filepath.Join(proc, "self/cgroup"))
	return err == nil && strings.Contains(string(text), ":freezer:")
}

func (d *Doctor) askMarathon(ctx context.Context) (*api.MarathonInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, marathonTimeout)
	defer cancel()
	return (&Client{Socket: d.Socket}).Marathon(ctx, d.Marathon)
}

// findMesos returns the Mesos agent with the given process id, or the one with
// the lowest.
func (d *Doctor) findMesos() (*MesosProcess, error) {
	if d.MesosPID != 0 {
		return d.readMesos(d.MesosPID)
	}
	entries, err := os.ReadDir(d.Proc)
	if err != nil {
		return nil, fmt.Errorf("look for the Mesos agent: %w", err)
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	for _, pid := range pids {
		if m, err := d.readMesos(pid); err == nil {
			return m, nil
		}
	}
	return nil, errors.New("no process mesos-agent or mesos-slave is running; " +
		"name it with --mesos-agent-pid if it has another name")
}

func (d *Doctor) readMesos(pid int) (*MesosProcess, error) {
	dir := filepath.Join(d.Proc, strconv.Itoa(pid))
	cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return nil, fmt.Errorf("read the Mesos agent's command line: %w", err)
	}
	args := strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")
	// Libtool runs programs that are not installed under a name of its own.
	name := strings.TrimPrefix(filepath.Base(args[0]), "lt-")
	if d.MesosPID == 0 && name != "mesos-agent" && name != "mesos-slave" {
		return nil, fmt.Errorf("process %d is %s", pid, name)
	}
	environ, err := os.ReadFile(filepath.Join(dir, "environ"))
	if err != nil {
		return nil, fmt.Errorf("read the Mesos agent's environment: %w", err)
	}
	return parseMesos(pid, args[1:], strings.Split(string(environ), "\x00")), nil
}

// parseMesos reads flags as Mesos does: --name=value, --name, --no-name, or a
// variable MESOS_NAME; the command line wins.
func parseMesos(pid int, args, environ []string) *MesosProcess {
	m := &MesosProcess{PID: pid, Flags: make(map[string]string), Environment: make(map[string]bool)}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if flag, ok := strings.CutPrefix(name, "MESOS_"); ok {
			m.Flags[strings.ToLower(flag)] = value
			m.Environment[strings.ToLower(flag)] = true
		}
		if name == "PATH" {
			m.Path = value
		}
	}
	for _, arg := range args {
		flag, ok := strings.CutPrefix(arg, "--")
		if !ok {
			continue
		}
		name, value, hasValue := strings.Cut(flag, "=")
		if bare, no := strings.CutPrefix(name, "no-"); no && !hasValue {
			name, value = bare, "false"
		} else if !hasValue {
			value = "true"
		}
		m.Flags[name] = value
		delete(m.Environment, name)
	}
	return m
}

// readModules reads the value of a Mesos agent's --modules: JSON, a file of it, or the
// text that /flags shows.
func readModules(from string) (*Modules, error) {
	if strings.HasPrefix(from, "libraries {") {
		return parseModulesText(from)
	}
	data := []byte(from)
	if !strings.HasPrefix(strings.TrimSpace(from), "{") {
		var err error
		if data, err = os.ReadFile(strings.TrimPrefix(from, "file://")); err != nil {
			return nil, fmt.Errorf("read modules: %w", err)
		}
	}
	modules := new(Modules)
	if err := json.Unmarshal(data, modules); err != nil {
		return nil, fmt.Errorf("read modules: %w", err)
	}
	return modules, nil
}

func executables(modules *Modules) map[string]Executable {
	found := make(map[string]Executable)
	if modules == nil {
		return found
	}
	for _, l := range modules.Libraries {
		if l.File != "" {
			found[l.File] = lookFile(l.File, 0)
		}
		for _, m := range l.Modules {
			for _, p := range m.Parameters {
				if strings.HasSuffix(p.Key, suffixCommand) {
					found[p.Value] = lookFile(p.Value, 0o111)
				}
			}
		}
	}
	return found
}

// lookFile follows a path to a regular file which has one of the permissions.
func lookFile(path string, permissions os.FileMode) Executable {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return Executable{Err: err}
	}
	info, err := os.Stat(resolved)
	switch {
	case err != nil:
		return Executable{Err: err}
	case !info.Mode().IsRegular():
		return Executable{Path: resolved, Err: errors.New("it is not a file")}
	case permissions != 0 && info.Mode()&permissions == 0:
		return Executable{Path: resolved, Err: errors.New("it is not executable")}
	}
	return Executable{Path: resolved}
}

func lookPath(name, path string) Executable {
	for _, dir := range filepath.SplitList(path) {
		if e := lookFile(filepath.Join(dir, name), 0o111); e.Err == nil {
			return e
		}
	}
	return Executable{Err: fmt.Errorf("no %s in the Mesos agent's PATH", name)}
}
