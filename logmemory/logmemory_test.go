package logmemory_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/logmemory"
)

func TestRemembersWhatWasWrittenLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "log.json")
	want := func(want api.LogIdentity) {
		t.Helper()
		if got, err := logmemory.Read(path); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	want(api.LogIdentity{})
	for _, seen := range []api.LogIdentity{{ID: "a", Revision: 1}, {ID: "a", Incarnation: 7, Revision: 9}} {
		if err := logmemory.Write(path, seen); err != nil {
			t.Fatal(err)
		}
		want(seen)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("files left: %v, %v", left, err)
	}
	for range 2 {
		if err := logmemory.Forget(path); err != nil {
			t.Fatal(err)
		}
		want(api.LogIdentity{})
	}
}

func TestReportsAMemoryThatCannotBeRead(t *testing.T) {
	for _, text := range []string{"", "{", "{}", `{"id":7}`, "\x00\x00"} {
		path := filepath.Join(t.TempDir(), "log.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := logmemory.Read(path); err == nil {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
}

func TestAMemoryThatIsNoFileHoldsNothingUp(t *testing.T) {
	for what, make := range map[string]func(path string) error{
		"a pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"a device":    func(path string) error { return os.Symlink("/dev/zero", path) },
		"a huge file": func(path string) error {
			return errors.Join(os.WriteFile(path, []byte("{"), 0o600), os.Truncate(path, 1<<40))
		},
		"a link to itself": func(path string) error { return os.Symlink(path, path) },
	} {
		path := filepath.Join(t.TempDir(), "log.json")
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if got, err := logmemory.Read(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %+v, %v, want an error that names it", what, got, err)
		}
		// An operator accepts a log over it.
		if err := logmemory.Write(path, api.LogIdentity{ID: "a"}); err != nil && what != "a directory" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestWhatRootWritesBelongsToTheService has a directory that is another user's.
func TestWhatRootWritesBelongsToTheService(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the directory is given to another user: run the tests as root")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 4711, 4712); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "log.json")
	if err := logmemory.Write(path, api.LogIdentity{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != 4711 || st.Gid != 4712 {
		t.Errorf("it belongs to %+v", info.Sys())
	}
}
