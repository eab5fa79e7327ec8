package main_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator"
	"github.com/flocker-mesos/flocker/isolator/agenttest"
)

// volume is a directory on which a file system appears when a container awaits
// it: what an agent does, without devices.
type volume struct {
	t      *testing.T
	root   string // the mount root
	source string
	once   sync.Once
}

func newVolume(t *testing.T) *volume {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts: it must be run by root")
	}
	return newVolumeIn(t, t.TempDir())
}

// newVolumeIn makes a volume whose mount root is dir.
func newVolumeIn(t *testing.T, root string) *volume {
	t.Helper()
	mount(t, root, root, "", syscall.MS_BIND)
	mount(t, "", root, "", syscall.MS_SHARED)
	v := &volume{t: t, root: root, source: filepath.Join(root, "db")}
	if err := os.Mkdir(v.source, 0o755); err != nil {
		t.Fatal(err)
	}
	return v
}

func mount(t *testing.T, source, target, fstype string, flags uintptr) {
	t.Helper()
	if err := syscall.Mount(source, target, fstype, flags, ""); err != nil {
		t.Errorf("mount %s: %v", target, err)
		return
	}
	if source != "" {
		t.Cleanup(func() {
			if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
				t.Errorf("unmount %s: %v", target, err)
			}
		})
	}
}

func (v *volume) handle(req api.LocalRequest, conn *agenttest.Conn) {
	m := api.Mount{Key: "data", Name: "db", Source: v.source}
	if req.Await != nil {
		conn.Send(api.LocalReply{Progress: "volume db: held by node-2 ... waiting, limit 45 s"})
		v.once.Do(func() {
			mount(v.t, "tmpfs", v.source, "tmpfs", 0)
			if err := os.WriteFile(filepath.Join(v.source, "orders"), []byte("42"), 0o644); err != nil {
				v.t.Error(err)
			}
		})
		m.Ready, m.Device = true, agenttest.Device(v.t, v.source)
		conn.SendTrees(v.t, api.LocalReply{Mounts: []api.Mount{m}, MountRoot: v.root})
		return
	}
	conn.Send(api.LocalReply{Done: true, Mounts: []api.Mount{m}, WaitLimit: 20 * time.Second})
}

