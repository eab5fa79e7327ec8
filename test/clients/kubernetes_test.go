package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
)

// patience bounds every wait. It is reached only when something is wrong.
const patience = 3 * time.Minute

// world is a running cluster.
type world struct {
	*cluster.Cluster
	*testing.T
}

func newWorld(t *testing.T) *world {
	t.Helper()
	opts := cluster.Options{Programs: programs, NoMesos: true}
	opts.Lab.Tools = map[string]string{kubernetesTool: kubernetes}
	c, err := cluster.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{c, t}
	t.Cleanup(func() {
		if complaints, err := c.Complaints(); err != nil || len(complaints) > 0 {
			t.Errorf("complaints: %v %s", err, strings.Join(complaints, "\n"))
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	w.must(c.Start(w.ctx()))
	return w
}

func (w *world) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w.Cleanup(cancel)
	return ctx
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) until(what string, condition func() error) {
	w.Helper()
	w.must(lab.Until(w.ctx(), what, condition))
}

// do runs something on a node.
func (w *world) do(n *cluster.Node, what func() error) {
	w.Helper()
	if err := n.Do(what); err != nil {
		w.Fatalf("on %s: %v", n.Name, err)
	}
}

// kubelet gives a node a user's certificate, as for a kubelet.
func (w *world) kubelet(n *cluster.Node, crt string) *kubelet {
	w.Helper()
	w.must(w.Give(n.Host, crt, "apiuser"))
	return &kubelet{w, n}
}

// kubelet uses the client of Kubernetes on a node.
type kubelet struct {
	*world
	node *cluster.Node
}

func (k *kubelet) call(args ...string) (string, error) {
	cmd := k.node.Command(k.ctx(), lab.ToolsDir+"/"+kubernetesTool, args...)
	cmd.Env = append(cmd.Env,
		"FLOCKER_CONTROL_SERVICE_HOST="+k.Control.Address, "FLOCKER_CONTROL_SERVICE_PORT=4523",
		"FLOCKER_CONTROL_SERVICE_CA_FILE=/etc/flocker/cluster.crt",
		"FLOCKER_CONTROL_SERVICE_CLIENT_KEY_FILE=/etc/flocker/apiuser.key",
		"FLOCKER_CONTROL_SERVICE_CLIENT_CERT_FILE=/etc/flocker/apiuser.crt",
		"HOST_IP="+k.node.Address, "SIZE=67108864")
	return cmd.Output()
}

// want makes a call that has to succeed.
func (k *kubelet) want(into any, args ...string) {
	k.Helper()
	text, err := k.call(args...)
	if err == nil {
		err = json.Unmarshal([]byte(text), into)
	}
	if err != nil {
		k.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
}

// state is a dataset as the client shows it.
type state struct {
	ID      string `json:"dataset_id"`
	Primary string `json:"primary"`
	Path    string `json:"path"`
	Size    int64  `json:"maximum_size"`
}

// The client that Kubernetes had makes all its calls, in the order in which the
// volume plugin made them, and the data follows.
func TestClientOfKubernetes(t *testing.T) {
	w := newWorld(t)
	crt, err := w.Issue(w.ctx(), "create-api-certificate", "apiuser")
	w.must(err)
	a, b := w.kubelet(w.Nodes[0], crt), w.kubelet(w.Nodes[1], crt)

	// The plugin finds its node by the IP address of the kubelet's host.
	var primary string
	a.want(&primary, "primary")
	if api.NodeID(primary) != a.node.ID {
		t.Errorf("the primary of %s is %s, want %s", a.node.Address, primary, a.node.ID)
	}

	// It provisions a volume, finds it by its name, and mounts it.
	var created, found state
	var id string
	a.want(&created, "create", "pv-1")
	a.want(&id, "id", "pv-1")
	if created.ID == "" || id != created.ID || created.Size != 64<<20 {
		t.Errorf("created %+v, and found %q by the name", created, id)
	}
	if text, err := a.call("create", "pv-1"); err == nil || !strings.Contains(err.Error(), "The volume already exists") {
		t.Errorf("created it again: %s, %v", text, err)
	}
	w.until("the volume is mounted", func() error {
		a.want(&found, "state", id)
		if found.Primary == "" {
			return fmt.Errorf("it is %+v", found)
		}
		return nil
	})
	if api.NodeID(found.Primary) != a.node.ID || found.Path != "/flocker/"+id {
		t.Errorf("got %+v", found)
	}
	row := filepath.Join(found.Path, "row")
	w.do(a.node, func() error { return os.WriteFile(row, []byte("kept"), 0o600) })

	// A pod on another node moves it there, and waits until it has come.
	var moved state
	b.want(&primary, "primary")
	b.want(&moved, "move", primary, id)
	w.until("the volume has moved", func() error {
		moved = state{} // what is not mounted has no primary, and what the move has answered is not to stay
		b.want(&moved, "state", id)
		if api.NodeID(moved.Primary) != b.node.ID {
			return fmt.Errorf("it is at %q", moved.Primary)
		}
		return nil
	})
	w.do(b.node, func() error {
		if text, err := os.ReadFile(row); err != nil || string(text) != "kept" {
			return fmt.Errorf("read %q: %w", text, err)
		}
		return nil
	})

	// What is not there is told as the client expects it.
	for _, call := range []struct{ args, failure string }{
		{"id nothing", "Configuration not found by Name"},
		{"state aaaaaaaa-0001-4000-8000-000000000001", "State not found by Dataset ID"},
		{"move " + primary + " aaaaaaaa-0001-4000-8000-000000000001", "It was impossible to update the dataset"},
	} {
		if text, err := a.call(strings.Fields(call.args)...); err == nil || !strings.Contains(err.Error(), call.failure) {
			t.Errorf("%s: got %s, %v, want %q", call.args, text, err, call.failure)
		}
	}
}
