package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator"
	"github.com/flocker-mesos/flocker/isolator/agenttest"
)

// hostile is a container whose task does what it can between prepare and the
// mounts of the launch process.
type hostile struct {
	name   string
	image  bool
	labels []string // keys and values
	image0 string   // commands that make the image, in its root directory
	fetch  string   // what the task does after prepare, as its user in its sandbox
	mounts string   // what Mesos' own isolators mount by then, in the sandbox
	swap   string   // commands of root in the directory of the sandbox and the rootfs, after prepare
	show   []string // where the volumes must show, beneath the root of the container
	want   string   // a part of the reason why the task can't start
}

var hostiles = []hostile{
	{name: "the target becomes a link to the host", fetch: "ln -s /etc data", want: "leads out of the sandbox"},
	{name: "the target becomes a link upwards", fetch: "ln -s ../../../../../../etc data", want: "leads out of the sandbox"},
	{name: "a parent becomes a link to the host", labels: []string{"data", "a/b/c"}, fetch: "mkdir a; ln -s /etc a/b", want: "leads out of the sandbox"},
	{name: "the target is a link that stays inside", fetch: "mkdir real; ln -s real data", show: []string{"/real"}},
	{name: "the target is a link to a directory that is missing", fetch: "ln -s deep/real data; mkdir deep", show: []string{"/deep/real"}},
	{name: "a dangling link to the host", fetch: "ln -s /run/missing data", want: "leads out of the sandbox"},
	{name: "a dangling link upwards", fetch: "ln -s ../missing data", want: "leads out of the sandbox"},
	{name: "a link to the top", fetch: "ln -s . data", want: "leads to the top"},
	{name: "a link to itself", fetch: "ln -s data data", want: "too many levels of symbolic links"},
	{name: "a link of the kernel's", fetch: "ln -s /proc/1/root/etc data", want: "leads out of the sandbox"},
	{name: "the target is a file", fetch: "touch data", want: "not a directory"},
	{name: "the target is a FIFO", fetch: "mkfifo data", want: "not a directory"},
	{name: "a parent is a file", labels: []string{"data", "a/b"}, fetch: "touch a", want: "not a directory"},
	{name: "two targets become one", labels: []string{"data", "data", "log", "log"}, fetch: "mkdir data; ln -s data log",
		want: "leads to another volume"},
	{name: "a target comes to lie in another volume", labels: []string{"data", "data", "log", "log"}, fetch: "mkdir -p data/x; ln -s data/x log",
		want: "it does not show"},
	{name: "a target comes to lie around another volume", labels: []string{"data", "data", "log", "log"}, fetch: "mkdir -p log/x; ln -s log/x data",
		want: "it does not show"},
	{name: "the directories are there already", labels: []string{"data", "a/b"}, fetch: "mkdir -p a/b/c", show: []string{"/a/b"}},
	{name: "something is mounted there already", fetch: "mkdir data", mounts: "mount -t tmpfs tmpfs data", show: []string{"/data"}},
	{name: "a directory is missing on another mount", labels: []string{"data", "a/b"}, fetch: "mkdir a", mounts: "mount -t tmpfs tmpfs a",
		want: "missing on another mount"},
	{name: "the target has no permissions", fetch: "mkdir data; touch data/file; chmod 000 data", show: []string{"/data"}},
	{name: "a parent has no permissions", labels: []string{"data", "a/b"}, fetch: "mkdir -p a; chmod 000 a", show: []string{"/a/b"}},
	{name: "the target is a socket", fetch: "perl -MIO::Socket -e 'IO::Socket::UNIX->new(Local=>\"data\",Listen=>1)'", want: "not a directory"},
	{name: "many directories are missing", labels: []string{"data", strings.Repeat("d/", 300) + "data"}, show: []string{"/" + strings.Repeat("d/", 300) + "data"}},
	{name: "a name with everything in it", labels: []string{"data", "a b/ü\"'$(id)*"}, show: []string{"/a?b/ü*"}},
	{name: "the target is on another mount", labels: []string{"data", "a/b"}, fetch: "mkdir a", mounts: "mount -t tmpfs tmpfs a; mkdir a/b", show: []string{"/a/b"}},
	{name: "the target is on a mount for reading only", labels: []string{"data", "a/b"}, fetch: "mkdir a",
		mounts: "mount -t tmpfs tmpfs a; mkdir a/b; mount -o remount,ro a", show: []string{"/a/b"}},
	{name: "the target is a shared mount", fetch: "mkdir data", mounts: "mount -t tmpfs tmpfs data; mount --make-shared data", show: []string{"/data"}},
	{name: "a mount that lies below the target", fetch: "mkdir -p data/x", mounts: "mount -t tmpfs tmpfs data/x", show: []string{"/data"}},
	{name: "the target is unbindable", fetch: "mkdir data", mounts: "mount -t tmpfs tmpfs data; mount --make-unbindable data", show: []string{"/data"}},
	{name: "the sandbox is for reading only", fetch: "mkdir data", mounts: "mount --bind . .; mount -o remount,ro,bind .", show: []string{"/data"}},
	{name: "the sandbox is exchanged", swap: "mv sandbox away; mkdir sandbox", want: "exchanged for another directory"},
	{name: "the sandbox becomes a link", swap: "mv sandbox away; ln -s away sandbox", want: "symbolic link that other users than root can change"},
	{name: "the sandbox is removed", swap: "rm -r sandbox", want: "no such file"},
	{name: "the sandbox is hidden", mounts: "mount -t tmpfs tmpfs .", want: "exchanged for another directory"},

	{name: "image: links as in a distribution's", image: true, labels: []string{"data", "/var/run/db"}, image0: "mkdir -p var run; ln -s /run var/run",
		show: []string{"/run/db"}},
	{name: "image: an absolute link", image: true, labels: []string{"data", "/data"}, image0: "ln -s /srv/deep/db data", show: []string{"/srv/deep/db"}},
	{name: "image: a link upwards stays inside", image: true, labels: []string{"data", "/data/x"}, image0: "ln -s ../../../etc data; mkdir etc",
		show: []string{"/etc/x"}},
	{name: "image: a dangling link upwards stays inside", image: true, labels: []string{"data", "/data/x"}, image0: "ln -s ../../../lost data",
		show: []string{"/lost/x"}},
	{name: "image: a link to the kernel's files", image: true, labels: []string{"data", "/data"}, image0: "mkdir proc; ln -s proc data",
		mounts: "mount -t proc proc ../rootfs/proc", want: "the kernel's directories"},
	{name: "image: a link through the kernel's files", image: true, labels: []string{"data", "/data"}, image0: "mkdir proc; ln -s /proc/self/root/etc data",
		mounts: "mount -t proc proc ../rootfs/proc", want: "too many levels of symbolic links, or one of the kernel's"},
	{name: "image: links in a circle", image: true, labels: []string{"data", "/a/x"}, image0: "ln -s b a; ln -s a b", want: "too many levels"},
	{name: "image: a link that grows", image: true, labels: []string{"data", "/a"}, image0: "ln -s a/a a", want: "too many levels"},
	{name: "image: a link to the top", image: true, labels: []string{"data", "/a"}, image0: "ln -s / a", want: "leads to the top"},
	{name: "image: a link to the sandbox", image: true, labels: []string{"data", "/a"}, image0: "ln -s /mnt/mesos/sandbox a", want: "leads to the top"},
	{name: "image: a link above the sandbox", image: true, labels: []string{"data", "/a"}, image0: "ln -s /mnt a", want: "find the sandbox in the image"},
	{name: "image: a path in the sandbox", image: true, labels: []string{"data", "data"}, show: []string{"/mnt/mesos/sandbox/data"}},
	{name: "image: a link out of the sandbox stays in the image", image: true, labels: []string{"data", "data"}, fetch: "ln -s /etc data", show: []string{"/etc"},
		image0: "mkdir etc"},
	{name: "image: one in another by links", image: true, labels: []string{"data", "/a", "log", "/b"}, image0: "ln -s b/c a", want: "it does not show"},
	{name: "image: another directory in the place of the sandbox", image: true, labels: []string{"data", "data"},
		mounts: "mount -t tmpfs tmpfs ../rootfs/mnt/mesos/sandbox", want: "at /mnt/mesos/sandbox is another directory"},
	{name: "image: for reading only", image: true, labels: []string{"data", "/data"}, image0: "mkdir data",
		mounts: "mount --bind ../rootfs ../rootfs; mount -o remount,ro,bind ../rootfs", want: "at /mnt/mesos/sandbox is another directory"},
	{name: "image: an overlay on the target", image: true, labels: []string{"data", "/data"}, image0: "mkdir data l u w",
		mounts: "mount -t overlay -o lowerdir=../rootfs/l,upperdir=../rootfs/u,workdir=../rootfs/w o ../rootfs/data", show: []string{"/data"}},
	{name: "image: the root directory is exchanged", image: true, swap: "mv rootfs away; cp -a away rootfs", want: "exchanged for another directory"},
}

