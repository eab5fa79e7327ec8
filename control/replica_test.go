package control_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/memory"
)

func openReplica(tb testing.TB, log store.Log) *control.Replica {
	tb.Helper()
	r, err := control.OpenReplica(tb.Context(), log, clusterID, quiet())
	if err != nil {
		tb.Fatalf("open replica: %v", err)
	}
	return r
}

// runReplica opens a replica and runs it until the test ends.
func runReplica(tb testing.TB, log store.Log) *control.Replica {
	tb.Helper()
	r := openReplica(tb, log)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("replica ended: %v", err)
		}
		_ = log.Close()
	})
	return r
}

func newID() api.DatasetID { return api.DatasetID(uuid.NewString()) }

func create(id api.DatasetID, name string) cluster.Create {
	return cluster.Create{At: time.Now().UTC(), ID: id, Primary: nodeA, DefaultSize: api.MinSize,
		Metadata: map[string]string{api.MetadataName: name}}
}

// spied is a log that does what a test wants around commits.
type spied struct {
	store.Log
	commit func(store.Batch, func(store.Batch) (uint64, error)) (uint64, error)
}

func (s *spied) Commit(ctx context.Context, b store.Batch) (uint64, error) {
	return s.commit(b, func(b store.Batch) (uint64, error) { return s.Log.Commit(ctx, b) })
}

func TestCommandsThatComeInMeanwhileAreCommittedTogether(t *testing.T) {
	var (
		mu      sync.Mutex
		batches []int
		first   = make(chan struct{})
		release = make(chan struct{})
	)
	log := &spied{Log: (&memory.Store{}).Open()}
	begun := false
	log.commit = func(b store.Batch, commit func(store.Batch) (uint64, error)) (uint64, error) {
		if b.After == 1 && !begun {
			begun = true
			close(first)
			<-release
		}
		mu.Lock()
		batches = append(batches, len(b.Changes))
		mu.Unlock()
		return commit(b)
	}
	r := runReplica(t, log)
	var wg sync.WaitGroup
	do := func(i int) {
		wg.Go(func() {
			if _, err := r.Do(t.Context(), create(newID(), fmt.Sprint("name-", i))); err != nil {
				t.Errorf("create: %v", err)
			}
		})
	}
	do(0)
	<-first
	const more = 100
	for i := range more {
		do(i + 1)
	}
	eventually(t, "all commands wait for the writer", func() bool { return r.Waiting() == more })
	close(release)
	wg.Wait()
	// The two records about the log, the first alone, and the rest as they fit
	// into commits of 64.
	if want := []int{2, 1, 64, 36}; !slices.Equal(batches, want) {
		t.Errorf("got commits of %v changes, want %v", batches, want)
	}
}

