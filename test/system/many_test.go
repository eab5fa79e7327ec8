package system

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
)

// A thousand volumes on one node: all come, all survive a crash of the agent,
// and all go.
func TestThousandVolumes(t *testing.T) {
	t.Parallel()
	const consumers, each = 50, 20
	w := newWorld(t, cluster.Options{Nodes: 1, Agent: map[string]string{"wait-limit": "5m"}})
	n := w.Nodes[0]
	ctx := t.Context()
	name := func(i int) string { return fmt.Sprint("consumer-", i) }
	for i := range consumers {
		acquire := &api.AcquireRequest{Consumer: name(i), Kind: "test"}
		for j := range each {
			acquire.Volumes = append(acquire.Volumes, api.VolumeRequest{
				Key: fmt.Sprint("v", j), Name: fmt.Sprintf("volume-%d-%d", i, j), Size: api.MinSize,
			})
		}
		if _, err := n.Ask(ctx, api.LocalRequest{Acquire: acquire}); err != nil {
			t.Fatal(err)
		}
	}
	await := func() {
		for i := range consumers {
			reply, err := n.Ask(ctx, api.LocalRequest{Await: &api.AwaitRequest{Consumer: name(i)}})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range reply.Mounts {
				if !m.Ready {
					t.Errorf("volume %s is not ready", m.Name)
				}
			}
		}
	}
	await()
	n.Agent.Kill()
	w.must(n.Start(w.ctx()))
	w.must(n.AwaitConnected(w.ctx()))
	await()
	loops, err := lab.Loops(w.Lab.SAN)
	if err != nil || len(loops) != consumers*each {
		t.Errorf("%d loop devices, %v, want %d", len(loops), err, consumers*each)
	}
	for i := range consumers {
		if _, err := n.Ask(ctx, api.LocalRequest{Release: &api.ReleaseRequest{Consumer: name(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	w.idle()
	images, err := filepath.Glob(filepath.Join(w.Lab.SAN, "unattached", "*-*"))
	if err != nil || len(images) != consumers*each {
		t.Errorf("%d images, %v, want %d", len(images), err, consumers*each)
	}
}
