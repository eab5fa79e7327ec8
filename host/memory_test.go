package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/host"
)

// memoryLimit makes a control group whose processes together may use so many
// bytes, memory files included, and returns the file that takes their ids.
func memoryLimit(t *testing.T, bytes int64) string {
	t.Helper()
	parent, limit := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	if _, err := os.Stat(filepath.Join(parent, limit)); err != nil {
		parent, limit = "/sys/fs/cgroup", "memory.max"
	}
	group, err := os.MkdirTemp(parent, "flocker-test-")
	if err != nil {
		t.Fatalf("make a control group for memory: %v: this test needs cgroup v1, or v2 with the memory controller enabled for children of the root", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(group); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(group, limit), []byte(strconv.FormatInt(bytes, 10)), 0o600); err != nil {
		t.Fatalf("limit the memory of a control group: %v: this test needs cgroup v1, or v2 with the memory controller enabled for children of the root", err)
	}
	return filepath.Join(group, "cgroup.procs")
}

// newHugeDevice makes a sparse device that is larger than the files of ext4 can be.
func newHugeDevice(t *testing.T, size int64) host.Device {
	t.Helper()
	below := newDevice(t, 20*gib)
	format(t, below, "xfs")
	image := newImageIn(t, mount(t, below, "xfs"), size)
	return host.Device{Path: attach(t, image).Path(), Image: image.Name()}
}

// TestMemoryIsBoundedWhateverTheSize formats in a process that would be killed if
// it and its children used more memory than that.
func TestMemoryIsBoundedWhateverTheSize(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			dev := newHugeDevice(t, 50<<40)
			procs := memoryLimit(t, 256*mib)
			cmd := exec.Command("sh", "-c", "echo $$ > "+procs+" && exec "+os.Args[0]+" -test.run='^TestOnHostileMachine$' -test.v")
			cmd.Env = append(os.Environ(), "HOSTILE_DEVICE="+dev.Path, "HOSTILE_FS="+fs)
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
				t.Fatalf("format 50 TiB: %v: %s", err, out)
			}
			if sig := probe(t, dev); sig.Kind != host.Filesystem || sig.Type != fs {
				t.Errorf("signature: got %+v, want %s", sig, fs)
			}
			mount(t, dev, fs)
		})
	}
}

// TestMemoryOfManySizesIsBounded formats devices of many sizes by one Formatter.
func TestMemoryOfManySizesIsBounded(t *testing.T) {
	var formatter host.Formatter
	image := newImage(t, 64*mib)
	loop := attach(t, image)
	dev := host.Device{Path: loop.Path(), Image: image.Name()}
	before := openFiles(t)
	const sizes = 100
	for i := range int64(sizes) {
		if err := image.Truncate(0); err != nil {
			t.Fatal(err)
		}
		if err := image.Truncate(64*mib + i*4096); err != nil {
			t.Fatal(err)
		}
		if _, err := host.ResizeLoop(loop.Number, loop.Backing); err != nil {
			t.Fatal(err)
		}
		if err := formatter.Format(t.Context(), dev, "ext4", host.Anyone); err != nil {
			t.Fatal(err)
		}
	}
	if after := openFiles(t); after-before > 80 {
		t.Errorf("%d sizes left %d files open", sizes, after-before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
