package system

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// rootWasHere is a file in a directory of root alone. A program that a hostile
// task brings, and root runs, makes it.
const rootWasHere = "/root/was-here"

// trap is a task of an unprivileged user. It leaves a script in its volume
// under the names of the programs that Mesos calls, and stays, so that the
// volume is mounted.
func trap(user string) *mesos.Task {
	return &mesos.Task{ID: "trap", User: user, Labels: labels("flocker.volume.script", "path=script,name=script,size=64MiB"), Command: `set -e
cd script
for name in flocker-isolator flocker-isolator-prepare dvdcli; do
	printf '#!/bin/sh\nid -u >>` + rootWasHere + `\nexit 0\n' >$name; chmod 755 $name
done
trap 'exit 0' TERM
echo ready
sleep infinity & wait`}
}

// wantNoRoot fails the test if root ran a program of a task.
func (w *world) wantNoRoot(n *cluster.Node) {
	w.t.Helper()
	if ids, err := os.ReadFile(n.Path(rootWasHere)); err == nil {
		w.t.Errorf("a task's program ran as user %s", strings.Fields(string(ids)))
	}
}

// hostMounts returns where a host has mounts, beside those below the mount root.
func (w *world) hostMounts(n *cluster.Node) string {
	w.t.Helper()
	lines, err := n.Mounts()
	w.must(err)
	var at []string
	for _, line := range lines {
		if target := strings.Fields(line)[4]; !strings.HasPrefix(target, "/flocker/") {
			at = append(at, target)
		}
	}
	return strings.Join(at, "\n")
}

const user = "nobody"

// A task's files are fetched after prepare, as the task's user: they replace the
// targets of its volumes, and all else that the user can change.
func TestHostileFilesMakeNoTaskRoot(t *testing.T) {
	t.Parallel()
	const aside = `rm -rf a 2>/dev/null || mv a aside; `
	cases := map[string]struct {
		fetch string
		image string
	}{
		"the programs' directory":         {aside + "ln -s " + lab.ProgramsDir + " a", ""},
		"a directory above it":            {aside + "ln -s /opt a", ""},
		"a parent of the target":          {"rm -rf b 2>/dev/null || mv b aside; ln -s / b", ""},
		"the machine's settings":          {aside + "ln -s /etc a", ""},
		"the programs' directory, upward": {aside + "ln -s ../../../../../../../../../../../.." + lab.ProgramsDir + " a", ""},
		"an image's task":                 {aside + "ln -s " + lab.ProgramsDir + " a", "debian"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, cluster.Options{Nodes: 1})
			n := w.Nodes[0]
			decoy := w.launch(n, trap(user))
			w.says(decoy, "ready")
			before := w.hostMounts(n)
			// The volume with the script is there; another one is on its way, so
			// that the launch process has to wait.
			r := w.launch(n, &mesos.Task{
				ID: "hostile", User: user, Image: c.image, Fetch: c.fetch,
				Labels: labels("flocker.volume.script", "path=a,name=script", "flocker.volume.late", "path=b/opt/flocker/bin,name=late,size=64MiB"),
				// What it can do without being root is to fail.
				Command: `cat /proc/self/mountinfo`,
			})
			u := w.ended(r)
			w.wantNoRoot(n)
			for line := range strings.Lines(r.Stdout()) {
				at := strings.Fields(line)[4]
				if strings.Contains(line, "/dev/loop") && !strings.HasPrefix(at, "/var/lib/mesos/") && !strings.HasPrefix(at, "/opt/flocker/bin") && c.image == "" {
					t.Errorf("a volume is mounted at %s", at)
				}
			}
			if c.image == "" && (u.State != mesos.StateFailed || !strings.Contains(r.Stderr(), "leads out of the sandbox")) {
				t.Errorf("the task is %+v and says %q", u, r.Stderr())
			}
			if after := w.hostMounts(n); after != before {
				t.Errorf("the host had mounts at\n%s\nand has them at\n%s", before, after)
			}
			w.end(decoy)
			w.idle()
		})
	}
}

// Mesos' own isolators mount what a framework asks for over any path of the
// host, before root starts the program that mounts the volumes.
func TestNoMountHidesTheProgram(t *testing.T) {
	t.Parallel()
	for _, hidden := range []string{lab.ProgramsDir, "/opt", "/sys", "/dev", "/run", "/run/flocker", "/proc"} {
		t.Run(hidden, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withCSI(t, cluster.Options{Nodes: 1}, 0))
			n := w.Nodes[0]
			decoy := w.launch(n, trap(user))
			w.says(decoy, "ready")
			w.end(decoy)
			w.idle()
			task := csiLedger("hostile", "script")
			task.User, task.CSI[0].ContainerPath = user, hidden
			task.Labels = labels("flocker.volume.data", "path=data,name=data,size=64MiB")
			task.Command = "mountpoint data || mountpoint /var/lib/mesos"
			r := w.launch(n, task)
			u := w.ended(r)
			w.wantNoRoot(n)
			if covered := hidden == "/run" || hidden == "/run/flocker"; covered != (u.State == mesos.StateFailed) && hidden != "/dev" && hidden != "/proc" {
				t.Errorf("the task is %+v and says %q, %q", u, r.Stdout(), r.Stderr())
			}
			w.idle()
		})
	}
}

