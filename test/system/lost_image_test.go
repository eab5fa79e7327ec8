package system

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// image finds where the storage has the image of a volume, by a node's instance.
func (w *world) image(n *cluster.Node, id string) string {
	w.t.Helper()
	return strings.TrimSpace(w.inside(n, fmt.Sprintf("ls %s/attached/*/%s", w.Lab.SAN, id)))
}

// An operator deletes the image of a volume that is in use. The user reads what has
// happened, and saves the data in the way that the documentation describes.
func TestDeletedImageOfAVolumeInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	one, two := w.Nodes[0], w.Nodes[1]
	id := w.create(one, "app")
	w.until("it is mounted", func() error { return w.mountedOn(id, one) })
	r := w.launch(one, ledger("app"))
	w.says(r, "ready")
	image := w.image(one, id)
	w.inside(one, "rm "+image)
	out := w.shows("app", "Status failing", "its image "+image+" was deleted while it is attached here", "has the data until it is detached")
	t.Logf("flocker volumes show:\n%s", out)
	if r.Last().State != mesos.StateRunning {
		t.Errorf("the task is %+v", r.Last())
	}

	w.lease(id, one, nil)
	w.end(r)
	device := strings.TrimSpace(w.inside(one, "findmnt -n -o SOURCE /flocker/"+id))
	w.inside(one, fmt.Sprintf("fsfreeze -f /flocker/%[1]s && cp --sparse=always %[2]s %[3]s; fsfreeze -u /flocker/%[1]s", id, device, image))
	w.shows("app", "was replaced by another file")
	w.call(http.MethodDelete, leases+"/"+id, nil)
	w.call(http.MethodPost, "/v1/configuration/datasets/"+id, map[string]any{"primary": two.ID})
	w.until("it is mounted on the other node", func() error { return w.mountedOn(id, two) })
	r = w.launch(two, ledger("app"))
	w.says(r, "verified 1")
	w.end(r)
	w.call(http.MethodDelete, "/v1/configuration/datasets/"+id, nil)
	w.idle()
}

// A volume whose image was deleted and that was not saved is lost, and no loop device,
// mount or new volume is left of it.
func TestDeletedImageIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	r := w.launch(n, ledger("app"))
	w.says(r, "ready")
	id := w.dataset("app")
	w.inside(n, "rm "+w.image(n, id))
	w.shows("app", "was deleted while it is attached here")
	w.end(r)
	w.idle() // a task that comes before the volume is detached waits for it in vain
	again := w.launch(n, ledger("app"))
	w.complains(again, "does not have it", "it is never made again")
	w.end(again)
	w.call(http.MethodDelete, "/v1/configuration/datasets/"+id, nil)
	w.idle()
}

// A container's own /dev gets no files for new loop devices.
func TestAgentWithAStaticDev(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	w.inside(n, "mkdir /tmp/dev; mount -t tmpfs -o mode=755 dev /tmp/dev; cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/loop-control /tmp/dev; "+
		"mount --bind /tmp/dev /dev")
	r := w.launch(n, ledger("app"))
	w.says(r, "ready")
	w.end(r)
	w.idle()
	w.inside(n, "rm -f /dev/loop[0-9]*; mount -o remount,bind,ro /dev")
	r = w.launch(n, ledger("app"))
	w.shows("app", "is missing: the kernel has the device, but /dev is no devtmpfs", "run mknod -m 600 /dev/loop")
	w.inside(n, "mount -o remount,bind,rw /dev")
	w.says(r, "verified 1")
	w.end(r)
	w.idle()
}
