package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/flocker-mesos/flocker/agent"
	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend/loopback"
	"github.com/flocker-mesos/flocker/host"
)

// patience bounds a wait; what takes longer has failed.
const patience = time.Minute

// machine is one agent with a control service in memory: the agent alone is
// measured, not what surrounds it.
type machine struct {
	dir     string
	config  agent.Config
	control *agenttest.Control
	agent   *agent.Agent
	stop    func() error
}

const nodeID = api.NodeID("b0000000-0000-4000-8000-000000000001")

func newMachine(dir string, workers int) (*machine, error) {
	return newMachineWith(dir, workers, func(*agent.Config) {})
}

// newMachineWith is newMachine with further settings.
func newMachineWith(dir string, workers int, further func(*agent.Config)) (*machine, error) {
	m := &machine{dir: dir, control: agenttest.NewControl(), config: agent.Config{
		StateDir:  filepath.Join(dir, "state"),
		RunDir:    filepath.Join(dir, "run"),
		MountRoot: filepath.Join(dir, "flocker"),
		Socket:    filepath.Join(dir, "agent.sock"),
		WaitLimit: patience,
		Workers:   workers,
	}}
	further(&m.config)
	return m, m.start()
}

// open makes the agent without running it.
func (m *machine) open() (*agent.Agent, error) {
	storage, err := loopback.New(loopback.Config{RootPath: filepath.Join(m.dir, "san"), InstanceID: string(nodeID)})
	if err != nil {
		return nil, err
	}
	return agent.New(context.Background(), m.config, agent.Deps{
		Node: nodeID, Backend: storage, Dial: m.control.Dialer(nodeID), Version: "bench",
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
}

func (m *machine) start() error {
	var err error
	if m.agent, err = m.open(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.agent.Run(ctx) }()
	m.stop = func() error {
		cancel()
		return <-ended
	}
	return nil
}

// close stops the agent and removes what it mounted.
func (m *machine) close() error {
	if err := m.stop(); err != nil {
		return err
	}
	root, err := host.OpenMountRoot(filepath.Join(m.config.RunDir, "mnt"), m.config.MountRoot)
	if err != nil {
		return err
	}
	return root.Remove()
}

// up acquires a volume and waits until a container could use it.
func (m *machine) up(name string, size int64) error {
	return m.upAs(api.VolumeRequest{Key: "data", Name: name, Size: size})
}

func (m *machine) upAs(want api.VolumeRequest) error {
	name := want.Name
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	v := m.agent.Volumes()
	if _, err := v.Acquire(ctx, api.AcquireRequest{
		Consumer: name, Kind: api.ConsumerMesos, Volumes: []api.VolumeRequest{want},
	}); err != nil {
		return err
	}
	_, err := v.Await(ctx, name, func(string) {})
	return err
}

// down releases a volume and waits until the node has given it back.
func (m *machine) down(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := m.agent.Volumes().Release(ctx, name); err != nil {
		return err
	}
	return m.control.Await(ctx, func(c *agenttest.Control) bool { return c.Dataset(name).Holder == nil })
}

// remove deletes the image of a volume that is down.
func (m *machine) remove(name string) error {
	id := m.control.Dataset(name).ID
	if err := os.Remove(filepath.Join(m.dir, "san", "unattached", string(id))); err != nil {
		return fmt.Errorf("remove image: %w", err)
	}
	m.control.Forget(id)
	return nil
}

// releaseAll ends all consumers and waits until everything is given back.
func (m *machine) releaseAll() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, c := range m.agent.Volumes().Consumers() {
		if err := m.agent.Volumes().Release(ctx, c.ID); err != nil {
			return err
		}
	}
	return m.control.Await(ctx, func(c *agenttest.Control) bool { return !c.HasHolder(nodeID) })
}
