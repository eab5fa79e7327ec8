package system

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/pki"
	"github.com/flocker-mesos/flocker/test/cluster"
)

func TestSecondAgentWithTheSameIdentityIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	one, two := w.Nodes[0], w.Nodes[1]
	w.must(two.Agent.Stop(w.ctx()))
	two.ID, two.Instance = one.ID, one.Instance
	for _, file := range []string{"node.crt", "node.key"} {
		w.must(copySparse(one.Path("/etc/flocker/"+file), two.Path("/etc/flocker/"+file)))
	}
	w.must(two.Start(w.ctx()))
	w.until("the second agent is refused", func() error {
		status, err := two.Status(t.Context())
		if err != nil {
			return err
		}
		if status.Connected || !strings.Contains(status.Control, string(one.ID)) {
			return fmt.Errorf("it says %+v", status)
		}
		return nil
	})
	// The first one is not disturbed.
	r := w.ready(one, ledger("app"))
	w.end(r)
	w.idle()
}

func TestWrongCertificatesOpenNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	n := w.Nodes[1]
	w.must(n.Agent.Stop(w.ctx()))
	ca := w.Control.Path("/root/ca")

	user, err := w.Issue(w.ctx(), "create-api-certificate", "mallory")
	w.must(err)
	brief, err := pki.OpenAuthority(ca, pki.Options{Validity: time.Second})
	w.must(err)
	made := time.Now()
	_, expired, err := brief.NodeCertificate(t.TempDir())
	w.must(err)
	w.until("the certificate has expired", func() error {
		if time.Since(made) < 2*time.Second {
			return errors.New("it has not")
		}
		return nil
	})
	for name, c := range map[string]struct{ crt, says string }{
		"a user's":   {user, ""},
		"an expired": {expired.Cert, "expired"},
	} {
		w.must(w.Give(n.Host, c.crt, "node"))
		w.must(n.Start(w.ctx()))
		w.until("an agent with "+name+" certificate stays outside", func() error {
			if !n.Agent.Running() {
				return nil // refused before it tried
			}
			status, err := n.Status(t.Context())
			if err != nil {
				return err
			}
			if status.Connected || strings.Contains(status.Control, "not connected yet") {
				return fmt.Errorf("it says %+v", status)
			}
			return nil
		})
		if !strings.Contains(n.Agent.Output(), c.says) {
			t.Errorf("with %s certificate the agent says %s", name, n.Agent.Output())
		}
		if n.Agent.Running() {
			w.must(n.Agent.Stop(w.ctx()))
		}
	}

	// A node's certificate does not open the users' API.
	if err := w.Control.Become(filepath.Join(ca, string(n.ID)+".crt")); err != nil {
		t.Fatal(err)
	}
	_, err = w.Control.Call(t.Context(), "GET", "/v1/configuration/datasets", nil)
	if err == nil {
		t.Error("a node's certificate opens the users' API")
	}
}
