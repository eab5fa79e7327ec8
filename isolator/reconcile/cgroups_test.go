package reconcile_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator/reconcile"
)

// hierarchy returns a directory of control groups of this machine.
func hierarchy(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes control groups: it must be run by root")
	}
	for _, dir := range []string{"/sys/fs/cgroup/freezer", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
			return dir
		}
	}
	t.Fatal("no control groups are mounted")
	return ""
}

func makeGroup(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
}

// find returns the groups of a Mesos agent with a root in a hierarchy.
func find(t *testing.T, c reconcile.Cgroups, hierarchy, root string) *reconcile.Groups {
	t.Helper()
	groups, err := c.Find(reconcile.Flags{
		"launcher": "linux", "cgroups_root": root, "cgroups_hierarchy": hierarchy, "isolation": "cgroups/cpu,filesystem/linux",
	})
	if err != nil {
		t.Fatal(err)
	}
	return groups
}

func TestCgroupsFindsTheProcessesOfAContainer(t *testing.T) {
	base := hierarchy(t)
	name := fmt.Sprintf("flocker-test-%d", os.Getpid())
	root := filepath.Join(base, name)
	for _, dir := range []string{"", "/top", "/top/mesos", "/top/mesos/child", "/top/mesos/child/leaf", "/empty"} {
		makeGroup(t, root+dir)
	}
	other := name + "-other"
	makeGroup(t, filepath.Join(base, other))
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	partial := namespace != "pid:[4026531836]" // where a group counts as alive while it is there
	check := func(when string, want map[string]bool) {
		t.Helper()
		for _, id := range []string{"top", "top.child", "empty"} {
			if _, asked := want[id]; asked && partial {
				want[id] = true
			}
		}
		for where, hierarchy := range map[string]string{"where it is": base, "wherever it is mounted": "/cgroups"} {
			for id, alive := range want {
				if got := find(t, reconcile.Cgroups{}, hierarchy, name).Alive(id); got != alive {
					t.Errorf("%s, %s: %s: got %v, want %v", when, where, id, got, alive)
				}
				// The agent was started with another root since.
				if got := find(t, reconcile.Cgroups{}, hierarchy, other).Alive(id); got != alive {
					t.Errorf("%s, %s, with another root: %s: got %v, want %v", when, where, id, got, alive)
				}
			}
		}
	}
	check("nobody", map[string]bool{"top": false, "top.child": false, "empty": false, "missing": false, "top.missing": false})
	process := exec.Command("sleep", "60")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	}
	defer stop()
	procs := filepath.Join(root, "top/mesos/child/leaf/cgroup.procs")
	if err := os.WriteFile(procs, []byte(fmt.Sprint(process.Process.Pid)), 0o644); err != nil {
		t.Fatal(err)
	}
	check("a process in the child", map[string]bool{"top": true, "top.child": true, "empty": false})
	stop()
	check("after its end", map[string]bool{"top": false, "top.child": false})
}

