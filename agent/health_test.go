package agent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
	"github.com/flocker-mesos/flocker/host/hosttest"
	"github.com/flocker-mesos/flocker/test/lab"
)

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// healthy waits until a dataset's reported health is of a kind, "" for healthy and
// mounted.
func (s *san) healthy(name string, kind api.HealthKind) {
	s.t.Helper()
	s.await("health is "+string(kind), func(c *agenttest.Control) bool {
		st := c.State(c.Dataset(name).ID)
		if kind == "" {
			return st.Phase == api.PhaseMounted && st.Health == nil
		}
		return st.Health != nil && st.Health.Kind == kind && st.Health.Cause != "" && st.Health.Remedy != ""
	})
}

// eventually waits for what the control service does not hear of.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := lab.Until(ctx, what, condition); err != nil {
		t.Fatal(err)
	}
}

func isMounted(target string, device uint64) error {
	at, ok, err := host.Mounted(target)
	if err == nil && (!ok || at.Device != device) {
		err = fmt.Errorf("%+v is mounted at %s", at, target)
	}
	return err
}

// isKeptFrom acquires a volume that must not come now, and returns why and what ends the
// wait with the volume.
func (n *node) isKeptFrom(consumer string, v api.VolumeRequest) (why string, comes func() []api.Mount) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	n.t.Cleanup(cancel)
	volumes := n.agent.Volumes()
	mounts, err := volumes.Acquire(ctx, request(consumer, v))
	if err != nil {
		n.t.Fatal(err)
	}
	if mounts[0].Ready {
		n.t.Errorf("%s is told that %s is ready", consumer, v.Name)
	}
	told := make(chan string, 100)
	type outcome struct {
		mounts []api.Mount
		err    error
	}
	ended := make(chan outcome, 1)
	go func() {
		mounts, err := volumes.Await(ctx, consumer, func(s string) {
			select {
			case told <- s:
			default:
			}
		})
		ended <- outcome{mounts, err}
	}()
	select {
	case why = <-told:
	case o := <-ended:
		n.t.Fatalf("%s got %s: %+v, %v", consumer, v.Name, o.mounts, o.err)
	}
	return why, func() []api.Mount {
		n.t.Helper()
		o := <-ended
		if o.err != nil {
			n.t.Fatal(o.err)
		}
		return o.mounts
	}
}

func xfs(name string) api.VolumeRequest {
	v := volume(name)
	v.FS, v.Size = api.FSXFS, host.MinXFSSize
	return v
}

func eachFS(t *testing.T, f func(t *testing.T, n *node, v api.VolumeRequest)) {
	for fs, v := range map[string]api.VolumeRequest{"ext4": volume("db"), "xfs": xfs("db")} {
		t.Run(fs, func(t *testing.T) {
			n := newSAN(t).node("node-1")
			n.start()
			f(t, n, v)
		})
	}
}

func TestAShutDownVolumeWaitsForItsUserAndIsMountedAnew(t *testing.T) {
	eachFS(t, func(t *testing.T, n *node, v api.VolumeRequest) {
		m := n.use("first", v)[0]
		other := n.use("other", volume("other"))[0]
		write(t, filepath.Join(m.Source, "row"), "hello")
		unix.Sync()
		hosttest.ShutDown(t, m.Source)
		n.san.healthy("db", api.HealthShutDown)
		n.san.healthy("other", "")
		write(t, filepath.Join(other.Source, "row"), "hello")

		why, comes := n.isKeptFrom("second", v)
		if !strings.Contains(why, "shut its file system down") || !strings.Contains(why, "end its containers") {
			t.Errorf("the second consumer hears %q", why)
		}
		if _, ok, err := host.Mounted(m.Source); err != nil || !ok {
			t.Errorf("it was unmounted under its user: %v", err)
		}
		n.release("first")
		again := comes()[0]
		if got := read(t, filepath.Join(again.Source, "row")); got != "hello" {
			t.Errorf("read %q", got)
		}
		write(t, filepath.Join(again.Source, "row"), "again")
		n.san.healthy("db", "")
	})
}

