package isolator

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

const askedSubject = "mesos.agent"

// askedCalls are the calls that the flocker agent makes to its Mesos agent, and why each
// matters.
var askedCalls = []struct {
	call, matters string
	level         Level
}{
	{api.MesosCallFlags, "volumes of containers that Mesos forgets to clean up stay on this machine", Fail},
	{api.MesosCallGroups, "volumes of containers that Mesos forgets to clean up stay on this machine", Fail},
	{api.MesosCallContainers, "volumes of containers that Mesos forgets to clean up stay on this machine", Fail},
	{api.MesosCallTasks, "labels of pods' tasks are not read, so those get no volumes", Fail},
	{api.MesosCallFrameworks, "the owner of a container without a role in its resources is not known", Warn},
}

// judgeAsked looks at the answers of the Mesos agent that mesos.agent names.
func judgeAsked(f *Facts) []Finding {
	switch {
	case f.Agent == nil:
		return nil // judgeAgent has said so
	case f.Agent.Mesos == "":
		return []Finding{warn(askedSubject, "is not set in agent.yml: containers that Mesos forgets keep their volumes, and labels of task groups "+
			"are only read from Marathon; set it to this machine's Mesos agent, such as http://%s:5051", cmp.Or(f.processFlag("ip"), "127.0.0.1"))}
	case f.AskedErr != nil:
		return []Finding{warn(askedSubject, "%s was not examined: %v; update the flocker agent", f.Agent.Mesos, f.AskedErr)}
	case f.Asked == nil:
		return nil
	}
	var findings []Finding
	said := map[string]bool{}
	for _, c := range askedCalls {
		t := f.Asked.Troubles[c.call]
		if t == nil || said[t.Cause] {
			continue
		}
		said[t.Cause] = true
		findings = append(findings, Finding{c.level, askedSubject, fmt.Sprintf("the %s cannot be told, so %s: %s", c.call, c.matters, t.Cause)})
	}
	if t := f.Agent.MesosTrouble; t != nil && len(findings) == 0 {
		findings = append(findings, warn(askedSubject, "answers now, but since %s the flocker agent could not tell which containers run: %s",
			t.Since.UTC().Format("15:04:05"), t.Cause))
	}
	findings = append(findings, judgeSameAgent(f)...)
	if len(findings) > 0 {
		return findings
	}
	return []Finding{ok(askedSubject, "%s answers, its containers' control groups are in %s", f.Agent.Mesos, strings.Join(f.Asked.Groups, ", "))}
}

// judgeSameAgent compares the Mesos agent that answers with the process on this
// machine.
func judgeSameAgent(f *Facts) []Finding {
	if f.Asked.Flags == nil || f.Mesos == nil {
		return nil
	}
	for _, name := range []string{"work_dir", "port", "ip", "hostname", "runtime_dir", "cgroups_root"} {
		here, there := f.Mesos.Flags[name], f.Asked.Flags[name]
		if here != "" && there != "" && here != there {
			return []Finding{fail(askedSubject, "%s is another Mesos agent than process %d: it has --%s=%s, the process has %s; what runs here is not known, "+
				"so set mesos.agent in agent.yml to the URL of this machine's", f.Agent.Mesos, f.Mesos.PID, name, there, here)}
		}
	}
	return nil
}

// processFlag returns a flag of the Mesos agent's process, "" without such a process or flag.
func (f *Facts) processFlag(name string) string {
	if f.Mesos == nil {
		return ""
	}
	return f.Mesos.Flags[name]
}

// flags returns the flags of the Mesos agent: those that it tells, which include the
// defaults, or else those of its process, or else nil.
func (f *Facts) flags() map[string]string {
	switch {
	case f.Asked != nil && f.Asked.Flags != nil:
		return f.Asked.Flags
	case f.Mesos != nil:
		return f.Mesos.Flags
	default:
		return nil
	}
}

