package consul_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/consul"
	"github.com/flocker-mesos/flocker/control/store/storetest"
	servers "github.com/flocker-mesos/flocker/test/consul"
)

func TestRestore(t *testing.T) {
	c := servers.Start(t, 1)
	storetest.RunRestore(t, func(t *testing.T) (storetest.Open, storetest.OpenRestorer) {
		s := settings(t, c.Addresses()...)
		return func() (store.Log, error) { return consul.Open(s) },
			func() (store.Restorer, error) { return consul.OpenRestorer(s) }
	})
}

func openRestorer(t *testing.T, s consul.Settings) *consul.Restorer {
	t.Helper()
	r, err := consul.OpenRestorer(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

func restoreSnapshot() store.Snapshot {
	return store.Snapshot{Revision: 1 << 47, Records: []store.Record{put("a", "restored"), put("b", "restored")}}
}

// TestWhatAnOperatorDidIsReplacedOnlyWhenToldTo has one server for all its parts.
func TestWhatAnOperatorDidIsReplacedOnlyWhenToldTo(t *testing.T) {
	c := servers.Start(t, 1)
	kv := operator(t, c.Addresses()[0])
	for name, tt := range map[string]struct {
		harm func(*testing.T, consul.Settings, *api.KV)
		what string
	}{
		"wiped": {func(t *testing.T, s consul.Settings, kv *api.KV) { deleteTree(t, kv, s.Prefix+"/") }, "a mark that there was a log"},
		"without head": {func(t *testing.T, s consul.Settings, kv *api.KV) {
			deleteTree(t, kv, s.Prefix+"/head")
		}, "4 keys, but no head"},
		"with a head of something else": {func(t *testing.T, s consul.Settings, kv *api.KV) {
			write(t, kv, s.Prefix+"/head", "something else")
		}, "a head that cannot be read"},
		"with a record of something else": {func(t *testing.T, s consul.Settings, kv *api.KV) {
			write(t, kv, s.Prefix+"/records/not a key of ours", "x")
		}, "revision 2 with 2 records"},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings(t, c.Addresses()...)
			twoCommits(t, s)
			tt.harm(t, s, kv)
			r := openRestorer(t, s)
			remains, err := r.Remains(t.Context())
			if err != nil || remains.Empty || !strings.Contains(remains.What, tt.what) {
				t.Fatalf("got %+v, %v, want %q and that it is not empty", remains, err, tt.what)
			}
			if err := r.Restore(t.Context(), restoreSnapshot(), false); !errors.Is(err, store.ErrNotEmpty) {
				t.Fatalf("got %v, want ErrNotEmpty", err)
			}
			if err := r.Restore(t.Context(), restoreSnapshot(), true); err != nil {
				t.Fatal(err)
			}
			if got := load(t, open(t, s)); got.Revision != 1<<47 || len(got.Records) != 2 {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestUnfinishedRestoreIsNoLogAndNeedsNoReplacing(t *testing.T) {
	c := servers.Start(t, 1)
	kv := operator(t, c.Addresses()[0])
	s := settings(t, c.Addresses()...)
	// What is there when a restore dies after its first records.
	write(t, kv, begun(s), "there is a log")
	write(t, kv, s.Prefix+"/restore", "under way")
	write(t, kv, s.Prefix+"/records/a", "half")
	wantDamaged(t, open(t, s), 0, "a restore of it was begun and not finished")
	r := openRestorer(t, s)
	if remains, err := r.Remains(t.Context()); err != nil || !remains.Empty {
		t.Fatalf("got %+v, %v, want that nothing is lost", remains, err)
	}
	if err := r.Restore(t.Context(), restoreSnapshot(), false); err != nil {
		t.Fatal(err)
	}
	if got := asMap(load(t, open(t, s)).Records); len(got) != 2 || got["a"] != "restored" {
		t.Errorf("got %v", got)
	}
}

func TestTwoRestoresDoNotMix(t *testing.T) {
	c := servers.Start(t, 1)
	s := settings(t, c.Addresses()...)
	one, two := openRestorer(t, s), openRestorer(t, s)
	for _, r := range []*consul.Restorer{one, two} {
		if _, err := r.Remains(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.Restore(t.Context(), restoreSnapshot(), false); err != nil {
		t.Fatal(err)
	}
	if err := two.Restore(t.Context(), restoreSnapshot(), true); !errors.Is(err, store.ErrRaced) {
		t.Errorf("got %v, want ErrRaced", err)
	}
}

func TestWhatConsulCannotTakeIsRefusedBeforeAnythingIsChanged(t *testing.T) {
	c := servers.Start(t, 1)
	s := settings(t, c.Addresses()...)
	log := twoCommits(t, s)
	snap := restoreSnapshot()
	snap.Records = append(snap.Records, put("large", strings.Repeat("x", 512<<10)))
	r := openRestorer(t, s)
	if _, err := r.Remains(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Restore(t.Context(), snap, true); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	commit(t, log, 2, put("a", "3"))
}
