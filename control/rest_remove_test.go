package control_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control"
)

func TestNodesAreRemoved(t *testing.T) {
	w := newWorld(t, func(c *control.Config) { c.Heartbeat = 200 * time.Millisecond })
	c := w.raw()
	w.connect(nodeB)
	s, _ := w.connect(nodeA)
	path := "/v1/nodes/" + nodeA
	c.want("DELETE", path, "", 409, `{"code":"conflict","description":"the agent of node host-4b2f is connected since *: stop the agent*`)
	c.want("DELETE", "/v1/nodes/"+dataset1, "", 404, `{"code":"not-found",*`)
	if _, err := w.user().AcquireLease(t.Context(), dataset2, nodeA, 0); err != nil {
		t.Fatal(err)
	}
	watch := w.watching("", "")
	_ = s.Close()
	eventually(t, "node a is disconnected", func() bool { return !w.node(nodeA).Connected })
	for _, cn := range []string{"reader-dashboard", "tenant-team"} {
		w.rawAs(cn).want("DELETE", path, "", 403, `{"code":"forbidden",*`)
	}
	if n, err := w.user().RemoveNode(t.Context(), nodeA, false); err != nil || n.ID != nodeA || n.Hostname != "host-4b2f" || n.Agent != "" {
		t.Fatalf("got %+v, %v", n, err)
	}
	watch.want(api.EventNodeGone, nodeA)
	if _, text := c.do("GET", "/v1/nodes", ""); strings.Contains(text, nodeA) || !strings.Contains(text, nodeB) {
		t.Errorf("got %s", text)
	}
	c.want("GET", path, "", 404, `*`)
	c.want("GET", "/v1/state/nodes/by_era/"+hello(nodeA).Era, "", 404, `*`)
	c.want("GET", leases, "", 200, `[]`)
	c.want("DELETE", path, "", 404, `*`)

	w.connect(nodeA) // as for the first time
	c.want("GET", path, "", 200, `{"uuid":"`+nodeA+`"*"connected":true*`)
}
