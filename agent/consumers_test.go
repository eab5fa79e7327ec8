package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// TestJournalRefusesWhatItCannotTrust damages a consumer's file in every way
// that cutting it short or flipping a bit can, and expects no agent to start.
func TestJournalRefusesWhatItCannotTrust(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, "boot")
	c := someConsumer("c1")
	if err := j.put(c); err != nil {
		t.Fatal(err)
	}
	path := j.path("c1")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openJournal(dir, "boot")
		je, ok := errors.AsType[*JournalError](err)
		if !ok {
			t.Fatalf("%s: open = %v, want a JournalError", what, err)
		}
		if je.Path != path || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the error names %q, want %q", what, je.Path, path)
		}
		if left, err := os.ReadFile(path); err != nil || len(left) != len(data) {
			t.Errorf("%s: the file was changed", what)
		}
	}
	for n := range len(whole) {
		refused(fmt.Sprintf("cut to %d bytes", n), whole[:n])
	}
	for i := range whole {
		garbled := append([]byte(nil), whole...)
		garbled[i] ^= 0x04
		if decoded, err := decodeConsumer(garbled); err == nil {
			t.Errorf("byte %d flipped: read as %+v", i, decoded)
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
	f.Fuzz(func(t *testing.T, data []byte) {
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
