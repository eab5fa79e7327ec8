package ha

import (
	"os"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
)

// TestTheWayBackFromRecordsThatAreRemoved removes records while no control service
// runs: a dataset's, and those that every log has.
func TestTheWayBackFromRecordsThatAreRemoved(t *testing.T) {
	w := prepareWorld(t, cluster.Options{Nodes: 1, Replicas: 1, Consul: 1})
	w.must(w.Start(w.ctx()))
	n, r := w.Nodes[0], w.Controls[0]
	steady := w.use(n, "steady", "steady")
	w.must(w.write(n, steady, "steady"))
	other := w.use(n, "other", "other")
	w.must(w.write(n, other, "other"))
	key := cluster.LogPrefix + "/records/"
	for _, removed := range []string{"datasets/" + string(other.DatasetID), "log", "meta"} {
		w.killAll()
		if out, err := w.flocker(r, "control", "backup", backupFile); err != nil {
			t.Fatalf("back up: %v\n%s", err, out)
		}
		w.must(w.RemoveKeys(w.ctx(), key+removed))
		w.refusesToStart(r, "control repair --from")
		if out, err := w.flocker(r, "control", "repair"); err == nil {
			t.Errorf("%s: it is mended without knowing how: %s", removed, out)
		}
		out, err := w.flocker(r, "control", "repair", "--from", backupFile)
		if err != nil || !strings.Contains(out, removed+" was removed") {
			t.Fatalf("%s: repair: %v\n%s", removed, err, out)
		}
		w.must(os.Remove(r.Path(backupFile)))
		w.must(r.Start(w.ctx()))
		w.connected()
		s, err := w.status(r)
		if err != nil || len(s.Damaged) > 0 {
			t.Errorf("%s: the status is %+v, %v", removed, s, err)
		}
		if w.read(n, steady) != "steady" || w.read(n, other) != "other" {
			t.Errorf("%s: the volumes have %q and %q", removed, w.read(n, steady), w.read(n, other))
		}
		w.release(n, "other")
		if other = w.use(n, "other", "other"); w.read(n, other) != "other" {
			t.Errorf("%s: another volume has come by the name", removed)
		}
	}
	w.release(n, "other")
	w.release(n, "steady")
}
