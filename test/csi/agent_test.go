package csi

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/agent"
	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/backend/loopback"
	"github.com/flocker-mesos/flocker/host"
)

// startAgent runs an agent with real volumes and a control service in memory
// until the test's end, and returns its CSI socket. Nothing may be in use then.
func startAgent(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root: it mounts file systems")
	}
	const node = "node-1"
	dir := t.TempDir()
	config := agent.Config{
		StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"), MountRoot: filepath.Join(dir, "flocker"),
		Socket: filepath.Join(dir, "agent.sock"), CSISocket: filepath.Join(dir, "csi.sock"), WaitLimit: time.Minute, Workers: 4,
	}
	storage, err := loopback.New(loopback.Config{RootPath: filepath.Join(dir, "san"), InstanceID: node})
	if err != nil {
		t.Fatal(err)
	}
	control := agenttest.NewControl()
	a, err := agent.New(t.Context(), config, agent.Deps{
		Node: node, Backend: storage, Dial: control.Dialer(node), Version: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		if left := a.Volumes().Consumers(); len(left) > 0 {
			t.Errorf("consumers are left: %v", left)
		}
		patient, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		if err := control.Await(patient, func(c *agenttest.Control) bool { return !c.HasHolder(node) }); err != nil {
			t.Errorf("datasets are still held: %v", err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("agent ended: %v", err)
		}
		root, err := host.OpenMountRoot(filepath.Join(config.RunDir, "mnt"), config.MountRoot)
		if err != nil {
			t.Fatal(err)
		}
		if err := root.Remove(); err != nil {
			t.Errorf("remove mount root: %v", err)
		}
	})
	return config.CSISocket
}
