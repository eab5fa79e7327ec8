package embedded_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/embedded"
	"github.com/flocker-mesos/flocker/control/store/storetest"
)

func TestRestore(t *testing.T) {
	storetest.RunRestore(t, func(t *testing.T) (storetest.Open, storetest.OpenRestorer) {
		dir := t.TempDir()
		openLog := func() (store.Log, error) {
			log, err := embedded.Open(dir)
			if err != nil {
				return nil, err
			}
			return log, nil
		}
		return openLog, func() (store.Restorer, error) {
			r, err := embedded.OpenRestorer(dir, time.Now)
			if err != nil {
				return nil, err
			}
			return r, nil
		}
	})
}

// restored is what tests restore.
func restored() store.Snapshot {
	snap := store.Snapshot{Revision: 1 << 47}
	for i := range 10 {
		snap.Records = append(snap.Records, store.Record{Key: fmt.Sprint("key-", i), Value: []byte(fmt.Sprint(i))})
	}
	return snap
}

func restore(t *testing.T, dir string, replace bool) store.Remains {
	t.Helper()
	r, err := embedded.OpenRestorer(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	remains, err := r.Remains(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Restore(t.Context(), restored(), replace); err != nil {
		t.Fatal(err)
	}
	return remains
}

func wantRestored(t *testing.T, dir string) {
	t.Helper()
	log, err := embedded.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	if got, err := log.Load(t.Context()); err != nil || !same(got, restored()) {
		t.Errorf("got revision %d with %d records, %v", got.Revision, len(got.Records), err)
	}
}

func TestWhatCannotBeReadIsReplacedAndKept(t *testing.T) {
	for name, tt := range map[string]struct {
		harm func(t *testing.T, file string)
		what string
		kept bool
	}{
		"gone": {func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}, "a mark that there was a log", false},
		"cut short": {func(t *testing.T, file string) {
			if err := os.Truncate(file, 5000); err != nil {
				t.Fatal(err)
			}
		}, "a file that ", true},
		"something else": {func(t *testing.T, file string) {
			if err := os.WriteFile(file, bytes.Repeat([]byte("else"), 10000), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "a file that ", true},
		"whole": {func(*testing.T, string) {}, "revision 30 with ", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir)
			file := filepath.Join(dir, "control.db")
			tt.harm(t, file)
			before, _ := os.ReadFile(file)
			if remains := restore(t, dir, true); remains.Empty || !strings.Contains(remains.What, tt.what) {
				t.Errorf("got %+v, want %q and that it is not empty", remains, tt.what)
			}
			wantRestored(t, dir)
			kept, err := filepath.Glob(file + ".replaced-*")
			if err != nil || len(kept) > 0 != tt.kept {
				t.Fatalf("kept %v, %v, want that something is: %t", kept, err, tt.kept)
			}
			for _, name := range kept {
				if after, err := os.ReadFile(name); err != nil || !bytes.Equal(before, after) {
					t.Errorf("%s is not what was there: %v", name, err)
				}
			}
		})
	}
}

func TestRestoredLogBelongsToWhoOwnsTheDirectory(t *testing.T) {
	const service = 12345
	dir := t.TempDir()
	if err := os.Chown(dir, service, service); err != nil {
		t.Fatalf("give the directory to the service's user (needs root): %v", err)
	}
	restore(t, dir, false)
	for _, name := range []string{"control.db", "control.db.exists"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t).Uid; got != service {
			t.Errorf("%s: got owner %d, want %d", name, got, service)
		}
	}
}
