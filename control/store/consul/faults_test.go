package consul_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/consul"
	servers "github.com/flocker-mesos/flocker/test/consul"
)

// load3 is a log on three servers under load: several writers, each with its
// own Log and another server first, and a follower.
type load3 struct {
	t         *testing.T
	c         *servers.Cluster
	settings  consul.Settings
	ctx       context.Context
	stop      context.CancelFunc
	done      sync.WaitGroup
	commits   atomic.Int64
	uncertain atomic.Int64

	mu           sync.Mutex
	acknowledged map[uint64]string // batch by revision
	refused      []string          // batches of which it is certain that they were not committed
}

const writers = 3

// startLoad3 starts the load. Every batch puts a record of its own, so that
// whatever was committed can be told at the end, and several that always have
// the revision as their value, so that whatever is read shows whether it is
// all as of one revision.
func startLoad3(t *testing.T) *load3 {
	c := servers.Start(t, 3)
	w := &load3{t: t, c: c, settings: settings(t), acknowledged: map[uint64]string{}}
	w.ctx, w.stop = context.WithCancel(t.Context())
	t.Cleanup(func() {
		w.stop()
		w.done.Wait()
	})
	for i := range writers {
		w.done.Go(func() { w.write(i) })
	}
	w.done.Go(w.follow)
	w.more(20)
	return w
}

// open opens the log with server i first.
func (w *load3) open(i int) *consul.Log {
	s := w.settings
	addresses := w.c.Addresses()
	s.Addresses = append(addresses[i%3:], addresses[:i%3]...)
	return open(w.t, s)
}

func (w *load3) write(writer int) {
	log := w.open(writer)
	for n := 0; w.ctx.Err() == nil; n++ {
		snap, err := tryLoad(w.t.Context(), log)
		if err != nil {
			w.t.Errorf("writer %d: load: %v", writer, err)
			return
		}
		w.checkTogether("load", snap.Revision, snap.Records, true)
		name := fmt.Sprintf("batch/%d-%d", writer, n)
		revision := fmt.Sprint(snap.Revision + 1)
		batch := newBatch(snap.Revision, put(name, revision), put("together/1", revision), put("together/2", revision), put("together/3", revision))
		got, uncertain, err := settle(w.t.Context(), log, batch)
		w.uncertain.Add(int64(uncertain))
		w.mu.Lock()
		switch {
		case err == nil:
			if other, twice := w.acknowledged[got]; twice || got != snap.Revision+1 {
				w.t.Errorf("%s got revision %d after %d; %s had it before", name, got, snap.Revision, other)
			}
			w.acknowledged[got] = name
			w.commits.Add(1)
		case errors.Is(err, store.ErrRaced):
			w.refused = append(w.refused, name)
		default:
			w.t.Errorf("%s: %v", name, err)
		}
		w.mu.Unlock()
	}
}

// follow follows all there is, and compares itself with the log at the end.
func (w *load3) follow() {
	log := w.open(1)
	records, after := map[string]string{}, uint64(0)
	for w.ctx.Err() == nil {
		up, err := log.Follow(w.ctx, after)
		_, damaged := errors.AsType[*store.DamagedError](err)
		switch {
		case err == nil:
			if up.Revision <= after {
				w.t.Errorf("followed from %d to %d", after, up.Revision)
			}
			w.checkTogether("follow", up.Revision, up.Changes, true)
			apply(records, up.Changes)
			after = up.Revision
			continue
		case damaged, errors.Is(err, store.ErrRewound), errors.Is(err, store.ErrGap):
			w.t.Errorf("follow after %d: %v", after, err)
			return
		}
		select {
		case <-w.ctx.Done():
		case <-time.After(pause):
		}
	}
	snap, err := tryLoad(w.t.Context(), log)
	if err != nil {
		w.t.Errorf("load: %v", err)
		return
	}
	if snap.Revision > after {
		up, err := log.Follow(w.t.Context(), after)
		if err != nil {
			w.t.Errorf("follow to the end: %v", err)
			return
		}
		apply(records, up.Changes)
		if snap, err = log.Load(w.t.Context()); err != nil {
			w.t.Errorf("load: %v", err)
			return
		}
		if up.Revision != snap.Revision {
			return // others are not at their end yet: final compares those
		}
	}
	if got := asMap(snap.Records); !maps.Equal(records, got) {
		w.t.Errorf("followed to %v, want %v", records, got)
	}
}

// checkTogether checks that what was read is all as of its revision.
func (w *load3) checkTogether(how string, revision uint64, records []store.Record, all bool) {
	m := asMap(records)
	for i := 1; i <= 3; i++ {
		got, ok := m[fmt.Sprint("together/", i)]
		if want := fmt.Sprint(revision); revision > 0 && (ok || all) && got != want {
			w.t.Errorf("%s at revision %d: part %d is as of revision %q", how, revision, i, got)
		}
	}
}

// more waits until n more commits were made.
func (w *load3) more(n int64) {
	w.t.Helper()
	want := w.commits.Load() + n
	ctx, cancel := context.WithTimeout(w.t.Context(), commitPatience)
	defer cancel()
	for w.commits.Load() < want {
		select {
		case <-ctx.Done():
			w.t.Fatalf("no more commits after %d", w.commits.Load())
		case <-time.After(pause):
		}
	}
}

