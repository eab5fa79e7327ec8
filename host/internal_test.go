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
	if err := bindThenRemount(writable, view, unix.MS_RDONLY); err != nil {
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
