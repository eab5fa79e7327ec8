package consul_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/consul"
	servers "github.com/flocker-mesos/flocker/test/consul"
)

// TestWhatAnOperatorDoesToTheKeysIsNoticed has one server for all its parts.
func TestWhatAnOperatorDoesToTheKeysIsNoticed(t *testing.T) {
	c := servers.Start(t, 1)
	kv := operator(t, c.Addresses()[0])
	for name, test := range map[string]func(*testing.T, consul.Settings, *api.KV){
		"a wiped prefix is no empty log":                    testWiped,
		"a wiped prefix wakes who follows":                  testWipedWhileFollowed,
		"a log that was begun anew is another log":          testBegunAnew,
		"a lost head is no empty log":                       testHeadLost,
		"a lost record is missed":                           testRecordLost,
		"a lost record is missed when it is touched":        testTouchedRecordLost,
		"records that are too many are named":               testManyStrays,
		"a backup tells which records are lost":             testLostRecordsRecalled,
		"an altered record is noticed":                      testRecordAltered,
		"a record that nobody committed is noticed":         testRecordAdded,
		"a key that is no record's is noticed":              testKeyAdded,
		"several records are altered":                       testSeveralAltered,
		"a folder is nothing":                               testFolder,
		"a lost mark is made again":                         testMarkLost,
		"a head that was written again is none the worse":   testHeadTouched,
		"a head that cannot be read is left alone":          testHeadUnreadable,
		"a head of a newer version is left alone":           testHeadNewer,
		"a lost commit makes a gap, and hides no outcome":   testCommitLost,
		"a log in another's place is not taken for its own": testLogsExchanged,
	} {
		t.Run(name, func(t *testing.T) { test(t, settings(t, c.Addresses()...), kv) })
	}
}

func begun(s consul.Settings) string {
	first, rest, _ := strings.Cut(s.Prefix, "/")
	return first + "-begun/" + rest
}

// twoCommits makes a log at revision 2.
func twoCommits(t *testing.T, s consul.Settings) *consul.Log {
	t.Helper()
	log := open(t, s)
	commit(t, log, 0, put("a", "1"))
	commit(t, log, 1, put("b", "2"))
	return log
}

func testWiped(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	deleteTree(t, kv, s.Prefix+"/")
	wantDamaged(t, log, 2, "is empty, but was at revision 2")
	wantDamaged(t, open(t, s), 0, "was begun: "+begun(s)+" is there")
	if pair, _, err := kv.Get(s.Prefix+"/head", nil); err != nil || pair != nil {
		t.Errorf("got head %v, %v, want none", pair, err)
	}
	// A person is certain that it may begin anew.
	deleteTree(t, kv, begun(s))
	commit(t, open(t, s), 0, put("a", "anew"))
}

func testWipedWhileFollowed(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	followed := make(chan error)
	go func() {
		_, err := log.Follow(t.Context(), 2)
		followed <- err
	}()
	deleteTree(t, kv, s.Prefix+"/")
	checkDamaged(t, "follow", <-followed, "is empty, but was at revision 2")
}

func testBegunAnew(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	deleteTree(t, kv, s.Prefix+"/")
	deleteTree(t, kv, begun(s))
	other := twoCommits(t, s)
	commit(t, other, 2, put("a", "other"))
	wantDamaged(t, log, 2, "is another log")
	if _, err := log.Follow(t.Context(), 2); !errors.Is(err, store.ErrRewound) {
		t.Errorf("got %v, want it to be %v", err, store.ErrRewound)
	}
}

func testHeadLost(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	deleteTree(t, kv, s.Prefix+"/head")
	wantDamaged(t, log, 2, "is empty, but was at revision 2")
	wantDamaged(t, open(t, s), 0, "has 2 records, but no "+s.Prefix+"/head")
}

// wantDamage inspects and loads a log.
func wantDamage(t *testing.T, log *consul.Log, records map[string]string, want ...store.Damage) {
	t.Helper()
	snap := load(t, log)
	if got := asMap(snap.Records); !maps.Equal(got, records) {
		t.Errorf("load: got the records %v, want %v", got, records)
	}
	inspected, err := log.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for op, got := range map[string][]store.Damage{"load": snap.Damage, "inspect": inspected} {
		for i := range got {
			got[i].Sum = 0
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got the damage %+v, want %+v", op, got, want)
		}
	}
}

