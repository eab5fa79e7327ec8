package agent_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

const (
	smallSize = 320 << 20 // XFS takes no less than 300 MiB
	largeSize = 512 << 20
)

func xfsVolume(name string) api.VolumeRequest {
	v := volume(name)
	v.Size, v.FS = smallSize, api.FSXFS
	return v
}

// want changes the size that a dataset should have.
func (s *san) want(name string, size int64) {
	s.t.Helper()
	s.control.Change(s.control.Dataset(name).ID, func(d *api.Dataset) { d.Size, d.MaximumSize = size, size })
}

// awaitGrown waits until the control service knows that a dataset's volume has a size.
func (s *san) awaitGrown(name string, size int64) {
	s.t.Helper()
	s.await(fmt.Sprintf("the volume of %s has %d bytes", name, size), func(c *agenttest.Control) bool {
		v := c.Dataset(name).Volume
		return v != nil && v.Size == size
	})
}

// wantRoom checks that a file system has nearly the size.
func wantRoom(t *testing.T, path string, size int64) {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		t.Fatal(err)
	}
	if got := int64(fs.Blocks) * fs.Bsize; got < size*3/4 || got > size {
		t.Errorf("file system at %s: got %d bytes, want nearly %d", path, got, size)
	}
}

// attachedImage returns the file that carries a dataset on the node that has it.
func (n *node) attachedImage(name string) string {
	return filepath.Join(n.san.root, "attached", string(n.id), string(n.san.control.Dataset(name).ID))
}

func TestAVolumeGrowsWhileItIsUsed(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	m := n.use("user", xfsVolume("db"))[0]
	row := filepath.Join(m.Source, "row")
	write(t, row, "hello")
	open, err := os.OpenFile(row, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for _, size := range []int64{largeSize, largeSize + 4096, 1 << 30} {
		s.want("db", size)
		s.awaitGrown("db", size)
		if size != largeSize+4096 {
			wantRoom(t, m.Source, size)
		}
		if _, err := fmt.Fprint(open, "!"); err != nil {
			t.Error(err)
		}
	}
	if got := read(t, row); got != "hello!!!" {
		t.Errorf("read %q after it has grown", got)
	}
	state := s.control.State(s.control.Dataset("db").ID)
	if state.Phase != api.PhaseMounted || state.Failure != nil || state.Size != 1<<30 {
		t.Errorf("state after it has grown: got %+v", state)
	}
}

// TestAnExt4GrowsWhileItIsUsed tells who must not, and goes on.
func TestAnExt4GrowsWhileItIsUsed(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	m := n.use("user", volume("db"))[0]
	write(t, filepath.Join(m.Source, "row"), "hello")
	s.want("db", 256<<20)
	var data [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		t.Fatal(err)
	}
	if data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0 {
		s.awaitGrown("db", 256<<20)
		wantRoom(t, m.Source, 256<<20)
	} else {
		s.await("the agent says which capability it has not", func(c *agenttest.Control) bool {
			f := c.State(c.Dataset("db").ID).Failure
			return f != nil && f.Action == api.ActionGrow && strings.Contains(f.Cause, "CAP_SYS_RESOURCE")
		})
		if v := s.control.Dataset("db").Volume; v.Size != 64<<20 {
			t.Errorf("volume: got %+v, want nothing begun", v)
		}
		if again := n.use("another", volume("db"))[0]; !again.Ready {
			t.Error("the volume is not usable any more")
		}
	}
	if got := read(t, filepath.Join(m.Source, "row")); got != "hello" {
		t.Errorf("read %q after it has grown", got)
	}
}

func TestAVolumeGrowsWhenItIsUsedNext(t *testing.T) {
	s := newSAN(t)
	one, two := s.node("node-1"), s.node("node-2")
	one.start()
	two.start()
	m := one.use("first", xfsVolume("db"))[0]
	write(t, filepath.Join(m.Source, "row"), "hello")
	one.release("first")
	s.await("volume is given back", func(c *agenttest.Control) bool { return c.Dataset("db").Holder == nil })
	s.want("db", largeSize)
	m = two.use("second", xfsVolume("db"))[0]
	if got := read(t, filepath.Join(m.Source, "row")); got != "hello" {
		t.Errorf("read %q on the other node", got)
	}
	s.awaitGrown("db", largeSize)
	wantRoom(t, m.Source, largeSize)
}

// TestAnAgentGoesOnGrowingWhereAnotherWasKilled leaves a volume as an agent does
// that dies between two steps.
func TestAnAgentGoesOnGrowingWhereAnotherWasKilled(t *testing.T) {
	extend := func(t *testing.T, n *node, _ api.Mount) {
		t.Helper()
		if err := os.Truncate(n.attachedImage("db"), largeSize); err != nil {
			t.Fatal(err)
		}
	}
	show := func(t *testing.T, n *node, m api.Mount) {
		t.Helper()
		extend(t, n, m)
		var st unix.Stat_t
		if err := unix.Stat(n.attachedImage("db"), &st); err != nil {
			t.Fatal(err)
		}
		if _, err := host.ResizeLoop(int(unix.Minor(m.Device)), host.FileID{Dev: st.Dev, Inode: st.Ino}); err != nil {
			t.Fatal(err)
		}
	}
	fill := func(t *testing.T, n *node, m api.Mount) {
		t.Helper()
		show(t, n, m)
		if err := host.GrowFS(fmt.Sprintf("/dev/loop%d", unix.Minor(m.Device)), m.Source); err != nil {
			t.Fatal(err)
		}
	}
	unmounted := func(t *testing.T, n *node, m api.Mount) {
		t.Helper()
		extend(t, n, m)
		if err := host.Unmount(m.Source); err != nil {
			t.Fatal(err)
		}
		if err := host.Unmount(filepath.Join(n.config.RunDir, "mnt", filepath.Base(m.Source))); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		leave func(t *testing.T, n *node, m api.Mount)
	}{
		{"before anything was done", func(*testing.T, *node, api.Mount) {}},
		{"the image is larger, the device is not", extend},
		{"the device is larger, the file system is not", show},
		{"all has grown and nobody was told", fill},
		{"the image is larger, and it is not mounted any more", unmounted},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSAN(t)
			n := s.node("node-1")
			n.start()
			m := n.use("user", xfsVolume("db"))[0]
			write(t, filepath.Join(m.Source, "row"), "hello")
			n.stop()
			s.want("db", largeSize)
			c.leave(t, n, m)
			n.start()
			s.awaitGrown("db", largeSize)
			wantRoom(t, m.Source, largeSize)
			if got := read(t, filepath.Join(m.Source, "row")); got != "hello" {
				t.Errorf("read %q after it has grown", got)
			}
		})
	}
}

