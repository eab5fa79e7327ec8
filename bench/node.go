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
	id       api.NodeID
	dir      string
	launcher *launcher
	program  string
	process  *process
}

func (n *node) mountRoot() string { return filepath.Join(n.dir, "flocker") }

// path returns where a dataset is mounted.
func (n *node) path(id api.DatasetID) string { return filepath.Join(n.mountRoot(), string(id)) }

// newNode writes the settings of an agent, and starts it.
func newNode(s settings, c *control, id api.NodeID, san string) (*node, error) {
	n := &node{launcher: s.launcher, id: id, dir: filepath.Join(s.dir, "node-"+string(id)[:8])}
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
	if err := os.WriteFile(n.config(), []byte(text), 0o600); err != nil {
		return nil, err
	}
	if n.program, err = filepath.Abs(filepath.Join(s.bin, "flocker")); err != nil {
		return nil, err
	}
	return n, n.launch()
}

func (n *node) config() string { return filepath.Join(n.dir, "agent.yml") }

// launch starts the agent and does not wait for it.
func (n *node) launch() (err error) {
	n.process, err = n.launcher.start(filepath.Join(n.dir, "agent.log"), n.program, "agent", "--config", n.config())
	return err
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
