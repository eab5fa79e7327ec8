package system

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/mesos"
)

const (
	sigStop = syscall.SIGSTOP
	sigCont = syscall.SIGCONT
)

// inside runs a shell script on a node.
func (w *world) inside(n *cluster.Node, script string) string {
	w.t.Helper()
	out, err := n.Command(w.t.Context(), "sh", "-ec", script).Output()
	w.must(err)
	return out
}

// complains waits until a task says why it does not start, in words that have
// all the given parts.
func (w *world) complains(r *mesos.Run, parts ...string) {
	w.t.Helper()
	w.until(fmt.Sprintf("task %s complains of %q", r.Task.ID, parts), func() error {
		text := strings.ToLower(r.Stderr() + r.Last().Message)
		for _, p := range parts {
			if !strings.Contains(text, strings.ToLower(p)) {
				return fmt.Errorf("it is %+v and says %q", r.Last(), r.Stderr())
			}
		}
		return nil
	})
}

// The storage may come back: until then the task waits and says why, and then
// it starts.
func TestStorageThatIsAwayForAWhile(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ damage, repair, says string }{
		"full": {
			damage: "mount -t tmpfs -o size=80k san %[1]s; cp -a /var/tmp/san/. %[1]s; " +
				"dd if=/dev/zero of=%[1]s/fill bs=1k 2>/dev/null || true",
			repair: "rm %[1]s/fill; mount -o remount,size=1G %[1]s",
			says:   "cannot",
		},
		"read-only": {
			damage: "mount -o remount,bind,ro %[1]s",
			repair: "mount -o remount,bind,rw %[1]s",
			says:   "read-only",
		},
		"gone": {
			damage: "mount -t tmpfs san %[1]s",
			repair: "umount %[1]s",
			says:   "cannot",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, cluster.Options{Nodes: 1})
			n := w.Nodes[0]
			w.inside(n, fmt.Sprintf("mkdir /var/tmp/san; cp -a %s/. /var/tmp/san", w.Lab.SAN))
			w.inside(n, fmt.Sprintf(c.damage, w.Lab.SAN))
			r := w.launch(n, ledger("app"))
			w.complains(r, "flocker:", c.says)
			w.inside(n, fmt.Sprintf(c.repair, w.Lab.SAN))
			w.says(r, "ready")
			w.end(r)
			w.idle()
		})
	}
}

// What would risk data is refused, and left as it is.
func TestVolumeThatIsNotWhatItShouldBeIsNeverTouched(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		damage func(w *world, image string)
		says   []string
	}{
		"truncated": {
			damage: func(w *world, image string) { w.must(os.Truncate(image, 32<<20)) },
		},
		"overwritten by swap": {
			damage: func(w *world, image string) {
				w.must(os.Truncate(image, 0))
				w.must(os.Truncate(image, 64<<20))
				w.inside(w.Nodes[0], "mkswap "+image)
			},
		},
		"overwritten by zeros": {
			damage: func(w *world, image string) {
				w.must(os.Truncate(image, 0))
				w.must(os.Truncate(image, 64<<20))
			},
		},
		"vanished": {
			damage: func(w *world, image string) { w.must(os.Remove(image)) },
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, cluster.Options{Nodes: 1})
			n := w.Nodes[0]
			r := w.ready(n, ledger("app"))
			w.end(r)
			w.idle()
			image := filepath.Join(w.Lab.SAN, "unattached", w.dataset("app"))
			c.damage(w, image)
			before := fingerprint(image)

			r = w.launch(n, ledger("app"))
			w.complains(r, append([]string{"app"}, c.says...)...)
			r.Kill()
			w.ended(r)
			if r.Printed("ready") {
				t.Error("the task got a volume")
			}
			w.until("the image is left alone", func() error {
				if after := fingerprint(image); after != before {
					return fmt.Errorf("it was %s and is %s", before, after)
				}
				return nil
			})
			w.idle()
		})
	}
}

// fingerprint tells whether an image was changed.
func fingerprint(image string) string {
	data, err := os.ReadFile(image)
	if err != nil {
		return "absent"
	}
	sum := uint64(14695981039346656037)
	for _, b := range data {
		sum = (sum ^ uint64(b)) * 1099511628211
	}
	return fmt.Sprintf("%d bytes, %x", len(data), sum)
}

