package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/embedded"
)

// fill makes a log of some hundred records in a directory.
func fill(t *testing.T, dir string) store.Snapshot {
	t.Helper()
	log, err := embedded.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for rev := range uint64(30) {
		batch := store.Batch{ID: fmt.Sprint("batch-", rev), After: rev}
		for i := range 20 {
			batch.Changes = append(batch.Changes, store.Record{
				Key: fmt.Sprintf("datasets/%d", rev%15*100+uint64(i)), Value: bytes.Repeat([]byte{byte(rev)}, 300),
			})
		}
		if _, err := log.Commit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := log.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return snap
}

func same(a, b store.Snapshot) bool {
	if a.Revision != b.Revision || len(a.Records) != len(b.Records) {
		return false
	}
	for i := range a.Records {
		if a.Records[i].Key != b.Records[i].Key || !bytes.Equal(a.Records[i].Value, b.Records[i].Value) {
			return false
		}
	}
	return true
}

// wantDamaged opens a log that is damaged.
func wantDamaged(t *testing.T, dir, text string) {
	t.Helper()
	log, err := embedded.Open(dir)
	if err == nil {
		_ = log.Close()
		t.Fatal("the log was opened")
	}
	if _, ok := errors.AsType[*store.DamagedError](err); !ok {
		t.Fatalf("got %v, want a DamagedError", err)
	}
	if !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "Restore a backup") {
		t.Errorf("got %q, want it to say %q and what to do", err, text)
	}
}

func TestLogThatIsGoneIsNoEmptyLog(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	if err := os.Remove(filepath.Join(dir, "control.db")); err != nil {
		t.Fatal(err)
	}
	wantDamaged(t, dir, "control.db is missing")
	if _, err := os.Stat(filepath.Join(dir, "control.db")); err == nil {
		t.Error("a new log was made in its place")
	}
}

func TestEmptyFileIsNoEmptyLog(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	if err := os.Truncate(filepath.Join(dir, "control.db"), 0); err != nil {
		t.Fatal(err)
	}
	wantDamaged(t, dir, "control.db is empty")
}

func TestFileOfSomethingElseIsNoLog(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "control.db"), bytes.Repeat([]byte("something else\n"), 10000), 0o600); err != nil {
		t.Fatal(err)
	}
	wantDamaged(t, dir, "control.db is damaged")
}

func TestFileThatIsCutShortIsNoLog(t *testing.T) {
	whole := t.TempDir()
	want := fill(t, whole)
	content, err := os.ReadFile(filepath.Join(whole, "control.db"))
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(content, "\x00"))
	for size := 1; size < used; size = size*3/2 + 1 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "control.db"), content[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run(fmt.Sprint(size, " of ", used, " bytes"), func(t *testing.T) {
			log, err := embedded.Open(dir)
			if err != nil {
				wantDamaged(t, dir, "control.db")
				return
			}
			defer func() { _ = log.Close() }()
			// The last pages may be free ones. But then all is there.
			if got, err := log.Load(t.Context()); err != nil || !same(got, want) {
				t.Errorf("opened with revision %d and %d records, error %v", got.Revision, len(got.Records), err)
			}
		})
	}
}

