package reconcile_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

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

func TestCgroupsFindsTheProcessesOfAContainer(t *testing.T) {
	root := filepath.Join(hierarchy(t), fmt.Sprintf("flocker-test-%d", os.Getpid()))
	for _, dir := range []string{"", "/top", "/top/mesos", "/top/mesos/child", "/top/mesos/child/leaf", "/empty"} {
		makeGroup(t, root+dir)
	}
	cgroups := reconcile.Cgroups{Roots: []string{"/nowhere", root}}
	check := func(when string, want map[string]bool) {
		t.Helper()
		for id, alive := range want {
			if got := cgroups.Alive(id); got != alive {
				t.Errorf("%s: %s: got %v, want %v", when, id, got, alive)
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
	check("a process in the child", map[string]bool{"top": true, "top.child": true, "empty": false, "child": false})
	stop()
	check("after its end", map[string]bool{"top": false, "top.child": false})
}

func TestCgroupsTakesForAliveWhatItDoesNotKnow(t *testing.T) {
	for _, id := range []string{"", "a..b", "../a", "a.b/c"} {
		if !(reconcile.Cgroups{Roots: []string{t.TempDir()}}).Alive(id) {
			t.Errorf("%q: got dead", id)
		}
	}
	if !(reconcile.Cgroups{Roots: []string{"/nowhere"}}).Alive("a") {
		t.Error("without control groups: got dead")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if !(reconcile.Cgroups{Roots: []string{file + "/x"}}).Alive("a") {
		t.Error("with an unreadable root: got dead")
	}
}
