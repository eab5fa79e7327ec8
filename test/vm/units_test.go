package vm_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/vm"
)

// unitsDir has the units that users install.
const unitsDir = "../../docs/systemd"

// TestUnitsOfSystemd boots a machine in which the real systemd runs the control
// service and an agent by the units of docs/systemd, and does there all that
// needs a right: volumes are made, mounted for the host to see, grown, checked,
// looked for users, and destroyed.
func TestUnitsOfSystemd(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a machine")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	kernel, err := vm.FindKernel()
	if err != nil {
		t.Fatal(err)
	}
	root := newRoot(ctx, t)
	if err := root.Modules(kernel, "loop", "xfs"); err != nil {
		t.Fatal(err)
	}
	installSystemd(t, root)
	installFlocker(ctx, t, root)
	archive, disk := filepath.Join(dir, "initramfs"), filepath.Join(dir, "disk")
	if err := root.Write(archive); err != nil {
		t.Fatal(err)
	}
	makeDisk(t, disk, 4<<30)
	run(t, "mkfs.ext4", "-q", "-F", disk)

	m, err := vm.Start(ctx, dir, vm.Config{
		Kernel: kernel, Initramfs: archive, Memory: 768, Disks: []string{disk},
		Append: "systemd.unit=story.target systemd.log_level=notice systemd.log_target=console systemd.show_status=no",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(ctx); err != nil {
		t.Errorf("the machine: %v", err)
	}
	report := m.Report()
	t.Logf("report:\n%s", report)
	if strings.Contains(report, "FAILED") || !strings.HasSuffix(report, "\nend\n") {
		t.Fatalf("the story did not come to its end; the console:\n%s", m.Console())
	}
	for _, want := range []string{
		"flocker-control, own mount namespace true, Uid 990, CapBnd 0000000000000000, NoNewPrivs 1, Seccomp 2;",
		"flocker-agent, own mount namespace false, Uid 0,", "NoNewPrivs 1, Seccomp 2\n",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
}

// newRoot returns a root with our guest as /init.
func newRoot(ctx context.Context, t *testing.T) *vm.Initramfs {
	t.Helper()
	programs, err := lab.Build(ctx, lab.Plain, "./cmd/flocker", "./test/vm/guest")
	if err != nil {
		t.Fatal(err)
	}
	root := vm.NewInitramfs()
	for path, name := range map[string]string{"/init": "guest", "/usr/local/bin/flocker": "flocker"} {
		if err := root.Copy(path, filepath.Join(programs.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"mke2fs", "e2fsck", "mkfs.xfs"} {
		addProgram(t, root, name)
	}
	return root
}

func addProgram(t *testing.T, root *vm.Initramfs, name string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Program(path); err != nil {
		t.Fatal(err)
	}
}

func installSystemd(t *testing.T, root *vm.Initramfs) {
	t.Helper()
	for _, path := range []string{"/usr/lib/systemd/systemd", "/usr/bin/systemctl", "/usr/bin/tail"} {
		if err := root.Program(path); err != nil {
			t.Fatalf("%v; install systemd", err)
		}
	}
	for _, kind := range []string{"target", "slice"} {
		files, err := filepath.Glob("/usr/lib/systemd/system/*." + kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if err := root.Copy(file, file); err != nil {
				t.Fatal(err)
			}
		}
	}
	for path, text := range map[string]string{
		"/etc/machine-id":    "0123456789abcdef0123456789abcdef\n",
		"/etc/hostname":      "machine\n",
		"/etc/passwd":        "root:x:0:0::/root:/bin/sh\nflocker:x:990:990::/var/lib/flocker:/bin/false\nnobody:x:65534:65534::/:/bin/false\n",
		"/etc/group":         "root:x:0:\nflocker:x:990:\nnogroup:x:65534:\n",
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\n",
		"/etc/os-release":    "ID=test\n",
		"/etc/systemd/system/story.target": "[Unit]\nRequires=basic.target\nAfter=basic.target\n" +
			"Wants=flocker-control.service flocker-agent.service story.service\n",
		"/etc/systemd/system/story.service": "[Service]\nExecStart=/usr/local/bin/guest-story\n",
	} {
		root.File(path, 0o644, []byte(text))
	}
	for _, name := range []string{"guest-story", "guest-holder"} {
		root.Link("/usr/local/bin/"+name, "/init")
	}
}

// installFlocker installs units, certificates and settings as README.md says.
func installFlocker(ctx context.Context, t *testing.T, root *vm.Initramfs) {
	t.Helper()
	for _, unit := range []string{"flocker-control.service", "flocker-agent.service"} {
		text, err := os.ReadFile(filepath.Join(unitsDir, unit))
		if err != nil {
			t.Fatal(err)
		}
		root.File("/etc/systemd/system/"+unit, 0o644, text)
		// There is no journal in the machine.
		root.File("/etc/systemd/system/"+unit+".d/log.conf", 0o644, []byte("[Service]\nStandardOutput=append:/run/"+unit+".log\nStandardError=inherit\n"))
	}
	programs, err := lab.Build(ctx, lab.Plain, "./cmd/flocker")
	if err != nil {
		t.Fatal(err)
	}
	ca := t.TempDir()
	for _, args := range [][]string{
		{"initialize", "machines"}, {"create-control-certificate", "127.0.0.1"}, {"create-node-certificate"}, {"create-api-certificate", "alice"},
	} {
		cmd := exec.CommandContext(ctx, filepath.Join(programs.Dir, "flocker"), append([]string{"ca"}, args...)...)
		cmd.Dir = ca
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("flocker ca %s: %v\n%s", args[0], err, out)
		}
	}
	give := func(from, to string, owner int) {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(ca, from))
		if err != nil || len(found) != 1 {
			t.Fatalf("find %s: %d files, %v", from, len(found), err)
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		root.OwnedFile(to, 0o600, owner, text)
	}
	const flockerUser = 990
	uuid := "????????-????-????-????-????????????"
	for _, kind := range []string{".crt", ".key"} {
		give("control-*"+kind, "/etc/flocker/control-service"+kind, flockerUser)
		give(uuid+kind, "/etc/flocker/node"+kind, 0)
		give("alice"+kind, "/root/.flocker/alice"+kind, 0)
	}
	give("cluster.crt", "/etc/flocker/cluster.crt", flockerUser)
	give("cluster.crt", "/root/.flocker/cluster.crt", 0)
	node, err := filepath.Glob(filepath.Join(ca, uuid+".crt"))
	if err != nil {
		t.Fatal(err)
	}
	root.File("/etc/flocker/node-id", 0o644, []byte(strings.TrimSuffix(filepath.Base(node[0]), ".crt")))
	root.File("/etc/flocker/control.yml", 0o644, nil)
	root.File("/etc/flocker/agent.yml", 0o644, []byte("version: 1\ncontrol-service:\n  hostname: 127.0.0.1\n"+
		"dataset:\n  backend: loopback\n  root_path: /srv/flocker\n"))
	root.File("/disk", 0o644, []byte("/dev/nvme0n1 /srv\n"))
}

func makeDisk(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatal(fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out))
	}
	return string(out)
}
