package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/flocker-mesos/flocker/test/marathon"
	"github.com/flocker-mesos/flocker/test/marathon/double"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// marathonAddress is where Marathon listens, on the first control service's host.
const marathonAddress = "127.0.0.1:8080"

// MarathonURL is what control.yml has as marathon, for a cluster that follows one.
const MarathonURL = "http://" + marathonAddress

// Marathon is one that is played, whose tasks run on the cluster's nodes.
type Marathon struct {
	*double.Double

	// Before, if it is set before anything is deployed, comes before each launch: the
	// image of the task is being fetched.
	Before func(double.Launch)

	ctx     context.Context // of the tasks, which end with Close at the latest
	cluster *Cluster
	tasks   sync.WaitGroup

	mu       sync.Mutex
	runs     map[string]*mesos.Run // by task
	killed   map[string]bool       // tasks, also before they run
	failures []error
}

// AddMarathon starts a Marathon whose tasks run on the nodes that there are. Close
// it before the cluster.
func (c *Cluster) AddMarathon(ctx context.Context) (*Marathon, error) {
	m := &Marathon{ctx: ctx, cluster: c, runs: map[string]*mesos.Run{}, killed: map[string]bool{}}
	var hosts []string
	for _, n := range c.Nodes {
		hosts = append(hosts, n.Name)
	}
	var err error
	m.Double, err = double.New(double.Options{Hosts: hosts, Launcher: m, Listen: func(int) (net.Listener, error) {
		return c.Control.Listen(ctx, "tcp", marathonAddress)
	}})
	return m, err
}

// Close kills all tasks, waits for them, and ends Marathon. It returns what has gone
// wrong with a task.
func (m *Marathon) Close() error {
	m.mu.Lock()
	for _, r := range m.runs {
		r.Kill()
	}
	m.mu.Unlock()
	m.tasks.Wait()
	m.Double.Close()
	return errors.Join(m.failures...)
}

// Run returns the run of a task, nil for none yet.
func (m *Marathon) Run(task string) *mesos.Run {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs[task]
}

// Launch implements double.Launcher.
func (m *Marathon) Launch(l double.Launch) {
	m.tasks.Go(func() {
		if err := m.launch(l); err != nil {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.failures = append(m.failures, fmt.Errorf("task %s: %w", l.Task, err))
		}
	})
}

// Kill implements double.Launcher.
func (m *Marathon) Kill(task string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.killed[task] = true
	if r := m.runs[task]; r != nil {
		r.Kill()
	}
}

// launch runs a task to its end.
func (m *Marathon) launch(l double.Launch) error {
	var app marathon.App
	if err := json.Unmarshal(l.Definition, &app); err != nil {
		return err
	}
	if m.Before != nil {
		m.Before(l)
	}
	n := m.cluster.Node(l.Host)
	if n == nil {
		return fmt.Errorf("there is no node %s", l.Host)
	}
	r, err := n.Mesos.Launch(app.TaskOf(l.Task))
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.runs[l.Task] = r
	if m.killed[l.Task] {
		r.Kill()
	}
	m.mu.Unlock()
	if r.Await(m.ctx, mesos.StateRunning) == nil {
		m.Update(l.Task, mesos.StateRunning)
	}
	last, err := r.Ended(m.ctx)
	m.Update(l.Task, last.State)
	return err
}

// Node returns the node of a name, nil for none.
func (c *Cluster) Node(name string) *Node {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}