func TestNoTaskRedirectsAMount(t *testing.T) {
	for _, tt := range hostiles {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr, err := tt.run(t)
			if tt.want != "" {
				if err == nil || !strings.Contains(stderr, "flocker: the task can't start: ") || !strings.Contains(stderr, tt.want) {
					t.Errorf("got %q, %q, %v, want %q", stdout, stderr, err, tt.want)
				}
				return
			}
			if err != nil || stdout != strings.Repeat("a volume\n", len(tt.show)) {
				t.Errorf("got %q, %q, %v", stdout, stderr, err)
			}
		})
	}
}

func (tt *hostile) run(t *testing.T) (stdout, stderr string, err error) {
	t.Helper()
	c := tt.prepare(t)
	dir := filepath.Dir(c.sandbox)
	sh(t, dir, 0, tt.swap)
	before, mountErr := os.ReadFile("/proc/self/mountinfo")
	if mountErr != nil {
		t.Fatal(mountErr)
	}
	c.before = "cd " + c.sandbox + " 2>/dev/null || cd /; " + tt.mounts + "\ncd /"
	root := c.sandbox
	if tt.image {
		root = c.rootfs
	}
	task := ""
	for _, at := range tt.show {
		task += "cat " + root + at + "/MARK\n"
	}
	stdout, stderr, err = launch(t, c, "slave", task)
	if after, readErr := os.ReadFile("/proc/self/mountinfo"); readErr != nil || string(before) != string(after) {
		t.Errorf("the host's mounts were %s and are %s, %v", before, after, readErr)
	}
	return stdout, stderr, err
}

