package mesos

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// States of a task.
const (
	StateStaging  = "TASK_STAGING"
	StateStarting = "TASK_STARTING"
	StateRunning  = "TASK_RUNNING"
	StateFinished = "TASK_FINISHED"
	StateFailed   = "TASK_FAILED"
	StateKilled   = "TASK_KILLED"
)

// Update is a status update that the framework gets.
type Update struct {
	State, Message, Reason, Source string
	Time                           time.Time
}

func (u Update) terminal() bool {
	return u.State == StateFinished || u.State == StateFailed || u.State == StateKilled
}

// Run is a launched task, as its framework sees it.
type Run struct {
	Task *Task

	agent    *Agent
	executor string // its id
	kill     chan struct{}
	killOnce sync.Once
	gone     chan struct{}
	goneOnce sync.Once

	mu        sync.Mutex
	container *container
	updates   []Update
	changed   chan struct{} // closed and replaced with every update
}

func newRun(a *Agent, t *Task, executor string) *Run {
	r := &Run{
		Task: t, agent: a, executor: executor,
		kill: make(chan struct{}), gone: make(chan struct{}), changed: make(chan struct{}),
	}
	r.updates = []Update{{State: StateStaging, Time: time.Now()}}
	return r
}

// update tells the framework. After a terminal state nothing more is told.
func (r *Run) update(state, message, reason, source string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.updates[len(r.updates)-1].terminal() {
		return
	}
	r.updates = append(r.updates, Update{State: state, Message: message, Reason: reason, Source: source, Time: time.Now()})
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Run) fromExecutor(state, message string) { r.update(state, message, "", "SOURCE_EXECUTOR") }

// running tells that a command task runs, unless that was told before.
func (r *Run) running() {
	if r.Last().State == StateStaging {
		r.fromExecutor(StateStarting, "")
		r.fromExecutor(StateRunning, "")
	}
}

func (r *Run) failLaunch(message string) {
	r.update(StateFailed, message, "REASON_CONTAINER_LAUNCH_FAILED", "SOURCE_AGENT")
}

func (r *Run) finish() { r.goneOnce.Do(func() { close(r.gone) }) }

// Updates returns all status updates until now.
func (r *Run) Updates() []Update {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.updates)
}

// Last returns the newest status update.
func (r *Run) Last() Update {
	all := r.Updates()
	return all[len(all)-1]
}

// Kill asks for the end of the task, as a framework does.
func (r *Run) Kill() { r.killOnce.Do(func() { close(r.kill) }) }

// Await waits until the task has been in a state. It fails at once when the
// task has ended in another one.
func (r *Run) Await(ctx context.Context, state string) error {
	for {
		r.mu.Lock()
		changed := r.changed
		last := r.updates[len(r.updates)-1]
		reached := slices.ContainsFunc(r.updates, func(u Update) bool { return u.State == state })
		r.mu.Unlock()
		if reached {
			return nil
		}
		if last.terminal() {
			return fmt.Errorf("task %s is %s, not %s: %s\n%s", r.Task.ID, last.State, state, last.Message, r.Stderr())
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("task %s is %s, not %s: %w\n%s", r.Task.ID, last.State, state, context.Cause(ctx), r.Stderr())
		}
	}
}

// Ended waits for the task's end and returns its last update.
func (r *Run) Ended(ctx context.Context) (Update, error) {
	for {
		r.mu.Lock()
		changed := r.changed
		last := r.updates[len(r.updates)-1]
		r.mu.Unlock()
		if last.terminal() {
			return last, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return last, fmt.Errorf("task %s is %s and not ended: %w", r.Task.ID, last.State, context.Cause(ctx))
		}
	}
}

// Gone is closed when the agent has forgotten the container: after its
// cleanup, or without one.
func (r *Run) Gone() <-chan struct{} { return r.gone }

// AwaitGone waits for Gone.
func (r *Run) AwaitGone(ctx context.Context) error {
	select {
	case <-r.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("container of task %s is not gone: %w", r.Task.ID, context.Cause(ctx))
	}
}

// ContainerID returns the container's id, "parent.child" for a nested one, ""
// while a task of a group has none yet.
func (r *Run) ContainerID() string {
	if c := r.at(); c != nil {
		return c.key()
	}
	return ""
}

// Directory returns the sandbox's path on the host, "" while there is none yet.
func (r *Run) Directory() string {
	if c := r.at(); c != nil {
		return c.id.directory
	}
	return ""
}

// Pid returns the pid of the container's first process, as this process sees
// it, 0 before it runs.
func (r *Run) Pid() int {
	c := r.at()
	if c == nil || c.proc() == nil {
		return 0
	}
	return c.proc().pid()
}

// Stdout returns what the task has printed.
func (r *Run) Stdout() string { return r.file("stdout") }

// Stderr returns what the task, and all that was run before it in its
// container, has complained about.
func (r *Run) Stderr() string { return r.file("stderr") }

func (r *Run) file(name string) string {
	c := r.at()
	if c == nil {
		return ""
	}
	data, _ := os.ReadFile(r.agent.host.Path(c.id.directory + "/" + name))
	return string(data)
}

// Printed reports whether the task has printed a whole line.
func (r *Run) Printed(line string) bool {
	return slices.Contains(strings.Split(r.Stdout(), "\n"), line)
}

func (r *Run) at() *container {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.container
}

func (r *Run) enter(c *container) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.container = c
}
