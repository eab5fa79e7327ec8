package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// Node is a machine with a Flocker agent and a Mesos agent.
type Node struct {
	*lab.Host
	ID    api.NodeID
	Agent *lab.Process // nil while it does not run
	Mesos *mesos.Agent // nil before StartMesos

	cluster *Cluster
	number  int
}

// AddNode makes one more node, with a certificate of its own.
func (c *Cluster) AddNode(ctx context.Context, name string) (*Node, error) {
	host, err := c.Lab.Host(ctx, name)
	if err != nil {
		return nil, err
	}
	n := &Node{Host: host, cluster: c, number: len(c.Nodes)}
	crt, err := c.Issue(ctx, "create-node-certificate")
	if err != nil {
		return nil, err
	}
	if err := n.Become(crt); err != nil {
		return nil, err
	}
	if err := n.Configure(c.opts.WaitLimit, c.opts.Agent); err != nil {
		return nil, err
	}
	c.Nodes = append(c.Nodes, n)
	return n, nil
}

// Become gives the node the identity of a node certificate.
func (n *Node) Become(crt string) error {
	n.ID = api.NodeID(strings.TrimSuffix(filepath.Base(crt), ".crt"))
	n.Instance = string(n.ID)
	return n.cluster.Give(n.Host, crt, "node")
}

// Configure writes agent.yml.
func (n *Node) Configure(waitLimit time.Duration, further map[string]string) error {
	text := fmt.Sprintf(`version: 1
control-service:
  hostname: %s
  port: 4524
dataset:
  backend: loopback
  root_path: %s
`, strings.Join(n.cluster.controlAddresses(n.number), ","), n.cluster.Lab.SAN)
	if !n.cluster.opts.NoMesos {
		text += fmt.Sprintf("mesos:\n  agent: http://%s:5051\n", n.Address)
	}
	if waitLimit != 0 {
		text += "wait-limit: " + waitLimit.String() + "\n"
	}
	return writeFile(n.Host, configDir+"/agent.yml", text+settings(further), 0o644)
}

// Start starts the agent with an environment of its own.
func (n *Node) Start(_ context.Context, env ...string) error {
	p, err := n.Host.Start(lab.Daemon{
		Name: "agent", Args: []string{"flocker", "agent", "--config", configDir + "/agent.yml"}, Env: env,
	})
	if err != nil {
		return err
	}
	n.Agent = p
	return nil
}

// StartMesos starts a played Mesos agent with Flocker's commands.
func (n *Node) StartMesos() error {
	config := n.cluster.opts.Mesos
	config.Commands = mesos.Commands{
		Prepare: lab.ProgramsDir + "/flocker-isolator-prepare",
		Isolate: lab.ProgramsDir + "/flocker-isolator-isolate",
		Cleanup: lab.ProgramsDir + "/flocker-isolator-cleanup",
	}
	if n.cluster.opts.Observe != nil {
		config.Observe = n.cluster.opts.Observe(n.Name)
	}
	a, err := mesos.Start(n.Host, config)
	if err != nil {
		return err
	}
	n.Mesos = a
	return nil
}

// AwaitConnected waits until the agent follows the control service.
func (n *Node) AwaitConnected(ctx context.Context) error {
	return lab.Until(ctx, "the agent of "+n.Name+" is connected", func() error {
		if !n.Agent.Running() {
			return fmt.Errorf("it has ended: %w\n%s", n.Agent.Wait(ctx), n.Agent.Output())
		}
		status, err := n.Status(ctx)
		if err == nil && !status.Connected {
			err = errors.New(status.Control)
		}
		return err
	})
}

// Status asks the agent about itself.
func (n *Node) Status(ctx context.Context) (*api.AgentStatus, error) {
	reply, err := n.Ask(ctx, api.LocalRequest{Status: &api.StatusRequest{}})
	if err != nil {
		return nil, err
	}
	return reply.Status, nil
}

// Ask sends a request to the agent's socket and returns the last reply.
func (n *Node) Ask(ctx context.Context, request api.LocalRequest) (*api.LocalReply, error) {
	conn, err := n.Dial(ctx, "unix", api.DefaultSocket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bufio.NewReader(conn))
	for {
		reply := new(api.LocalReply)
		if err := decoder.Decode(reply); err != nil {
			return nil, fmt.Errorf("read the agent's reply: %w", err)
		}
		if reply.Error != nil {
			return nil, reply.Error
		}
		if reply.Done {
			return reply, nil
		}
	}
}
