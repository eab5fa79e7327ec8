package agent_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// prepareXFS makes an XFS volume with a row in it and gives it back.
func (n *node) prepareXFS(name string) {
	n.t.Helper()
	v := volume(name)
	v.FS, v.Size = api.FSXFS, host.MinXFSSize
	m := n.use("first", v)[0]
	write(n.t, filepath.Join(m.Source, "row"), name)
	n.release("first")
	n.san.await("volume is given back", func(c *agenttest.Control) bool { return c.Dataset(name).Holder == nil })
}

// restore writes one volume's image over another's, as a restored backup does.
func (s *san) restore(from, to string) {
	s.t.Helper()
	if out, err := exec.Command("cp", "--sparse=always", s.image(from), s.image(to)).CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}

func TestACopiedXFSIsMountedBesideItsOriginal(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	n.prepareXFS("db")
	n.prepareXFS("copy")
	s.restore("db", "copy")
	one, two := volume("db"), volume("copy")
	two.ReadOnly = true
	mounts := n.use("both", one, two)
	for _, m := range mounts {
		if got := read(t, filepath.Join(m.Source, "row")); got != "db" {
			t.Errorf("read %q of %s", got, m.Name)
		}
	}
	if mounts[0].Device == mounts[1].Device {
		t.Error("one device is mounted twice")
	}
}

func TestAnXFSThatMayBeMountedElsewhereIsNotMounted(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	n.prepareXFS("db")
	copied, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	if out, err := exec.Command("cp", "--sparse=always", s.image("db"), copied.Name()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	loop, err := host.AttachLoop(t.Context(), copied, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.DetachLoop(loop.Number, loop.Backing); err != nil {
			t.Error(err)
		}
	})
	elsewhere := t.TempDir()
	if err := host.Mount(loop.Path(), elsewhere, "xfs", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := n.agent.Volumes().Acquire(t.Context(), request("second", volume("db"))); err != nil {
		t.Fatal(err)
	}
	s.await("the failure says what is mounted where", func(c *agenttest.Control) bool {
		f := c.State(c.Dataset("db").ID).Failure
		return f != nil && strings.Contains(f.Cause, "mounted at "+elsewhere) && strings.Contains(f.Cause, "duplicate UUID")
	})
	if err := host.Unmount(elsewhere); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := n.agent.Volumes().Await(ctx, "second", func(s string) { t.Log(s) }); err != nil {
		t.Fatal(err)
	}
}