func TestAVolumeThatIsShutDownIsNotHandedOutBeforeItIsSeen(t *testing.T) {
	n := newSAN(t).node("node-1")
	n.start()
	m := n.use("first", xfs("db"))[0]
	hosttest.ShutDown(t, m.Source)
	why, comes := n.isKeptFrom("second", xfs("db"))
	if !strings.Contains(why, "shut its file system down") {
		t.Errorf("the second consumer hears %q", why)
	}
	n.release("first")
	comes()
}

func TestAPinnedVolumeThatIsShutDownHealsByItself(t *testing.T) {
	eachFS(t, func(t *testing.T, n *node, v api.VolumeRequest) {
		m := n.use("first", v)[0]
		n.san.control.Change(n.san.control.Dataset("db").ID, func(d *api.Dataset) { d.Pinned = true })
		n.release("first")
		hosttest.ShutDown(t, m.Source)
		eventually(t, "it is mounted anew", func() error { return os.WriteFile(filepath.Join(m.Source, "row"), nil, 0o600) })
		n.san.healthy("db", "")
		n.san.control.Change(n.san.control.Dataset("db").ID, func(d *api.Dataset) { d.Pinned = false })
	})
}

func TestAReadOnlyRemountIsToldAndFollowed(t *testing.T) {
	eachFS(t, func(t *testing.T, n *node, v api.VolumeRequest) {
		m := n.use("first", v)[0]
		command(t, "mount", "-o", "remount,ro", m.Source)
		n.san.healthy("db", api.HealthReadOnly)
		reader := v
		reader.ReadOnly = true
		n.use("reader", reader)
		why, comes := n.isKeptFrom("writer", v)
		if !strings.Contains(why, "mount -o remount,rw "+m.Source) {
			t.Errorf("the writer hears %q", why)
		}
		command(t, "mount", "-o", "remount,rw", m.Source)
		write(t, filepath.Join(comes()[0].Source, "row"), "hello")
		n.san.healthy("db", "")
	})
}

func TestAVolumeThatIsUnmountedBehindTheAgentsBackIsMountedAgain(t *testing.T) {
	eachFS(t, func(t *testing.T, n *node, v api.VolumeRequest) {
		reader := v
		reader.ReadOnly = true
		m := n.use("first", v)[0]
		view := n.use("reader", reader)[0]
		write(t, filepath.Join(m.Source, "row"), "hello")
		// As a container has it: its own mount, which keeps the file system in use.
		clone, err := host.CloneMount(m.Source, m.Device)
		if err != nil {
			t.Fatal(err)
		}
		defer clone.Close()
		for _, target := range []string{view.Source, m.Source} {
			command(t, "umount", "-l", target)
		}
		for _, target := range []string{view.Source, m.Source} {
			eventually(t, "it is mounted again", func() error { return isMounted(target, m.Device) })
		}
		n.san.healthy("db", "")
		clone.Close()
		command(t, "umount", "-l", view.Source)
		eventually(t, "the view is there again", func() error { return isMounted(view.Source, m.Device) })
	})
}

