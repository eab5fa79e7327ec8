package host_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
	"github.com/flocker-mesos/flocker/host/hosttest"
)

// held is a volume for which holders are made.
type held struct {
	device host.Device
	target string
	number uint64
}

func newHeld(t *testing.T) held {
	t.Helper()
	dev := newDevice(t, 64*mib)
	format(t, dev, "ext4")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("held", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmount(t, dir) })
	target := filepath.Join(dir, "volume")
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := host.Mount(dev.Path, target, "ext4", 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmount(t, target) })
	return held{dev, target, deviceNumber(t, dev)}
}

func (h held) find(t *testing.T, mounted bool) host.Finding {
	t.Helper()
	return new(host.HolderSearch).Find(t.Context(), host.Subject{Device: h.number, Path: h.device.Path, Target: h.target, Mounted: mounted})
}

// What keeps a file system from being unmounted is named, whatever it is.
func TestHoldersOfAMount(t *testing.T) {
	cases := map[string]struct {
		hold, release string
		want          []string // PID is the process of hold
	}{
		"open file": {hold: "exec 3>$V/open; exec cat", want: []string{"process PID (cat, user root) has $V/open open"}},
		"working directory": {
			hold: "mkdir $V/dir; cd $V/dir; exec cat",
			want: []string{"process PID (cat, user root) has its working directory at $V/dir"},
		},
		"program": {
			hold: "cp $(command -v cat) $V/program; exec $V/program",
			want: []string{"process PID (program, user root) runs the program $V/program"},
		},
		"user": {
			hold: "chmod 777 $V; cd $V; exec setpriv --reuid=4711 --clear-groups cat",
			want: []string{"process PID (cat, user 4711) has its working directory at $V"},
		},
		"nested mount": {
			hold: "mkdir $V/cache; mount -t tmpfs none $V/cache; exec cat", release: "umount $V/cache",
			want: []string{"a file system of type tmpfs is mounted on it at $V/cache (unmount that first)"},
		},
		"bind mount within": {
			hold: "mkdir $V/a $V/b; mount --bind $V/a $V/b; exec cat", release: "umount $V/b",
			want: []string{"a file system of type ext4 is mounted on it at $V/b"},
		},
		"loop device": {
			hold: "truncate -s 1M $V/disk; losetup -f --show $V/disk >$V/../loop; exec cat", release: "losetup -d $(cat $V/../loop)",
			want: []string{"loop device /dev/loop", "shows $V/disk (losetup -d /dev/loop"},
		},
		"swap file": {
			hold: "dd if=/dev/zero of=$V/swap bs=1M count=2 2>/dev/null; chmod 600 $V/swap; mkswap $V/swap >/dev/null; swapon $V/swap; exec cat", release: "swapoff $V/swap",
			want: []string{"the kernel swaps to $V/swap (swapoff $V/swap frees it; if that fails with an I/O error, only a restart of the machine does)"},
		},
		"hostile names": {
			hold: "p=\"$V/$(printf 'a\\n\\033[31m (user root); all is well')\"; exec 3>\"$p\"; cp $(command -v cat) \"$V/../x); fine (y\"; exec \"$V/../x); fine (y\"",
			want: []string{`(x?? fine ?y, user root) has "$V/a\n\x1b[31m (user root); all is well" open`},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHeld(t)
			script := func(s string) string { return strings.ReplaceAll(s, "$V", h.target) }
			cmd := hosttest.Hold(t, script(c.hold))
			release := func() {
				_, _ = cmd.Process.Kill(), cmd.Wait()
				if c.release != "" {
					run(t, "sh", "-ec", script(c.release))
				}
			}
			err := unix.Unmount(h.target, 0)
			found := h.find(t, true)
			text := found.Text()
			if err == nil { // then the rest of the test has no meaning
				t.Error("the volume could be unmounted")
			}
			for _, want := range c.want {
				if want = strings.ReplaceAll(script(want), "PID", fmt.Sprint(cmd.Process.Pid)); !strings.Contains(text, want) {
					t.Errorf("found %q, want %q in it", text, want)
				}
			}
			if strings.ContainsAny(text, "\n\x1b") {
				t.Errorf("%q has control characters", text)
			}
			release()
			if got := h.find(t, true); len(got.Holders) > 0 {
				t.Errorf("found %q when all have gone", got.Text())
			}
		})
	}
}

