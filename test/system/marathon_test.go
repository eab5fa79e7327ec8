package system

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
)

// deployed is a world whose tasks Marathon launches.
type deployed struct {
	*world
	marathon *cluster.Marathon
}

// newDeployed starts a cluster that follows a Marathon, whose tasks run on it.
func newDeployed(t *testing.T, opts cluster.Options) *deployed {
	t.Helper()
	w := prepareDeployed(t, opts)
	w.must(w.Start(w.ctx()))
	return w
}

// prepareDeployed is newDeployed without the start.
func prepareDeployed(t *testing.T, opts cluster.Options) *deployed {
	t.Helper()
	opts.Control = map[string]string{"marathon": cluster.MarathonURL, "reclaim-grace": "1h"}
	w := &deployed{world: prepareWorld(t, opts)}
	var err error
	w.marathon, err = w.AddMarathon(w.ctx())
	w.must(err)
	t.Cleanup(func() { w.must(w.marathon.Close()) }) // before the cluster
	return w
}

// ask has Marathon do something.
func (w *deployed) ask(method, path string, body any) {
	w.t.Helper()
	if status, answer := w.marathon.Do(method, path, body); status >= 300 {
		w.t.Fatalf("%s %s: Marathon answers %d %s", method, path, status, answer)
	}
}

// put deploys the ledger on a node.
func (w *deployed) put(on *cluster.Node, changes map[string]any) {
	w.t.Helper()
	w.putOn(on.Name, changes)
}

// putOn deploys the ledger where Marathon gets offers of a host alone: none, where
// there is no such host.
func (w *deployed) putOn(host string, changes map[string]any) {
	w.t.Helper()
	definition := map[string]any{
		"id": "/prod/ledger", "cmd": ledgerCommand, "cpus": 0.1, "mem": 32, "instances": 1,
		"labels": map[string]string{"flocker.volume.data": "data", "flocker.volume.data.name": "ledger", "flocker.volume.data.size": "64MiB",
			"flocker.volume.data.reclaim": "delete"},
		"upgradeStrategy": map[string]any{"minimumHealthCapacity": 0, "maximumOverCapacity": 0},
		"constraints":     [][]string{{"hostname", "IS", host}},
	}
	maps.Copy(definition, changes)
	w.ask(http.MethodPut, "/v2/apps/prod/ledger?force=true", definition)
}

// verified waits until the ledger runs on a node, and says how many lines it found.
func (w *deployed) verified(on *cluster.Node, n int) {
	w.t.Helper()
	w.until(fmt.Sprintf("the ledger runs on %s and has found %d lines", on.Name, n), func() error {
		for _, task := range w.marathon.Tasks("/prod/ledger") {
			r := w.marathon.Run(task.ID)
			if task.Host == on.Name && r != nil && r.Printed(fmt.Sprintf("verified %d", n)) && r.Printed("ready") {
				return nil
			}
		}
		return fmt.Errorf("there is %+v", w.marathon.Tasks("/prod/ledger"))
	})
}

// shown waits until the command line shows words about the apps, and not others.
func (w *deployed) shown(words ...string) {
	w.t.Helper()
	w.until(fmt.Sprintf("flocker marathon apps shows %q", words), func() error {
		out, err := w.Control.Flocker(w.ctx(), "marathon", "apps")
		if err != nil {
			return err
		}
		for _, word := range words {
			if !strings.Contains(out, word) {
				return fmt.Errorf("it shows\n%s", out)
			}
		}
		return nil
	})
}

func (w *deployed) volume(name string) *api.DatasetDetail {
	w.t.Helper()
	var full api.DatasetDetail
	w.must(json.Unmarshal(w.call(http.MethodGet, "/v1/volumes/"+name, nil), &full))
	return &full
}

// An app's whole life: it is deployed, launched again elsewhere, suspended and
// resumed, destroyed and taken back, and destroyed for good.
func TestAnAppsVolumeFollowsItFromDeployToGoodbye(t *testing.T) {
	t.Parallel()
	w := newDeployed(t, cluster.Options{})
	one, two := w.Nodes[0], w.Nodes[1]
	w.put(one, nil)
	w.verified(one, 0)
	w.shown("/prod/ledger", "running", one.Name, "ledger", "mounted")
	id := w.volume("ledger").Dataset.ID

	w.put(two, nil)
	w.verified(two, 1)
	w.shown(two.Name, "mounted")
	if log := two.Agent.Output(); !strings.Contains(log, "a container is expected that will use the dataset") {
		t.Error("the agent of the second node was not told that the container is coming")
	}
	if got := w.volume("ledger").Dataset.ID; got != id {
		t.Errorf("dataset is %s, want %s", got, id)
	}

	w.put(two, map[string]any{"instances": 0})
	w.shown("suspended", "detached")
	w.put(one, nil)
	w.verified(one, 2)

	w.ask(http.MethodDelete, "/v2/apps/prod/ledger?force=true", nil)
	w.until("the volume is to be deleted", func() error {
		if w.volume("ledger").Dataset.Reclaim == nil {
			return errors.New("it is not")
		}
		return nil
	})
	if why := w.volume("ledger").Why; !strings.Contains(why, "undelete") {
		t.Errorf("the explanation does not say how to keep it: %s", why)
	}
	out, err := w.Control.Flocker(w.ctx(), "volumes", "undelete", "ledger")
	if err != nil || !strings.Contains(out, "kept") {
		t.Fatalf("undelete: got %q, %v", out, err)
	}
	w.put(two, map[string]any{"labels": map[string]string{
		"flocker.volume.data": "path=data,name=ledger,size=64MiB,reclaim=delete,grace=1s",
	}})
	w.verified(two, 3)

	w.ask(http.MethodDelete, "/v2/apps/prod/ledger?force=true", nil)
	w.until("the volume is gone", func() error {
		var full api.DatasetDetail
		if err := json.Unmarshal(w.call(http.MethodGet, "/v1/volumes/"+string(id), nil), &full); err != nil {
			return err
		}
		if !full.Dataset.Destroyed {
			return errors.New(full.Why)
		}
		return nil
	})
	w.idle()
}
