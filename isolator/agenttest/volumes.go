package agenttest

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Volumes returns a handler that has every volume below root, as a directory of
// the volume's name. They are ready when ready says so.
func Volumes(t testing.TB, root string, ready func() bool) Handler {
	var mu sync.Mutex
	mounts := make(map[string][]api.VolumeRequest)
	return func(req api.LocalRequest, conn *Conn) {
		mu.Lock()
		defer mu.Unlock()
		reply := api.LocalReply{Done: true}
		switch {
		case req.Acquire != nil:
			mounts[req.Acquire.Consumer] = req.Acquire.Volumes
			reply.Mounts = mountsOf(t, root, req.Acquire.Volumes, ready())
			reply.WaitLimit = 45 * time.Second
		case req.Await != nil && mounts[req.Await.Consumer] == nil:
			reply.Error = api.Errorf(api.CodeNotFound, "no consumer %s", req.Await.Consumer)
		case req.Await != nil:
			reply.Mounts = mountsOf(t, root, mounts[req.Await.Consumer], true)
			if req.Await.Trees {
				conn.SendTrees(t, reply)
				return
			}
		case req.Release != nil:
			delete(mounts, req.Release.Consumer)
		}
		conn.Send(reply)
	}
}

func mountsOf(t testing.TB, root string, volumes []api.VolumeRequest, ready bool) []api.Mount {
	var mounts []api.Mount
	for _, v := range volumes {
		m := api.Mount{
			Key: v.Key, Name: v.Name, Source: filepath.Join(root, strings.ReplaceAll(v.Name, "/", "_")),
			ReadOnly: v.ReadOnly, Ready: ready,
		}
		if v.ReadOnly {
			m.Source += ".ro"
		}
		if err := os.MkdirAll(m.Source, 0o755); err != nil {
			t.Error(err)
		}
		if ready {
			m.Device = Device(t, m.Source)
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// Device returns the st_dev of a path.
func Device(t testing.TB, path string) uint64 {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		t.Error(err)
	}
	return stat.Dev
}
