package ha

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/watch"
)

// patience bounds every wait of a test. It is reached only when something is
// wrong, so it is long: the machine may be busy.
const patience = 2 * time.Minute

// heartbeat is short, so that a test need not wait long for who is lost.
const heartbeat = 500 * time.Millisecond

// nowhere is a node without an agent: what is put there is a record alone.
const nowhere = "4b2f6f0e-5d8f-4a4a-9a52-0d7ad9e0a111"

// world is a cluster that tests share.
type world struct {
	*cluster.Cluster
	t *testing.T // the test that runs now
}

// newWorld starts three Consul servers, three replicas and nodes, and watches
// them to the end of the test.
func newWorld(t *testing.T, opts cluster.Options) *world {
	t.Helper()
	opts.Replicas, opts.Consul = 3, 3
	w := prepareWorld(t, opts)
	w.watch()
	w.must(w.Start(w.ctx()))
	return w
}

// prepareWorld makes a cluster of which nothing runs yet.
func prepareWorld(t *testing.T, opts cluster.Options) *world {
	t.Helper()
	opts.Programs, opts.NoMesos = programs, true
	opts.Control = map[string]string{"heartbeat": heartbeat.String()}
	c, err := cluster.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if complaints, err := c.Complaints(); err != nil || len(complaints) > 0 {
			t.Errorf("complaints: %v %s", err, strings.Join(complaints, "\n"))
		}
		if t.Failed() {
			showLogs(t, c)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{Cluster: c, t: t}
}

// watch watches the cluster to the end of the test.
func (w *world) watch() {
	w.t.Helper()
	t := w.t
	watched, err := watch.Start(w.Cluster)
	w.must(err)
	t.Cleanup(func() {
		anomalies, looks, err := watched.Stop()
		if err != nil || len(anomalies) > 0 {
			t.Errorf("the watch found %q, %v", anomalies, err)
		}
		t.Logf("the watch looked at %+v", looks)
	})
}

func showLogs(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.Lab.Dir, "hosts/*/log/*.log"))
	if err != nil {
		t.Error(err)
	}
	for _, file := range files {
		if log, err := os.ReadFile(file); err == nil {
			t.Logf("%s:\n%s", strings.TrimPrefix(file, c.Lab.Dir), log[max(0, len(log)-6000):])
		}
	}
}

// run runs a test on the shared cluster, of which all runs then.
func (w *world) run(name string, test func(*world)) {
	w.t.Run(name, func(t *testing.T) { test(&world{Cluster: w.Cluster, t: t}) })
}

func (w *world) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w.t.Cleanup(cancel)
	return ctx
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) until(what string, condition func() error) {
	w.t.Helper()
	w.must(lab.Until(w.ctx(), what, condition))
}

// use has a consumer use a volume on a node, and returns where it is mounted.
func (w *world) use(n *cluster.Node, consumer, name string) api.Mount {
	w.t.Helper()
	var mounts []api.Mount
	w.until(consumer+" uses "+name, func() error {
		request := &api.AcquireRequest{Consumer: consumer, Kind: api.ConsumerDVDCLI,
			Volumes: []api.VolumeRequest{{Key: "data", Name: name, Size: api.MinSize}}}
		if _, err := n.Ask(w.ctx(), api.LocalRequest{Acquire: request}); err != nil {
			return err
		}
		reply, err := n.Ask(w.ctx(), api.LocalRequest{Await: &api.AwaitRequest{Consumer: consumer}})
		if err == nil {
			mounts = reply.Mounts
		}
		return err
	})
	if len(mounts) != 1 || !mounts[0].Ready {
		w.t.Fatalf("mounts are %+v", mounts)
	}
	return mounts[0]
}

func (w *world) release(n *cluster.Node, consumer string) {
	w.t.Helper()
	w.until(consumer+" is released", func() error {
		_, err := n.Ask(w.ctx(), api.LocalRequest{Release: &api.ReleaseRequest{Consumer: consumer}})
		return err
	})
}

// write writes a file of a volume and has it on disk.
func (w *world) write(n *cluster.Node, m api.Mount, text string) error {
	return n.Do(func() error {
		f, err := os.OpenFile(filepath.Join(m.Source, "file"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			return err
		}
		return f.Sync()
	})
}

func (w *world) read(n *cluster.Node, m api.Mount) (text string) {
	w.t.Helper()
	w.must(n.Do(func() error {
		data, err := os.ReadFile(filepath.Join(m.Source, "file"))
		text = string(data)
		return err
	}))
	return text
}

// datasets returns which datasets a replica shows, by their ids.
func (w *world) datasets(r *cluster.Control) (map[string]bool, error) {
	text, err := r.Call(w.ctx(), http.MethodGet, "/v1/configuration/datasets", nil)
	if err != nil {
		return nil, err
	}
	var list []struct {
		ID string `json:"dataset_id"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, d := range list {
		all[d.ID] = true
	}
	return all, nil
}

// create makes a dataset that is a record alone.
func create(ctx context.Context, r *cluster.Control, id string) error {
	_, err := r.Call(ctx, http.MethodPost, "/v1/configuration/datasets", map[string]string{"primary": nowhere, "dataset_id": id})
	return err
}

// served waits until every replica has made a change.
func (w *world) served() {
	w.t.Helper()
	for _, r := range w.Controls {
		w.until(r.Name+" makes changes", func() error {
			ctx, cancel := context.WithTimeout(w.ctx(), 5*time.Second)
			defer cancel()
			return create(ctx, r, newID())
		})
	}
}

// connected waits until every agent follows a replica.
func (w *world) connected() {
	w.t.Helper()
	for _, n := range w.Nodes {
		w.must(n.AwaitConnected(w.ctx()))
	}
}

func (w *world) replicaOf(n *cluster.Node) *cluster.Control {
	w.t.Helper()
	var found *cluster.Control
	w.until(n.Name+" is connected to a replica", func() error {
		status, err := n.Status(w.ctx())
		if err != nil {
			return err
		}
		for _, r := range w.Controls {
			// As in "connected to NAME since ...".
			if status.Connected && strings.Contains(status.Control, "connected to "+r.Name+" ") {
				found = r
				return nil
			}
		}
		return fmt.Errorf("it says %q", status.Control)
	})
	return found
}

// leaves waits until a node's agent follows another replica than one that is
// taken away.
func (w *world) leaves(n *cluster.Node, victim *cluster.Control) {
	w.t.Helper()
	w.until(n.Name+" follows another replica than "+victim.Name, func() error {
		if at := w.replicaOf(n); at == victim {
			return fmt.Errorf("it still follows that")
		}
		return nil
	})
}
