package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/control/backup"
	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/consul"
	"github.com/flocker-mesos/flocker/control/store/embedded"
	"github.com/flocker-mesos/flocker/pki"
	servers "github.com/flocker-mesos/flocker/test/consul"
	"github.com/flocker-mesos/flocker/test/lab"
)

// succeed runs a command that must succeed.
func succeed(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := flocker(t, args...)
	if code != exitOK {
		t.Fatalf("flocker %s: got %d and %s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// refused runs a command that must fail and say something.
func refused(t *testing.T, want string, args ...string) {
	t.Helper()
	code, stdout, stderr := flocker(t, args...)
	if code == exitOK || !strings.Contains(stderr, want) {
		t.Errorf("flocker %s: got %d and %s%s\nwant %q", strings.Join(args, " "), code, stdout, stderr, want)
	}
}

// backedUp returns a backup with a dataset called db, the certificates of its
// cluster, and the directory of a log that has it and is in use.
func backedUp(t *testing.T) (file, certs, dir string) {
	t.Helper()
	c := newCluster(t)
	c.mounted(t, "db")
	file = filepath.Join(t.TempDir(), "flocker.backup")
	succeed(t, "control", "backup", file, "--from-service")
	return file, c.certs, filepath.Join(filepath.Dir(c.certs), "control")
}

// load reads the log of a --store.
func load(t *testing.T, where string) store.Snapshot {
	t.Helper()
	cfg := control.DefaultConfig()
	cfg.Store = where
	log, err := control.OpenExisting(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	snap, err := log.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func readFile(t *testing.T, path string) backup.Backup {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	b, err := backup.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecordsMoveBetweenAFileAndConsulAndBack(t *testing.T) {
	first, certs, inUse := backedUp(t)
	refused(t, "flocker control backup --from-service", "control", "backup", first, "--store", "file:"+inUse)
	consulStore := consul.Scheme + "://" + servers.Start(t, 1).Addresses()[0] + "/prod/flocker"
	fileStore := "file:" + filepath.Join(t.TempDir(), "restored")
	second := filepath.Join(t.TempDir(), "second.backup")
	third := filepath.Join(t.TempDir(), "third.backup")

	out := succeed(t, "control", "restore", first, "--store", consulStore, "--certificates", certs)
	if !strings.Contains(out, "It has datasets: 1, deleted ones: 0, nodes: 1, leases: 0.") || !strings.Contains(out, "Now start the control service.") {
		t.Errorf("restore: got %s", out)
	}
	refused(t, "With --replace", "control", "restore", first, "--store", consulStore, "--certificates", certs)
	succeed(t, "control", "backup", second, "--store", consulStore)
	succeed(t, "control", "restore", second, "--store", fileStore, "--certificates", certs)
	succeed(t, "control", "backup", third, "--store", fileStore)

	a, b, c := readFile(t, first), readFile(t, second), readFile(t, third)
	if b.Revision < a.Revision+1<<32 || c.Revision < b.Revision+1<<32 {
		t.Errorf("revisions: got %d, %d and %d, want each far above the last", a.Revision, b.Revision, c.Revision)
	}
	if len(b.Records) != len(c.Records) || !slices.EqualFunc(b.Records, c.Records, func(x, y store.Record) bool { return x.Key == y.Key }) {
		t.Errorf("got %q\nand %q, want the same records", b.Records, c.Records)
	}
	if stdout := succeed(t, "control", "backup", "-", "--store", fileStore); !strings.HasPrefix(stdout, `{"format":"flocker-backup"`) {
		t.Errorf("on the standard output: got %.100s", stdout)
	}

	// A control service goes on from there.
	settings := defaultControlSettings()
	settings.Control.Store, settings.Control.Certificates = fileStore, certs
	settings.Control.Listen, settings.Control.AgentListen = "127.0.0.1:0", "127.0.0.1:0"
	service, err := openControl(t.Context(), settings, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if d := service.Replica().State().DatasetByName("db"); d == nil || d.Epoch < 1<<32 {
		t.Errorf("got %+v, want the dataset with a high epoch", d)
	}
	if err := service.Close(); err != nil {
		t.Error(err)
	}
}

// controlCertificates returns a directory as a control service of a new cluster
// has it.
func controlCertificates(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	succeed(t, "ca", "initialize", "other", "-o", dir)
	succeed(t, "ca", "create-control-certificate", "127.0.0.1", "-i", dir, "-o", dir)
	for _, ext := range []string{".crt", ".key"} {
		if err := os.Rename(filepath.Join(dir, "control-127.0.0.1"+ext), filepath.Join(dir, pki.ControlName+ext)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestWhatCannotBeRestoredChangesNothing(t *testing.T) {
	file, certs, _ := backedUp(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other := controlCertificates(t)
	cut := filepath.Join(t.TempDir(), "cut.backup")
	if err := os.WriteFile(cut, whole[:len(whole)-10], 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "log")
	args := func(file, certs string, more ...string) []string {
		return append([]string{"control", "restore", file, "--store", "file:" + dir, "--certificates", certs}, more...)
	}
	refused(t, "is cut short, or missing. Nothing was changed", args(cut, certs)...)
	refused(t, "no such file", args(file+".x", certs)...)
	refused(t, "of the cluster", args(file, other)...)
	if out := succeed(t, args(file, certs, "--dry-run")...); !strings.Contains(out, "Nothing was done") {
		t.Errorf("dry run: got %s", out)
	}
	if embedded.Exists(dir) {
		t.Error("there is a log")
	}
	refused(t, "there is no log in "+dir, "control", "backup", "-", "--store", "file:"+dir)
	succeed(t, args(file, certs)...)
	refused(t, "is not empty", args(file, certs)...)
	if out := succeed(t, args(file, certs, "--replace", "--yes")...); !strings.Contains(out, "is kept as control.db.replaced-") {
		t.Errorf("replaced: got %s", out)
	}
}

// TestRestoreThatIsKilledLeavesNoHalfOfALog kills a restore at every point at
// which it can be, and then does it again.
func TestRestoreThatIsKilledLeavesNoHalfOfALog(t *testing.T) {
	programs, err := lab.Build(t.Context(), lab.Faulty, "./cmd/flocker")
	if err != nil {
		t.Fatal(err)
	}
	file, certs, _ := backedUp(t)
	server := servers.Start(t, 1).Addresses()[0]
	for _, point := range []struct {
		kind, name string
		done       bool // nothing is left to do
	}{
		{"file", "store.embedded.restoring", false},
		{"file", "store.embedded.restore-written", false},
		{"file", "store.embedded.set-aside", false},
		{"file", "store.embedded.restored", true},
		{"consul", "store.consul.restore-begun", false},
		{"consul", "store.consul.restoring", false},
		{"consul", "store.consul.restored", true},
	} {
		for _, before := range []string{"an empty log", "another log"} {
			t.Run(point.name+" over "+before, func(t *testing.T) {
				where := "file:" + filepath.Join(t.TempDir(), "log")
				if point.kind == "consul" {
					where = consul.Scheme + "://" + server + "/" + strings.NewReplacer(".", "_", " ", "_", "/", "_").Replace(t.Name()[len(t.Name())-40:])
				}
				args := []string{"control", "restore", file, "--store", where, "--certificates", certs}
				var old store.Snapshot
				if before == "another log" {
					succeed(t, args...)
					old = load(t, where)
					args = append(args, "--replace", "--yes")
				}
				cmd := exec.CommandContext(t.Context(), filepath.Join(programs.Dir, "flocker"), args...)
				cmd.Env = append(os.Environ(), "FLOCKER_FAULT="+point.name)
				if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("fault: kill at "+point.name)) {
					t.Fatalf("got %v, want it killed: %s", err, out)
				}
				checkKilled(t, where, old, point.done)
				if !point.done {
					succeed(t, args...)
				}
				if got := load(t, where); len(got.Records) < 3 || got.Revision == old.Revision {
					t.Errorf("got revision %d with %d records, after %d", got.Revision, len(got.Records), old.Revision)
				}
			})
		}
	}
}

// checkKilled checks that there is the old log, or the new one if it is done, or
// none that anybody would take for a log.
func checkKilled(t *testing.T, where string, old store.Snapshot, done bool) {
	t.Helper()
	cfg := control.DefaultConfig()
	cfg.Store = where
	log, err := control.OpenExisting(cfg)
	var snap store.Snapshot
	if err == nil {
		defer func() { _ = log.Close() }()
		snap, err = log.Load(context.WithoutCancel(t.Context()))
	}
	_, damaged := errors.AsType[*store.DamagedError](err)
	switch {
	case damaged && !done:
	case err != nil:
		t.Errorf("got %v, want a DamagedError", err)
	case done && snap.Revision != old.Revision && len(snap.Records) > 0:
	case !done && old.Revision > 0 && snap.Revision == old.Revision && len(snap.Records) == len(old.Records):
	default:
		t.Errorf("after the kill: got revision %d with %d records, before it %d with %d", snap.Revision, len(snap.Records), old.Revision, len(old.Records))
	}
}

func TestReplicasEndWhenTheirLogIsReplaced(t *testing.T) {
	file, certs, _ := backedUp(t)
	where := consul.Scheme + "://" + servers.Start(t, 1).Addresses()[0] + "/flocker"
	succeed(t, "control", "restore", file, "--store", where, "--certificates", certs)
	settings := defaultControlSettings()
	settings.Control.Store, settings.Control.Certificates = where, certs
	settings.Control.Listen, settings.Control.AgentListen = "127.0.0.1:0", "127.0.0.1:0"
	service, err := openControl(t.Context(), settings, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- service.Run(ctx) }()
	// The replica beats, and the restore is refused while it does so at the
	// wrong moment.
	for {
		code, _, stderr := flocker(t, "control", "restore", file, "--store", where, "--certificates", certs, "--replace", "--yes")
		if code == exitOK {
			break
		}
		if !strings.Contains(stderr, "stop all control services") {
			t.Fatalf("restore: %s", stderr)
		}
	}
	select {
	case err := <-ended:
		if !errors.Is(err, store.ErrRewound) {
			t.Errorf("got %v, want %v", err, store.ErrRewound)
		}
	case <-time.After(time.Minute):
		t.Fatal("a replica goes on though its log was replaced")
	}
}
