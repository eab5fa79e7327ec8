package loopback_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/backend/backendtest"
	"github.com/flocker-mesos/flocker/backend/loopback"
)

// storage is a root in a directory of the test.
type storage struct{ root string }

func newStorage(t *testing.T) storage {
	t.Helper()
	s := storage{root: filepath.Join(t.TempDir(), "root")}
	t.Cleanup(func() { clearLoops(t, s.root) })
	return s
}

func (s storage) Open(t *testing.T, machine int) backend.Backend {
	t.Helper()
	return s.open(t, []string{"alpha", "beta"}[machine])
}

func (s storage) open(t *testing.T, instance string) *loopback.Backend {
	t.Helper()
	b, err := loopback.New(loopback.Config{RootPath: s.root, InstanceID: instance})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Leftovers lists what is in the root beside its skeleton, and its loop devices.
func (s storage) Leftovers(t *testing.T) []string {
	t.Helper()
	var left []string
	err := filepath.WalkDir(s.root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != ".flocker-loopback" {
			left = append(left, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return append(left, loopsOf(t, s.root)...)
}

func (s storage) free(id string) string { return filepath.Join(s.root, "unattached", id) }
func (s storage) at(instance, id string) string {
	return filepath.Join(s.root, "attached", instance, id)
}

// loopsOf returns the loop devices with an image below dir, by their path in
// sysfs: another way than the driver's.
func loopsOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	var loops []string
	for _, file := range files {
		image, err := os.ReadFile(file)
		if err != nil {
			continue // cleared meanwhile
		}
		if strings.HasPrefix(string(image), dir+"/") {
			loops = append(loops, "/dev/"+filepath.Base(filepath.Dir(filepath.Dir(file))))
		}
	}
	slices.Sort(loops)
	return loops
}

func TestConformance(t *testing.T) {
	backendtest.Run(t, backendtest.Harness{
		New:     func(t *testing.T) backendtest.Storage { return newStorage(t) },
		Devices: true,
	})
}