// launch does what Mesos' launcher does with a launch info, in a mount
// namespace of its own: propagation, mounts, commands, task.
func launch(t *testing.T, c container, propagation, task string) (stdout, stderr string, err error) {
	t.Helper()
	var script strings.Builder
	var args []string
	arg := func(s string) string {
		args = append(args, s)
		return `"${` + strconv.Itoa(len(args)) + `}"`
	}
	script.WriteString("set -e; mount --make-r" + propagation + " /\n")
	if c.rootfs != "" {
		script.WriteString("mount --bind " + arg(c.sandbox) + " " + arg(c.rootfs+"/mnt/mesos/sandbox") + "\n")
	}
	script.WriteString(c.before + "\n")
	for _, m := range c.info.Mounts {
		if m.Flags != syscall.MS_NOSUID {
			t.Fatalf("got flags %d", m.Flags)
		}
		script.WriteString("mount -o nosuid -t " + arg(m.Type) + " " + arg(m.Source) + " " + arg(m.Target) + "\n")
	}
	for _, c := range c.info.PreExec {
		if c.Shell {
			t.Fatal("got a command for a shell")
		}
		script.WriteString(arg(c.Value))
		for _, a := range c.Arguments[1:] {
			script.WriteString(" " + arg(a))
		}
		script.WriteString("\n")
	}
	script.WriteString(task + "\n")
	cmd := exec.Command("sh", append([]string{"-c", script.String(), "sh"}, args...)...)
	// Cloneflags and not Unshareflags: the latter makes all mounts private.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	cmd.Dir = "/"
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// container is what launch is told of a container.
type container struct {
	info            isolator.LaunchInfo
	sandbox, rootfs string
	target          string // of the volume, on the host
	before          string // commands of the shell, in the place of mounts of Mesos' own isolators
}

// prepared calls prepare for a Marathon app with one volume, at /data in an
// image or in the sandbox.
func prepared(t *testing.T, socket string, image bool) container {
	t.Helper()
	dir := t.TempDir()
	config := isolator.Config{Directory: filepath.Join(dir, "sandbox")}
	c := container{sandbox: config.Directory, target: config.Directory + "/data"}
	if image {
		config.Rootfs = filepath.Join(dir, "rootfs")
		c.rootfs, c.target = config.Rootfs, config.Rootfs+"/data"
		if err := os.MkdirAll(config.Rootfs+"/mnt/mesos/sandbox", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config.Task = &isolator.Task{}
	config.Task.Labels.Labels = []api.Label{{Key: "flocker.volume.data", Value: "path=/data,name=db"}}
	for _, d := range []string{config.Directory, config.Rootfs} {
		if err := os.MkdirAll(d, 0o755); err != nil && d != "" {
			t.Fatal(err)
		}
	}
	input, err := json.Marshal(isolator.Input{Config: config, ContainerID: isolator.ContainerID{Value: "c1"}})
	if err != nil {
		t.Fatal(err)
	}
	got := callHook(t, "flocker-isolator-prepare", socket, input)
	if err := json.Unmarshal(got.Output, &c.info); err != nil || got.Exit != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	return c
}

func TestVolumeThatComesLaterShowsInTheContainer(t *testing.T) {
	for name, image := range map[string]bool{"no image": false, "image": true} {
		// The volume is handed over, so it needs no propagation.
		for _, propagation := range []string{"slave", "private"} {
			t.Run(name+", "+propagation, func(t *testing.T) {
				v := newVolume(t)
				agent := agenttest.Start(t, v.handle)
				c := prepared(t, agent.Socket, image)
				stdout, stderr, err := launch(t, c, propagation, "cat "+c.target+"/orders")
				if err != nil || stdout != "42" || stderr != "flocker: volume db: held by node-2 ... waiting, limit 45 s\n" {
					t.Errorf("got %q, %q, %v", stdout, stderr, err)
				}
				// A second container finds it there already.
				c = prepared(t, agent.Socket, image)
				if stdout, _, err := launch(t, c, propagation, "cat "+c.target+"/orders"); err != nil || stdout != "42" {
					t.Errorf("second: got %q, %v", stdout, err)
				}
			})
		}
	}
}

func TestContainerSeesNoOtherVolumeAndNoneOfTheProgramsMounts(t *testing.T) {
	v := newVolume(t)
	c := prepared(t, agenttest.Start(t, v.handle).Socket, false)
	stdout, stderr, err := launch(t, c, "slave", "ls -A "+v.source+"; grep -c ' /sys ' /proc/self/mountinfo; ls -d /sys/kernel")
	if err != nil || stdout != "1\n/sys/kernel\n" {
		t.Errorf("got %q, %q, %v", stdout, stderr, err)
	}
	// On the host all is as before.
	if _, err := os.Stat(filepath.Join(v.source, "orders")); err != nil {
		t.Error("the volume is not mounted on the host any more")
	}
}

// A volume of Mesos that propagates to the host (BIDIRECTIONAL) has Mesos leave
// the container's mounts shared with the host's.
func TestNothingPropagatesToTheHost(t *testing.T) {
	top := t.TempDir()
	mount(t, top, top, "", syscall.MS_BIND)
	mount(t, "", top, "", syscall.MS_SHARED)
	root := filepath.Join(top, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	v := newVolumeIn(t, root)
	agent := agenttest.Start(t, v.handle)
	c := prepared(t, agent.Socket, false)
	if _, stderr, err := launch(t, c, "shared", "true"); err != nil { // the volume comes
		t.Fatal(stderr, err)
	}
	c = prepared(t, agent.Socket, false)
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, err := launch(t, c, "shared", "cat "+c.target+"/orders; ls -A "+root)
	if err != nil || stdout != "42db\n" {
		t.Errorf("got %q, %q, %v", stdout, stderr, err)
	}
	if after, err := os.ReadFile("/proc/self/mountinfo"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the host's mounts were\n%s\nand are\n%s, %v", before, after, err)
	}
}

func TestNothingIsMountedInTheHostsNamespace(t *testing.T) {
	v := newVolume(t)
	c := prepared(t, agenttest.Start(t, v.handle).Socket, false)
	command := c.info.PreExec[0]
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	got := run(t, exec.Command("/dev"+strings.TrimPrefix(command.Value, "/sys"), command.Arguments[1:]...))
	if got.Exit != 1 || !strings.Contains(got.Stderr, "the container has no mount namespace of its own") {
		t.Errorf("got %+v", got)
	}
	if after, err := os.ReadFile("/proc/self/mountinfo"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the mounts were %s and are %s, %v", before, after, err)
	}
}

func TestProgramActsByItsName(t *testing.T) {
	for _, tt := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"flocker-isolator", "version"}, 0, "flocker-isolator 1.2.3\n"},
		{[]string{"dvdcli", "version"}, 0, "flocker dvdcli 1.2.3\n"},
		{[]string{"flocker-isolator", "dvdcli", "version"}, 0, "flocker dvdcli 1.2.3\n"},
		{[]string{"flocker-isolator"}, 2, "usage: flocker-isolator"},
		{[]string{"flocker-isolator", "eat"}, 2, "usage: flocker-isolator"},
		{[]string{"flocker-isolator-prepare", "x"}, 2, "usage: flocker-isolator"},
		{[]string{"flocker-isolator", "isolate", "/nowhere", "/nowhere", "/nowhere"}, 0, ""},
		{[]string{"flocker-isolator", "cleanup", "/nowhere", "/nowhere", "/nowhere"}, 0, "flocker: cleanup: read container config"},
		{[]string{"flocker-isolator", "prepare", "/nowhere", "/nowhere", "/nowhere/x"}, 1, "flocker: read container config"},
		{[]string{"flocker-isolator", "mount", "--colour"}, 2, "flag provided but not defined"},
		{[]string{"flocker-isolator", "doctor", "--socket", "/nowhere/agent.sock"}, 1, "FAIL  flocker agent"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			got := run(t, exec.Command(filepath.Join(programs, tt.args[0]), tt.args[1:]...))
			if text := string(got.Output) + got.Stderr; got.Exit != tt.exit || !strings.HasPrefix(text, tt.want) {
				t.Errorf("got %d, %q, want %d, %q", got.Exit, text, tt.exit, tt.want)
			}
		})
	}
}

func TestProgramImportsNothingHeavy(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.Lines(string(out)) {
		switch pkg = strings.TrimSpace(pkg); pkg {
		case "net", "net/http", "crypto/tls", "log/slog", "regexp", "os/exec":
			t.Errorf("the program imports %s: it is started for every container", pkg)
		}
	}
}

// BenchmarkStart compares the start of the program, for a container without
// volumes, with the least that a program can do.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	data, err := os.ReadFile(filepath.Join(recordings, "image-command-task/03-prepare.json"))
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(in, data, 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(out, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	for name, args := range map[string][]string{
		"true":    {"/bin/true"},
		"isolate": {filepath.Join(programs, "flocker-isolator-isolate"), in, out, out},
		"prepare": {filepath.Join(programs, "flocker-isolator-prepare"), in, out, out},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := exec.Command(args[0], args[1:]...).Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