// prepare makes the container, has the hook prepare it, and lets the task's
// user fetch.
func (tt *hostile) prepare(t *testing.T) container {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts: it must be run by root")
	}
	volumes := t.TempDir()
	agent := agenttest.Start(t, func(req api.LocalRequest, conn *agenttest.Conn) {
		labels := tt.volumes()
		var mounts []api.Mount
		for i := 0; i < len(labels); i += 2 {
			mounts = append(mounts, api.Mount{Key: labels[i], Source: filepath.Join(volumes, labels[i]), Ready: true})
		}
		if req.Await != nil {
			conn.SendTrees(t, api.LocalReply{Mounts: mounts})
			return
		}
		conn.Send(api.LocalReply{Done: true, Mounts: mounts, WaitLimit: 20 * time.Second})
	})
	dir := t.TempDir()
	c := container{sandbox: filepath.Join(dir, "sandbox")}
	config := isolator.Config{Directory: c.sandbox, Task: &isolator.Task{}}
	dirs := []string{c.sandbox}
	if tt.image {
		c.rootfs = filepath.Join(dir, "rootfs")
		config.Rootfs = c.rootfs
		dirs = append(dirs, c.rootfs+"/mnt/mesos/sandbox")
	}
	labels := tt.volumes()
	for i := 0; i < len(labels); i += 2 {
		config.Task.Labels.Labels = append(config.Task.Labels.Labels,
			api.Label{Key: "flocker.volume." + labels[i], Value: "path=" + labels[i+1] + ",name=" + labels[i]})
		volume := filepath.Join(volumes, labels[i])
		if err := os.Mkdir(volume, 0o755); err != nil {
			t.Fatal(err)
		}
		mount(t, "tmpfs", volume, "tmpfs", 0)
		if err := os.WriteFile(filepath.Join(volume, "MARK"), []byte("a volume\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(c.sandbox, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	// The user may pass through the directories of the test.
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sh(t, c.rootfs, 0, tt.image0)
	input, err := json.Marshal(isolator.Input{Config: config, ContainerID: isolator.ContainerID{Value: "c1"}})
	if err != nil {
		t.Fatal(err)
	}
	got := callHook(t, "flocker-isolator-prepare", agent.Socket, input)
	if err := json.Unmarshal(got.Output, &c.info); err != nil || got.Exit != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	sh(t, c.sandbox, nobody, tt.fetch)
	return c
}

func (tt *hostile) volumes() []string {
	if tt.labels == nil {
		return []string{"data", "data"}
	}
	return tt.labels
}

// nobody is the user of hostile tasks.
const nobody = 65534

// sh runs a script as a user.
func sh(t *testing.T, dir string, user uint32, script string) {
	t.Helper()
	if script == "" {
		return
	}
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}
