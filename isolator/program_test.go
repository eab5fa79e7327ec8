package isolator_test

import (
	"bytes"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/isolator"
)

// storePath is where this machine shows what the launch process finds at path.
func storePath(t *testing.T, path string) string {
	t.Helper()
	below, ok := strings.CutPrefix(path, "/sys/.flocker/")
	if !ok {
		t.Fatalf("the program is stored at %s", path)
	}
	return "/dev/.flocker/" + below
}

func TestProgramIsStoredForRootAlone(t *testing.T) {
	now := time.Now()
	path, err := isolator.StoreProgram(now)
	if err != nil {
		t.Fatal(err)
	}
	path = storePath(t, path)
	t.Cleanup(func() { os.Remove(path) })
	mine, err1 := os.ReadFile("/proc/self/exe")
	copied, err2 := os.ReadFile(path)
	if err1 != nil || err2 != nil || !bytes.Equal(mine, copied) {
		t.Errorf("the copy differs: %v, %v", err1, err2)
	}
	for _, each := range []string{path, "/dev/.flocker"} {
		info, err := os.Stat(each)
		if err != nil || info.Mode().Perm()&0o077 != 0 || info.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Errorf("%s is %v, %v", each, info.Mode(), err)
		}
	}
	// Once stored, a version stays as it is while it is used.
	before, _ := os.Stat(path)
	again, err := isolator.StoreProgram(now)
	after, statErr := os.Stat(path)
	if err != nil || statErr != nil || storePath(t, again) != path || !os.SameFile(before, after) {
		t.Errorf("got %s, %v", again, err)
	}
	if _, err := isolator.StoreProgram(now.Add(2 * time.Hour)); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.ModTime().Before(now.Add(time.Hour)) {
		t.Errorf("its use is not noted: %v, %v", info.ModTime(), err)
	}
}

func TestProgramThatWasCutShortIsStoredAnew(t *testing.T) {
	path, err := isolator.StoreProgram(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	path = storePath(t, path)
	t.Cleanup(func() { os.Remove(path) })
	want, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := isolator.StoreProgram(time.Now()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != want.Size() {
		t.Errorf("it has %d bytes, %v, want %d", info.Size(), err, want.Size())
	}
}
