package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

func usersOf(t *testing.T, device uint64, limit int) []host.Process {
	t.Helper()
	users, err := new(host.HolderSearch).Users(t.Context(), device, limit)
	if err != nil {
		t.Error(err)
	}
	return users
}

func TestUsersNamesWhoKeepsAFileSystemBusy(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("users", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, 0) })
	at, ok, err := host.Mounted(dir)
	if err != nil || !ok {
		t.Fatalf("Mounted = %v, %v", ok, err)
	}
	if got := usersOf(t, at.Device, 10); len(got) != 0 {
		t.Errorf("users of an idle file system = %v", got)
	}
	f, err := os.Create(filepath.Join(dir, "open"))
	if err != nil {
		t.Fatal(err)
	}
	sleeper := exec.Command("sleep", "60")
	sleeper.Dir = dir
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	got := usersOf(t, at.Device, 10)
	for _, want := range []int{os.Getpid(), sleeper.Process.Pid} {
		if !slices.ContainsFunc(got, func(p host.Process) bool { return p.ID == want }) {
			t.Errorf("users = %v, want process %d among them", got, want)
		}
	}
	if got := usersOf(t, at.Device, 1); len(got) != 1 {
		t.Errorf("%d users, the limit is 1", len(got))
	}
	_ = f.Close()
	_ = sleeper.Process.Kill()
	_ = sleeper.Wait()
}

// A mapped file needs no descriptor.
func TestUsersOfMappedFilesAreNamed(t *testing.T) {
	dev := newDevice(t, 64*mib)
	format(t, dev, "ext4")
	dir := mount(t, dev, "ext4")
	number := deviceNumber(t, dev)
	unmap := mapFile(t, filepath.Join(dir, "mapped"))
	if got := usersOf(t, number, 10); len(got) != 1 || got[0].ID != os.Getpid() {
		t.Errorf("users are %v, want this process", got)
	}
	unmap()
	if got := usersOf(t, number, 10); len(got) != 0 {
		t.Errorf("users of an idle file system are %v", got)
	}
}

func TestMountersHaveAFileSystemOfTheirOwnAccord(t *testing.T) {
	dir, elsewhere := filepath.Join(t.TempDir(), "with a space"), t.TempDir()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("mounters", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, 0) })
	at, _, err := host.Mounted(dir)
	if err != nil {
		t.Fatal(err)
	}
	// Both have a copy of the mount; one has it bound somewhere else, too.
	start := func(script string) int { return startMounter(t, script+"\necho ready; exec sleep 60") }
	bystander, mounter := start(""), start("mount --bind '"+dir+"' "+elsewhere)
	got := host.Mounters(at.Device, "/nonexistent", 10)
	has := func(id int) bool { return slices.ContainsFunc(got, func(p host.Process) bool { return p.ID == id }) }
	if !has(mounter) || has(bystander) {
		t.Errorf("mounters are %v, want process %d, and not %d", got, mounter, bystander)
	}
	if got := host.Mounters(at.Device, filepath.Dir(elsewhere), 10); len(got) > 0 {
		t.Errorf("mounters outside of the root are %v", got)
	}
}

// A path means another directory in a container with an image, and a copy of the
// host's mounts lies elsewhere in a program that looks at the whole host.
func TestMountersAreFoundWhateverTheirPaths(t *testing.T) {
	root, image := t.TempDir(), t.TempDir()
	volume := filepath.Join(root, "volume")
	mkdir := func() {
		t.Helper()
		if err := os.MkdirAll(volume, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mkdir() // in the image, too, which is a copy of this machine's root directory
	for _, target := range []string{root, volume} {
		if err := unix.Mount("mounters", target, "tmpfs", 0, "size=1m"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(target, 0) })
		mkdir()
	}
	at, _, err := host.Mounted(volume)
	if err != nil {
		t.Fatal(err)
	}
	container := startMounter(t, "mount --bind / "+image+"; mount --bind "+volume+" "+image+volume+"; exec chroot "+image+" sh -c 'echo ready; exec sleep 60'")
	monitor := startMounter(t, "mount --rbind / "+image+"; exec chroot "+image+" sh -c 'echo ready; exec sleep 60'")
	observer := startMounter(t, "mount --rbind / "+image+"; umount -l "+root+"; echo ready; exec sleep 60")
	has := func(id int) bool {
		return slices.ContainsFunc(host.Mounters(at.Device, root, 10), func(p host.Process) bool { return p.ID == id })
	}
	if !has(container) {
		t.Errorf("a container whose image has the volume at %s is not found", volume)
	}
	if has(monitor) || has(observer) {
		t.Error("a program that sees the host's mounts at another path counts as a user")
	}
	// The monitor keeps its copies, as private ones, when the host has unmounted.
	if err := unix.Unmount(volume, 0); err != nil {
		t.Fatal(err)
	}
	if !has(container) || has(monitor) {
		t.Error("what was unmounted on the host counts otherwise")
	}
}

// A process that cannot see a mount keeps it all the same.
func TestMountersAreFoundBehindAnotherRoot(t *testing.T) {
	volume, elsewhere, image := t.TempDir(), t.TempDir(), t.TempDir()
	if err := unix.Mount("mounters", volume, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(volume, 0) })
	at, _, err := host.Mounted(volume)
	if err != nil {
		t.Fatal(err)
	}
	pids := filepath.Join(t.TempDir(), "pid")
	parent := startMounter(t, "mount --bind "+volume+" "+elsewhere+"; mount --bind / "+image+
		"; chroot "+image+" sleep 60 & echo $! >"+pids+"; echo ready; exec sleep 60")
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Kill(child, unix.SIGKILL) })
	got := host.Mounters(at.Device, "/nonexistent", 10)
	for _, want := range []int{parent, child} {
		if !slices.ContainsFunc(got, func(p host.Process) bool { return p.ID == want }) {
			t.Errorf("mounters are %v, want process %d among them", got, want)
		}
	}
	if got := host.Mounters(at.Device, "/nonexistent", 1); len(got) != 1 {
		t.Errorf("%d mounters, the limit is 1", len(got))
	}
}

// startMounter runs a script in a mount namespace of its own, until it says that
// it is ready.
func startMounter(t *testing.T, script string) int {
	t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	if n, err := out.Read(make([]byte, len("ready"))); err != nil || n == 0 {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}
