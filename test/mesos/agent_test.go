package mesos_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/mesos"
)

var build = sync.OnceValues(func() (*lab.Programs, error) {
	return lab.Build(context.Background(), lab.Plain, "./test/mesos/mesos-launch")
})

// script is a hook of a test: shell programs by the name of the command.
// Every call is noted in /hook/calls, as "COMMAND CONTAINER begin" and "... end".
type script map[string]string

const prologue = `#!/bin/sh
name=$(basename $0)
id=$(grep -o '"container_id":{.*}' $1 | grep -o '"value":"[^"]*"' | tail -1 | cut -d'"' -f4)
directory=$(grep -o '"directory":"[^"]*"' $1 | cut -d'"' -f4)
echo $name $id begin >>/hook/calls
trap 'echo $name $id end >>/hook/calls' EXIT
`

// agent starts a played Mesos agent with a scripted hook on a host of its own.
func agent(t *testing.T, hook script, config mesos.Config) (*mesos.Agent, *lab.Host) {
	t.Helper()
	programs, err := build()
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New(t.Context(), lab.Options{Programs: programs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	h, err := l.Host(t.Context(), "node1")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(h.Path("/hook"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"prepare", "isolate", "cleanup"} {
		if err := os.WriteFile(h.Path("/hook/"+name), []byte(prologue+hook[name]), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config.Commands = mesos.Commands{Prepare: "/hook/prepare", Isolate: "/hook/isolate", Cleanup: "/hook/cleanup"}
	if config.Linger == 0 {
		config.Linger = 50 * time.Millisecond
	}
	a, err := mesos.Start(h, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a, h
}

// deadline bounds what should take a moment.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func launch(t *testing.T, a *mesos.Agent, task *mesos.Task) *mesos.Run {
	t.Helper()
	r, err := a.Launch(task)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ended(t *testing.T, r *mesos.Run) mesos.Update {
	t.Helper()
	u, err := r.Ended(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func gone(t *testing.T, r *mesos.Run) {
	t.Helper()
	if err := r.AwaitGone(deadline(t)); err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := lab.Until(deadline(t), what, func() error {
		if !condition() {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// noted returns the lines of /hook/calls.
func noted(t *testing.T, h *lab.Host) []string {
	t.Helper()
	data, err := os.ReadFile(h.Path("/hook/calls"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func commands(calls []mesos.Call) []string {
	var names []string
	for _, c := range calls {
		names = append(names, c.Command)
	}
	return names
}

func TestCommandTaskRunsWithWhatPrepareAnswered(t *testing.T) {
	t.Parallel()
	a, h := agent(t, script{"prepare": `mkdir -p /srv/volume; echo stored >/srv/volume/MARK
		cat >$2 <<EOF
		{"mounts":[{"source":"/srv/volume","target":"$directory/data","flags":20480},
		           {"source":"/srv/volume","target":"$directory/view","flags":20481}],
		 "environment":{"variables":[{"name":"FROM_HOOK","value":"hook"},{"name":"BOTH","value":"hook"}]},
		 "pre_exec_commands":[{"value":"echo PREEXEC env=$FROM_HOOK pwd=\$(pwd); touch $directory/data/was-here"},
		                      {"shell":false,"value":"/bin/echo","arguments":["echo","two words"]}]}
EOF`}, mesos.Config{})
	r := launch(t, a, &mesos.Task{
		ID: "app", Env: []mesos.Variable{mesos.Var("BOTH", "task")},
		Command: `pwd; cat data/MARK; ls data; echo "$FROM_HOOK $BOTH"; touch view/x 2>&1; echo done`,
	})
	if u := ended(t, r); u.State != mesos.StateFinished || u.Message != "Command exited with status 0" {
		t.Fatalf("task is %+v\n%s%s", u, r.Stdout(), r.Stderr())
	}
	want := []string{
		"PREEXEC env= pwd=/", "two words", r.Directory(), "stored", "MARK", "was-here", "hook task",
		"touch: cannot touch 'view/x': Read-only file system", "done", "",
	}
	if got := strings.Split(r.Stdout(), "\n"); !slices.Equal(got, want) {
		t.Errorf("the task printed\n%q\nwant\n%q", got, want)
	}
	gone(t, r)
	if got, want := commands(a.Calls()), []string{"prepare", "isolate", "cleanup"}; !slices.Equal(got, want) {
		t.Errorf("calls are %q, want %q", got, want)
	}
	if left, _ := filepath.Glob(h.Cgroups() + "/freezer/mesos/*"); len(left) > 0 {
		t.Errorf("control groups are left: %q", left)
	}
	if _, err := os.Stat(filepath.Join(h.Path(r.Directory()), "data/MARK")); err == nil {
		t.Error("the container's mount shows on the host")
	}
	if left, _ := filepath.Glob(h.Path("/tmp/criteo-mesos-*")); len(left) > 0 {
		t.Errorf("files are left: %q", left)
	}
}

func TestFrameworkHearsOfTheEndBeforeCleanupBegins(t *testing.T) {
	t.Parallel()
	a, h := agent(t, nil, mesos.Config{Linger: 500 * time.Millisecond})
	r := launch(t, a, &mesos.Task{ID: "app", Command: "true"})
	ended(t, r)
	for _, line := range noted(t, h) {
		if strings.HasPrefix(line, "cleanup") {
			t.Error("cleanup had begun when the framework heard of the end")
		}
	}
	gone(t, r)
	calls := a.Calls()
	if wait := calls[len(calls)-1].Start.Sub(r.Last().Time); wait < 450*time.Millisecond {
		t.Errorf("cleanup began %s after the end, want about 500 ms", wait)
	}
}

// Eight tasks of which each needs 9 s for its volume, at a twentieth of the time.
func TestEightSlowPreparesFailAllLaunches(t *testing.T) {
	t.Parallel()
	a, h := agent(t, script{"prepare": "sleep 0.45"}, mesos.Config{RegistrationTimeout: 3 * time.Second})
	var runs []*mesos.Run
	for i := range 8 {
		runs = append(runs, launch(t, a, &mesos.Task{ID: fmt.Sprint("app", i), Command: "true"}))
	}
	for _, r := range runs {
		if u := ended(t, r); u.State != mesos.StateFailed || !strings.Contains(u.Message, "did not register") {
			t.Errorf("task %s is %+v", r.Task.ID, u)
		}
		gone(t, r)
	}
	running := 0
	for _, line := range noted(t, h) {
		switch {
		case strings.HasSuffix(line, "begin"):
			running++
		case strings.HasSuffix(line, "end"):
			running--
		}
		if running > 1 {
			t.Fatalf("two commands ran at once: %q", noted(t, h))
		}
	}
	if got := commands(a.Calls())[:8]; slices.ContainsFunc(got, func(c string) bool { return c != "prepare" }) {
		t.Errorf("the first eight calls are %q, want the isolate calls behind all prepares", got)
	}
}

func TestEightTwoPhasePreparesStartSideBySide(t *testing.T) {
	t.Parallel()
	a, h := agent(t, script{"prepare": `mkdir -p /srv/shared
		mountpoint -q /srv/shared || { mount --bind /srv/shared /srv/shared; mount --make-shared /srv/shared; }
		mkdir -p /srv/shared/$id
		cat >$2 <<EOF
		{"mounts":[{"source":"/srv/shared/$id","target":"$directory/data","flags":20480}],
		 "pre_exec_commands":[{"shell":false,"value":"/hook/wait","arguments":["wait","$directory/data/MARK"]}]}
EOF
		setsid sh -c "sleep 0.45; mount -t tmpfs volume /srv/shared/$id; echo $id >/srv/shared/$id/MARK" >/dev/null 2>&1 &`,
	}, mesos.Config{RegistrationTimeout: 5 * time.Second})
	wait := "#!/bin/sh\nuntil [ -e $1 ]; do sleep 0.01; done; echo there\n"
	if err := os.WriteFile(h.Path("/hook/wait"), []byte(wait), 0o755); err != nil {
		t.Fatal(err)
	}
	var runs []*mesos.Run
	for i := range 8 {
		runs = append(runs, launch(t, a, &mesos.Task{ID: fmt.Sprint("app", i), Command: "cat data/MARK; exec sleep 0.2"}))
	}
	for _, r := range runs {
		if u := ended(t, r); u.State != mesos.StateFinished {
			t.Errorf("task %s is %+v\n%s", r.Task.ID, u, r.Stderr())
		}
		if want := "there\n" + r.ContainerID() + "\n"; r.Stdout() != want {
			t.Errorf("the task printed %q, want %q", r.Stdout(), want)
		}
		gone(t, r)
		// Nobody holds the volume any more, so the host can unmount it.
		if _, err := h.Command(t.Context(), "umount", "/srv/shared/"+r.ContainerID()).Output(); err != nil {
			t.Error(err)
		}
	}
}

func TestFailedPrepareReachesTheFrameworkAndIsCleanedUp(t *testing.T) {
	t.Parallel()
	a, _ := agent(t, script{"prepare": `echo "no such volume" >$3; echo noise >&2; exit 7`}, mesos.Config{})
	r := launch(t, a, &mesos.Task{ID: "app", Command: "true"})
	want := `Failed to launch container: Command "/hook/prepare" exited with return code 7. Cause: no such volume` + "\n"
	if u := ended(t, r); u.State != mesos.StateFailed || u.Message != want || u.Reason != "REASON_CONTAINER_LAUNCH_FAILED" {
		t.Errorf("task is %+v", u)
	}
	gone(t, r)
	if got, want := commands(a.Calls()), []string{"prepare", "cleanup"}; !slices.Equal(got, want) {
		t.Errorf("calls are %q, want %q", got, want)
	}
}

func TestPrepareThatTakesTooLongIsKilledWithItsChildren(t *testing.T) {
	t.Parallel()
	a, h := agent(t, script{"prepare": `trap "" TERM; sh -c 'trap "" TERM; sleep 100; sleep 100' & wait; wait`},
		mesos.Config{Timeout: 200 * time.Millisecond})
	r := launch(t, a, &mesos.Task{ID: "app", Command: "true"})
	if u := ended(t, r); u.Message != "Failed to launch container: Command execution error" {
		t.Errorf("task is %+v", u)
	}
	gone(t, r)
	if got, want := commands(a.Calls()), []string{"prepare", "cleanup"}; !slices.Equal(got, want) {
		t.Errorf("calls are %q, want %q", got, want)
	}
	out, err := h.Command(t.Context(), "sh", "-c", "grep -l ^sleep /proc/[0-9]*/comm | wc -l").Output()
	if err != nil || strings.TrimSpace(out) != "1" { // process 1 has one
		t.Errorf("processes named sleep: %s, %v", out, err)
	}
}

func TestFailedCleanupIsNeverTriedAgain(t *testing.T) {
	t.Parallel()
	a, h := agent(t, script{"cleanup": "exit 1"}, mesos.Config{})
	r := launch(t, a, &mesos.Task{ID: "app", Command: "true"})
	if u := ended(t, r); u.State != mesos.StateFinished {
		t.Errorf("task is %+v", u)
	}
	gone(t, r)
	a.Kill()
	restart(t, a)
	if got, want := commands(a.Calls()), []string{"prepare", "isolate", "cleanup"}; !slices.Equal(got, want) {
		t.Errorf("calls are %q, want %q", got, want)
	}
	if got := a.DestroyErrors(); got != 1 {
		t.Errorf("destroy errors: %d, want 1", got)
	}
	if left, _ := filepath.Glob(h.Path("/run/mesos/isolators/command/flocker/*")); len(left) > 0 {
		t.Errorf("the module still knows %q", left)
	}
}

func TestMissingMountSourceIsToldOnlyToTheTask(t *testing.T) {
	t.Parallel()
	a, _ := agent(t, script{"prepare": `echo '{"mounts":[{"source":"/none","target":"/mnt/x","flags":20480}]}' >$2`},
		mesos.Config{})
	r := launch(t, a, &mesos.Task{ID: "app", Command: "true"})
	if u := ended(t, r); u.State != mesos.StateFailed || u.Message != "Executor terminated" {
		t.Errorf("task is %+v", u)
	}
	if !strings.Contains(r.Stderr(), "Failed to mount '/none' at '/mnt/x'") {
		t.Errorf("the task's stderr is %q", r.Stderr())
	}
	gone(t, r)
}

func TestKilledTaskEndsItsPreExecCommandToo(t *testing.T) {
	t.Parallel()
	a, _ := agent(t, script{"prepare": `echo '{"pre_exec_commands":[{"value":"echo waiting; sleep 1000"}]}' >$2`},
		mesos.Config{})
	r := launch(t, a, &mesos.Task{ID: "app", Command: "true"})
	until(t, "the task's pre-exec command runs", func() bool { return r.Printed("waiting") })
	r.Kill()
	if u := ended(t, r); u.State != mesos.StateKilled {
		t.Errorf("task is %+v", u)
	}
	gone(t, r)
}

func TestKilledTaskGetsATerminationSignalFirst(t *testing.T) {
	t.Parallel()
	a, _ := agent(t, nil, mesos.Config{KillGrace: time.Minute})
	r := launch(t, a, &mesos.Task{
		ID: "app", Command: `trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done`,
	})
	if err := r.Await(deadline(t), mesos.StateRunning); err != nil {
		t.Fatal(err)
	}
	until(t, "the task is ready", func() bool { return r.Printed("ready") })
	r.Kill()
	if u := ended(t, r); u.State != mesos.StateKilled || !r.Printed("bye") {
		t.Errorf("task is %+v and printed %q", u, r.Stdout())
	}
	gone(t, r)
}

func TestImageContainerSeesItsRootAndItsSandbox(t *testing.T) {
	t.Parallel()
	a, _ := agent(t, script{"prepare": `mkdir -p /srv/volume; echo stored >/srv/volume/MARK; mkdir -p $directory/data
		rootfs=$(grep -o '"rootfs":"[^"]*"' $1 | cut -d'"' -f4)
		cat >$2 <<EOF
		{"mounts":[{"source":"/srv/volume","target":"$rootfs/var/lib/data","flags":20480},
		           {"source":"/srv/volume","target":"$rootfs/mnt/mesos/sandbox/data","flags":20480}]}
EOF`}, mesos.Config{})
	r := launch(t, a, &mesos.Task{
		ID: "app", Image: "debian", Command: `pwd; cat /var/lib/data/MARK data/MARK; ls /hook || echo own root`,
	})
	if u := ended(t, r); u.State != mesos.StateFinished {
		t.Fatalf("task is %+v\n%s", u, r.Stderr())
	}
	if want := "/mnt/mesos/sandbox\nstored\nstored\nown root\n"; r.Stdout() != want {
		t.Errorf("the task printed %q, want %q", r.Stdout(), want)
	}
	gone(t, r)
}