// What keeps a device in use that this machine has unmounted.
func TestHoldersOfADevice(t *testing.T) {
	cases := map[string]struct {
		before, after string // hold, before or after the unmount
		release       string
		want          []string
	}{
		"private namespace": {
			before: "exec unshare -m --propagation private cat",
			want:   []string{"it is mounted at $V in mount namespace ", " of process PID (cat, user root)"},
		},
		"namespace without a process": {
			// A namespace can be mounted in those alone that have a lower number. Linux 6.18
			// gives each processor a range of numbers.
			before: "touch /tmp/ns.$$; for c in $(seq 0 $(($(nproc) - 1))); do " +
				"taskset -c $c unshare -m --propagation private sleep 60 & p=$!; " +
				"until [ \"$(cat /proc/$p/comm)\" = sleep ]; do :; done; " +
				"mount --bind /proc/$p/ns/mnt /tmp/ns.$$ && mounted=yes; kill $p; wait $p || true; " +
				"if [ \"$mounted\" ]; then break; fi; done; exec cat",
			release: "umount /tmp/ns.PID; rm /tmp/ns.PID",
			want:    []string{"it is mounted at $V in mount namespace ", "which the mount at /tmp/ns.PID keeps"},
		},
		"mounted elsewhere": {
			before: "mkdir $V/../other; mount --bind $V $V/../other; exec cat", release: "umount $V/../other",
			want: []string{"it is mounted at $P/other, too (unmount that first)"},
		},
		"overlay": {
			before:  "mkdir $V/up $V/work $V/../low $V/../merged; mount -t overlay none -o lowerdir=$V/../low,upperdir=$V/up,workdir=$V/work $V/../merged; exec cat",
			release: "umount $V/../merged",
			want:    []string{"the overlay mounted at $P/merged has a layer in it"},
		},
		"open device": {
			after: "exec 3<>$D; exec cat",
			want:  []string{"process PID (cat, user root) has the device $D open"},
		},
		"loop device on it": {
			after: "losetup -f --show $D >$V/../loop; exec cat", release: "losetup -d $(cat $V/../loop)",
			want: []string{"loop device /dev/loop", "shows $D (losetup -d"},
		},
		"swap on it": {
			after: "mkswap $D >/dev/null; swapon $D; exec cat", release: "swapoff $D",
			want: []string{"the kernel swaps to $D (swapoff $D frees it; if that fails with an I/O error, only a restart of the machine does)"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHeld(t)
			script := func(s string) string {
				return strings.NewReplacer("$V", h.target, "$D", h.device.Path, "$P", filepath.Dir(h.target)).Replace(s)
			}
			var cmd *exec.Cmd
			if c.before != "" {
				cmd = hosttest.Hold(t, script(c.before))
			}
			unmount(t, h.target)
			if c.after != "" {
				cmd = hosttest.Hold(t, script(c.after))
			}
			process := strings.NewReplacer("PID", fmt.Sprint(cmd.Process.Pid))
			text := h.find(t, false).Text()
			for _, want := range c.want {
				if want = process.Replace(script(want)); !strings.Contains(text, want) {
					t.Errorf("found %q, want %q in it", text, want)
				}
			}
			_, _ = cmd.Process.Kill(), cmd.Wait()
			if c.release != "" {
				run(t, "sh", "-ec", process.Replace(script(c.release)))
			}
			if got := h.find(t, false); len(got.Holders) > 0 {
				t.Errorf("found %q when all have gone", got.Text())
			}
		})
	}
}

// A mapped file needs no descriptor, and a search that has found nothing looks there.
func TestHolderOfAMappedFile(t *testing.T) {
	h := newHeld(t)
	unmap := mapFile(t, filepath.Join(h.target, "mapped"))
	want := fmt.Sprintf("process %d (host.test, user root) has %s/mapped mapped into its memory", os.Getpid(), h.target)
	if text := h.find(t, true).Text(); text != want {
		t.Errorf("found %q, want %q", text, want)
	}
	unmap()
}

// The kernel tells when a holder has gone.
func TestWatchReturnsWhenAHolderGoes(t *testing.T) {
	cases := map[string]struct{ hold, end string }{
		"process ends":             {"exec 3>$V/open; exec cat", "kill PID"},
		"nested mount is taken":    {"mkdir $V/cache; mount -t tmpfs none $V/cache; exec cat", "umount $V/cache"},
		"unmounted in a namespace": {"exec unshare -m --propagation private sh -c 'mount -t tmpfs none $V; exec cat'", "nsenter -t PID -m umount $V"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHeld(t)
			cmd := hosttest.Hold(t, strings.ReplaceAll(c.hold, "$V", h.target))
			found := h.find(t, name != "unmounted in a namespace")
			if len(found.Holders) == 0 {
				t.Fatal("nothing found")
			}
			ctx, cancel := context.WithCancel(t.Context())
			watched := make(chan error, 1)
			go func() { watched <- found.Watch(ctx) }()
			run(t, "sh", "-ec", strings.NewReplacer("$V", h.target, "PID", fmt.Sprint(cmd.Process.Pid)).Replace(c.end))
			if err := <-watched; err != nil {
				t.Errorf("Watch = %v", err)
			}
			cancel()
			_, _ = cmd.Process.Kill(), cmd.Wait()
		})
	}
	t.Run("context ends", func(t *testing.T) {
		h := newHeld(t)
		hosttest.Hold(t, "exec 3>"+h.target+"/open; exec cat")
		found := h.find(t, true)
		ctx, cancel := context.WithCancel(t.Context())
		watched := make(chan error, 1)
		go func() { watched <- found.Watch(ctx) }()
		cancel()
		if err := <-watched; err == nil {
			t.Error("Watch says that a holder has gone")
		}
	})
}
