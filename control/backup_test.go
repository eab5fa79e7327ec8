package control_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/control/backup"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/memory"
)

func (w *world) backup() backup.Backup {
	w.Helper()
	body, err := w.user().Backup(w.Context())
	if err != nil {
		w.Fatalf("backup: %v", err)
	}
	defer func() { _ = body.Close() }()
	b, err := backup.Read(body)
	if err != nil {
		w.Fatalf("read backup: %v", err)
	}
	return b
}

func TestRunningServiceSendsABackup(t *testing.T) {
	w := newWorld(t)
	s, _ := w.connect(nodeA)
	d := mustClaim(t, s, "db")
	b := w.backup()
	if b.Cluster != clusterID || b.Program != "1.2.3" || b.Revision == 0 || !strings.Contains(b.Log, "control.db") {
		t.Errorf("header: got %+v", b.Header)
	}
	found := false
	for _, r := range b.Records {
		found = found || r.Key == string(cluster.DatasetKey(d.ID))
	}
	if !found {
		t.Errorf("got %q, want the dataset in it", b.Records)
	}
	raw := w.raw()
	if resp, text := raw.do(http.MethodHead, "/v1/backup", ""); resp.StatusCode != http.StatusOK || text != "" {
		t.Errorf("HEAD: got %d and %q", resp.StatusCode, text)
	}
}

func mustClaim(t *testing.T, s interface {
	Claim(context.Context, api.ClaimRequest) (*api.Dataset, error)
}, name string) *api.Dataset {
	t.Helper()
	d, err := s.Claim(t.Context(), api.ClaimRequest{Find: &api.DatasetSpec{Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestAgentsGoOnAfterARestore has a cluster whose log is restored from a backup
// that is older than what its agents know.
func TestAgentsGoOnAfterARestore(t *testing.T) {
	w := newWorld(t)
	kept := &memory.Store{}
	w.stop()
	w.store = kept.Open()
	w.start()
	s, _ := w.connect(nodeA)
	d := mustClaim(t, s, "db")
	b := w.backup()
	other := mustClaim(t, s, "after-the-backup")
	newer := w.service.Replica().State().Revision()

	w.stop()
	r, err := control.FromBackup(b, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if r.Cluster != clusterID || r.Datasets != 1 || r.Nodes != 1 || r.Deleted != 0 {
		t.Errorf("got %+v", r)
	}
	restorer := kept.Restorer()
	if _, err := restorer.Remains(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := restorer.Restore(t.Context(), r.Snapshot, true); err != nil {
		t.Fatal(err)
	}
	w.store = kept.Open()
	w.start()

	again, event := w.connect(nodeA)
	if event.Welcome == nil || len(event.Datasets) != 1 || event.Datasets[0].ID != d.ID {
		t.Fatalf("got %+v, want the dataset that the backup has", event)
	}
	got := event.Datasets[0]
	if !got.HeldBy(nodeA) || got.Epoch <= d.Epoch || got.Revision <= newer {
		t.Errorf("got %+v, want it newer than what the agent knows, of revision %d", got, newer)
	}
	reply, err := again.Report(t.Context(), api.Report{Datasets: []api.DatasetReport{
		{State: api.DatasetState{ID: d.ID, Epoch: got.Epoch, Phase: api.PhaseMounted, Path: "/flocker/x"}},
		{State: api.DatasetState{ID: other.ID, Epoch: other.Epoch, Phase: api.PhaseMounted, Path: "/flocker/y"}},
	}})
	if err != nil || reply.Refused[d.ID] != nil || reply.Refused[other.ID] == nil {
		t.Errorf("report: got %+v, %v, want only the unknown one refused", reply, err)
	}
}

func TestReplicaWhoseLogIsReplacedEnds(t *testing.T) {
	kept := &memory.Store{}
	r := openReplica(t, kept.Open())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(t.Context()) }()
	if _, err := r.Do(t.Context(), create(newID(), "db")); err != nil {
		t.Fatal(err)
	}
	b, err := control.TakeBackup(t.Context(), kept.Open(), "1.2.3", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	restorable, err := control.FromBackup(b, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	restorer := kept.Restorer()
	if _, err := restorer.Remains(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := restorer.Restore(t.Context(), restorable.Snapshot, true); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Do(t.Context(), create(newID(), "late")); err == nil {
		t.Error("a replica on the replaced log took a write")
	}
	if err := <-ended; !errors.Is(err, store.ErrRewound) {
		t.Errorf("got %v, want %v", err, store.ErrRewound)
	}
}

func TestBackupsOfNothingOrOfHalfAreRefused(t *testing.T) {
	put := func(key, value string) store.Record { return store.Record{Key: key, Value: []byte(value)} }
	meta := put("meta", `{"schema":1,"record":{"cluster":"c"}}`)
	for name, tt := range map[string]struct {
		records []store.Record
		take    string // why no backup can be taken
		restore string // why it cannot be restored
	}{
		"an empty log":               {nil, "nothing to back up", ""},
		"a damaged record":           {[]store.Record{meta, put("datasets/d", `{"schema":1,"record":{}}`)}, "damaged", ""},
		"no cluster":                 {[]store.Record{put("nodes/a", `{"schema":1,"record":{"uuid":"a"}}`)}, "which cluster", ""},
		"a record of a newer kind":   {[]store.Record{meta, put("grants/d", `{"schema":99,"record":{}}`)}, "", "of a kind that this version does not know"},
		"a record of a newer schema": {[]store.Record{meta, put("datasets/d", `{"schema":99,"record":{}}`)}, "", "newer version"},
	} {
		t.Run(name, func(t *testing.T) {
			log := (&memory.Store{}).Open()
			if tt.records != nil {
				if _, err := log.Commit(t.Context(), store.Batch{ID: "b", Changes: tt.records}); err != nil {
					t.Fatal(err)
				}
			}
			b, err := control.TakeBackup(t.Context(), log, "1.2.3", time.Now())
			if tt.take != "" {
				if err == nil || !strings.Contains(err.Error(), tt.take) {
					t.Errorf("take: got %v, want %q", err, tt.take)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := control.FromBackup(b, time.Now()); err == nil || !strings.Contains(err.Error(), tt.restore) {
				t.Errorf("restore: got %v, want %q", err, tt.restore)
			}
		})
	}
}

func TestBackupsAreSentOneAtATime(t *testing.T) {
	kept := &memory.Store{}
	w := newWorld(t)
	w.stop()
	gate := &gated{Log: kept.Open(), asked: make(chan struct{}), open: make(chan struct{})}
	w.store = gate
	w.start()
	gate.armed.Store(true)
	user := w.user()
	first := make(chan error, 1)
	go func() {
		body, err := user.Backup(t.Context())
		if err == nil {
			_, err = io.Copy(&bytes.Buffer{}, body)
			_ = body.Close()
		}
		first <- err
	}()
	<-gate.asked
	if _, err := w.user().Backup(t.Context()); api.CodeOf(err) != api.CodeUnavailable {
		t.Errorf("a second one: got %v, want it to be unavailable", err)
	}
	close(gate.open)
	if err := <-first; err != nil {
		t.Errorf("the first one: %v", err)
	}
	w.backup()
}

// gated is a log whose Load waits for the test once it is armed.
type gated struct {
	store.Log
	armed atomic.Bool
	asked chan struct{}
	open  chan struct{}
}

func (g *gated) Load(ctx context.Context) (store.Snapshot, error) {
	if g.armed.CompareAndSwap(true, false) {
		close(g.asked)
		<-g.open
	}
	return g.Log.Load(ctx)
}