const (
	changed = "was changed by another program"
	added   = "was put there by another program"
)

func testRecordLost(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	deleteTree(t, kv, s.Prefix+"/records/a")
	// Only a process that has known it can tell which one is gone.
	wantDamage(t, log, map[string]string{"b": "2"}, store.Damage{Key: "a", What: "was removed by another program"})
	_, err := open(t, s).Load(t.Context())
	checkDamaged(t, "load", err, "has 1 records, not the 2")
	_, err = open(t, s).Commit(t.Context(), newBatch(2, put("c", "3")))
	checkDamaged(t, "commit", err, "has 1 records, not the 2")
	// It is right again once it is committed anew.
	commit(t, log, 2, put("a", "3"))
	wantDamage(t, log, map[string]string{"a": "3", "b": "2"})
	wantDamage(t, open(t, s), map[string]string{"a": "3", "b": "2"})
}

func testTouchedRecordLost(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	other := open(t, s)
	load(t, other)
	commit(t, log, 2, put("a", "3"))
	deleteTree(t, kv, s.Prefix+"/records/a")
	if _, err := other.Follow(t.Context(), 2); !errors.Is(err, store.ErrGap) {
		t.Errorf("follow: got %v, want %v", err, store.ErrGap)
	}
	_, err := other.Load(t.Context())
	checkDamaged(t, "load", err, "has 1 records, not the 2")
}

func testLostRecordsRecalled(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	commit(t, log, 2, put("c", "3"), put("d", "4"), put("e", "5"))
	deleteTree(t, kv, s.Prefix+"/records/a")
	deleteTree(t, kv, s.Prefix+"/records/c")
	write(t, kv, s.Prefix+"/records/stray", "x")
	_, err := open(t, s).Load(t.Context())
	checkDamaged(t, "load", err, "control repair --from")
	deleteTree(t, kv, s.Prefix+"/records/stray")

	other := open(t, s)
	other.Recall([]store.Record{put("a", "old"), put("c", "3"), put("gone", "0")})
	_, err = other.Load(t.Context())
	checkDamaged(t, "load with what was another then", err, "has 3 records, not the 5")
	other.Recall([]store.Record{put("a", "1"), put("b", "old"), put("c", "3"), put("gone", "0")})
	const removed = "was removed by another program"
	wantDamage(t, other, map[string]string{"b": "2", "d": "4", "e": "5"}, store.Damage{Key: "a", What: removed}, store.Damage{Key: "c", What: removed})
	commit(t, other, 3, put("a", "1"), put("c", ""))
	wantDamage(t, open(t, s), map[string]string{"a": "1", "b": "2", "d": "4", "e": "5"})
}

// testManyStrays puts so many records beside those of the log that it is not served.
// What is to be removed is said.
func testManyStrays(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	var ops api.KVTxnOps
	for i := range store.MaxDamage + 1 {
		ops = append(ops, &api.KVTxnOp{Verb: api.KVSet, Key: fmt.Sprintf("%s/records/stray%02d", s.Prefix, i), Value: []byte("x")})
	}
	if ok, _, _, err := kv.Txn(ops, nil); err != nil || !ok {
		t.Fatal(ok, err)
	}
	_, err := open(t, s).Load(t.Context())
	checkDamaged(t, "load", err, "has 53 records, and 2 were committed")
	checkDamaged(t, "load", err, "51 of them were not written by this version: "+s.Prefix+"/records/stray00, ")
	for _, op := range ops[1:] {
		deleteTree(t, kv, op.Key)
	}
	for _, log := range []*consul.Log{log, open(t, s)} {
		wantDamage(t, log, map[string]string{"a": "1", "b": "2"}, store.Damage{Key: "stray00", What: added, Stray: true})
	}
}

