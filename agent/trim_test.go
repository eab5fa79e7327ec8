package agent_test

import (
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
)

// room returns how many bytes a file takes in its storage.
func room(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

// A user's request has a volume that is in use give the room of its deleted files back.
func TestTrimOnRequest(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	m := n.use("c", volume("db"))[0]
	id := s.control.Dataset("db").ID
	image := filepath.Join(s.root, "attached", "node-1", string(id))
	data := make([]byte, 32<<20)
	_, _ = rand.Read(data)
	write(t, filepath.Join(m.Source, "file"), string(data))
	unix.Sync()
	shell(t, "rm "+m.Source+"/file; sync")
	before := room(t, image)
	s.control.Change(id, func(d *api.Dataset) { d.Trim = &api.Trim{Number: 7, Asked: time.Now()} })
	s.await("it is trimmed", func(c *agenttest.Control) bool { return c.State(id).Trim != nil })
	got := s.control.State(id).Trim
	if got.Number != 7 || got.Error != "" || got.Bytes < 32<<20 {
		t.Errorf("the answer is %+v", got)
	}
	if after := room(t, image); before-after < 30<<20 {
		t.Errorf("the image takes %d bytes, before %d", after, before)
	}
	// The agent ignores an expired request.
	s.control.Change(id, func(d *api.Dataset) { d.Trim = &api.Trim{Number: 8, Asked: time.Now().Add(-2 * api.TrimLimit)} })
	n.hears()
	if got := s.control.State(id).Trim; got.Number != 7 {
		t.Errorf("a request of two hours ago was answered: %+v", got)
	}
	n.release("c")
	s.released(id)
}

// A device that cannot discard is told, and the volume is well all the same.
func TestTrimWithoutDiscard(t *testing.T) {
	s := newSAN(t)
	// A file system that punches no holes.
	if err := unix.Mount("trim", s.root, "ramfs", 0, "mode=700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(s.root, 0); err != nil {
			t.Error(err)
		}
	})
	n := s.node("node-1")
	n.start()
	n.use("c", volume("db"))
	id := s.control.Dataset("db").ID
	s.control.Change(id, func(d *api.Dataset) { d.Trim = &api.Trim{Number: 7, Asked: time.Now()} })
	s.await("it is answered", func(c *agenttest.Control) bool {
		t := c.State(id).Trim
		return t != nil && t.Number == 7 && t.Error != "" && c.State(id).Failure == nil
	})
	t.Log(s.control.State(id).Trim.Error)
	n.release("c")
	s.released(id)
}