// A flocker agent in a PID namespace of its own, as in a container, sees no process of
// a container of Mesos, and cgroups v1 shows it an empty group.
func TestCgroupsReleasesNothingWhoseProcessesItCannotSee(t *testing.T) {
	for namespace, want := range map[string]bool{"pid:[4026531836]": false, "pid:[4026532192]": true, "": true} {
		proc, flags := emptyProc(t), emptyGroups(t)
		if err := os.Mkdir(filepath.Join(proc, "self/ns"), 0o755); err != nil {
			t.Fatal(err)
		}
		if namespace != "" {
			if err := os.Symlink(namespace, filepath.Join(proc, "self/ns/pid")); err != nil {
				t.Fatal(err)
			}
		}
		for _, root := range []string{"mesos", "blue"} { // blue was its root before
			dir := filepath.Join(flags["cgroups_hierarchy"], "freezer", root, "top-"+root, "mesos/child")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for _, d := range []string{dir, filepath.Dir(filepath.Dir(dir))} {
				if err := os.WriteFile(filepath.Join(d, "cgroup.procs"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		groups := find(t, reconcile.Cgroups{Proc: proc}, flags["cgroups_hierarchy"], "mesos")
		for _, id := range []string{"top-mesos", "top-mesos.child", "top-blue", "top-blue.child"} {
			if got := groups.Alive(id); got != want {
				t.Errorf("in PID namespace %q: %s with an empty group: got alive %v, want %v", namespace, id, got, want)
			}
		}
		if groups.Alive("removed") {
			t.Errorf("in PID namespace %q: a container without a group is alive", namespace)
		}
	}
}

// With cgroups v2 Mesos makes a container's group only by a cgroups/... isolator, and a
// nested container may share its parent's.
func TestCgroupsOfVersion2TellOnlyWhatMesosPutThere(t *testing.T) {
	proc, hierarchy := emptyProc(t), t.TempDir()
	for path, text := range map[string]string{
		"hierarchy/mesos/cgroup.controllers": "cpu", "hierarchy/mesos/top/leaf/cgroup.procs": "77\n", "hierarchy/mesos/top/cgroup.procs": "",
		"hierarchy/mesos/top/mesos/ended/cgroup.procs": "", "hierarchy/mesos/over/cgroup.procs": "",
		"proc/self/ns/pid": "", "proc/77/cgroup": "0::/mesos/top/leaf\n",
	} {
		base, rest, _ := strings.Cut(path, "/")
		file := filepath.Join(map[string]string{"hierarchy": hierarchy, "proc": proc}[base], rest)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Remove(filepath.Join(proc, "self/ns/pid")), os.Symlink("pid:[4026531836]", filepath.Join(proc, "self/ns/pid"))); err != nil {
		t.Fatal(err)
	}
	groups := find(t, reconcile.Cgroups{Proc: proc}, hierarchy, "mesos")
	for id, want := range map[string]bool{"top": true, "top.shares": true, "top.shares.too": true, "top.ended": false, "over": false, "over.child": false, "none": false} {
		if got := groups.Alive(id); got != want {
			t.Errorf("%s: got alive %v, want %v", id, got, want)
		}
	}
	for isolation, told := range map[string]bool{
		"": false, "posix/cpu,posix/mem": false, "filesystem/linux,docker/volume": false, "filesystem/linux,cgroups/mem": true, "cgroups/all": true,
	} {
		_, err := reconcile.Cgroups{Proc: proc}.Find(reconcile.Flags{"launcher": "linux", "cgroups_root": "mesos", "cgroups_hierarchy": hierarchy, "isolation": isolation})
		if (err == nil) != told {
			t.Errorf("--isolation=%s: got %v", isolation, err)
		}
		if err != nil && (reconcile.TroubleOf(err).Kind != api.MesosGroups || !strings.Contains(err.Error(), "add cgroups/cpu")) {
			t.Errorf("--isolation=%s: got %v, want what to add", isolation, err)
		}
	}
}

// TestCgroupsFindsAProcessWhateverItsRoot has a process whose group no path leads
// to, as where its hierarchy is mounted in the Mesos agent's namespace alone.
func TestCgroupsFindsAProcessWhateverItsRoot(t *testing.T) {
	for name, text := range map[string]string{
		"cgroups v1": "9:name=systemd:/init.scope\n6:freezer:/other/top/mesos/child\n4:memory:/other/top\n0::/init.scope\n",
		"cgroups v2": "0::/other/deep/top/mesos/child/leaf\n",
	} {
		t.Run(name, func(t *testing.T) {
			proc := emptyProc(t)
			if err := os.Mkdir(filepath.Join(proc, "77"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(proc, "77/cgroup"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			flags := emptyGroups(t)
			groups := find(t, reconcile.Cgroups{Proc: proc}, flags["cgroups_hierarchy"], "mesos")
			for id, want := range map[string]bool{"top": true, "top.child": true, "other": true, "to": false, "top.x": false} {
				if got := groups.Alive(id); got != want {
					t.Errorf("%s: got %v, want %v", id, got, want)
				}
			}
		})
	}
}

func TestCgroupsTakesForAliveWhatItCannotRead(t *testing.T) {
	flags := emptyGroups(t)
	proc := emptyProc(t)
	groups := find(t, reconcile.Cgroups{Proc: proc}, flags["cgroups_hierarchy"], "mesos")
	for _, id := range []string{"", "a..b", "../a", "a.b/c", "*", "a.[x", "?"} {
		if !groups.Alive(id) {
			t.Errorf("%q: got dead", id)
		}
	}
	if groups.Alive("a") {
		t.Error("got alive, and there is no process")
	}
	if err := os.MkdirAll(filepath.Join(proc, "77/cgroup"), 0o755); err != nil {
		t.Fatal(err)
	}
	if !find(t, reconcile.Cgroups{Proc: proc}, flags["cgroups_hierarchy"], "mesos").Alive("a") {
		t.Error("with a process that cannot be read: got dead")
	}
}