// finish ends the load and checks that exactly what was acknowledged is there.
func (w *load3) finish() {
	w.t.Helper()
	w.stop()
	w.done.Wait()
	w.t.Logf("%d commits, %d attempts of unknown outcome, %d raced", w.commits.Load(), w.uncertain.Load(), len(w.refused))
	snap := load(w.t, w.open(0))
	if got, want := snap.Revision, uint64(w.commits.Load()); got != want {
		w.t.Errorf("the log is at revision %d, want %d", got, want)
	}
	records := asMap(snap.Records)
	for revision, name := range w.acknowledged {
		if got, want := records[name], fmt.Sprint(revision); got != want {
			w.t.Errorf("%s was acknowledged with revision %s, and the log has %q", name, want, got)
		}
	}
	for _, name := range w.refused {
		if got, ok := records[name]; ok {
			w.t.Errorf("%s was refused, and the log has it with revision %s", name, got)
		}
	}
}

func TestNoCommitIsLostWhenLeadersAreKilled(t *testing.T) {
	w := startLoad3(t)
	for range 3 {
		leader := w.c.Leader()
		w.c.Kill(leader)
		w.more(20)
		w.c.Restart(leader)
		w.more(20)
	}
	w.finish()
}

func TestNoCommitIsLostWhenServersArePaused(t *testing.T) {
	w := startLoad3(t)
	for range 2 {
		leader := w.c.Leader()
		w.c.Stop(leader)
		w.more(20)
		w.c.Cont(leader)
		w.more(20)
		follower := (w.c.Leader() + 1) % 3
		w.c.Stop(follower)
		w.more(20)
		w.c.Cont(follower)
		w.more(20)
	}
	w.finish()
}

func TestNoCommitIsLostWhenAllServersAreDown(t *testing.T) {
	w := startLoad3(t)
	for i := range 3 {
		w.c.Kill(i)
	}
	before := w.commits.Load()
	for i := range 3 {
		w.c.Restart(i)
	}
	w.c.Leader()
	w.more(20)
	if w.commits.Load() == before {
		t.Error("nothing was committed afterwards")
	}
	w.finish()
}

func TestOutcomeStaysUnknownUntilItIsKnown(t *testing.T) {
	c := servers.Start(t, 1)
	log := open(t, settings(t, c.Addresses()...))
	commit(t, log, 0, put("a", "1"))
	c.Stop(0)
	batch := newBatch(1, put("a", "2"))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := log.Commit(ctx, batch); !errors.Is(err, store.ErrUncertain) {
		t.Errorf("while the server is paused: got %v, want %v", err, store.ErrUncertain)
	}
	if _, err := log.Commit(ctx, batch); !errors.Is(err, store.ErrUncertain) {
		t.Errorf("with an ended context: got %v, want still %v", err, store.ErrUncertain)
	}
	c.Kill(0)
	if _, err := log.Commit(t.Context(), batch); !errors.Is(err, store.ErrUncertain) {
		t.Errorf("while the server is dead: got %v, want still %v", err, store.ErrUncertain)
	}
	// A connection that the server's death has not closed yet takes a batch to
	// nobody knows where; without one nothing can have been sent.
	for range 10 {
		_, err := log.Commit(t.Context(), newBatch(1, put("a", "other")))
		if err == nil {
			t.Fatal("a dead server has committed")
		}
		if !errors.Is(err, store.ErrUncertain) {
			break
		}
	}
	if _, err := log.Commit(t.Context(), newBatch(1, put("a", "other"))); err == nil || errors.Is(err, store.ErrUncertain) {
		t.Errorf("another batch: got %v, want an error that leaves no doubt", err)
	}
	c.Restart(0)
	c.Leader()
	revision, _, err := settle(t.Context(), log, batch)
	if err != nil || revision != 2 {
		t.Errorf("got revision %d, %v, want 2", revision, err)
	}
	if again, err := log.Commit(t.Context(), batch); err != nil || again != 2 {
		t.Errorf("again: got revision %d, %v, want 2", again, err)
	}
}

func TestSilentConsulIsGivenUp(t *testing.T) {
	c := servers.Start(t, 1)
	log := open(t, settings(t, c.Addresses()...))
	commit(t, log, 0, put("a", "1"))
	c.Stop(0)
	_, followErr := log.Follow(t.Context(), 1)
	_, commitErr := log.Commit(t.Context(), newBatch(1, put("a", "2")))
	for op, err := range map[string]error{"follow": followErr, "commit": commitErr} {
		if err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want an error that is none of the caller's context", op, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := log.Load(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("load: got %v, want %v", err, context.DeadlineExceeded)
	}
	c.Cont(0)
	if snap := load(t, log); snap.Revision < 1 {
		t.Errorf("got revision %d, want 1 at least", snap.Revision)
	}
}

func TestCloseEndsACommitThatIsUnderWay(t *testing.T) {
	c := servers.Start(t, 1)
	log := open(t, settings(t, c.Addresses()...))
	commit(t, log, 0, put("a", "1"))
	c.Stop(0)
	ended := make(chan error)
	go func() {
		_, err := log.Commit(t.Context(), newBatch(1, put("a", "2")))
		ended <- err
	}()
	go func() {
		_, err := log.Load(t.Context())
		ended <- err
	}()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-ended; !errors.Is(err, store.ErrClosed) {
			t.Errorf("got %v, want %v", err, store.ErrClosed)
		}
	}
}
