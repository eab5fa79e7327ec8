package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// node is a real agent, the program as users have it, with directories of its
// own. Nodes of one machine share the directory of volumes.
type node struct {
	id      api.NodeID
	dir     string
	process *process
}

func (n *node) mountRoot() string { return filepath.Join(n.dir, "flocker") }

// path returns where a dataset is mounted.
func (n *node) path(id api.DatasetID) string { return filepath.Join(n.mountRoot(), string(id)) }

// newNode writes the settings of an agent, and starts it.
func newNode(s settings, c *control, id api.NodeID, san string) (*node, error) {
	n := &node{id: id, dir: filepath.Join(s.dir, "node-"+string(id)[:8])}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return nil, err
	}
	if err := c.certs.giveNode(id, n.dir); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(c.agents)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(`version: 1
control-service:
  hostname: %s
  port: %s
dataset:
  backend: loopback
  root_path: %s
state-dir: %[4]s/state
run-dir: %[4]s/run
mount-root: %[5]s
socket: %[4]s/agent.sock
`, host, port, san, n.dir, n.mountRoot())
	config := filepath.Join(n.dir, "agent.yml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	program, err := filepath.Abs(filepath.Join(s.bin, "flocker"))
	if err != nil {
		return nil, err
	}
	n.process, err = s.launcher.start(filepath.Join(n.dir, "agent.log"), program, "agent", "--config", config)
	return n, err
}

// close stops the agent and removes what it mounted.
func (n *node) close() error {
	if err := n.process.stop(); err != nil {
		return err
	}
	root, err := host.OpenMountRoot(filepath.Join(n.dir, "run", "mnt"), n.mountRoot())
	if err != nil {
		return err
	}
	return root.Remove()
}