func TestRefusedCommandDoesNotSpoilTheBatch(t *testing.T) {
	r := openReplica(t, (&memory.Store{}).Open())
	one, two, three := newID(), newID(), newID()
	errs, _, err := r.WriteOf(t.Context(), create(one, "db"), create(two, "db"), create(three, "queue"),
		cluster.Delete{At: time.Now(), ID: one}, create(two, "db"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []api.Code{"", api.CodeConflict, "", "", ""} {
		if got := api.CodeOf(errs[i]); got != want {
			t.Errorf("command %d: got %q (%v), want %q", i, got, errs[i], want)
		}
	}
	if got := r.State().Revision(); got != 2 {
		t.Errorf("got revision %d, want 2: one commit for all", got)
	}
}

func TestReplicasDecideEveryCommandOnTheStateThatItIsCommittedOn(t *testing.T) {
	shared := &memory.Store{}
	const replicas, clients, names = 3, 4, 25
	var (
		rs []*control.Replica
		wg sync.WaitGroup
		mu sync.Mutex
		by = map[string][]api.DatasetID{} // who got a name
	)
	for range replicas {
		rs = append(rs, runReplica(t, shared.Open()))
	}
	for _, r := range rs {
		for range clients {
			wg.Go(func() {
				for i := range names {
					name, id := fmt.Sprint("name-", i), newID()
					_, err := r.Do(t.Context(), create(id, name))
					switch {
					case err == nil:
						mu.Lock()
						by[name] = append(by[name], id)
						mu.Unlock()
					case api.CodeOf(err) != api.CodeConflict:
						t.Errorf("create: %v", err)
					}
				}
			})
		}
	}
	wg.Wait()
	if len(by) != names {
		t.Errorf("got %d names created, want %d", len(by), names)
	}
	for name, ids := range by {
		if len(ids) != 1 {
			t.Errorf("name %s was given to %v", name, ids)
		}
	}
	for _, r := range rs { // all come to show the same
		eventually(t, "a replica shows all datasets", func() bool { return r.State().CountDatasets() == names })
		if got, want := r.State().Tag(), rs[0].State().Tag(); got != want {
			t.Errorf("got tag %s, another replica has %s", got, want)
		}
	}
}

func TestReplicaThatFellBehindReadsEverythingAnew(t *testing.T) {
	shared := &memory.Store{}
	behind := openReplica(t, shared.Open()) // follows nobody
	sub := behind.Subscribe(nodeA)
	defer sub.Close()
	other := runReplica(t, shared.Open())
	history := shared.Open().Properties().History
	for i := range history + 10 {
		if _, err := other.Do(t.Context(), create(newID(), fmt.Sprint("name-", i))); err != nil {
			t.Fatal(err)
		}
	}
	errs, _, err := behind.WriteOf(t.Context(), create(newID(), "name-3"), create(newID(), "another"))
	if err != nil || len(errs) != 2 || api.CodeOf(errs[0]) != api.CodeConflict || errs[1] != nil {
		t.Errorf("got %v, %v, want the first refused for its name and the second done", errs, err)
	}
	<-sub.Ready()
	if got, want := len(sub.Take()), int(history)+11; got != want {
		t.Errorf("the stream was told of %d datasets, want %d", got, want)
	}
}

func TestUncertainCommitIsFoundOut(t *testing.T) {
	for name, committed := range map[string]bool{"when it took place": true, "when it did not": false} {
		t.Run(name, func(t *testing.T) {
			log := &spied{Log: (&memory.Store{}).Open()}
			calls := 0
			log.commit = func(b store.Batch, commit func(store.Batch) (uint64, error)) (uint64, error) {
				if calls++; calls != 2 { // the first begins the log
					return commit(b)
				}
				if committed {
					if _, err := commit(b); err != nil {
						return 0, err
					}
				}
				return 0, fmt.Errorf("%w: the wire was cut", store.ErrUncertain)
			}
			r := runReplica(t, log)
			if _, err := r.Do(t.Context(), create(newID(), "db")); err != nil {
				t.Errorf("got %v, want it done", err)
			}
			if got := r.State(); got.Revision() != 2 || got.CountDatasets() != 1 {
				t.Errorf("got revision %d with %d datasets, want 2 with 1", got.Revision(), got.CountDatasets())
			}
		})
	}
}

func TestFailedCommitIsToldAndTheNextSucceeds(t *testing.T) {
	log := &spied{Log: (&memory.Store{}).Open()}
	calls := 0
	log.commit = func(b store.Batch, commit func(store.Batch) (uint64, error)) (uint64, error) {
		if calls++; calls == 2 {
			return 0, errors.New("disk full")
		}
		return commit(b)
	}
	r := runReplica(t, log)
	_, err := r.Do(t.Context(), create(newID(), "db"))
	wantCode(t, err, api.CodeUnavailable, "nothing was changed: disk full")
	if got := r.State().CountDatasets(); got != 0 {
		t.Errorf("got %d datasets, want none", got)
	}
	if _, err := r.Do(t.Context(), create(newID(), "db")); err != nil {
		t.Errorf("after the failure: %v", err)
	}
}

func TestReplicaEndsWhenTheLogCannotBeGoneOnWith(t *testing.T) {
	log := &spied{Log: (&memory.Store{}).Open()}
	log.commit = func(b store.Batch, commit func(store.Batch) (uint64, error)) (uint64, error) {
		if b.After == 0 {
			return commit(b)
		}
		return 0, fmt.Errorf("%w, and %w", store.ErrUncertain, store.ErrBroken)
	}
	r := openReplica(t, log)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(t.Context()) }()
	_, err := r.Do(t.Context(), create(newID(), "db"))
	wantCode(t, err, api.CodeUnavailable, "may have been made or not")
	if err := <-ended; !errors.Is(err, store.ErrBroken) {
		t.Errorf("got %v, want ErrBroken", err)
	}
	_, err = r.Do(t.Context(), create(newID(), "db"))
	wantCode(t, err, api.CodeUnavailable, "stopping")
}

func TestChangeThatIsTooLargeForTheLogIsRefused(t *testing.T) {
	r := openReplica(t, (&memory.Store{}).Open())
	metadata := map[string]string{}
	for i := range api.MaxMetadata {
		metadata[fmt.Sprint(i, strings.Repeat("k", 250))] = strings.Repeat("<", 256) // 6 bytes each as JSON
	}
	var cmds []cluster.Command
	for range 20 {
		c := create(newID(), "")
		c.Metadata = metadata
		cmds = append(cmds, c)
	}
	errs, rest, err := r.WriteOf(t.Context(), cmds...)
	if err != nil || rest == 0 || len(errs) == 0 {
		t.Errorf("got %d decided, %d left, %v: want some of each", len(errs), rest, err)
	}
	for _, err := range errs {
		if err != nil {
			t.Errorf("create: %v", err)
		}
	}
}

func TestStreamIsWokenByWhatConcernsItsNodeOnly(t *testing.T) {
	r := openReplica(t, (&memory.Store{}).Open())
	a, b := r.Subscribe(nodeA), r.Subscribe(nodeB)
	defer a.Close()
	defer b.Close()
	id := newID()
	do := func(cmd cluster.Command) {
		t.Helper()
		if errs, _, err := r.WriteOf(t.Context(), cmd); err != nil || errs[0] != nil {
			t.Fatal(errs, err)
		}
	}
	want := func(s control.Subscription, ids ...api.DatasetID) {
		t.Helper()
		select {
		case <-s.Ready():
		default:
			if len(ids) > 0 {
				t.Errorf("not woken, want %v", ids)
			}
			return
		}
		if got := s.Take(); !slices.Equal(got, ids) {
			t.Errorf("got %v, want %v", got, ids)
		}
	}
	do(create(id, "db"))
	want(a, id)
	want(b)
	do(cluster.Move{At: time.Now(), ID: id, Primary: nodeB}) // node a was never there
	want(a, id)
	want(b, id)
	do(cluster.Delete{At: time.Now(), ID: id})
	want(a)
	want(b, id)
}

func TestRecordOfANewerVersionIsLeftAsItIs(t *testing.T) {
	shared := &memory.Store{}
	log := shared.Open()
	newer := store.Record{Key: "datasets/" + dataset1, Value: []byte(`{"schema":99,"record":"?"}`)}
	unknown := store.Record{Key: "snapshots/1", Value: []byte(`anything`)}
	openReplica(t, log)
	if _, err := log.Commit(t.Context(), store.Batch{ID: "newer", After: 1, Changes: []store.Record{newer, unknown}}); err != nil {
		t.Fatal(err)
	}
	r := openReplica(t, shared.Open())
	errs, _, err := r.WriteOf(t.Context(), create(newID(), "db"), cluster.Delete{ID: dataset1},
		cluster.NodeConnect{At: time.Now(), Node: nodeA, Hello: hello(nodeA)})
	if err != nil || api.CodeOf(errs[0]) != api.CodeUnavailable || api.CodeOf(errs[1]) != api.CodeUnavailable || errs[2] != nil {
		t.Errorf("got %v, %v, want only the node to be let in", errs, err)
	}
	snap, err := log.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []store.Record{newer, unknown} {
		if !slices.ContainsFunc(snap.Records, func(r store.Record) bool { return r.Key == want.Key && string(r.Value) == string(want.Value) }) {
			t.Errorf("record %s was touched", want.Key)
		}
	}
	if _, err := log.Commit(t.Context(), store.Batch{ID: "meta", After: snap.Revision,
		Changes: []store.Record{{Key: "meta", Value: []byte(`{"schema":99,"record":{}}`)}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := control.OpenReplica(t.Context(), shared.Open(), clusterID, quiet()); err == nil || !strings.Contains(err.Error(), "taken over by a newer version") {
		t.Errorf("got %v, want the log refused as a newer version's", err)
	}
}

// TestARecordThatCannotBeReadIsSetAside commits garbage, as a defect would.
func TestARecordThatCannotBeReadIsSetAside(t *testing.T) {
	shared := &memory.Store{}
	log := shared.Open()
	r := runReplica(t, log)
	id := newID()
	if _, err := r.Do(t.Context(), create(id, "db")); err != nil {
		t.Fatal(err)
	}
	garbage := store.Record{Key: string(cluster.DatasetKey(id)), Value: []byte(`{"schema":1,"rec`)}
	if _, err := shared.Open().Commit(t.Context(), store.Batch{ID: "x", After: r.State().Revision(), Changes: []store.Record{garbage}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is noticed", func() bool { return r.State().CountDamage() == 1 })
	refused := func(r *control.Replica, cmd cluster.Command) {
		t.Helper()
		if _, err := r.Do(t.Context(), cmd); api.CodeOf(err) != api.CodeUnavailable || !strings.Contains(err.Error(), "flocker control repair") {
			t.Errorf("%T: got %v, want it refused", cmd, err)
		}
	}
	// What was known stays known: its name is taken, and others are free.
	refused(r, cluster.Delete{At: time.Now(), ID: id})
	if _, err := r.Do(t.Context(), create(newID(), "db")); api.CodeOf(err) != api.CodeConflict {
		t.Errorf("a dataset of the same name: got %v", err)
	}
	if _, err := r.Do(t.Context(), create(newID(), "other")); err != nil {
		t.Errorf("another dataset: %v", err)
	}
	// A replica that starts now does not know which name it has.
	next := runReplica(t, shared.Open())
	refused(next, cluster.Delete{At: time.Now(), ID: id})
	refused(next, create(newID(), "third"))
}
