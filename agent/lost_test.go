package agent_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/agent/agenttest"
)

// shell runs a script on files of the test.
func shell(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

// loopsOf returns the loop devices whose file is, or was, below a directory.
func loopsOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		if data, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(data), dir+"/") {
			found = append(found, string(data))
		}
	}
	return found
}

// What an operator does to the image of a mounted volume is told, the data stays usable,
// and it is well again when the operator has undone it.
func TestImageOfAMountedVolumeIsTakenAway(t *testing.T) {
	cases := map[string]struct {
		damage, cure string
		says         string // of the failure while it is mounted
		after        string // of the second use, when nothing was cured; "" where it works
	}{
		"deleted":             {damage: "rm $I", says: "its image $I was deleted while it is attached here", after: "does not have it"},
		"renamed":             {damage: "mv $I $I.bak", cure: "mv $I.bak $I", says: "its image was moved to $I.bak while it is attached here. Move it back: mv $I.bak $I", after: "does not have it"},
		"moved to unattached": {damage: "mv $I $U", cure: "mv $U $I", says: "its image was moved to $U while it is attached here. Move it back: mv $U $I"},
		"replaced":            {damage: "cp --sparse=always $I $I.new; mv $I.new $I", says: "its image $I was replaced by another file while it is attached here"},
		"replaced by nothing": {damage: "truncate -s 64M $I.new; mv $I.new $I", says: "its image $I was replaced by another file", after: "is blank"},
		"cut short":           {damage: "truncate -s 32M $I", cure: "truncate -s 64M $I", says: "it was cut short", after: "it was cut short"},
		"storage covered":     {damage: "mount -t tmpfs none $R", cure: "umount $R", says: "the storage is gone"},
	}
	for name, c := range cases {
		for _, cured := range []bool{false, true} {
			for _, restart := range []bool{false, true} {
				if cured && c.cure == "" || !cured && name == "storage covered" || restart && (cured || name == "storage covered") {
					continue
				}
				kind := map[bool]string{false: "", true: ", cured"}[cured] + map[bool]string{false: "", true: ", agent restarts"}[restart]
				t.Run(name+kind, func(t *testing.T) {
					s := newSAN(t)
					n := s.node("node-1")
					n.start()
					m := n.use("first", volume("db"))[0]
					write(t, filepath.Join(m.Source, "row"), "hello")
					id := s.control.Dataset("db").ID
					s.await("it is registered", func(c *agenttest.Control) bool { return c.Get(id).Volume != nil })
					here := filepath.Join(s.root, "attached", "node-1", string(id))
					texts := strings.NewReplacer("$I", here, "$U", filepath.Join(s.root, "unattached", string(id)), "$R", s.root)
					shell(t, "sync; "+texts.Replace(c.damage))
					if restart {
						n.stop()
						n.start()
					}
					s.await("the failure says what was done", func(control *agenttest.Control) bool {
						f := control.State(id).Failure
						return f != nil && strings.Contains(f.Cause, texts.Replace(c.says))
					})
					write(t, filepath.Join(m.Source, "row2"), "still writable")
					if got := read(t, filepath.Join(m.Source, "row")); got != "hello" {
						t.Errorf("the row is %q", got)
					}
					if cured {
						shell(t, texts.Replace(c.cure))
						s.await("it is well again", func(control *agenttest.Control) bool { return control.State(id).Failure == nil })
						n.use("second", volume("db"))
						n.release("second")
						n.release("first")
						s.released(id)
						return
					}
					n.release("first")
					s.released(id)
					if left := loopsOf(t, s.root); len(left) > 0 {
						t.Errorf("loop devices are left: %q", left)
					}
					if c.after == "" {
						n.use("second", volume("db"))
						n.release("second")
						s.released(id)
						return
					}
					if why := n.refused("db"); !strings.Contains(why, c.after) {
						t.Errorf("the second use is refused: %q, want %q", why, c.after)
					}
					if c.after == "does not have it" {
						if _, err := os.Stat(texts.Replace("$U")); err == nil {
							t.Error("the volume was made again")
						}
					}
				})
			}
		}
	}
}

// A container that comes while the image is gone does not start on data that is about
// to be lost.
func TestNoNewConsumerOfALostVolume(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	n.use("first", volume("db"))
	id := s.control.Dataset("db").ID
	here := filepath.Join(s.root, "attached", "node-1", string(id))
	shell(t, "mv "+here+" "+here+".bak")
	s.await("the failure is told", func(control *agenttest.Control) bool { return control.State(id).Failure != nil })
	if _, err := n.agent.Volumes().Acquire(t.Context(), request("second", volume("db"))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := n.agent.Volumes().Await(ctx, "second", func(text string) {
		if !strings.Contains(text, "was moved to "+here+".bak") {
			t.Errorf("the consumer hears %q", text)
		}
		cancel()
	})
	if err == nil {
		t.Error("the second consumer got the volume")
	}
	shell(t, "mv "+here+".bak "+here)
	n.use("second", volume("db"))
	n.release("first")
	n.release("second")
	s.released(id)
}
