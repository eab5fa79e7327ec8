package agent_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/agent"
	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
)

// consumerFile returns the file of a consumer.
func (n *node) consumerFile(consumer string) string {
	n.t.Helper()
	found, err := filepath.Glob(filepath.Join(n.config.StateDir, "consumers", "*", consumer+".json"))
	if err != nil || len(found) != 1 {
		n.t.Fatalf("files of consumer %s: %v, %v", consumer, found, err)
	}
	return found[0]
}

// TestWhatAnUnreadableConsumerFileStandsForStaysMounted has three volumes in use,
// one of whose users ends while no agent is there and one of whose files is damaged.
func TestWhatAnUnreadableConsumerFileStandsForStaysMounted(t *testing.T) {
	garble := func(path string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, data[:len(data)/2], 0o600)
	}
	for _, tt := range []struct {
		what   string
		damage func(path string) error
		named  bool // what the file names can be told
	}{
		{"cut short", garble, false},
		{"empty", func(path string) error { return os.Truncate(path, 0) }, false},
		{"link", func(path string) error {
			return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path))
		}, false},
		{"pipe", func(path string) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)) }, false},
		{"directory", func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, false},
		{"writable for others", func(path string) error { return os.Chmod(path, 0o666) }, true},
		{"checksum wrong", func(path string) error {
			data, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, []byte(strings.Replace(string(data), "/test", "/tent", 1)), 0o600))
		}, true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			s := newSAN(t)
			n := s.node("node-1")
			n.start()
			damaged := n.use("damaged", volume("db"))[0]
			ended := n.use("ended", volume("log"))[0]
			sound := n.use("sound", volume("www"))[0]
			write(t, filepath.Join(damaged.Source, "row"), "hello")
			n.stop()
			if err := errors.Join(tt.damage(n.consumerFile("damaged")), os.Remove(n.consumerFile("ended"))); err != nil {
				t.Fatal(err)
			}
			n.start()
			s.await("the unreadable file shows as a consumer", func(c *agenttest.Control) bool {
				for _, user := range c.State(damaged.DatasetID).Consumers {
					if user.ID == "damaged" && user.SetAside != "" {
						return true
					}
				}
				return false
			})
			if tt.named {
				s.await("what no file names is given back", func(c *agenttest.Control) bool { return c.Dataset("log").Holder == nil })
			} else {
				n.release("sound")
				n.hears()
				for _, m := range []api.Mount{ended, sound} {
					if phase := s.control.State(m.DatasetID).Phase; phase != api.PhaseMounted {
						t.Errorf("volume %s is %s, though a file that cannot be read may name it", m.Name, phase)
					}
				}
			}
			if got := read(t, filepath.Join(damaged.Source, "row")); got != "hello" {
				t.Errorf("read %q", got)
			}
			file := n.asideFile(t)
			n.stop()
			n.start() // a further start knows what was set aside
			s.await("it is a consumer again", func(c *agenttest.Control) bool { return len(c.State(damaged.DatasetID).Consumers) > 0 })
			if err := os.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
			s.await("all is given back when the file is removed", func(c *agenttest.Control) bool {
				return c.Dataset("db").Holder == nil && c.Dataset("log").Holder == nil
			})
		})
	}
}

func (n *node) asideFile(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(n.config.StateDir, "consumers", "aside-*", "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("set aside: %v, %v", found, err)
	}
	return found[0]
}

// TestTheEndOfAContainerWhoseFileWasSetAsideIsTheEnd has Mesos say that it ended.
func TestTheEndOfAContainerWhoseFileWasSetAsideIsTheEnd(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	n.use("c1", volume("db"))
	n.stop()
	if err := os.Truncate(n.consumerFile("c1"), 10); err != nil {
		t.Fatal(err)
	}
	n.start()
	n.hears()
	n.release("c1")
	s.await("the volume is given back", func(c *agenttest.Control) bool { return c.Dataset("db").Holder == nil })
	if found, _ := filepath.Glob(filepath.Join(n.config.StateDir, "consumers", "aside-*", "*")); len(found) != 0 {
		t.Errorf("the file is still there: %v", found)
	}
}

// TestAConsumerWhoseFileWasSetAsideCanAskAgain is what CSI does for each container.
func TestAConsumerWhoseFileWasSetAsideCanAskAgain(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	n.use("c1", volume("db"))
	n.use("c2", volume("log"))
	n.stop()
	if err := os.Truncate(n.consumerFile("c1"), 10); err != nil {
		t.Fatal(err)
	}
	n.start()
	n.use("c1", volume("db"))
	n.release("c2")
	s.await("the other volume is given back", func(c *agenttest.Control) bool { return c.Dataset("log").Holder == nil })
	n.release("c1")
}

func TestAnAgentRefusesAStateDirectoryThatOthersCanWrite(t *testing.T) {
	for what, make := range map[string]func(n *node, dir string) error{
		"writable for all": func(_ *node, dir string) error { return os.Chmod(dir, 0o777) },
		"of another user":  func(_ *node, dir string) error { return os.Chown(dir, 1000, 1000) },
		"parent": func(_ *node, dir string) error {
			return os.Chmod(filepath.Dir(dir), 0o777)
		},
		"consumers are a link": func(_ *node, dir string) error { return os.Symlink(t.TempDir(), filepath.Join(dir, "consumers")) },
	} {
		s := newSAN(t)
		n := s.node("node-1")
		if err := errors.Join(os.MkdirAll(n.config.StateDir, 0o700), make(n, n.config.StateDir)); err != nil {
			t.Fatal(err)
		}
		if _, err := agent.New(t.Context(), n.config, agent.Deps{Log: slog.New(slog.NewTextHandler(t.Output(), nil))}); err == nil || !strings.Contains(err.Error(), filepath.Dir(n.config.StateDir)) {
			t.Errorf("%s: New = %v, want a refusal that names the directory", what, err)
		}
	}
}