func TestWhatIsMountedOverAVolumeIsNamedAndLeftAlone(t *testing.T) {
	eachFS(t, func(t *testing.T, n *node, v api.VolumeRequest) {
		m := n.use("first", v)[0]
		command(t, "mount", "-t", "tmpfs", "cover", m.Source)
		write(t, filepath.Join(m.Source, "of the operator"), "mine")
		n.san.healthy("db", api.HealthCovered)
		why, comes := n.isKeptFrom("second", v)
		if !strings.Contains(why, "tmpfs of cover") || !strings.Contains(why, "umount "+m.Source) {
			t.Errorf("the second consumer hears %q", why)
		}
		command(t, "umount", m.Source)
		comes()
		n.san.healthy("db", "")

		command(t, "mount", "-t", "tmpfs", "cover", m.Source)
		write(t, filepath.Join(m.Source, "of the operator"), "mine")
		n.san.healthy("db", api.HealthCovered)
		n.release("first")
		n.release("second")
		n.san.await("the unmount fails", func(c *agenttest.Control) bool {
			f := c.State(c.Dataset("db").ID).Failure
			return f != nil && strings.Contains(f.Cause, "mounted over it")
		})
		if got := read(t, filepath.Join(m.Source, "of the operator")); got != "mine" {
			t.Errorf("read %q", got)
		}
		command(t, "umount", m.Source)
	})
}

// fill writes to a file until it has some bytes or that fails, and flushes it.
func fill(path string, bytes int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, bytes))
	return errors.Join(err, f.Sync(), f.Close())
}

// TestAFullStorageIsTold fills the storage below a file system until the kernel cannot
// write any more. It heals when there is room again.
func TestAFullStorageIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		volume      api.VolumeRequest
		room, write int
	}{
		"ext4": {volume("db"), 24 << 20, 40 << 20},
		"xfs":  {xfs("db"), 120 << 20, 128 << 20}, // its log takes half of the room
	} {
		t.Run(name, func(t *testing.T) {
			s := newSAN(t)
			if err := unix.Mount("small", s.root, "tmpfs", 0, fmt.Sprintf("size=%d", c.room)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(s.root, unix.MNT_DETACH) })
			n := s.node("node-1")
			n.start()
			m := n.use("first", c.volume)[0]
			write(t, filepath.Join(m.Source, "row"), "hello")
			unix.Sync()
			data := filepath.Join(m.Source, "data")
			// The kernel logs no more than ten such errors of all devices in five seconds.
			eventually(t, "that is told with the kernel's words", func() error {
				if err := fill(data, c.write); err == nil {
					return errors.New("the storage is not full")
				}
				st := s.control.State(m.DatasetID)
				if h := st.Health; h == nil || h.Kind == api.HealthReadOnly || !strings.Contains(h.Cause, filepath.Base(st.Device)) {
					return fmt.Errorf("health is %+v", h)
				}
				return nil
			})
			if err := unix.Mount("small", s.root, "tmpfs", unix.MS_REMOUNT, "size=400m"); err != nil {
				t.Fatal(err)
			}
			n.release("first")
			m = n.use("second", c.volume)[0]
			if got := read(t, filepath.Join(m.Source, "row")); got != "hello" {
				t.Errorf("read %q", got)
			}
			write(t, filepath.Join(m.Source, "row"), "again")
		})
	}
}

func TestARestartedAgentKnowsAVolumeThatFailedMeanwhile(t *testing.T) {
	eachFS(t, func(t *testing.T, n *node, v api.VolumeRequest) {
		m := n.use("first", v)[0]
		n.stop()
		hosttest.ShutDown(t, m.Source)
		n.start()
		n.san.healthy("db", api.HealthShutDown)
		if _, ok, err := host.Mounted(m.Source); err != nil || !ok {
			t.Errorf("it was unmounted under a consumer of the earlier agent: %v", err)
		}
		_, comes := n.isKeptFrom("second", v)
		n.release("first")
		comes()
	})
}

// A container that waits for a failed volume does not use it, also when an agent that did
// not see it come has started meanwhile.
func TestAWaitThatOutlastsTheAgentHoldsNothingUp(t *testing.T) {
	eachFS(t, func(t *testing.T, n *node, v api.VolumeRequest) {
		m := n.use("first", v)[0]
		hosttest.ShutDown(t, m.Source)
		n.san.healthy("db", api.HealthShutDown)
		if _, err := n.agent.Volumes().Acquire(t.Context(), request("second", v)); err != nil {
			t.Fatal(err)
		}
		n.stop()
		n.start()
		n.san.healthy("db", api.HealthShutDown)
		_, comes := n.isKeptFrom("second", v)
		n.release("first")
		write(t, filepath.Join(comes()[0].Source, "row"), "hello")
	})
}

