package host

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMountsOfOldKernels makes mounts as it is done without mount_setattr(2).
func TestMountsOfOldKernels(t *testing.T) {
	dir := t.TempDir()
	writable, path, view := filepath.Join(dir, "mnt"), filepath.Join(dir, "flocker"), filepath.Join(dir, "view")
	for _, d := range []string{writable, path, view} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := bindSharedByRemount(writable, path); err != nil {
		t.Fatal(err)
	}
	root, err := OpenMountRoot(writable, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := root.Remove(); err != nil {
			t.Error(err)
		}
	})
	table, err := MountTable()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(table, func(m MountEntry) bool { return m.Target == path })
	if i < 0 || !table[i].ReadOnly || !table[i].Shared {
		t.Errorf("mount root: got entry %d of %+v, want it read-only and shared", i, table)
	}
	if err := bindThenRemount(writable, view, unix.MS_RDONLY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Unmount(view); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(filepath.Join(view, "x"), 0o755); !errors.Is(err, unix.EROFS) {
		t.Errorf("write to the view: got %v, want %v", err, unix.EROFS)
	}
}

// TestRestrictionsOfOldKernels changes one flag of a mount without mount_setattr(2),
// where a remount replaces all.
func TestRestrictionsOfOldKernels(t *testing.T) {
	source, view := t.TempDir(), t.TempDir()
	if err := unix.Mount("none", source, "tmpfs", Restricted|unix.MS_NOATIME, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Unmount(source) })
	for _, test := range []struct{ flags, lifted, want uintptr }{
		{unix.MS_RDONLY, 0, Restricted | unix.MS_RDONLY | unix.MS_NOATIME},
		{0, unix.MS_NOSUID, unix.MS_NODEV | unix.MS_NOATIME},
		{unix.MS_RELATIME, 0, Restricted | unix.ST_RELATIME},
	} {
		if err := bindThenRemount(source, view, test.flags, test.lifted); err != nil {
			t.Fatal(err)
		}
		var fs unix.Statfs_t
		if err := unix.Statfs(view, &fs); err != nil {
			t.Fatal(err)
		}
		const all = uintptr(unix.ST_RDONLY | unix.ST_NOSUID | unix.ST_NODEV | unix.ST_NOATIME | unix.ST_RELATIME)
		if got := uintptr(fs.Flags) & all; got != test.want {
			t.Errorf("flags %#x, lifted %#x: the view has %#x, want %#x", test.flags, test.lifted, got, test.want)
		}
		if err := Unmount(view); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMountedByTable(t *testing.T) {
	want, mounted, err := Mounted("/proc")
	if err != nil || !mounted {
		t.Fatal(mounted, err)
	}
	got, mounted, err := mountedByTable("/proc")
	if err != nil || !mounted || got != want {
		t.Errorf("by the table: got %+v, %v, %v, want %+v", got, mounted, err, want)
	}
	if got, mounted, err := mountedByTable(t.TempDir()); err != nil || mounted {
		t.Errorf("by the table: got %+v, %v, %v, want nothing", got, mounted, err)
	}
}
