package system

import (
	"net/http"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
)

// shows waits until flocker volumes show has all the given parts.
func (w *world) shows(name string, parts ...string) string {
	w.t.Helper()
	return w.tells("volumes show "+name, parts...)
}

// What keeps a volume from being released is named to the user, and the volume goes on
// when that has gone.
func TestWhatIsInTheWayIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	one, two := w.Nodes[0], w.Nodes[1]
	from, to := one, two
	id := w.create(one, "app")
	cases := []struct{ name, hold, end, says string }{
		{
			"private namespace", "unshare -m --propagation private sleep 600 >/dev/null 2>&1 & echo $!", "kill $P",
			"it is mounted at /flocker/" + id + " in mount namespace",
		},
		{
			"tmpfs", "mkdir /flocker/$V/cache; mount -t tmpfs none /flocker/$V/cache; echo 1", "umount /flocker/$V/cache",
			"a file system of type tmpfs is mounted on it at /flocker/" + id + "/cache",
		},
		{
			"loop device", "truncate -s 1M /flocker/$V/disk; losetup -f --show /flocker/$V/disk", "losetup -d $P",
			"shows /flocker/" + id + "/disk (losetup -d /dev/loop",
		},
		{
			"swap file", "dd if=/dev/zero of=/flocker/$V/swap bs=1M count=2 2>/dev/null; chmod 600 /flocker/$V/swap; mkswap /flocker/$V/swap >/dev/null; " +
				"swapon /flocker/$V/swap; echo 1", "swapoff /flocker/$V/swap",
			"the kernel swaps to /flocker/" + id + "/swap (swapoff /flocker/" + id + "/swap frees it",
		},
	}
	for _, c := range cases {
		w.until("it is mounted on "+from.Name, func() error { return w.mountedOn(id, from) })
		held := strings.TrimSpace(w.inside(from, strings.ReplaceAll(c.hold, "$V", id)))
		w.call(http.MethodPost, "/v1/configuration/datasets/"+id, map[string]any{"primary": to.ID})
		out := w.shows("app", "in use: ", c.says)
		t.Logf("%s:\n%s", c.name, out)
		w.inside(from, strings.NewReplacer("$V", id, "$P", held).Replace(c.end))
		w.until("it is mounted on "+to.Name, func() error { return w.mountedOn(id, to) })
		from, to = to, from
	}
	w.call(http.MethodDelete, "/v1/configuration/datasets/"+id, nil)
	w.idle()
}
