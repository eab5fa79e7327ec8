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
)

// image returns the file that carries a dataset while it is attached nowhere.
func (s *san) image(name string) string {
	s.t.Helper()
	return filepath.Join(s.root, "unattached", string(s.control.Dataset(name).ID))
}

// prepare makes a volume with a row in it and gives it back.
func (n *node) prepare(name string) {
	n.t.Helper()
	m := n.use("first", volume(name))[0]
	write(n.t, filepath.Join(m.Source, "row"), "hello")
	n.release("first")
	n.san.await("volume is given back", func(c *agenttest.Control) bool { return c.Dataset(name).Holder == nil })
}

// refused acquires a volume that must not come, and returns why.
func (n *node) refused(name string) string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	v := n.agent.Volumes()
	if _, err := v.Acquire(ctx, request("second", volume(name))); err != nil {
		n.t.Fatal(err)
	}
	_, err := v.Await(ctx, "second", func(s string) { n.t.Log(s) })
	if api.CodeOf(err) != api.CodeInternal {
		n.t.Fatalf("Await = %v, want a failure that waiting does not mend", err)
	}
	n.san.await("the failure is reported", func(c *agenttest.Control) bool {
		f := c.State(c.Dataset(name).ID).Failure
		return f != nil && f.Attempts > 0 && !f.Since.IsZero() && strings.Contains(err.Error(), f.Cause)
	})
	return err.Error()
}

func TestAVanishedVolumeIsNeverMadeAgain(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	n.prepare("db")
	image, away := s.image("db"), filepath.Join(t.TempDir(), "away")
	if out, err := exec.Command("mv", image, away).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if why := n.refused("db"); !strings.Contains(why, "does not have it") {
		t.Errorf("why = %q", why)
	}
	if _, err := os.Stat(image); err == nil {
		t.Error("the volume was made again")
	}
	if out, err := exec.Command("mv", away, image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	n.release("second")
	m := n.use("third", volume("db"))[0]
	if got := read(t, filepath.Join(m.Source, "row")); got != "hello" {
		t.Errorf("read %q after the volume was brought back", got)
	}
}

func TestATruncatedVolumeIsNotTouched(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	n.prepare("db")
	if err := os.Truncate(s.image("db"), 32<<20); err != nil {
		t.Fatal(err)
	}
	before := read(t, s.image("db"))
	if why := n.refused("db"); !strings.Contains(why, "cut short") {
		t.Errorf("why = %q", why)
	}
	n.release("second")
	s.await("volume is given back", func(c *agenttest.Control) bool { return c.Dataset("db").Holder == nil })
	if read(t, s.image("db")) != before {
		t.Error("the image was changed")
	}
}

func TestADeviceThatIsNotTheVolumeIsNeitherFormattedNorMounted(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, image string)
		want  string
	}{
		{"blank although it was in use", func(t *testing.T, image string) {
			if err := os.Truncate(image, 0); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(image, 64<<20); err != nil {
				t.Fatal(err)
			}
		}, "is blank"},
		{"swap", func(t *testing.T, image string) {
			if err := os.Truncate(image, 0); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(image, 64<<20); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("mkswap", image).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}, "swap"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSAN(t)
			n := s.node("node-1")
			n.start()
			n.prepare("db")
			c.spoil(t, s.image("db"))
			before := read(t, s.image("db"))
			if why := n.refused("db"); !strings.Contains(why, c.want) {
				t.Errorf("why = %q, want %q in it", why, c.want)
			}
			n.release("second")
			s.await("volume is given back", func(c *agenttest.Control) bool { return c.Dataset("db").Holder == nil })
			if read(t, s.image("db")) != before {
				t.Error("the image was changed")
			}
		})
	}
}

func TestAFileSystemThatWasNotUnmountedIsChecked(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	m := n.use("first", volume("db"))[0]
	write(t, filepath.Join(m.Source, "row"), "hello")
	if out, err := exec.Command("sync", "-f", m.Source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// What a machine that loses power leaves behind: the image as it is now.
	id := s.control.Dataset("db").ID
	attached := filepath.Join(s.root, "attached", string(n.id), string(id))
	crashed := filepath.Join(t.TempDir(), "crashed")
	if out, err := exec.Command("cp", "--sparse=always", attached, crashed).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	n.release("first")
	s.await("volume is given back", func(c *agenttest.Control) bool { return c.Dataset("db").Holder == nil })
	if out, err := exec.Command("cp", "--sparse=always", crashed, s.image("db")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m = n.use("second", volume("db"))[0]
	if got := read(t, filepath.Join(m.Source, "row")); got != "hello" {
		t.Errorf("read %q after the crash", got)
	}
}