func TestAlteredFileIsNoOtherLog(t *testing.T) {
	whole := t.TempDir()
	want := fill(t, whole)
	content, err := os.ReadFile(filepath.Join(whole, "control.db"))
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(content, "\x00"))
	random := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 100 {
		altered := bytes.Clone(content)
		at := random.IntN(used)
		n := min(1+random.IntN(64), len(altered)-at)
		for i := range n {
			altered[at+i] ^= byte(1 + random.IntN(255))
		}
		dir := t.TempDir()
		file := filepath.Join(dir, "control.db")
		if err := errors.Join(os.WriteFile(file, altered[:used], 0o600), os.Truncate(file, int64(len(altered)))); err != nil {
			t.Fatal(err)
		}
		log, err := embedded.Open(dir)
		if err != nil {
			if _, ok := errors.AsType[*store.DamagedError](err); !ok {
				t.Errorf("%d bytes at %d altered: got %v, want a DamagedError", n, at, err)
			}
			refused++
			continue
		}
		// Free pages matter to nobody, and of the two roots the older one
		// may serve when the newer is altered: then the last commit is lost.
		got, err := log.Load(t.Context())
		if _, damaged := errors.AsType[*store.DamagedError](err); err != nil && !damaged {
			t.Errorf("%d bytes at %d altered: got %v", n, at, err)
		}
		if err == nil && got.Revision == want.Revision && !same(got, want) {
			t.Errorf("%d bytes at %d altered: other records were loaded", n, at)
		}
		_ = log.Close()
	}
	if refused == 0 {
		t.Error("no alteration was noticed: the test tests nothing")
	}
}

func TestRunningLogIsNotOpenedByAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	log, err := embedded.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	out, err := helper(t, "open", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "a control service uses "+dir) {
		t.Errorf("got %q, %v, want it refused", out, err)
	}
}

func TestCommitsSurviveKill(t *testing.T) {
	dir := t.TempDir()
	var acknowledged uint64
	for round := range 5 {
		cmd := helper(t, "commit", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for range 50 + 17*round {
			if _, err := fmt.Fscanln(out, &acknowledged); err != nil {
				t.Fatalf("round %d: the helper said nothing: %v", round, err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for { // what it acknowledged before it died
			if _, err := fmt.Fscanln(out, &acknowledged); err != nil {
				break
			}
		}
		_ = cmd.Wait()
		log, err := embedded.Open(dir)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		snap, err := log.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if snap.Revision < acknowledged {
			t.Errorf("round %d: revision %d was acknowledged, the log has %d", round, acknowledged, snap.Revision)
		}
		if want := fmt.Sprint(snap.Revision); len(snap.Records) != 1 || string(snap.Records[0].Value) != want {
			t.Errorf("round %d: got %q, want %s", round, snap.Records, want)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFullDiskFailsCommitsUntilThereIsRoom(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatalf("mount a small disk (needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	log, err := embedded.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 500<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	rev := uint64(0)
	batch := func() store.Batch {
		return store.Batch{ID: fmt.Sprint(rev), After: rev, Changes: []store.Record{
			{Key: fmt.Sprint("key-", rev), Value: make([]byte, 60<<10)}}}
	}
	for {
		got, err := log.Commit(t.Context(), batch())
		if err != nil {
			if errors.Is(err, store.ErrUncertain) || !errors.Is(err, unix.ENOSPC) {
				t.Fatalf("got %v, want that it certainly failed for want of space", err)
			}
			break
		}
		rev = got
	}
	if snap, err := log.Load(t.Context()); err != nil || snap.Revision != rev {
		t.Fatalf("got revision %d, error %v, want %d", snap.Revision, err, rev)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Commit(t.Context(), batch()); err != nil {
		t.Errorf("after making room: %v", err)
	}
}

// helper runs this test program as another process that uses a log.
func helper(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "FLOCKER_TEST_HELPER=1")
	return cmd
}

func TestMain(m *testing.M) {
	if os.Getenv("FLOCKER_TEST_HELPER") == "" {
		os.Exit(m.Run())
	}
	if err := help(os.Args[1], os.Args[2], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func help(what, dir string, out io.Writer) error {
	log, err := embedded.Open(dir)
	if err != nil || what == "open" {
		return err
	}
	ctx := context.Background()
	snap, err := log.Load(ctx)
	if err != nil {
		return err
	}
	for rev := snap.Revision; ; rev++ {
		next := fmt.Sprint(rev + 1)
		if _, err := log.Commit(ctx, store.Batch{ID: next, After: rev,
			Changes: []store.Record{{Key: "count", Value: []byte(next)}}}); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, next); err != nil {
			return err
		}
	}
}