func TestForeignSignatureOnANewVolumeIsNeverFormatted(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	w.must(w.Control.Start(w.ctx()))
	// The agent dies when it has made the volume, before it looks at it.
	w.must(n.Start(w.ctx(), "FLOCKER_FAULT=agent.created"))
	w.must(n.StartMesos())
	w.must(n.AwaitConnected(w.ctx()))
	r := w.launch(n, ledger("app"))
	select {
	case <-n.Agent.Exited():
	case <-w.ctx().Done():
		t.Fatal("the agent did not come by agent.created")
	}
	images, err := filepath.Glob(filepath.Join(w.Lab.SAN, "unattached", "*-*"))
	if err != nil || len(images) != 1 {
		t.Fatalf("images are %q, %v", images, err)
	}
	w.inside(n, "mkswap "+images[0])
	before := fingerprint(images[0])
	w.must(n.Start(w.ctx()))
	w.must(n.AwaitConnected(w.ctx()))
	if r.Last().State == mesos.StateFailed { // the agent died before it had answered
		r = w.launch(n, ledger("app"))
	}
	w.complains(r, "swap")
	r.Kill()
	w.ended(r)
	w.idle()
	if after := fingerprint(images[0]); after != before {
		t.Errorf("the image was %s and is %s", before, after)
	}
}

func TestFailingMkfsIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	w.inside(n, `printf '#!/bin/sh\necho "out of ink" >&2; exit 1\n' >/var/tmp/mkfs; chmod +x /var/tmp/mkfs
		mount --bind /var/tmp/mkfs $(readlink -f /usr/sbin/mkfs.ext4)`)
	r := w.launch(n, ledger("app"))
	w.complains(r, "out of ink")
	w.inside(n, "umount $(readlink -f /usr/sbin/mkfs.ext4)")
	w.says(r, "ready")
	w.end(r)
	w.idle()
}

func TestMountRootWithFilesIsRefused(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	w.must(os.MkdirAll(n.Path("/flocker/precious"), 0o755))
	w.must(w.Control.Start(w.ctx()))
	w.must(n.Start(w.ctx()))
	if err := n.Agent.Wait(w.ctx()); err == nil || !strings.Contains(n.Agent.Output(), "precious") {
		t.Errorf("the agent ended with %v and said %s", err, n.Agent.Output())
	}
}

func TestGarbledJournalStopsNothing(t *testing.T) {
	t.Parallel()
	for name, garble := range map[string]func(string) error{
		"truncated": func(f string) error { return os.Truncate(f, 10) },
		"empty":     func(f string) error { return os.Truncate(f, 0) },
		"garbled":   func(f string) error { return os.WriteFile(f, []byte("\x00\xff{}"), 0o600) },
		"link":      func(f string) error { return errors.Join(os.Remove(f), os.Symlink("/etc/passwd", f)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, cluster.Options{Nodes: 1})
			n := w.Nodes[0]
			r := w.launch(n, ledger("app"))
			w.says(r, "ready")
			n.Agent.Kill()
			files, err := filepath.Glob(n.Path("/var/lib/flocker/agent/consumers/*/*"))
			if err != nil || len(files) != 1 {
				t.Fatalf("consumers are %q, %v", files, err)
			}
			w.must(garble(files[0]))
			w.must(n.Start(w.ctx()))
			w.must(n.AwaitConnected(w.ctx()))
			w.until("the volume is explained by the file that was set aside", func() error {
				out, err := w.Flocker(w.ctx(), "volumes", "show", "app")
				if err != nil || !strings.Contains(out, filepath.Join("consumers", "aside-")) {
					return fmt.Errorf("it says %s, %w", out, err)
				}
				return nil
			})
			other := w.launch(n, ledger("other"))
			w.says(other, "ready")
			if loops, err := lab.Loops(w.Lab.SAN); err != nil || len(loops) != 2 {
				t.Errorf("loop devices are %v, %v, want those of both tasks", loops, err)
			}
			if r.Last().State != mesos.StateRunning {
				t.Errorf("the task is %+v", r.Last())
			}
			w.end(r)
			w.end(other)
			w.idle() // Mesos has said that the container has ended
		})
	}
}

func TestAgentDownIsAClearErrorAndNoHang(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	n.Agent.Kill()
	r := w.launch(n, ledger("app"))
	if u := w.ended(r); u.State != mesos.StateFailed || !strings.Contains(r.Stderr(), "the flocker agent does not answer") {
		t.Errorf("task is %+v, its stderr %q, want it to name the agent at the end of its limit", u, r.Stderr())
	}
	w.must(n.Start(w.ctx()))
	w.idle()
}
