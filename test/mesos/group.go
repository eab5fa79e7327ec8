package mesos

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/flocker-mesos/flocker/test/mesos/launch"
)

// GroupRun is a launched task group.
type GroupRun struct {
	Runs []*Run // one a task

	executor *container
	info     executorInfo

	mu     sync.Mutex
	nested []*container
	abort  bool // a nested cleanup failed: the executor is gone without one
}

// LaunchGroup runs a task group, as of a Marathon pod.
func (a *Agent) LaunchGroup(g *Group) (*GroupRun, error) {
	l := a.current()
	if l == nil {
		return nil, errKilled
	}
	copied := *g
	copied.Tasks = nil
	gr := new(GroupRun)
	for _, t := range g.Tasks {
		t = t.withDefaults()
		copied.Tasks = append(copied.Tasks, t)
		gr.Runs = append(gr.Runs, a.newRun(t, g.executorID()))
	}
	id, err := a.place(g.executorID(), nil, false, g.User)
	if err != nil {
		return nil, fmt.Errorf("launch task group: %w", err)
	}
	gr.info = groupExecutorInfo(id, &copied)
	gr.executor = &container{
		agent: a, id: id, group: gr, config: groupExecutorConfig(id, gr.info),
		run: newRun(a, &Task{ID: g.executorID()}, g.executorID()),
	}
	gr.executor.run.enter(gr.executor)
	a.remember(gr.executor)
	a.background.Go(func() { gr.run(l) })
	return gr, nil
}

// Kill asks for the end of all tasks.
func (g *GroupRun) Kill() {
	for _, r := range g.Runs {
		r.Kill()
	}
}

// Gone is closed when the executor's container is forgotten.
func (g *GroupRun) Gone() <-chan struct{} { return g.executor.run.Gone() }

func (g *GroupRun) run(l *life) {
	c := g.executor
	late, stop := after(c.agent.config.RegistrationTimeout)
	defer stop()
	doomed := make(chan struct{})
	started := make(chan error, 1)
	c.agent.background.Go(func() { started <- c.start(l, doomed) })
	var err error
	select {
	case err = <-started:
	case <-late:
		close(doomed)
		if err = <-started; !errors.Is(err, errKilled) {
			err = errors.New("Executor did not register") //nolint:staticcheck // as Mesos says it
		}
	}
	if errors.Is(err, errKilled) {
		return
	}
	if err == nil {
		p := c.proc()
		select {
		case <-p.registered:
		case <-p.exited:
			err = errors.New("Executor terminated") //nolint:staticcheck // as Mesos says it
		case <-late:
			err = errors.New("Executor did not register") //nolint:staticcheck // as Mesos says it
		case <-l.killed:
			return
		}
	}
	if err != nil {
		for _, r := range g.Runs {
			r.failLaunch("Failed to launch container: " + err.Error())
			r.finish()
		}
		c.end(l)
		return
	}
	for _, r := range g.Runs {
		if err := g.startNested(l, r); err != nil {
			r.fromExecutor(StateFailed, err.Error())
			r.finish()
		}
	}
	g.finish(l)
}

// startNested begins the launch of one task's container. The executor says
// TASK_STARTING, with the container's id, before it asks the agent for it.
func (g *GroupRun) startNested(l *life, r *Run) error {
	a := g.executor.agent
	id, err := a.place("", g.executor, r.Task.Image != "", r.Task.User)
	if err != nil {
		return err
	}
	c := &container{
		agent: a, id: id, task: r.Task, run: r, parent: g.executor, config: nestedTaskConfig(id, g.info, r.Task),
	}
	g.mu.Lock()
	g.nested = append(g.nested, c)
	g.mu.Unlock()
	r.enter(c)
	r.fromExecutor(StateStarting, "")
	a.remember(c)
	a.background.Go(func() {
		err := c.start(l, r.kill)
		switch {
		case errors.Is(err, errKilled):
		case errors.Is(err, errDoomed):
			r.fromExecutor(StateKilled, "A kill task request was received")
			c.endNested(l)
		case err != nil:
			r.fromExecutor(StateFailed, "Failed to launch container: "+err.Error())
			g.Kill() // the whole group fails
			c.endNested(l)
		default:
			// The executor does not wait for the pre-exec commands.
			r.fromExecutor(StateRunning, "")
			c.watchNested(l)
		}
	})
	return nil
}

// watchNested follows a task of the group to its end. Its last update comes
// only after its cleanup.
func (c *container) watchNested(l *life) {
	p := c.proc()
	kill := c.run.kill
	for done := false; !done; {
		select {
		case <-p.exited:
			done = true
		case <-kill:
			kill = nil
			if isClosed(p.registered) {
				p.tell([]byte(launch.Kill))
			} else {
				p.destroy()
			}
		case <-l.killed:
			return
		}
	}
	// The agent's reaper looks about once a second.
	reaped, stop := after(c.agent.config.Linger)
	defer stop()
	select {
	case <-reaped:
	case <-l.killed:
		return
	}
	event := launch.Event{Ended: true, Status: 1}
	if isClosed(p.ended) {
		event = p.event
	}
	state, message := verdict(event, isClosed(c.run.kill))
	err := c.cleanup(l)
	if errors.Is(err, errKilled) {
		return
	}
	g := c.parent.group
	if err != nil {
		// The executor aborts, and takes the group along.
		g.mu.Lock()
		g.abort = true
		g.mu.Unlock()
		state = StateFailed
		message = "Abnormal executor termination: Failed to destroy nested containers: " + err.Error()
	}
	c.run.fromExecutor(state, message)
	c.run.finish()
	if state == StateFailed {
		g.Kill()
	}
}

func (c *container) endNested(l *life) {
	if !errors.Is(c.cleanup(l), errKilled) {
		c.run.finish()
	}
}

// resume follows the tasks again, in a later life than the launch's.
func (g *GroupRun) resume(l *life) {
	g.mu.Lock()
	nested := slices.Clone(g.nested)
	g.mu.Unlock()
	for _, n := range nested {
		if n.launched() && !isClosed(n.run.gone) {
			g.executor.agent.background.Go(func() { n.watchNested(l) })
		}
	}
	g.finish(l)
}

// finish waits for the end of all tasks, then ends the executor.
func (g *GroupRun) finish(l *life) {
	c := g.executor
	for _, r := range g.Runs {
		select {
		case <-r.gone:
		case <-l.killed:
			return
		}
	}
	g.mu.Lock()
	abort := g.abort
	g.mu.Unlock()
	if abort {
		c.destroyProcesses()
		_ = os.Remove(c.contextFile())
		c.agent.forget(c)
		c.run.finish()
		return
	}
	c.proc().tell([]byte(launch.Kill))
	select {
	case <-c.proc().exited:
	case <-l.killed:
		return
	}
	c.end(l)
}
