package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
	"github.com/flocker-mesos/flocker/host/hosttest"
)

// formatted makes a device with a file system.
func formatted(t *testing.T, fs string) host.Device {
	t.Helper()
	size := int64(64 * mib)
	if fs == "xfs" {
		size = host.MinXFSSize
	}
	dev := newDevice(t, size)
	format(t, dev, fs)
	return dev
}

func deviceNumber(t testing.TB, dev host.Device) uint64 {
	t.Helper()
	number, err := host.DeviceNumber(dev.Path)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func wantMounted(t *testing.T, target string, want host.MountPoint) {
	t.Helper()
	got, ok, err := host.Mounted(target)
	if err != nil || !ok || got != want {
		t.Errorf("mounted at %s: got %+v, %v, %v, want %+v", target, got, ok, err, want)
	}
}

func wantNotMounted(t *testing.T, target string) {
	t.Helper()
	if got, ok, err := host.Mounted(target); err != nil || ok {
		t.Errorf("mounted at %s: got %+v, %v, %v, want nothing", target, got, ok, err)
	}
}

func TestMountAndUnmount(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			dev := formatted(t, fs)
			target := t.TempDir()
			wantNotMounted(t, target)
			mountAt(t, dev, target, fs)
			wantMounted(t, target, host.MountPoint{Device: deviceNumber(t, dev)})
			if err := host.Mount(dev.Path, target, fs, 0); !errors.Is(err, host.ErrBusy) {
				t.Errorf("mount again: got %v, want %v", err, host.ErrBusy)
			}
			if _, err := host.Probe(dev); !errors.Is(err, host.ErrBusy) {
				t.Errorf("probe a mounted device: got %v, want %v", err, host.ErrBusy)
			}
			for range 2 {
				unmount(t, target)
				wantNotMounted(t, target)
			}
		})
	}
}

func TestUnmountOfABusyMountIsBusy(t *testing.T) {
	dev := formatted(t, "ext4")
	target := mount(t, dev, "ext4")
	f, err := os.Create(filepath.Join(target, "open"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := host.Unmount(target); !errors.Is(err, host.ErrBusy) {
		t.Errorf("unmount with an open file: got %v, want %v", err, host.ErrBusy)
	}
	wantMounted(t, target, host.MountPoint{Device: deviceNumber(t, dev)})
	f.Close()
}

func TestUnmountWhereNothingIs(t *testing.T) {
	dir := t.TempDir()
	for _, target := range []string{dir, filepath.Join(dir, "missing")} {
		if err := host.Unmount(target); err != nil {
			t.Errorf("unmount %s: %v", target, err)
		}
		wantNotMounted(t, target)
	}
}

func TestMountsAreNotFollowedThroughLinks(t *testing.T) {
	dev := formatted(t, "ext4")
	target := mount(t, dev, "ext4")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	wantNotMounted(t, link)
	if err := host.Unmount(link); err != nil {
		t.Error(err)
	}
	wantMounted(t, target, host.MountPoint{Device: deviceNumber(t, dev)})
}

func TestMountedSaysWhatIsOnTop(t *testing.T) {
	below, above := formatted(t, "ext4"), formatted(t, "ext4")
	target := mount(t, below, "ext4")
	mountAt(t, above, target, "ext4")
	wantMounted(t, target, host.MountPoint{Device: deviceNumber(t, above)})
	unmount(t, target)
	wantMounted(t, target, host.MountPoint{Device: deviceNumber(t, below)})
}

func TestShutDownFileSystemIsStillMounted(t *testing.T) {
	dev := formatted(t, "xfs")
	target := mount(t, dev, "xfs")
	hosttest.ShutDown(t, target)
	if _, err := os.ReadDir(target); !errors.Is(err, unix.EIO) {
		t.Fatalf("the file system was not shut down: %v", err)
	}
	wantMounted(t, target, host.MountPoint{Device: deviceNumber(t, dev)})
	unmount(t, target)
	wantNotMounted(t, target)
}

func TestMountTableHasWhatIsMounted(t *testing.T) {
	dev := formatted(t, "ext4")
	target := filepath.Join(t.TempDir(), "with space")
	if err := os.Mkdir(target, 0o700); err != nil {
		t.Fatal(err)
	}
	mountAt(t, dev, target, "ext4")
	table, err := host.MountTable()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range table {
		if m.Target == target {
			if m.Device != deviceNumber(t, dev) || m.FS != "ext4" || m.Root != "/" || m.ReadOnly || m.Shared {
				t.Errorf("entry: got %+v", m)
			}
			return
		}
	}
	t.Errorf("%s is missing in %+v", target, table)
}

func TestReadOnlyViewCannotBeWritten(t *testing.T) {
	dev := formatted(t, "ext4")
	source, target := mount(t, dev, "ext4"), t.TempDir()
	if err := host.BindReadOnly(source, target); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmount(t, target) })
	wantMounted(t, target, host.MountPoint{Device: deviceNumber(t, dev), ReadOnly: true})
	wantMounted(t, source, host.MountPoint{Device: deviceNumber(t, dev)})
	if err := os.WriteFile(filepath.Join(target, "file"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("write through the view: got %v, want %v", err, unix.EROFS)
	}
	if err := os.WriteFile(filepath.Join(source, "file"), []byte("text"), 0o600); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(target, "file")); err != nil || string(text) != "text" {
		t.Errorf("read through the view: got %q, %v", text, err)
	}
	if err := host.Unmount(source); err != nil {
		t.Errorf("unmount the source of a view: %v", err)
	}
}

