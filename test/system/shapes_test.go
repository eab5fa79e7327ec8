package system

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/marathon"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// The shapes are those of the recordings of a real Mesos.

func TestCommandTaskHasItsVolumeInTheSandbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	r := w.launch(n, &mesos.Task{
		ID: "cmd1", Labels: labels("flocker.volume.0", "name=pgdata,path=data,size=1G", "other", "x"),
		Command: `stat -f -c %T data; df -B1 --output=size data | tail -1; echo stored >data/MARK; cat data/MARK; id -u`,
	})
	if u := w.ended(r); u.State != mesos.StateFinished {
		t.Fatalf("task is %+v\n%s", u, r.Stderr())
	}
	lines := strings.Split(r.Stdout(), "\n")
	if lines[0] != "ext2/ext3" || lines[2] != "stored" {
		t.Errorf("the task printed %q", lines)
	}
	w.idle()
	if _, err := os.Stat(n.Path(filepath.Join(r.Directory(), "data/MARK"))); err == nil {
		t.Error("the task wrote beside its volume")
	}
}

func TestTasksOfAGroupHaveTheirOwnVolumes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	task := func(id, volume string) *mesos.Task {
		return &mesos.Task{
			ID: id, Labels: labels("flocker.volume.0", "name="+volume+",path=data,size=64MiB"),
			Command: "echo " + id + " >data/MARK; echo hello >>data/MARK; echo ready; sleep infinity",
		}
	}
	// Labels of tasks in groups come from the Mesos agent's API alone.
	g, err := n.Mesos.LaunchGroup(&mesos.Group{Tasks: []*mesos.Task{task("g1a", "pgdata"), task("g1b", "pgdata2")}})
	w.must(err)
	for _, r := range g.Runs {
		w.says(r, "ready")
		out, err := n.Mesos.Check(w.ctx(), r, "grep -q hello data/MARK && cat data/MARK")
		if err != nil || out != r.Task.ID+"\nhello\n" {
			t.Errorf("health check of %s says %q, %v", r.Task.ID, out, err)
		}
	}
	g.Kill()
	for _, r := range g.Runs {
		w.ended(r)
	}
	<-g.Gone()
	w.idle()
}

func TestImageContainerHasVolumesAtAbsoluteAndRelativePaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	r := w.launch(w.Nodes[0], &mesos.Task{
		ID: "im", Image: "debian",
		Labels: labels("flocker.volume.abs", "path=/var/lib/postgresql/data,name=abs,size=64MiB",
			"flocker.volume.rel", "path=reldata,name=rel,size=64MiB"),
		Command: `for d in /var/lib/postgresql/data /mnt/mesos/sandbox/reldata reldata; do mountpoint -q $d && echo "$d is mounted"; done
			echo x >reldata/x; cat /mnt/mesos/sandbox/reldata/x; echo y >/var/lib/postgresql/data/y`,
	})
	if u := w.ended(r); u.State != mesos.StateFinished {
		t.Fatalf("task is %+v\n%s", u, r.Stderr())
	}
	want := "/var/lib/postgresql/data is mounted\n/mnt/mesos/sandbox/reldata is mounted\nreldata is mounted\nx\n"
	if r.Stdout() != want {
		t.Errorf("the task printed %q, want %q", r.Stdout(), want)
	}
	w.idle()
}

func TestReadOnlyConsumerCanNotWriteAndSharesTheVolume(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	writer := w.launch(n, ledger("shared"))
	w.says(writer, "ready")
	reader := w.launch(n, &mesos.Task{
		ID:      "reader",
		Labels:  labels("flocker.volume.in", "path=in,name=shared,size=64MiB,mode=ro"),
		Command: "cat in/lines; touch in/x 2>/dev/null && echo writable; echo ready; sleep infinity",
	})
	w.says(reader, "ready")
	if got := reader.Stdout(); got != "1\nready\n" {
		t.Errorf("the reader printed %q", got)
	}
	loops, err := lab.Loops(w.Lab.SAN)
	if err != nil || len(loops) != 1 {
		t.Errorf("loop devices are %v, %v, want one for both", loops, err)
	}
	// The volume stays for the reader when its writer has gone.
	w.end(writer)
	if loops, err := lab.Loops(w.Lab.SAN); err != nil || len(loops) != 1 {
		t.Errorf("loop devices are %v, %v, want the reader's", loops, err)
	}
	again := w.launch(n, ledger("shared"))
	w.says(again, "verified 1")
	w.end(again)
	w.end(reader)
	w.idle()
}

