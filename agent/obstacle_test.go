package agent_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/host/hosttest"
)

// What holds a volume whose consumers have ended is named, and the volume is released
// when that goes.
func TestWhatHoldsAVolumeIsNamed(t *testing.T) {
	cases := map[string]struct {
		hold, end string
		want      []string
	}{
		"private namespace": {
			hold: "exec unshare -m --propagation private cat",
			want: []string{"it is mounted at $V in mount namespace ", " of process PID (cat, user root)"},
		},
		"tmpfs in the volume": {
			hold: "mkdir $V/cache; mount -t tmpfs none $V/cache; exec cat", end: "umount $V/cache",
			want: []string{"a file system of type tmpfs is mounted on it at $V/cache"},
		},
		"loop device in the volume": {
			hold: "truncate -s 1M $V/disk; losetup -f $V/disk; exec cat", end: "losetup -d $(losetup -n -O NAME -j $V/disk)",
			want: []string{"shows $V/disk (losetup -d /dev/loop"},
		},
		"swap file": {
			hold: "dd if=/dev/zero of=$V/swap bs=1M count=2 2>/dev/null; chmod 600 $V/swap; mkswap $V/swap >/dev/null; swapon $V/swap; exec cat", end: "swapoff $V/swap",
			want: []string{"the kernel swaps to $V/swap"},
		},
		"working directory": {
			hold: "cd $V; exec cat",
			want: []string{"process PID (cat, user root) has its working directory at $V"},
		},
		"mounted elsewhere": {
			hold: "mkdir $V-other; mount --bind $V $V-other; exec cat", end: "umount $V-other",
			want: []string{"it is mounted at $V-other, too"},
		},
		"device open beside a mount": {
			hold: "d=$(findmnt -n -o SOURCE $V); exec unshare -m --propagation private sh -c \"exec 3<$d; exec cat\"",
			want: []string{"it is mounted at $V in mount namespace ", " of process PID (cat, user root)"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSAN(t)
			n := s.node("node-1")
			n.start()
			source := n.use("c", volume("db"))[0].Source
			id := s.control.Dataset("db").ID
			if strings.Contains(c.hold, "-other") {
				c.hold, c.end = strings.ReplaceAll(c.hold, "$V-other", n.dir+"/other"), strings.ReplaceAll(c.end, "$V-other", n.dir+"/other")
				c.want[0] = strings.ReplaceAll(c.want[0], "$V-other", n.dir+"/other")
			}
			cmd := hosttest.Hold(t, strings.ReplaceAll(c.hold, "$V", source))
			n.release("c")
			for _, want := range c.want {
				want = strings.NewReplacer("$V", source, "PID", fmt.Sprint(cmd.Process.Pid)).Replace(want)
				s.await("the state says "+want, func(control *agenttest.Control) bool {
					f := control.State(id).Failure
					return f != nil && strings.Contains(f.Cause, want)
				})
			}
			_, _ = cmd.Process.Kill(), cmd.Wait()
			if c.end != "" {
				if out, err := exec.Command("sh", "-ec", strings.ReplaceAll(c.end, "$V", source)).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			s.released(id)
		})
	}
}
