package mesos

import (
	"errors"
	"fmt"

	"github.com/flocker-mesos/flocker/test/mesos/launch"
)

// Launch runs a command task, as of a Marathon app.
func (a *Agent) Launch(t *Task) (*Run, error) {
	l := a.current()
	if l == nil {
		return nil, errKilled
	}
	t = t.withDefaults()
	r := a.newRun(t, t.ID)
	id, err := a.place(t.ID, nil, t.Image != "", t.User)
	if err != nil {
		return nil, fmt.Errorf("launch task %s: %w", t.ID, err)
	}
	c := &container{agent: a, id: id, task: t, run: r, config: commandTaskConfig(id, t)}
	r.enter(c)
	a.remember(c)
	a.background.Go(func() { c.runCommandTask(l) })
	return r, nil
}

// runCommandTask launches the container and follows it to its end.
func (c *container) runCommandTask(l *life) {
	doomed := make(chan struct{})
	started := make(chan error, 1)
	c.agent.background.Go(func() { started <- c.start(l, doomed) })

	late, stop := after(c.agent.config.RegistrationTimeout)
	defer stop()
	var err error
	select {
	case err = <-started:
	case <-late:
		c.lateExecutor()
		close(doomed)
		err = <-started
	case <-c.run.kill:
		c.run.update(StateKilled, "A kill task request was received", "", "SOURCE_AGENT")
		close(doomed)
		// The phase that is under way is waited for, never interrupted.
		err = <-started
	}
	if errors.Is(err, errKilled) {
		return // of this life; the next one finds the container
	}
	if abort, ok := errors.AsType[*abortError](err); ok {
		c.run.update(StateFailed, abort.Error(), "", "SOURCE_AGENT")
		c.agent.background.Go(c.agent.Kill)
		return
	}
	if err != nil {
		if !errors.Is(err, errDoomed) {
			c.run.failLaunch("Failed to launch container: " + err.Error())
		}
		c.end(l)
		return
	}
	p := c.proc()
	select {
	case <-p.registered:
	case <-p.exited:
	case <-c.run.kill:
	case <-late:
	case <-l.killed:
		return
	}
	switch {
	case isClosed(p.registered):
		c.run.running()
	case isClosed(p.exited):
		c.run.update(StateFailed, "Executor terminated", "REASON_EXECUTOR_TERMINATED", "SOURCE_AGENT")
	case isClosed(c.run.kill):
		c.run.update(StateKilled, "Executor terminated", "REASON_EXECUTOR_TERMINATED", "SOURCE_AGENT")
		p.destroy()
	default:
		c.lateExecutor()
		p.destroy()
	}
	c.watch(l)
}

func (c *container) lateExecutor() {
	c.run.update(StateFailed, fmt.Sprintf("Executor did not register within %s", c.agent.config.RegistrationTimeout),
		"REASON_EXECUTOR_REGISTRATION_TIMEOUT", "SOURCE_AGENT")
}

// watch follows a launched container to its end: the framework hears of the
// task's end at once, the cleanup comes when the executor has gone as well.
func (c *container) watch(l *life) {
	if c.group != nil {
		c.group.resume(l)
		return
	}
	p := c.proc()
	kill := c.run.kill
	registered := p.registered
	for done := false; !done; {
		select {
		case <-registered:
			registered = nil
			c.run.running()
		case <-p.ended:
			c.run.fromExecutor(verdict(p.event, isClosed(c.run.kill)))
			done = true
		case <-p.exited:
			done = true
		case <-kill:
			kill = nil
			p.tell([]byte(launch.Kill))
		case <-l.killed:
			return
		}
	}
	select {
	case <-p.exited:
	case <-l.killed:
		return
	}
	if isClosed(p.ended) {
		c.run.fromExecutor(verdict(p.event, isClosed(c.run.kill)))
	}
	c.run.update(StateFailed, "Executor terminated", "REASON_EXECUTOR_TERMINATED", "SOURCE_AGENT")
	c.end(l)
}

// end cleans the container up, once.
func (c *container) end(l *life) {
	if errors.Is(c.cleanup(l), errKilled) {
		return
	}
	c.run.finish()
}