func TestOriginalIsolatorsAndDvdclisVariablesWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	for name, env := range map[string][]mesos.Variable{
		"flocker": {mesos.Var("FLOCKER_ID", "0e3a7a52"), mesos.Var("FLOCKER_CONTAINER_VOLUME_PATH", "data")},
		"dvdi": {
			mesos.Var("DVDI_VOLUME_DRIVER", "flocker"), mesos.Var("DVDI_VOLUME_NAME", "dvdi"),
			mesos.Var("DVDI_VOLUME_CONTAINERPATH", "data"),
			mesos.Var("DVDI_VOLUME_OPTS", "size=1"),
		},
	} {
		r := w.launch(w.Nodes[0], &mesos.Task{ID: name, Env: env, Command: "mountpoint data"})
		if u := w.ended(r); u.State != mesos.StateFinished {
			t.Errorf("%s: task is %+v\n%s%s", name, u, r.Stdout(), r.Stderr())
		}
	}
	w.idle()
}

func TestTaskWithoutLabelsCostsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	n.Agent.Kill() // nobody is asked
	r := w.launch(n, &mesos.Task{ID: "plain", Command: "mount", Labels: labels("other", "x")})
	if u := w.ended(r); u.State != mesos.StateFinished || strings.Contains(r.Stdout(), "/dev/loop") {
		t.Errorf("task is %+v and printed %s", u, r.Stdout())
	}
	w.idle()
}

func TestMistakeInALabelReachesTheFramework(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	for wrong, want := range map[string]string{
		"flocker.volume.data.sise=1G":          "flocker.volume.data.sise",
		"flocker.volume.data=../x":             "../x",
		"flocker.volume.data=/":                "/",
		"flocker.volume.data.size=1M":          "64",
		"flocker.volume.other=path=data/below": "data",
		"flocker.volumes.log=log":              "flocker.volumes.log: the label asks for no volume, and its value is \"log\": did you mean flocker.volume.log?",
		"flocker.volume=data":                  "labels for volumes are flocker.volume.KEY",
	} {
		key, value, _ := strings.Cut(wrong, "=")
		all := labels(key, value)
		if key != "flocker.volume.data" {
			all = append(all, labels("flocker.volume.data", "data")...)
		}
		r := w.launch(w.Nodes[0], &mesos.Task{ID: "wrong", Labels: all, Command: "true"})
		u := w.ended(r)
		if u.State != mesos.StateFailed || u.Reason != "REASON_CONTAINER_LAUNCH_FAILED" || !strings.Contains(u.Message, want) {
			t.Errorf("%s: task is %+v, want the message to name %q", wrong, u, want)
		}
	}
	w.idle()
}

func TestExamplesRunAndMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	read := func(name string) *marathon.App {
		app, err := marathon.ReadApp("../../examples/" + name)
		w.must(err)
		return app
	}
	apps := map[*marathon.App][]string{
		read("orders-db.json"): {"0 records verified", "1 records verified", "2 records verified"},
		read("search.json"):    {"start 1, on two volumes", "start 2, on two volumes", "start 3, on two volumes"},
	}
	for round := range 3 {
		n := w.Nodes[round%2]
		for app, lines := range apps {
			r := w.launch(n, app.Task())
			w.says(r, "ready")
			if !r.Printed(lines[round]) {
				t.Errorf("%s printed %q, want %q", app.ID, r.Stdout(), lines[round])
			}
			w.end(r)
		}
		pod, err := marathon.ReadPod("../../examples/queue-pod.json")
		w.must(err)
		g, err := n.Mesos.LaunchGroup(pod.Group())
		w.must(err)
		for _, r := range g.Runs {
			w.says(r, "ready")
		}
		// The reader may come before the writer of its own round has written.
		if got := strings.Count(g.Runs[1].Stdout(), "message of "); got < max(1, round) {
			t.Errorf("the reader saw %d messages, want %d: %s", got, max(1, round), g.Runs[1].Stdout())
		}
		g.Kill()
		<-g.Gone()
	}
	w.idle()
}

