// Package cluster puts Flocker and a played Mesos on the hosts of a lab: one
// control service with a file, or several with Consul servers, and nodes with
// an agent each, all with certificates made by flocker ca and with the
// settings and paths that a user would have.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/test/consul"
	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// Packages are the programs that a cluster needs, for lab.Build.
var Packages = []string{"./cmd/flocker", "./cmd/flocker-isolator", "./test/mesos/mesos-launch"}

// configDir is where the hosts have their settings and certificates.
const configDir = "/etc/flocker"

// User is the name of the one user who has a certificate.
const User = "alice"

// Options say what a cluster is like.
type Options struct {
	Programs  *lab.Programs
	Lab       lab.Options
	Nodes     int               // 0 for 2
	Replicas  int               // of the control service, 0 for 1
	Consul    int               // servers that keep the log; with none it is a file
	WaitLimit time.Duration     // of the agents, 0 for their default
	Agent     map[string]string // further top-level settings of agent.yml
	Control   map[string]string // settings of control.yml
	Mesos     mesos.Config      // of the played Mesos agents
	NoMesos   bool              // nodes without a Mesos agent
	// OneReplica tells each agent of one replica alone, in turns.
	OneReplica bool
	// Observe returns what is told of the calls that a node's Mesos agent makes.
	Observe func(node string) func(mesos.Call)
}

// Cluster is a control service and its nodes.
type Cluster struct {
	Lab      *lab.Lab
	Control  *Control   // the first replica
	Controls []*Control // all of them
	Consul   []*Consul  // the servers
	Nodes    []*Node

	opts Options
	ca   string // the directory of the authority, on the first control host
	user string // the path of User's certificate, as this process sees it
}

// New makes the machines, certificates and settings. Nothing of Flocker runs
// yet. Close it.
func New(ctx context.Context, opts Options) (*Cluster, error) {
	opts.Lab.Programs = opts.Programs
	if err := opts.complete(); err != nil {
		return nil, err
	}
	l, err := lab.New(ctx, opts.Lab)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Lab: l, opts: opts, ca: "/root/ca"}
	if err := c.install(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return c, nil
}

// complete sets what has defaults, and finds Consul where it is wanted.
func (o *Options) complete() error {
	if o.Nodes == 0 {
		o.Nodes = 2
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Consul == 0 {
		if o.Replicas > 1 {
			return errors.New("a file is for one replica: give the cluster Consul servers")
		}
		return nil
	}
	binary, err := consul.Binary()
	if err != nil {
		return err
	}
	o.Lab.Tools = map[string]string{consulTool: binary}
	return nil
}

func (c *Cluster) install(ctx context.Context) error {
	if err := c.addConsul(ctx, c.opts.Consul); err != nil {
		return err
	}
	for i := range c.opts.Replicas {
		name := "control"
		if i > 0 {
			name = fmt.Sprintf("control%d", i+1)
		}
		if err := c.addControl(ctx, name); err != nil {
			return err
		}
	}
	for i := range c.opts.Nodes {
		if _, err := c.AddNode(ctx, fmt.Sprintf("node%d", i+1)); err != nil {
			return err
		}
	}
	return nil
}

// authority runs flocker ca in the authority's directory.
func (c *Cluster) authority(ctx context.Context, args ...string) error {
	cmd := c.Control.Command(ctx, "flocker", append([]string{"ca"}, args...)...)
	cmd.Dir = c.ca
	if _, err := cmd.Output(); err != nil {
		return fmt.Errorf("make certificate: %w", err)
	}
	return nil
}

// Issue makes a certificate with flocker ca, such as Issue(ctx,
// "create-node-certificate"), and returns the path of the new .crt file, as
// this process sees it; the key is beside it.
func (c *Cluster) Issue(ctx context.Context, args ...string) (string, error) {
	dir := c.Control.Path(c.ca)
	before, err := filepath.Glob(filepath.Join(dir, "*.crt"))
	if err != nil {
		return "", err
	}
	if err := c.authority(ctx, args...); err != nil {
		return "", err
	}
	after, err := filepath.Glob(filepath.Join(dir, "*.crt"))
	if err != nil {
		return "", err
	}
	for _, file := range after {
		if !slices.Contains(before, file) {
			return file, nil
		}
	}
	return "", fmt.Errorf("flocker ca %s made no certificate", strings.Join(args, " "))
}

// Give installs the authority's certificate, and a certificate with its key
// under a base name such as "node", on a host.
func (c *Cluster) Give(h *lab.Host, crt, base string) error {
	for from, to := range map[string]string{
		filepath.Join(c.Control.Path(c.ca), "cluster.crt"): "cluster.crt",
		crt:                                      base + ".crt",
		strings.TrimSuffix(crt, ".crt") + ".key": base + ".key",
	} {
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(h.Path(filepath.Join(configDir, to)), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Start starts Consul, the control service and all agents and waits until they
// speak with each other, and with them the Mesos agents.
func (c *Cluster) Start(ctx context.Context) error {
	if err := c.StartControl(ctx); err != nil {
		return err
	}
	for _, n := range c.Nodes {
		if err := n.Start(ctx); err != nil {
			return err
		}
		if c.opts.NoMesos {
			continue
		}
		if err := n.StartMesos(); err != nil {
			return err
		}
	}
	for _, n := range c.Nodes {
		if err := n.AwaitConnected(ctx); err != nil {
			return err
		}
	}
	return nil
}

// StartControl starts Consul and all replicas of the control service and waits
// until they answer.
func (c *Cluster) StartControl(ctx context.Context) error {
	for _, s := range c.Consul {
		if err := s.Start(); err != nil {
			return err
		}
	}
	if err := c.AwaitLeader(ctx); err != nil {
		return err
	}
	for _, r := range c.Controls {
		if err := r.Launch(); err != nil {
			return err
		}
	}
	for _, r := range c.Controls {
		if err := r.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close ends everything and removes it.
func (c *Cluster) Close() error {
	var errs []error
	for _, n := range c.Nodes {
		if n.Mesos != nil {
			errs = append(errs, n.Mesos.Close())
		}
	}
	return errors.Join(append(errs, c.Lab.Close())...)
}

// settings renders top-level YAML settings.
func settings(all map[string]string) string {
	var b strings.Builder
	for key, value := range all {
		fmt.Fprintf(&b, "%s: %s\n", key, value)
	}
	return b.String()
}

// writeFile writes a file of a host.
func writeFile(h *lab.Host, path, text string, mode fs.FileMode) error {
	if err := os.WriteFile(h.Path(path), []byte(text), mode); err != nil {
		return fmt.Errorf("write %s of %s: %w", path, h.Name, err)
	}
	return nil
}
