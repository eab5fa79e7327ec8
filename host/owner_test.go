package host_test

import (
	"errors"
	"os"
	"os/user"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

func wantOwner(t *testing.T, root string, want host.Owner) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(root, &st); err != nil {
		t.Fatal(err)
	}
	if got := (host.Owner{UID: st.Uid, GID: st.Gid, Mode: uint16(st.Mode &^ unix.S_IFMT)}); got != want {
		t.Errorf("owner: got %+v, want %+v", got, want)
	}
}

func TestFreshFileSystemBelongsToItsOwner(t *testing.T) {
	var formatter host.Formatter
	owners := []host.Owner{
		{UID: 1000, GID: 1001, Mode: 0o750}, host.Anyone, {Mode: 0o755}, {UID: 4294967294, GID: 4294967294, Mode: 0o700}, {UID: 1, Mode: 0},
	}
	for _, test := range []struct {
		fs     string
		size   int64
		check  []string
		owners []host.Owner
	}{
		{"ext4", 320 * mib, []string{"e2fsck", "-fn"}, owners},
		{"ext4", 300 * gib, []string{"e2fsck", "-fn"}, owners[:1]},
		{"xfs", 320 * mib, []string{"xfs_repair", "-n"}, owners},
	} {
		for _, owner := range test.owners {
			dev := newDevice(t, test.size)
			if err := formatter.Format(t.Context(), dev, test.fs, owner); err != nil {
				t.Fatal(err)
			}
			run(t, test.check[0], test.check[1], dev.Path)
			target := mount(t, dev, test.fs)
			wantOwner(t, target, owner)
			unmount(t, target)
		}
	}
}

// TestOwnershipIsSetOnce does what users do with the root of a volume.
func TestOwnershipIsSetOnce(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		for _, change := range []struct {
			want host.Owner
			do   func(root string) error
		}{
			{host.Owner{Mode: 0o755}, func(root string) error { return os.Chmod(root, 0o755) }},
			{host.Owner{GID: 1000, Mode: 0o777}, func(root string) error { return os.Chown(root, 0, 1000) }},
			{host.Owner{UID: 5, GID: 6, Mode: 0o777}, func(root string) error { return os.Chown(root, 5, 6) }},
		} {
			dev := newDevice(t, 320*mib)
			format(t, dev, fs)
			target := mount(t, dev, fs)
			if err := errors.Join(host.DropLostFound(target), change.do(target)); err != nil {
				t.Fatal(err)
			}
			unmount(t, target)
			if fs == "ext4" {
				run(t, "debugfs", "-w", "-R", "ssv state 0", dev.Path) // as after a crash
			}
			if err := host.Check(t.Context(), dev); err != nil {
				t.Fatal(err)
			}
			target = mount(t, dev, fs)
			if err := host.DropLostFound(target); err != nil {
				t.Fatal(err)
			}
			wantOwner(t, target, change.want)
			unmount(t, target)
		}
	}
}

func TestLookupUser(t *testing.T) {
	if uid, gid, err := host.LookupUser("root"); err != nil || uid != 0 || gid != 0 {
		t.Errorf("root: got %d, %d, %v", uid, gid, err)
	}
	if _, _, err := host.LookupUser("no-such-user"); !isUnknown(err) {
		t.Errorf("unknown user: got %v", err)
	}
}

func isUnknown(err error) bool {
	var unknown user.UnknownUserError
	return errors.As(err, &unknown)
}