// entrypoint is what an image of PostgreSQL does as far as its directory goes, which
// initdb wants to be empty.
const entrypoint = `cat >docker-entrypoint.sh <<'END'
#!/bin/sh
set -eu
[ "$1" = postgres ]
mountpoint -q "$(dirname "$PGDATA")"
mkdir -p "$PGDATA"
if ! [ -s "$PGDATA/PG_VERSION" ]; then
	[ -z "$(ls -A "$PGDATA")" ] || { echo 'initdb: the directory exists but is not empty'; exit 1; }
	echo 16 >"$PGDATA/PG_VERSION"
	echo initialised
fi
echo >>"$PGDATA/starts"
sync "$PGDATA/starts"
echo "start $(wc -l <"$PGDATA/starts")"
trap 'exit 0' TERM
echo ready
sleep infinity & wait
END
chmod +x docker-entrypoint.sh
PATH="$PWD:$PATH"
`

func TestExampleOfPostgreSQLRunsAndMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	app, err := marathon.ReadApp("../../examples/postgres.json")
	w.must(err)
	for round, want := range []string{"initialised", "start 2", "start 3"} {
		task := app.Task()
		task.Command = entrypoint + task.Command
		r := w.launch(w.Nodes[round%2], task)
		w.says(r, "ready")
		if !r.Printed(want) {
			t.Errorf("it printed %q, want %q", r.Stdout(), want)
		}
		w.end(r)
	}
	w.idle()
}

func TestExampleOfDvdiRunsAndMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	app, err := marathon.ReadApp("../../examples/ledger-dvdi.json")
	w.must(err)
	volume := app.Container.Volumes[0]
	for round, want := range []string{"1 entries", "2 entries", "3 entries"} {
		n := w.Nodes[round%2]
		path := strings.TrimSpace(w.inside(n, "dvdcli mount "+volume.DVDCLI()))
		task := app.Task()
		// Mesos' own isolator would bind it there.
		task.Command = "mkdir " + volume.ContainerPath + "; mount --bind " + path + " " + volume.ContainerPath + "; " + task.Command
		r := w.launch(n, task)
		w.says(r, "ready")
		if !r.Printed(want) {
			t.Errorf("it printed %q, want %q", r.Stdout(), want)
		}
		w.end(r)
		w.inside(n, "dvdcli unmount --volumedriver=flocker --volumename="+volume.External.Name)
	}
	w.idle()
}

func TestDvdcliMountsOnceForAllContainers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	one, two := w.Nodes[0], w.Nodes[1]
	flags := "--volumedriver=flocker --volumename=pgdata"
	path := strings.TrimSpace(w.inside(one, "dvdcli mount "+flags+" --volumeopts=grace=72h --volumeopts=reclaim=delete --volumeopts=size=1"))
	w.inside(one, "echo stored >"+path+"/MARK; mountpoint -q "+path)
	if again := strings.TrimSpace(w.inside(one, "dvdcli mount "+flags)); again != path {
		t.Errorf("mounted at %q and at %q", path, again)
	}
	w.inside(one, "dvdcli unmount "+flags)
	path = strings.TrimSpace(w.inside(two, "dvdcli mount "+flags))
	if got := w.inside(two, "cat "+path+"/MARK"); got != "stored\n" {
		t.Errorf("the volume holds %q", got)
	}
	w.inside(two, "dvdcli unmount "+flags)
	w.idle()
}
