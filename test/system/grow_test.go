package system

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// grow has a user make a dataset larger, again until that is answered.
func (w *world) grow(name string, size int64) {
	w.t.Helper()
	w.until("dataset "+name+" is to be larger", func() error {
		_, err := w.Control.Call(w.t.Context(), http.MethodPatch, "/v1/volumes/"+name, map[string]any{"size": size})
		return err
	})
}

// detail returns a dataset in full.
func (w *world) detail(name string) (*api.DatasetDetail, error) {
	data, err := w.Control.Call(w.t.Context(), http.MethodGet, "/v1/volumes/"+name, nil)
	if err != nil {
		return nil, err
	}
	var d api.DatasetDetail
	return &d, json.Unmarshal(data, &d)
}

// awaitGrown waits until a mounted volume has grown, its file system included,
// and the control service knows.
func (w *world) awaitGrown(n *cluster.Node, name string, size int64) {
	w.t.Helper()
	var id api.DatasetID
	w.until(fmt.Sprintf("volume %s has %d bytes", name, size), func() error {
		d, err := w.detail(name)
		if err != nil {
			return err
		}
		if d.Dataset.Volume == nil || d.Dataset.Volume.Size != size {
			return fmt.Errorf("it is %s with the volume %+v: %s", d.Status, d.Dataset.Volume, d.Why)
		}
		id = d.Dataset.ID
		return nil
	})
	out, err := n.Command(w.t.Context(), "stat", "-f", "-c", "%b %S", "/flocker/"+string(id)).Output()
	w.must(err)
	var blocks, block int64
	if _, err := fmt.Sscan(out, &blocks, &block); err != nil || blocks*block < size*3/4 || blocks*block > size {
		w.t.Errorf("file system of %s: got %q, %v, want nearly %d bytes", name, out, err, size)
	}
}

// growsOnline reports whether the kernel grows a mounted file system for this
// process, and so for the agents that it starts: an ext4 only for who has
// CAP_SYS_RESOURCE, which some containers have not.
func growsOnline(t *testing.T, fs string) bool {
	t.Helper()
	var data [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		t.Fatal(err)
	}
	return fs == api.FSXFS || data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

// writer is a task that adds numbered lines to its volume without a pause until
// it is ended, and says "grown" when it sees more than 500 MB.
func writer(fs string) *mesos.Task {
	return &mesos.Task{ID: "writer", Labels: labels("flocker.volume.data", "path=data,name=app,size=320MiB,fs="+fs), Command: `set -eu
cd data
n=0
told=
trap 'sync lines; echo wrote $n; exit 0' TERM
while :; do
  n=$((n + 1)); echo $n >>lines
  [ $((n % 1000)) != 1 ] || echo ready
  if [ -z "$told" ] && [ $((n % 100)) = 0 ] && [ "$(df -B1M --output=size . | tail -1)" -gt 500 ]; then told=1; echo grown; fi
done`}
}

// refusedGrowth plays what becomes of it where the kernel does not grow a mounted
// file system: that is explained, the writer goes on, and nothing is lost.
func refusedGrowth(t *testing.T, fs string) {
	w := newWorld(t, cluster.Options{})
	r := w.launch(w.Nodes[0], writer(fs))
	w.says(r, "ready")
	w.grow("app", 640<<20)
	w.until("it is explained", func() error {
		d, err := w.detail("app")
		if err == nil && (d.Status != "failing" || !strings.Contains(d.Why, "CAP_SYS_RESOURCE") || len(d.State.Consumers) != 1) {
			err = fmt.Errorf("it is %s: %s", d.Status, d.Why)
		}
		return err
	})
	r.Kill()
	w.ended(r)
	_, wrote := lines(t, r)
	next := w.launch(w.Nodes[1], ledger("app"))
	w.says(next, fmt.Sprint("verified ", wrote))
	w.end(next)
}

func TestVolumeGrowsUnderItsWriter(t *testing.T) {
	for _, fs := range []string{api.FSExt4, api.FSXFS} {
		t.Run(fs, func(t *testing.T) {
			t.Parallel()
			if !growsOnline(t, fs) {
				refusedGrowth(t, fs)
				return
			}
			w := newWorld(t, cluster.Options{})
			one, two := w.Nodes[0], w.Nodes[1]
			r := w.launch(one, writer(fs))
			w.says(r, "ready")
			w.grow("app", 640<<20)
			w.says(r, "grown") // as the container sees it
			w.awaitGrown(one, "app", 640<<20)
			d, err := w.detail("app")
			w.must(err)
			if d.Status != "mounted" || d.Dataset.MaximumSize != 640<<20 || len(d.State.Consumers) != 1 {
				t.Errorf("dataset after it has grown: got %s, %+v, %+v", d.Status, d.Dataset, d.State)
			}
			r.Kill()
			w.ended(r)
			_, wrote := lines(t, r)
			// Elsewhere it is as large, and every line is there.
			next := w.launch(two, ledger("app"))
			w.says(next, fmt.Sprint("verified ", wrote))
			w.awaitGrown(two, "app", 640<<20)
			w.end(next)
			w.idle()
		})
	}
}

// TestWhatCannotGrowIsRefusedOrExplained has users ask for too little and for too
// much.
func TestWhatCannotGrowIsRefusedOrExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	r := w.ready(w.Nodes[0], ledger("app"))
	_, err := w.Control.Call(t.Context(), http.MethodPatch, "/v1/volumes/app", map[string]any{"size": 64<<20 - 1024})
	if cluster.StatusOf(err) != http.StatusBadRequest {
		t.Errorf("a smaller size: got %v, want a refusal", err)
	}
	_, err = w.Control.Call(t.Context(), http.MethodPatch, "/v1/volumes/app", map[string]any{"size": 1 << 60})
	if cluster.StatusOf(err) != http.StatusBadRequest {
		t.Errorf("more than a volume may have: got %v, want a refusal", err)
	}
	// More than there is room for: the storage refuses, and says so by and by.
	w.grow("app", 15<<40)
	w.until("the failure is explained", func() error {
		d, err := w.detail("app")
		if err == nil && (d.Status != "failing" || d.State.Failure == nil || d.State.Failure.Action != api.ActionGrow || d.State.Phase != api.PhaseMounted) {
			err = fmt.Errorf("it is %s: %s", d.Status, d.Why)
		}
		return err
	})
	// It is taken back, and all is as before.
	w.grow("app", 64<<20)
	w.until("it is as before", func() error {
		d, err := w.detail("app")
		if err == nil && (d.Status != "mounted" || d.Dataset.Volume.Size != 64<<20) {
			err = fmt.Errorf("it is %s: %s", d.Status, d.Why)
		}
		return err
	})
	w.end(r)
	w.idle()
}