func testRecordAltered(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	write(t, kv, s.Prefix+"/records/a", "2")
	for _, log := range []*consul.Log{log, open(t, s)} {
		wantDamage(t, log, map[string]string{"b": "2"}, store.Damage{Key: "a", What: changed})
	}
	// The rest goes on, in every process, and whoever follows has what was committed.
	other := open(t, s)
	load(t, other)
	commit(t, log, 2, put("b", "3"), put("c", "4"))
	up, err := other.Follow(t.Context(), 2)
	if got := asMap(up.Changes); err != nil || !maps.Equal(got, map[string]string{"b": "3", "c": "4"}) {
		t.Errorf("follow: got %v, %v", got, err)
	}
	commit(t, other, 3, put("a", "anew"))
	for _, log := range []*consul.Log{log, other, open(t, s)} {
		wantDamage(t, log, map[string]string{"a": "anew", "b": "3", "c": "4"})
	}
}

// testSeveralAltered changes records in every way at once.
func testSeveralAltered(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	commit(t, log, 2, put("c", "3"), put("d", "4"))
	write(t, kv, s.Prefix+"/records/a", "x")
	pair, _, err := kv.Get(s.Prefix+"/records/b", nil)
	if err != nil {
		t.Fatal(err)
	}
	pair.Value = []byte("y") // as Consul's web pages change it: the flags stay
	if _, err := kv.Put(pair, nil); err != nil {
		t.Fatal(err)
	}
	for _, log := range []*consul.Log{log, open(t, s)} {
		snap := load(t, log)
		if got := asMap(snap.Records); len(snap.Damage) != 2 || !maps.Equal(got, map[string]string{"c": "3", "d": "4"}) {
			t.Errorf("got %v, %+v", got, snap.Damage)
		}
	}
}

func testRecordAdded(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	write(t, kv, s.Prefix+"/records/c", "2")
	for _, log := range []*consul.Log{log, open(t, s)} {
		wantDamage(t, log, map[string]string{"a": "1", "b": "2"}, store.Damage{Key: "c", What: added, Stray: true})
	}
	commit(t, log, 2, put("c", "mine"))
	wantDamage(t, open(t, s), map[string]string{"a": "1", "b": "2", "c": "mine"})
}

func testKeyAdded(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	write(t, kv, s.Prefix+"/records/not a key of ours", "2")
	want := store.Damage{Key: s.Prefix + "/records/not a key of ours", What: added, Foreign: true}
	for _, log := range []*consul.Log{log, open(t, s)} {
		wantDamage(t, log, map[string]string{"a": "1", "b": "2"}, want)
	}
	write(t, kv, s.Prefix+"/note", "x")
	found, err := log.Inspect(t.Context())
	if err != nil || len(found) != 2 || found[0].Key != s.Prefix+"/note" {
		t.Errorf("got %+v, %v", found, err)
	}
}

func testFolder(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	write(t, kv, s.Prefix+"/records/", "")
	write(t, kv, s.Prefix+"/records/mine/", "")
	if got := len(load(t, log).Records); got != 2 {
		t.Errorf("got %d records, want 2", got)
	}
}

func testMarkLost(t *testing.T, s consul.Settings, kv *api.KV) {
	twoCommits(t, s)
	deleteTree(t, kv, begun(s))
	commit(t, open(t, s), 2, put("c", "3"))
	if pair, _, err := kv.Get(begun(s), nil); err != nil || pair == nil {
		t.Errorf("got mark %v, %v, want one", pair, err)
	}
}

func testHeadTouched(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	pair, _, err := kv.Get(s.Prefix+"/head", nil)
	if err != nil {
		t.Fatal(err)
	}
	pair.Flags = 7 // moves its index
	if _, err := kv.Put(pair, nil); err != nil {
		t.Fatal(err)
	}
	followed := make(chan store.Update)
	go func() {
		up, err := open(t, s).Follow(t.Context(), 2)
		if err != nil {
			t.Errorf("follow: %v", err)
		}
		followed <- up
	}()
	commit(t, log, 2, put("c", "3"))
	if up := <-followed; up.Revision != 3 {
		t.Errorf("followed to revision %d, want 3", up.Revision)
	}
}