// judgeIsolators looks at what the isolators of --isolation need.
func judgeIsolators(f *Facts) []Finding {
	flags := f.flags()
	isolation := splitList(flags["isolation"])
	has := func(name string) bool { return slices.Contains(isolation, name) }
	var findings []Finding
	switch {
	case has("filesystem/linux") && has("filesystem/posix"):
		findings = append(findings, fail("--isolation", "has filesystem/linux and filesystem/posix, of which Mesos takes one: remove filesystem/posix from %q", flags["isolation"]))
	case has("filesystem/linux"):
		findings = append(findings, ok("--isolation", "has filesystem/linux"))
	default:
		findings = append(findings, fail("--isolation", "lacks filesystem/linux, without which a container has no mounts of "+
			"its own: add it to %q", flags["isolation"]))
	}
	if f.CgroupsV1 && !slices.ContainsFunc(isolation, func(name string) bool { return strings.HasPrefix(name, "cgroups/") }) {
		findings = append(findings, warn("--isolation", "has no isolator cgroups/...: this machine has cgroups v1, on which Mesos from 1.12 on aborts at its start then; "+
			"add cgroups/cpu,cgroups/mem to %q", flags["isolation"]))
	}
	if has("docker/volume") {
		findings = append(findings, judgeDVDCLI(f))
	}
	if has("volume/csi") && flags["csi_plugin_config_dir"] == "" {
		findings = append(findings, fail("--csi_plugin_config_dir", "is not set though --isolation has volume/csi, so no task with a CSI volume starts: "+
			"name the directory that has flocker's file, as docs/csi.md shows"))
	}
	return findings
}

// judgeDirectories looks at the Mesos agent's directories.
func judgeDirectories(f *Facts) []Finding {
	var findings []Finding
	for _, d := range f.MesosDirs {
		switch subject := "--" + d.Flag; {
		case f.Agent != nil && f.Agent.MountRoot != "" && api.Within(filepath.Clean(d.Path), f.Agent.MountRoot):
			findings = append(findings, fail(subject, "is %s, below %s, where nothing but volumes can be: move it", d.Path, f.Agent.MountRoot))
		case d.Err != nil:
			findings = append(findings, warn(subject, "is %s, which cannot be read here (%v): the Mesos agent is in another mount namespace or on another machine; "+
				"run the flocker agent and this doctor where it runs", d.Path, d.Err))
		case d.Flag == "work_dir" && api.Within(filepath.Clean(d.Path), "/tmp"):
			findings = append(findings, warn(subject, "is %s: what cleans up /tmp removes sandboxes of running tasks, and with them what their volumes are bound to; "+
				"start the Mesos agent with --work_dir=/var/lib/mesos", d.Path))
		}
	}
	return findings
}

// MesosDir is a directory of the Mesos agent.
type MesosDir struct {
	Flag, Path string
	Err        error // it cannot be read here
}

func mesosDirs(flags map[string]string) []MesosDir {
	var dirs []MesosDir
	for _, flag := range []string{"work_dir", "runtime_dir"} {
		path := flags[flag]
		if path == "" {
			continue
		}
		_, err := os.Stat(path)
		dirs = append(dirs, MesosDir{flag, path, err})
	}
	return dirs
}

// judgeGrace looks at the flags that decide how a task's processes end and come back.
func judgeGrace(f *Facts) []Finding {
	var findings []Finding
	flags := f.flags()
	if text := flags["executor_shutdown_grace_period"]; text != "" {
		const subject = "--executor_shutdown_grace_period"
		switch grace, valid := parseMesosDuration(text); {
		case !valid:
			findings = append(findings, warn(subject, "%q is not understood", text))
		case grace < shutdownGrace:
			findings = append(findings, warn(subject, "is %v: where a framework shuts its executor down, a task is killed after that, before it has written back what its "+
				"volume should have; start the Mesos agent with --executor_shutdown_grace_period=%s", grace, mesosDuration(shutdownGrace)))
		}
	}
	if flags["recover"] == "cleanup" {
		findings = append(findings, warn("--recover", "is cleanup, which kills all containers when the Mesos agent starts: leave it out"))
	}
	return findings
}
