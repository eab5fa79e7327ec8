package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/host"
	"github.com/flocker-mesos/flocker/test/lab"
)

// devRun is a flocker dev that runs as a process of its own.
type devRun struct {
	cmd *exec.Cmd
	out *lockedBuffer
}

// lockedBuffer is written by a process while a test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// startDev starts flocker dev and waits until its agent is connected.
func startDev(t *testing.T, programs *lab.Programs, dir string) *devRun {
	t.Helper()
	d := &devRun{out: &lockedBuffer{}}
	d.cmd = exec.Command(filepath.Join(programs.Dir, "flocker"), "dev", "--dir", dir, "--rest-port", "0", "--agent-port", "0")
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill() // unless it has ended, as it should
		_, _ = d.cmd.Process.Wait()
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !strings.Contains(d.out.String(), "agent connected") {
		select {
		case <-ctx.Done():
			t.Fatalf("the agent does not connect:\n%s", d.out)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return d
}

// stop presses Ctrl-C.
func (d *devRun) stop(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		t.Fatalf("flocker dev ended with %v:\n%s", err, d.out)
	}
}

// printed returns the line of the guide that matches.
func (d *devRun) printed(t *testing.T, pattern string) string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^ *(` + pattern + `.*)$`).FindStringSubmatch(d.out.String())
	if line == nil {
		t.Fatalf("nothing like %q was printed:\n%s", pattern, d.out)
	}
	return line[1]
}

func TestDevDoesAsItSays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test makes loop devices and mounts; run it as root")
	}
	programs, err := lab.Build(t.Context(), lab.Plain, "./cmd/flocker", "./cmd/flocker-isolator")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "dev")
	t.Cleanup(func() {
		if code, _, stderr := flocker(t, "dev", "--dir", dir, "--remove", "--yes"); code != exitOK {
			t.Errorf("remove: %s", stderr)
		}
		if mounts := mountsBelow(t, dir); len(mounts) > 0 {
			t.Errorf("still mounted: %v", mounts)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Error("the directory is still there")
		}
	})
	d := startDev(t, programs, dir)
	for assignment := range strings.FieldsSeq(strings.TrimPrefix(d.printed(t, "export "), "export ")) {
		name, value, _ := strings.Cut(assignment, "=")
		t.Setenv(name, value)
	}

	succeed := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := flocker(t, args...)
		if code != exitOK {
			t.Fatalf("flocker %s: %s%s", strings.Join(args, " "), stdout, stderr)
		}
		return stdout
	}
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	succeed(strings.Fields(d.printed(t, `\S+ volumes create `))[1:]...)
	if out := succeed("nodes", "list"); !strings.Contains(out, hostname) || !strings.Contains(out, "connected for") {
		t.Errorf("nodes: got\n%s", out)
	}
	if out := succeed("volumes", "list"); !regexp.MustCompile(`(?m)^hello +\w{8} +1GiB +mounted +\S+ +-$`).MatchString(out) {
		t.Errorf("volumes: got\n%s", out)
	}
	if out := succeed("volumes", "show", "hello"); !strings.Contains(out, "Dataset hello is mounted on") {
		t.Errorf("show: got\n%s", out)
	}
	if out := succeed("volumes", "list", "-o", "json"); !strings.Contains(out, `"status": "mounted"`) {
		t.Errorf("volumes as JSON: got\n%s", out)
	}
	curl := exec.CommandContext(t.Context(), "sh", "-c", d.printed(t, "curl ")+" --silent --show-error --fail")
	if out, err := curl.CombinedOutput(); err != nil || !strings.Contains(string(out), `"host":"127.0.0.1"`) {
		t.Errorf("curl: %v: %s", err, out)
	}
	doctor := exec.CommandContext(t.Context(), filepath.Join(dir, "mesos", "flocker-isolator"), "doctor", "--modules",
		filepath.Join(dir, "mesos", "modules.json"))
	if out, _ := doctor.CombinedOutput(); !strings.Contains(string(out), "connected to") {
		t.Errorf("doctor: got\n%s", out)
	}

	if code, _, stderr := flocker(t, "dev", "--dir", dir); code != exitFailure || !strings.Contains(stderr, "another flocker dev runs") {
		t.Errorf("a second one in the same directory: got %d and %q", code, stderr)
	}

	t.Run("and goes on where it was", func(t *testing.T) {
		d.stop(t)
		if mounts := mountsBelow(t, dir); len(mounts) != 2 { // the mount root and the volume
			t.Errorf("mounted after Ctrl-C: got %v, want the mount root and the volume", mounts)
		}
		d := startDev(t, programs, dir)
		t.Setenv("FLOCKER_CONTROL_PORT", regexp.MustCompile(`\d+$`).FindString(strings.Fields(d.printed(t, "export "))[2]))
		if out := succeed("volumes", "list"); !regexp.MustCompile(`hello .* mounted`).MatchString(out) {
			t.Errorf("volumes after a restart: got\n%s", out)
		}
		if out := succeed("volumes", "destroy", "--yes", "hello", "--wait", "1m"); !strings.Contains(out, "hello is destroyed.") {
			t.Errorf("destroy: got\n%s", out)
		}
		if out := succeed("volumes", "list"); strings.Contains(out, "hello") {
			t.Errorf("volumes after destroying: got\n%s", out)
		}
		if out := succeed("volumes", "list", "--deleted"); !strings.Contains(out, "destroyed") {
			t.Errorf("destroyed volumes: got\n%s", out)
		}
		// What the removal at the end has to cope with.
		succeed("volumes", "create", "--name", "stays", "--size", "64MiB", "--node", hostname, "--wait", "1m")
		d.stop(t)
	})
}

func TestDevRefusesADirectoryWithSomethingElse(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"dev", "--dir", dir}, "has something else in it"},
		{[]string{"dev", "--dir", dir, "--remove", "--yes"}, "is no directory of flocker dev, and nothing was removed"},
		{[]string{"dev", "--dir", dir + "/absent", "--remove", "--yes"}, "is no directory of flocker dev, and nothing was removed"},
	} {
		if code, _, stderr := flocker(t, tt.args...); code != exitFailure || !strings.Contains(stderr, tt.want) {
			t.Errorf("%v: got %d and %q", tt.args, code, stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "mine")); err != nil {
		t.Error(err)
	}
}

func mountsBelow(t *testing.T, dir string) []string {
	t.Helper()
	table, err := host.MountTable()
	if err != nil {
		t.Fatal(err)
	}
	var below []string
	for _, m := range table {
		if strings.HasPrefix(m.Target, dir+"/") {
			below = append(below, m.Target)
		}
	}
	return below
}

func TestDevRefusesADirectoryBelowOneOfAnotherUser(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, "checkout", "flocker-dev")
	code, stdout, stderr := flocker(t, "dev", "--dir", dir, "--rest-port", "0", "--agent-port", "0")
	if code != exitFailure {
		t.Fatalf("exit code %d, want %d: %s", code, exitFailure, stderr)
	}
	for _, want := range []string{home + " is above it", "user 1000", "--dir /var/lib/flocker-dev"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("the error is %q, want it to have %q", stderr, want)
		}
	}
	if stdout != "" {
		t.Errorf("the guide was printed: %s", stdout)
	}
	if code, _, stderr := flocker(t, "dev", "--dir", dir, "--remove", "--yes"); code != exitOK {
		t.Errorf("remove: %s", stderr)
	}
}
