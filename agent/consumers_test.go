package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
)

func someConsumer(id string) *consumer {
	return &consumer{
		Consumer: api.Consumer{ID: id, Kind: api.ConsumerMesos, App: "/prod/db", Since: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)},
		Volumes:  []consumedVolume{{Key: "data", Dataset: "0d7a3c1e-58f4-4b6d-9f0a-3f1c2b4d5e6f", Name: "prod.db.data"}},
	}
}

func mustOpen(t *testing.T, dir, boot string) *journal {
	t.Helper()
	j, err := openJournal(dir, boot)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestJournalRemembersConsumersOfThisBoot(t *testing.T) {
	dir := t.TempDir()
	ids := []string{"plain", "parent.child", "dvdcli:a/b", "../../escape", strings.Repeat("long", 200), "\x00\n"}
	j := mustOpen(t, dir, "boot-1")
	for _, id := range ids {
		if err := j.put(someConsumer(id)); err != nil {
			t.Fatalf("put %q: %v", id, err)
		}
	}
	if gone, err := j.remove("plain"); err != nil || gone == nil {
		t.Fatalf("remove = %v, %v", gone, err)
	}
	if gone, err := j.remove("plain"); err != nil || gone != nil {
		t.Fatalf("second remove = %v, %v, want nothing", gone, err)
	}

	again := mustOpen(t, dir, "boot-1")
	if got, want := len(again.all()), len(ids)-1; got != want {
		t.Fatalf("%d consumers after a restart, want %d", got, want)
	}
	for _, id := range ids[1:] {
		got := again.get(id)
		if got == nil || got.Volumes[0] != someConsumer(id).Volumes[0] || !got.Since.Equal(someConsumer(id).Since) {
			t.Errorf("consumer %q after a restart = %+v", id, got)
		}
	}

	if left := mustOpen(t, dir, "boot-2").all(); len(left) != 0 {
		t.Errorf("%d consumers after a reboot, want none", len(left))
	}
	if left := mustOpen(t, dir, "boot-1").all(); len(left) != 0 {
		t.Errorf("%d consumers of the earlier boot are still there", len(left))
	}
}

func TestJournalIgnoresAnUnfinishedWrite(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, "boot")
	if err := os.WriteFile(filepath.Join(j.dir, temporary+"x.json"), []byte(`{"crc32":"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if left := mustOpen(t, dir, "boot").all(); len(left) != 0 {
		t.Errorf("%d consumers, want none", len(left))
	}
}

// setAside opens the journal of a directory and returns the one entry that it set aside.
func setAside(t *testing.T, dir, what string) *aside {
	t.Helper()
	j, err := openJournal(dir, "boot")
	if err != nil {
		t.Fatalf("%s: open = %v, want an agent that starts", what, err)
	}
	if got := len(j.all()); got != 1 || j.get("sound") == nil {
		t.Fatalf("%s: %d consumers are read, want the sound one", what, got)
	}
	if len(j.asides) != 1 {
		t.Fatalf("%s: %d entries were set aside, want 1", what, len(j.asides))
	}
	return j.asides[0]
}

// TestJournalSetsAsideWhatItCannotTrust damages a consumer's file in every way
// that cutting it short or flipping a bit can.
func TestJournalSetsAsideWhatItCannotTrust(t *testing.T) {
	whole, err := encodeConsumer(someConsumer("c1"))
	if err != nil {
		t.Fatal(err)
	}
	wanted := func(what string, data []byte) {
		t.Helper()
		dir := t.TempDir()
		j := mustOpen(t, dir, "boot")
		if err := errors.Join(j.put(someConsumer("sound")), os.WriteFile(j.path("c1"), data, 0o600)); err != nil {
			t.Fatal(err)
		}
		for _, when := range []string{"", ", at the next start"} {
			entry := setAside(t, dir, what+when)
			if left, err := os.ReadFile(entry.path); err != nil || string(left) != string(data) {
				t.Errorf("%s: the file was changed", what)
			}
			if _, err := os.Lstat(j.path("c1")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: the file is still there: %v", what, err)
			}
			if entry.certain {
				t.Errorf("%s: it is taken for certain that it names all volumes", what)
			}
		}
		if left := mustOpen(t, dir, "boot-2"); len(left.asides)+len(left.all()) != 0 {
			t.Errorf("%s: something is left after a reboot", what)
		}
	}
	for n := range len(whole) {
		wanted(fmt.Sprintf("cut to %d bytes", n), whole[:n])
	}
	for i := range whole {
		garbled := append([]byte(nil), whole...)
		garbled[i] ^= 0x04
		if decoded, err := decodeConsumer(garbled); err == nil {
			t.Errorf("byte %d flipped: read as %+v", i, decoded)
		}
	}
	wanted("too long", []byte(strings.Repeat(" ", maxConsumerFile)))
}

// TestJournalSetsAsideWhatIsNoFile puts everything in the place of a consumer's file
// that can be there, and each must neither be followed nor block the agent.
func TestJournalSetsAsideWhatIsNoFile(t *testing.T) {
	target := filepath.Join(t.TempDir(), "target")
	good, err := encodeConsumer(someConsumer("c1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(target, good, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what    string
		make    func(path string) error
		certain bool
	}{
		{"link to a good file", func(path string) error { return os.Symlink(target, path) }, false},
		{"dangling link", func(path string) error { return os.Symlink("/nowhere", path) }, false},
		{"directory", func(path string) error {
			return errors.Join(os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, "x"), good, 0o600))
		}, false},
		{"pipe", func(path string) error { return unix.Mkfifo(path, 0o600) }, false},
		{"device", func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) }, false},
		{"socket", func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o600, 0) }, false},
		{"writable for others", func(path string) error { return errors.Join(os.WriteFile(path, good, 0o600), os.Chmod(path, 0o622)) }, true},
		{"of another user", func(path string) error {
			return errors.Join(os.WriteFile(path, good, 0o600), os.Chown(path, 1000, 1000))
		}, true},
		{"of a newer version", func(path string) error {
			return os.WriteFile(path, []byte(strings.Replace(string(good), "{", `{"version":2,`, 1)), 0o600)
		}, true},
		{"of another consumer", func(path string) error {
			other, err := encodeConsumer(someConsumer("sound"))
			return errors.Join(err, os.WriteFile(path, other, 0o600))
		}, true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			dir := t.TempDir()
			j := mustOpen(t, dir, "boot")
			if err := errors.Join(j.put(someConsumer("sound")), tt.make(j.path("c1"))); err != nil {
				t.Fatal(err)
			}
			if entry := setAside(t, dir, tt.what); entry.certain != tt.certain {
				t.Errorf("certain = %v, want %v (%s)", entry.certain, tt.certain, entry.reason)
			}
			setAside(t, dir, tt.what+" again")
			if data, err := os.ReadFile(target); err != nil || string(data) != string(good) {
				t.Errorf("the target of the link was changed: %v", err)
			}
		})
	}
}

// TestJournalSetsAsideWhatIsNoDirectoryOfThisBoot has something else in the place of the
// directory of this boot.
func TestJournalSetsAsideWhatIsNoDirectoryOfThisBoot(t *testing.T) {
	elsewhere := t.TempDir()
	for what, make := range map[string]func(path string) error{
		"link":                func(path string) error { return os.Symlink(elsewhere, path) },
		"file":                func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"writable for others": func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o777)) },
	} {
		dir := t.TempDir()
		if err := make(filepath.Join(dir, "boot")); err != nil {
			t.Fatal(err)
		}
		j := mustOpen(t, dir, "boot")
		if len(j.asides) != 1 || j.asides[0].certain {
			t.Errorf("%s: set aside are %d, want 1 that names nothing", what, len(j.asides))
		}
		if err := j.put(someConsumer("c1")); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if left, err := os.ReadDir(elsewhere); err != nil || len(left) != 0 {
			t.Errorf("%s: followed: %v, %v", what, left, err)
		}
	}
}

func FuzzDecodeConsumer(f *testing.F) {
	good, err := encodeConsumer(someConsumer("c1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"crc32":"00000000","record":{}}`))
	f.Add(good[:len(good)-3])
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range first(salvage("name.json", data)).Volumes {
			if !plainName(string(v.Dataset)) {
				t.Fatalf("salvaged the dataset %q", v.Dataset)
			}
		}
		c, err := decodeConsumer(data)
		if err != nil {
			return
		}
		again, err := encodeConsumer(c)
		if err != nil {
			t.Fatalf("cannot encode what was read: %v", err)
		}
		if _, err := decodeConsumer(again); err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
	})
}

func first(c consumer, _ bool) consumer { return c }