func testHeadUnreadable(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	write(t, kv, s.Prefix+"/head", "something else")
	wantDamaged(t, log, 2, "has a head that cannot be read")
	wantDamaged(t, open(t, s), 0, "has a head that cannot be read")
}

func testHeadNewer(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	const newer = `{"format":99}`
	write(t, kv, s.Prefix+"/head", newer)
	_, loadErr := log.Load(t.Context())
	_, commitErr := log.Commit(t.Context(), newBatch(2, put("c", "3")))
	_, followErr := log.Follow(t.Context(), 2)
	for op, err := range map[string]error{"load": loadErr, "commit": commitErr, "follow": followErr} {
		if err == nil || !strings.Contains(err.Error(), "newer version") {
			t.Errorf("%s: got %v, want it refused", op, err)
		}
	}
	if pair, _, err := kv.Get(s.Prefix+"/head", nil); err != nil || string(pair.Value) != newer {
		t.Errorf("got head %v, %v, want it as it was", pair, err)
	}
}

func testCommitLost(t *testing.T, s consul.Settings, kv *api.KV) {
	log := open(t, s)
	first := newBatch(0, put("a", "0"))
	if _, err := log.Commit(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	for revision := uint64(1); revision < 40; revision++ { // until head has forgotten the first
		commit(t, log, revision, put("a", strings.Repeat("1", int(revision))))
	}
	other := open(t, s)
	if revision, err := other.Commit(t.Context(), first); err != nil || revision != 1 {
		t.Errorf("the first again: got revision %d, %v, want 1", revision, err)
	}
	deleteTree(t, kv, s.Prefix+"/commits/")
	_, err := other.Commit(t.Context(), first)
	checkDamaged(t, "commit", err, "lacks "+s.Prefix+"/commits/001")
	write(t, kv, s.Prefix+"/commits/002", "garbage")
	for _, after := range []uint64{0, 1} {
		if _, err := open(t, s).Follow(t.Context(), after); !errors.Is(err, store.ErrGap) {
			t.Errorf("follow after %d: got %v, want %v", after, err, store.ErrGap)
		}
	}
}

func testLogsExchanged(t *testing.T, s consul.Settings, kv *api.KV) {
	log := twoCommits(t, s)
	other := s
	other.Prefix += "-other"
	twoCommits(t, other)
	pair, _, err := kv.Get(other.Prefix+"/head", nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, kv, s.Prefix+"/head", string(pair.Value))
	wantDamaged(t, log, 2, "is another log")
}

// TestRestoredConsulIsNoticed restores a snapshot of Consul, as its operators do.
func TestRestoredConsulIsNoticed(t *testing.T) {
	c := servers.Start(t, 1)
	s := settings(t, c.Addresses()...)
	log := twoCommits(t, s)
	backup, _, err := client(t, c.Addresses()[0], "").Snapshot().Save(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer backup.Close()
	var saved bytes.Buffer
	if _, err := saved.ReadFrom(backup); err != nil {
		t.Fatal(err)
	}
	lost := newBatch(2, put("a", "3"))
	if _, err := log.Commit(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	another := open(t, s)
	load(t, another)
	followed := make(chan error)
	go func() {
		_, err := another.Follow(t.Context(), 3)
		followed <- err
	}()
	if err := client(t, c.Addresses()[0], "").Snapshot().Restore(nil, &saved); err != nil {
		t.Fatal(err)
	}
	wantDamaged(t, log, 3, "is at revision 2, but was at 3")
	err = <-followed
	checkDamaged(t, "a follow that waited", err, "is at revision 2, but was at 3")
	if !errors.Is(err, store.ErrRewound) {
		t.Errorf("got %v, want it to be %v", err, store.ErrRewound)
	}
	// A process that starts now goes on from there. The old one sees that
	// what became of the revision is not what it knew.
	restarted := open(t, s)
	if snap := load(t, restarted); snap.Revision != 2 {
		t.Errorf("restarted: got revision %d, want 2", snap.Revision)
	}
	commit(t, restarted, 2, put("a", "other"))
	commit(t, restarted, 3, put("a", "other still"))
	wantDamaged(t, log, 3, "has another commit at revision 3 than it had")
}
