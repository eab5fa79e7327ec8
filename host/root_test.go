package host_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

// rootPaths are where a mount root of the test is.
type rootPaths struct{ writable, path string }

func newRootPaths(t *testing.T) rootPaths {
	t.Helper()
	dir := t.TempDir()
	return rootPaths{writable: filepath.Join(dir, "state", "mnt"), path: filepath.Join(dir, "flocker")}
}

func (p rootPaths) open(t *testing.T) *host.MountRoot {
	t.Helper()
	root, err := host.OpenMountRoot(p.writable, p.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// openRoot makes a mount root for the time of the test.
func openRoot(t *testing.T) (*host.MountRoot, rootPaths) {
	t.Helper()
	p := newRootPaths(t)
	root := p.open(t)
	t.Cleanup(func() {
		if err := p.open(t).Remove(); err != nil {
			t.Error(err)
		}
	})
	return root, p
}

func makeMountPoint(t *testing.T, root *host.MountRoot, name string) string {
	t.Helper()
	target, err := root.MakeMountPoint(name)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestNothingCanBeWrittenBelowAMountRoot(t *testing.T) {
	root, p := openRoot(t)
	target := makeMountPoint(t, root, "volume")
	if target != filepath.Join(p.path, "volume") || root.Path("volume") != target {
		t.Errorf("mount point: got %s and %s", target, root.Path("volume"))
	}
	for _, path := range []string{filepath.Join(p.path, "file"), filepath.Join(target, "file")} {
		if err := os.WriteFile(path, nil, 0o600); !errors.Is(err, unix.EROFS) {
			t.Errorf("write %s: got %v, want %v", path, err, unix.EROFS)
		}
	}
	dev := formatted(t, "ext4")
	mountAt(t, dev, target, "ext4")
	if err := os.WriteFile(filepath.Join(target, "file"), nil, 0o600); err != nil {
		t.Errorf("write to the volume: %v", err)
	}
	unmount(t, target)
	if err := os.WriteFile(filepath.Join(target, "file"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("write after the volume is gone: got %v, want %v", err, unix.EROFS)
	}
}

func TestMountRootOutlivesItsProcess(t *testing.T) {
	root, p := openRoot(t)
	dev := formatted(t, "ext4")
	target := makeMountPoint(t, root, "volume")
	mountAt(t, dev, target, "ext4")
	before := entriesBelow(t, p.path)
	again := p.open(t)
	if after := entriesBelow(t, p.path); !slices.Equal(after, before) {
		t.Errorf("mounts after opening again: got %+v, want %+v", after, before)
	}
	if makeMountPoint(t, again, "volume") != target {
		t.Error("the mount point has moved")
	}
	wantMounted(t, target, host.MountPoint{Device: deviceNumber(t, dev)})
}

// entriesBelow returns what is mounted at path and below.
func entriesBelow(t *testing.T, path string) []host.MountEntry {
	t.Helper()
	table, err := host.MountTable()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(table, func(m host.MountEntry) bool {
		return m.Target != path && !strings.HasPrefix(m.Target, path+"/")
	})
}

func TestHalfMadeMountRootIsCompleted(t *testing.T) {
	p := newRootPaths(t)
	for _, dir := range []string{p.writable, p.path} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// As kernels without mount_setattr do it, and a crash in between.
	if err := unix.Mount(p.writable, p.path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	root := p.open(t)
	t.Cleanup(func() {
		if err := root.Remove(); err != nil {
			t.Error(err)
		}
	})
	entries := entriesBelow(t, p.path)
	if len(entries) != 1 || !entries[0].ReadOnly || !entries[0].Shared {
		t.Errorf("mounts: got %+v, want one, read-only and shared", entries)
	}
}

func TestMountRootIsForRootAlone(t *testing.T) {
	root, p := openRoot(t)
	target := makeMountPoint(t, root, "volume")
	dev := formatted(t, "ext4")
	mountAt(t, dev, target, "ext4")
	want := func(when string) {
		t.Helper()
		for _, dir := range []string{p.writable, p.path} {
			if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s: %s: got %v, %v, want mode 0700", when, dir, info, err)
			}
			cmd := exec.Command("setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "ls", filepath.Join(dir, "volume"))
			if out, err := cmd.CombinedOutput(); err == nil {
				t.Errorf("%s: a user lists %s/volume: %s", when, dir, out)
			}
		}
	}
	want("new")
	if err := os.Chmod(p.writable, 0o755); err != nil { // as an earlier version left it
		t.Fatal(err)
	}
	if err := p.open(t).Close(); err != nil {
		t.Fatal(err)
	}
	want("taken over")
}

func TestMountRootRefusesParentsOfOthers(t *testing.T) {
	for name, open := range map[string]func(parent string) error{
		"of the mount root": func(parent string) error {
			_, err := host.OpenMountRoot(filepath.Join(t.TempDir(), "mnt"), filepath.Join(parent, "flocker"))
			return err
		},
		"of the writable directory": func(parent string) error {
			_, err := host.OpenMountRoot(filepath.Join(parent, "run", "mnt"), filepath.Join(t.TempDir(), "flocker"))
			return err
		},
		"of a private directory": func(parent string) error {
			_, err := host.PrivateDirectory(filepath.Join(parent, "state"))
			return err
		},
	} {
		parent := filepath.Join(t.TempDir(), "shared")
		if err := errors.Join(os.Mkdir(parent, 0o700), os.Chmod(parent, 0o777)); err != nil {
			t.Fatal(err)
		}
		if err := open(parent); err == nil || !strings.Contains(err.Error(), "chmod go-w "+parent) {
			t.Errorf("%s: got %v, want a refusal of %s with its remedy", name, err, parent)
		}
	}
}

func TestPrivateDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := host.PrivateDirectory(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v, want mode 0700", info, err)
	}
	if err := os.Chown(path, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := host.PrivateDirectory(path); err == nil || !strings.Contains(err.Error(), "1000") {
		t.Errorf("a user's directory: got %v, want a refusal", err)
	}
}

func TestMountRootRefusesWhatItWouldHide(t *testing.T) {
	t.Run("files", func(t *testing.T) {
		p := newRootPaths(t)
		if err := os.MkdirAll(filepath.Join(p.path, "precious"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := host.OpenMountRoot(p.writable, p.path); !errors.Is(err, host.ErrNotEmpty) || !strings.Contains(err.Error(), "precious") {
			t.Errorf("open: got %v, want %v", err, host.ErrNotEmpty)
		}
	})
	t.Run("another mount", func(t *testing.T) {
		p := newRootPaths(t)
		if err := os.MkdirAll(p.path, 0o755); err != nil {
			t.Fatal(err)
		}
		mountAt(t, formatted(t, "ext4"), p.path, "ext4")
		if _, err := host.OpenMountRoot(p.writable, p.path); err == nil || !strings.Contains(err.Error(), "something else is mounted there") {
			t.Errorf("open: got %v", err)
		}
	})
	t.Run("one within the other", func(t *testing.T) {
		dir := t.TempDir()
		for _, p := range []rootPaths{{dir, dir}, {dir, filepath.Join(dir, "flocker")}, {filepath.Join(dir, "mnt"), dir}} {
			if _, err := host.OpenMountRoot(p.writable, p.path); err == nil || !strings.Contains(err.Error(), "within each other") {
				t.Errorf("open %+v: got %v", p, err)
			}
		}
	})
}

func TestPlainDirectoryBelowTheMountRootIsProtected(t *testing.T) {
	p := newRootPaths(t)
	root := p.open(t)
	t.Cleanup(func() {
		if err := p.open(t).Remove(); err != nil {
			t.Error(err)
		}
	})
	unmount(t, root.Path(""))
	if err := os.WriteFile(filepath.Join(p.path, "file"), nil, 0o600); !errors.Is(err, unix.EPERM) {
		t.Errorf("write while no agent runs: got %v, want %v", err, unix.EPERM)
	}
	p.open(t) // an immutable directory can be mounted on
	if entries := entriesBelow(t, p.path); len(entries) != 1 {
		t.Errorf("mounts: got %+v", entries)
	}
}

func TestMountPointMustBeEmptyBelow(t *testing.T) {
	root, p := openRoot(t)
	makeMountPoint(t, root, "volume")
	makeMountPoint(t, root, "volume") // again is no error
	file := filepath.Join(p.writable, "volume", "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := root.MakeMountPoint("volume"); !errors.Is(err, host.ErrNotEmpty) {
		t.Errorf("make: got %v, want %v", err, host.ErrNotEmpty)
	}
	if err := root.RemoveMountPoint("volume"); !errors.Is(err, host.ErrNotEmpty) {
		t.Errorf("remove: got %v, want %v", err, host.ErrNotEmpty)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if names, err := root.MountPoints(); err != nil || !slices.Equal(names, []string{"volume"}) {
		t.Errorf("mount points: got %q, %v", names, err)
	}
	for range 2 {
		if err := root.RemoveMountPoint("volume"); err != nil {
			t.Error(err)
		}
	}
	if names, err := root.MountPoints(); err != nil || len(names) > 0 {
		t.Errorf("mount points: got %q, %v", names, err)
	}
}

func TestMountPointInUseStays(t *testing.T) {
	root, _ := openRoot(t)
	dev := formatted(t, "ext4")
	target := makeMountPoint(t, root, "volume")
	mountAt(t, dev, target, "ext4")
	if err := root.RemoveMountPoint("volume"); !errors.Is(err, host.ErrBusy) {
		t.Errorf("remove: got %v, want %v", err, host.ErrBusy)
	}
	wantMounted(t, target, host.MountPoint{Device: deviceNumber(t, dev)})
	if err := root.Remove(); !errors.Is(err, host.ErrBusy) {
		t.Errorf("remove the mount root: got %v, want %v", err, host.ErrBusy)
	}
}

func TestMountPointNamesLeadNowhereElse(t *testing.T) {
	root, _ := openRoot(t)
	for _, name := range []string{"", ".", "..", "a/b", "../x", "/x", "a\x00b"} {
		if _, err := root.MakeMountPoint(name); err == nil {
			t.Errorf("make mount point %q: got no error", name)
		}
		if err := root.RemoveMountPoint(name); err == nil {
			t.Errorf("remove mount point %q: got no error", name)
		}
	}
}

// TestVolumesReachOtherMountNamespaces does as a container does: it has its own
// mounts, a slave of the host's, from before the volume is mounted.
func TestVolumesReachOtherMountNamespaces(t *testing.T) {
	root, _ := openRoot(t)
	dev := formatted(t, "ext4")
	target := makeMountPoint(t, root, "volume")
	view := makeMountPoint(t, root, "volume.ro")
	bound := t.TempDir()
	container := exec.Command("unshare", "--mount", "--propagation", "slave", "sh", "-c",
		`mount --rbind "$1" "$2" && echo ready && exec cat`, "sh", target, bound)
	in, err := container.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := container.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := container.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := container.Wait(); err != nil {
			t.Error(err)
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("container: got %q, %v", line, err)
	}
	inside := filepath.Join("/proc", strconv.Itoa(container.Process.Pid), "root")
	mountAt(t, dev, target, "ext4")
	if err := os.WriteFile(filepath.Join(target, "file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := host.BindReadOnly(target, view); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmount(t, view) })
	for _, path := range []string{target, bound, view} {
		if text, err := os.ReadFile(filepath.Join(inside, path, "file")); err != nil || string(text) != "text" {
			t.Errorf("in the container, %s: got %q, %v", path, text, err)
		}
	}
	if err := os.WriteFile(filepath.Join(inside, view, "other"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("in the container, write to the view: got %v, want %v", err, unix.EROFS)
	}
	unmount(t, view)
	unmount(t, target)
	for _, path := range []string{target, bound, view} {
		if _, err := os.Stat(filepath.Join(inside, path, "file")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("in the container, %s after the unmount: got %v, want %v", path, err, os.ErrNotExist)
		}
	}
}

// TestVolumesDoNotShowInTheWritableDirectory has the writable directory on a
// shared mount, as everything is under systemd.
func TestVolumesDoNotShowInTheWritableDirectory(t *testing.T) {
	base := mount(t, formatted(t, "ext4"), "ext4")
	if err := unix.Mount("", base, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	p := rootPaths{writable: filepath.Join(base, "mnt"), path: filepath.Join(base, "flocker")}
	root := p.open(t)
	t.Cleanup(func() {
		if err := root.Remove(); err != nil {
			t.Error(err)
		}
	})
	target := makeMountPoint(t, root, "volume")
	mountAt(t, formatted(t, "ext4"), target, "ext4")
	wantNotMounted(t, filepath.Join(p.writable, "volume"))
}
