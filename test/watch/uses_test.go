package watch

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
)

// volumeInUse mounts a real image of a storage directory, and watches its use.
func volumeInUse(t *testing.T, mayEnd bool) (w *Watch, u *Use) {
	t.Helper()
	san, path := t.TempDir(), t.TempDir()
	w = &Watch{cluster: &cluster.Cluster{Lab: &lab.Lab{SAN: san}}, uses: map[*Use]bool{}, found: make(chan struct{})}
	var err error
	if w.images, err = watchImages(san, []string{"one", "two"}, w.left, w.report); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, _, err := w.images.close(); err != nil {
			t.Error(err)
		}
	})
	image := filepath.Join(san, "attached/one", volume1)
	run(t, "truncate", "-s", "16M", image)
	run(t, "mkfs.ext4", "-q", image)
	run(t, "mount", "-o", "loop", image, path)
	t.Cleanup(func() {
		for unix.Unmount(path, 0) == nil { // one may be on the other
		}
	})
	u = &Use{User: "c", Volume: volume1, Instance: "one", Path: path, Mounts: ownMounts, MayEnd: func() bool { return mayEnd }}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	u.Device = st.Dev
	return w, u
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v %s", name, args, err, out)
	}
}

func ownMounts() ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	return strings.Split(strings.TrimSpace(string(text)), "\n"), err
}

// TestAUseThatEndsUnderItsUserIsSeen does to a real mount and its image what Flocker
// must never do while the volume is in use, and nothing of the product tells of it.
func TestAUseThatEndsUnderItsUserIsSeen(t *testing.T) {
	moved := func(t *testing.T, w *Watch, _ *Use) {
		t.Helper()
		san := w.cluster.Lab.SAN
		rename(t, filepath.Join(san, "attached/one", volume1), filepath.Join(san, "unattached", volume1))
		rename(t, filepath.Join(san, "unattached", volume1), filepath.Join(san, "attached/two", volume1))
	}
	unmounted := func(t *testing.T, _ *Watch, u *Use) {
		t.Helper()
		if err := unix.Unmount(u.Path, 0); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		happens func(*testing.T, *Watch, *Use)
		mayEnd  bool
		want    []string
	}{
		"nothing":                       {happens: func(*testing.T, *Watch, *Use) {}},
		"it is unmounted":               {happens: unmounted, want: []string{"is not mounted at"}},
		"it is unmounted, as it may be": {happens: unmounted, mayEnd: true},
		"another mount hides it": {
			happens: func(t *testing.T, _ *Watch, u *Use) {
				t.Helper()
				unmounted(t, nil, u)
				run(t, "mount", "-t", "tmpfs", "none", u.Path)
			},
			want: []string{"is not mounted at"},
		},
		// Its device goes with it: the kernel names the file of a device by where it is now.
		"its image is given to another machine": {happens: moved, want: []string{"was taken from attached/one, where c uses it", "is a device of"}},
		"its image is given away, as it may be": {happens: moved, mayEnd: true},
	} {
		t.Run(name, func(t *testing.T) {
			w, u := volumeInUse(t, c.mayEnd)
			end, err := w.Begin(t.Context(), u)
			if err != nil {
				t.Fatal(err)
			}
			c.happens(t, w, u)
			if err := w.images.sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.lookAtUses()
			if err := end(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkAnomalies(t, w.anomalies, c.want...)
		})
	}
}

func TestAUseThatHasEndedIsNotWatched(t *testing.T) {
	w, u := volumeInUse(t, false)
	end, err := w.Begin(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if err := end(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(u.Path, 0); err != nil {
		t.Fatal(err)
	}
	rename(t, filepath.Join(w.cluster.Lab.SAN, "attached/one", volume1), filepath.Join(w.cluster.Lab.SAN, "unattached", volume1))
	w.lookAtUses()
	if err := w.images.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkAnomalies(t, w.anomalies)
}