// TestAVolumeThatCannotGrowStaysInUse has a storage without room, and users who
// come and go meanwhile.
func TestAVolumeThatCannotGrowStaysInUse(t *testing.T) {
	s := newSAN(t)
	if err := unix.Mount("tmpfs", s.root, "tmpfs", 0, "size=300m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(s.root, unix.MNT_DETACH) })
	n := s.node("node-1")
	n.start()
	m := n.use("user", xfsVolume("db"))[0]
	write(t, filepath.Join(m.Source, "row"), "hello")
	ballast := filepath.Join(s.root, "ballast")
	fillUp(t, ballast, s.root, 10<<20)
	s.want("db", largeSize)
	id := s.control.Dataset("db").ID
	s.await("the failure is reported", func(c *agenttest.Control) bool {
		st := c.State(id)
		return st.Phase == api.PhaseMounted && st.Failure != nil && st.Failure.Action == api.ActionGrow &&
			strings.Contains(st.Failure.Cause, "MiB free")
	})
	reader := xfsVolume("db")
	reader.ReadOnly = true
	if view := n.use("reader", reader)[0]; read(t, filepath.Join(view.Source, "row")) != "hello" {
		t.Error("a reader that came meanwhile does not see the data")
	}
	wantRoom(t, m.Source, smallSize)
	write(t, filepath.Join(m.Source, "row"), "written meanwhile")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s.awaitGrown("db", largeSize)
	wantRoom(t, m.Source, largeSize)
	if got := read(t, filepath.Join(m.Source, "row")); got != "written meanwhile" {
		t.Errorf("read %q after it has grown", got)
	}
}

// fillUp writes a file until a file system has little room left.
func fillUp(t *testing.T, file, dir string, left int64) {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, make([]byte, int64(fs.Bavail)*fs.Bsize-left), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAVolumeThatIsGivenBackDoesNotGrow has the wish come with the end of the use.
func TestAVolumeThatIsGivenBackDoesNotGrow(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	n.use("user", xfsVolume("db"))
	if err := n.agent.Volumes().Release(context.Background(), "user"); err != nil {
		t.Fatal(err)
	}
	s.want("db", largeSize)
	s.await("volume is given back", func(c *agenttest.Control) bool { return c.Dataset("db").Holder == nil })
	info, err := os.Stat(s.image("db"))
	if err != nil {
		t.Fatal(err)
	}
	if v := s.control.Dataset("db").Volume; v.Size != info.Size() {
		t.Errorf("registered volume: got %d bytes, the image has %d", v.Size, info.Size())
	}
}