func TestBindWithFlagsThatHoldThereAlone(t *testing.T) {
	source, target := mount(t, formatted(t, "ext4"), "ext4"), t.TempDir()
	for _, flags := range []uintptr{0, unix.MS_NOATIME, unix.MS_RDONLY | unix.MS_NOEXEC, unix.MS_STRICTATIME | unix.MS_NOSUID | unix.MS_NODEV} {
		if err := host.BindWith(source, target, flags); err != nil {
			t.Fatal(err)
		}
		var at, below unix.Statfs_t
		if err := errors.Join(unix.Statfs(target, &at), unix.Statfs(source, &below)); err != nil {
			t.Error(err)
		}
		const all = unix.ST_RDONLY | unix.ST_NOSUID | unix.ST_NODEV | unix.ST_NOEXEC | unix.ST_NOATIME | unix.ST_RELATIME
		want := int64(flags &^ unix.MS_STRICTATIME)
		if flags&(unix.MS_NOATIME|unix.MS_STRICTATIME) == 0 {
			want |= unix.ST_RELATIME
		}
		if got := at.Flags & all; got != want {
			t.Errorf("bound with %#x, has %#x, want %#x", flags, got, want)
		}
		if got := below.Flags & all; got != unix.ST_RELATIME {
			t.Errorf("bound with %#x, the source has %#x", flags, got)
		}
		if err := host.Unmount(target); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeviceNumberOfNoDevice(t *testing.T) {
	for _, path := range []string{t.TempDir(), "/dev/null", "/dev/missing"} {
		if n, err := host.DeviceNumber(path); err == nil {
			t.Errorf("device number of %s: got %d", path, n)
		}
	}
}

func wantRoot(t *testing.T, root string, mode os.FileMode, names string) {
	t.Helper()
	info, err := os.Stat(root)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if info.Mode().Perm() != mode || strings.Join(got, " ") != names {
		t.Errorf("root: got mode %v and %q, want %v and %q", info.Mode().Perm(), got, mode, names)
	}
}

func TestOnlyAnEmptyLostFoundGoesAway(t *testing.T) {
	for _, test := range []struct {
		name  string
		use   func(root string) error
		mode  os.FileMode
		names string
	}{
		{"fresh", func(string) error { return nil }, 0o777, ""},
		{"of a mode that a user has chosen", func(root string) error { return os.Chmod(root, 0o755) }, 0o755, ""},
		{"file", func(root string) error { return os.WriteFile(root+"/file", nil, 0o600) }, 0o777, "file lost+found"},
		{"something found", func(root string) error { return os.WriteFile(root+"/lost+found/#12", nil, 0o600) }, 0o777, "lost+found"},
		{"a file of that name", func(root string) error {
			return errors.Join(os.Remove(root+"/lost+found"), os.WriteFile(root+"/lost+found", nil, 0o600))
		}, 0o777, "lost+found"},
		{"emptied", func(root string) error { return os.Remove(root + "/lost+found") }, 0o777, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := mount(t, formatted(t, "ext4"), "ext4")
			if err := test.use(root); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := host.DropLostFound(root); err != nil {
					t.Fatal(err)
				}
				wantRoot(t, root, test.mode, test.names)
			}
		})
	}
}