// The sandbox of a nested container lies in one that the user can change.
func TestNestedSandboxOfAHostileUserLeadsNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	before := w.hostMounts(n)
	g, err := n.Mesos.LaunchGroup(&mesos.Group{User: user, Tasks: []*mesos.Task{{
		ID: "hostile", User: user, Command: "mountpoint data",
		Labels: labels("flocker.volume.data", "path=opt/flocker/bin,name=nested,size=64MiB"),
		Fetch:  `here=$PWD; cd ../..; mv containers aside; mkdir containers; ln -s / containers/${here##*/}`,
	}}})
	w.must(err)
	u, err := g.Runs[0].Ended(w.ctx())
	w.must(err)
	stderr, _ := os.ReadFile(n.Path(strings.Replace(g.Runs[0].Directory(), "/containers/", "/aside/", 1)) + "/stderr")
	if u.State != mesos.StateFailed || !strings.Contains(string(stderr), "symbolic link that other users than root can change") {
		t.Errorf("the task is %+v and says %q", u, stderr)
	}
	w.wantNoRoot(n)
	if after := w.hostMounts(n); after != before {
		t.Errorf("the host had mounts at\n%s\nand has them at\n%s", before, after)
	}
	if left, err := filepath.Glob(n.Path("/data*")); err != nil || len(left) > 0 {
		t.Errorf("%v was made", left)
	}
	w.until("the executor is gone", func() error {
		select {
		case <-g.Gone():
			return nil
		default:
			return fmt.Errorf("it is there")
		}
	})
	w.idle()
}

// A container inherits the mounts of the host, and has clones of its own
// volumes. Neither keeps another container's volume on the machine.
func TestVolumeLeavesWhileOtherContainersRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	first := w.launch(n, ledger("first"))
	w.says(first, "ready")
	second := w.launch(n, ledger("second"))
	w.says(second, "ready")
	plain := w.launch(n, &mesos.Task{ID: "plain", Command: "echo ready; sleep infinity"})
	w.says(plain, "ready")
	w.end(first)
	w.until("the first volume is detached", func() error {
		loops, err := lab.Loops(w.Lab.SAN)
		if err == nil && len(loops) != 1 {
			err = fmt.Errorf("attached are %v", loops)
		}
		return err
	})
	again := w.launch(n, ledger("first"))
	w.says(again, "verified 1")
	for _, r := range []*mesos.Run{again, second, plain} {
		w.end(r)
	}
	w.idle()
}

// A task of root sees its own volume, and no other one.
func TestTaskOfRootFindsNoOtherVolume(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	other := w.launch(n, ledger("other"))
	w.says(other, "ready")
	for _, image := range []string{"", "debian"} {
		task := &mesos.Task{ID: "curious" + image, Image: image, Labels: labels("flocker.volume.data", "path=data,name=mine,size=64MiB"),
			Command: "grep -c /dev/loop /proc/self/mountinfo; ls -A /flocker 2>/dev/null | wc -l"}
		r := w.launch(n, task)
		w.ended(r)
		if r.Stdout() != "1\n0\n" {
			t.Errorf("image %q: the task sees %q, %q", image, r.Stdout(), r.Stderr())
		}
	}
	w.end(other)
	w.idle()
}

// A reader beside a writer, on one machine, has no way to the writable mount.
func TestReadOnlyTaskCannotWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	writer := w.launch(n, ledger("app"))
	w.says(writer, "ready")
	reader := w.launch(n, &mesos.Task{ID: "reader", User: user, Labels: labels("flocker.volume.data", "path=data,name=app,mode=ro"),
		Command: `cat data/lines
for at in data $(awk '/\/dev\/loop/ {print $5}' /proc/self/mountinfo); do touch $at/lines && echo wrote $at; done
for at in $(awk '/\/dev\/loop/ {print $6}' /proc/self/mountinfo); do case $at in ro*) echo ro;; *) echo $at;; esac; done`})
	w.ended(reader)
	if reader.Stdout() != "1\nro\n" {
		t.Errorf("the reader says %q, %q", reader.Stdout(), reader.Stderr())
	}
	w.end(writer)
	w.idle()
}