// An answer that did not reach the launch process has handed nothing out.
func TestAContainerThatAsksAgainDoesNotUseTheVolumeYet(t *testing.T) {
	eachFS(t, func(t *testing.T, n *node, v api.VolumeRequest) {
		m := n.use("first", v)[0]
		hosttest.ShutDown(t, m.Source)
		n.san.healthy("db", api.HealthShutDown)
		write(t, filepath.Join(n.use("first", v)[0].Source, "row"), "hello")
	})
}

func TestAReadOnlyVolumeIsMountedAnewForAWriterWhenNothingUsesIt(t *testing.T) {
	eachFS(t, func(t *testing.T, n *node, v api.VolumeRequest) {
		m := n.use("first", v)[0]
		command(t, "mount", "-o", "remount,ro", m.Source)
		n.san.healthy("db", api.HealthReadOnly)
		_, comes := n.isKeptFrom("second", v)
		n.release("first")
		write(t, filepath.Join(comes()[0].Source, "row"), "hello")
		n.san.healthy("db", "")
	})
}

func TestSeveralFailedVolumesAreMountedAnewTogether(t *testing.T) {
	eachFS(t, func(t *testing.T, n *node, v api.VolumeRequest) {
		a, b := v, v
		a.Name, b.Name, b.Key = "a", "b", "other"
		for _, m := range n.use("first", a, b) {
			hosttest.ShutDown(t, m.Source)
		}
		n.san.healthy("a", api.HealthShutDown)
		n.san.healthy("b", api.HealthShutDown)
		n.release("first")
		for _, m := range n.use("second", a, b) {
			write(t, filepath.Join(m.Source, "row"), "hello")
		}
	})
	t.Run("members of a set", func(t *testing.T) {
		n := newSAN(t).node("node-1")
		n.start()
		for _, consumer := range []string{"one", "two"} {
			hosttest.ShutDown(t, n.use(consumer, each("set", 2))[0].Source)
		}
		n.stop()
		n.start()
		n.release("one")
		n.release("two")
		for _, consumer := range []string{"three", "four"} {
			write(t, filepath.Join(n.use(consumer, each("set", 2))[0].Source, "row"), "hello")
		}
	})
}

func TestAVolumeThatIsUnmountedWhileTheAgentIsAwayIsMountedAgain(t *testing.T) {
	eachFS(t, func(t *testing.T, n *node, v api.VolumeRequest) {
		m := n.use("first", v)[0]
		write(t, filepath.Join(m.Source, "row"), "hello")
		clone, err := host.CloneMount(m.Source, m.Device) // as a container has it
		if err != nil {
			t.Fatal(err)
		}
		defer clone.Close()
		n.stop()
		command(t, "umount", "-l", m.Source)
		n.start()
		eventually(t, "it is mounted again", func() error { return isMounted(m.Source, m.Device) })
		n.san.healthy("db", "")
		if got := read(t, filepath.Join(n.use("second", v)[0].Source, "row")); got != "hello" {
			t.Errorf("read %q", got)
		}
	})
}

// A backup program that ended with its container may have left the file system frozen.
func TestAFrozenVolumeIsReleased(t *testing.T) {
	eachFS(t, func(t *testing.T, n *node, v api.VolumeRequest) {
		m := n.use("first", v)[0]
		write(t, filepath.Join(m.Source, "row"), "hello")
		command(t, "fsfreeze", "-f", m.Source)
		n.release("first")
		n.san.released(m.DatasetID)
		if got := read(t, filepath.Join(n.use("second", v)[0].Source, "row")); got != "hello" {
			t.Errorf("read %q", got)
		}
	})
}