// restrictions returns which flags of host.Restricted hold at a target.
func restrictions(t *testing.T, target string) uintptr {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(target, &fs); err != nil {
		t.Fatal(err)
	}
	return uintptr(fs.Flags) & host.Restricted
}

func TestViewsInheritTheRestrictions(t *testing.T) {
	dev := formatted(t, "ext4")
	source := t.TempDir()
	if err := host.Mount(dev.Path, source, "ext4", host.Restricted); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmount(t, source) })
	for name, test := range map[string]struct {
		bind func(target string) error
		want uintptr
	}{
		"bind":        {func(target string) error { return host.Bind(source, target) }, host.Restricted},
		"read-only":   {func(target string) error { return host.BindReadOnly(source, target) }, host.Restricted},
		"with flags":  {func(target string) error { return host.BindWith(source, target, unix.MS_NOATIME) }, host.Restricted},
		"suid lifted": {func(target string) error { return host.BindLifting(source, target, 0, unix.MS_NOSUID) }, unix.MS_NODEV},
		"dev lifted":  {func(target string) error { return host.BindLifting(source, target, unix.MS_RDONLY, unix.MS_NODEV) }, unix.MS_NOSUID},
		"both lifted": {func(target string) error { return host.BindLifting(source, target, 0, host.Restricted) }, 0},
	} {
		target := t.TempDir()
		if err := test.bind(target); err != nil {
			t.Fatal(err)
		}
		if got := restrictions(t, target); got != test.want {
			t.Errorf("%s: the view has the restrictions %#x, want %#x", name, got, test.want)
		}
		unmount(t, target)
	}
	if got := restrictions(t, source); got != host.Restricted {
		t.Errorf("the source has the restrictions %#x, want %#x", got, host.Restricted)
	}
}

func TestMountOfAnEarlierVersionIsRestrictedInUse(t *testing.T) {
	target := mount(t, formatted(t, "ext4"), "ext4")
	file, err := os.Create(target + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := host.Restrict(target, host.Restricted); err != nil {
		t.Fatal(err)
	}
	if got := restrictions(t, target); got != host.Restricted {
		t.Errorf("restrictions: got %#x, want %#x", got, host.Restricted)
	}
	if _, err := file.WriteString("text"); err != nil {
		t.Errorf("write to a file that was open: %v", err)
	}
	table, err := host.MountTable()
	if err != nil {
		t.Fatal(err)
	}
	if at := table[len(table)-1]; at.Target != target || at.Flags != host.Restricted {
		t.Errorf("mount table: got %+v, want the restrictions", at)
	}
}

func TestThawIsForItsOwnDeviceAlone(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		dev := formatted(t, fs)
		target := mount(t, dev, fs)
		number := deviceNumber(t, dev)
		if host.Thaw(target, number) {
			t.Errorf("%s: thawed what was not frozen", fs)
		}
		run(t, "fsfreeze", "-f", target)
		if host.Thaw(target, number+1) {
			t.Errorf("%s: thawed another device", fs)
		}
		if !host.Thaw(target, number) || host.Thaw(target, number) {
			t.Errorf("%s: not thawed once", fs)
		}
	}
}
