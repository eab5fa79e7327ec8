package mesos

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/test/lab"
)

// Config is what a Mesos agent is started with. Times are Mesos' own unless
// set shorter.
type Config struct {
	Commands            Commands
	Launcher            string            // the mesos-launch program, "" for the one of the lab
	WorkDir             string            // "" for /var/lib/mesos
	ModuleName          string            // "" for flocker
	Address             string            // of the operator API, "" for the host's at port 5051
	Env                 []string          // of the agent and all it calls, beside the host's
	Timeout             time.Duration     // of a command, 0 for 30 s
	RegistrationTimeout time.Duration     // of an executor, 0 for 1 min
	Linger              time.Duration     // from a task's end to its cleanup, 0 for 1.03 s
	KillGrace           time.Duration     // from a task's SIGTERM to its SIGKILL, 0 for 3 s
	NoCheckpoint        bool              // as frameworks without checkpointing run
	CgroupsHierarchy    string            // "" for /sys/fs/cgroup
	CgroupsRoot         string            // "" for mesos
	Username, Password  string            // that callers of the operator API must give, "" for none
	Flags               map[string]string // that it says it was started with, beside what follows from the above
	CSI                 []CSIPlugin       // of the volume/csi isolator; none is without it
	Observe             func(Call)        // told of every call when it has ended, if set
}

func (c Config) withDefaults(h *lab.Host) Config {
	set(&c.Launcher, lab.ProgramsDir+"/mesos-launch")
	set(&c.WorkDir, "/var/lib/mesos")
	set(&c.ModuleName, "flocker")
	set(&c.Address, h.Address+":5051")
	set(&c.Timeout, 30*time.Second)
	set(&c.RegistrationTimeout, time.Minute)
	set(&c.Linger, 1030*time.Millisecond)
	set(&c.KillGrace, 3*time.Second)
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// contextDir is where the module keeps one file a container.
const contextDir = "/var/run/mesos/isolators/command"

// Agent plays a Mesos agent on a host. It can be killed and started again; its
// containers, as the real ones, live on.
type Agent struct {
	ID        string
	Framework string

	host       *lab.Host
	config     Config
	log        *os.File
	background sync.WaitGroup // whatever the host runs and nobody waits for

	mu         sync.Mutex
	env        []string // of what the agent calls from now on
	roles      []string // of the framework, none for *
	life       *life
	containers []*container // that the agent knows, oldest first
	ended      []*container // executors' that it has forgotten
	runs       []*Run
	calls      []Call
	csiCalls   []CSICall
	destroyErr int
}

// life is the time from one start of the agent to its end.
type life struct {
	killed chan struct{}
	actor  *actor
	csi    *csiServer
	server *http.Server
	served chan struct{}
}

// Start starts a Mesos agent on a host.
func Start(host *lab.Host, config Config) (*Agent, error) {
	a := &Agent{
		ID:        uuid.NewString() + "-S0",
		Framework: uuid.NewString() + "-0000",
		host:      host,
		config:    config.withDefaults(host),
		env:       config.Env,
	}
	log, err := os.OpenFile(filepath.Join(host.Dir, "log", "mesos-agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start Mesos agent: %w", err)
	}
	a.log = log
	if err := a.begin(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	a.background.Go(a.current().csi.recover)
	return a, nil
}

// SetEnv changes the environment of all that the agent calls from now on, as
// a restart with another one would.
func (a *Agent) SetEnv(env ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.env = env
}

// SetRoles says which roles the framework has, by GET_FRAMEWORKS.
func (a *Agent) SetRoles(roles ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.roles = roles
}

func (a *Agent) environ() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.env
}

// URL returns where the agent's operator API is.
func (a *Agent) URL() string { return "http://" + a.config.Address }

// begin starts a life.
func (a *Agent) begin() error {
	for _, dir := range []string{a.host.Path(a.config.WorkDir), a.host.Path(a.contextPath("")), string(a.cgroup(""))} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("start Mesos agent: %w", err)
		}
	}
	l := &life{killed: make(chan struct{}), actor: newActor()}
	l.csi = newCSIServer(a, l)
	if err := a.serve(l); err != nil {
		l.actor.stop()
		return fmt.Errorf("start Mesos agent: %w", err)
	}
	a.mu.Lock()
	a.life = l
	a.mu.Unlock()
	return nil
}

// Kill kills the agent as kill -9 does: what it was waiting for goes on,
// commands and containers alike, but nobody listens any more.
func (a *Agent) Kill() {
	a.mu.Lock()
	l := a.life
	a.life = nil
	if l != nil {
		close(l.killed)
	}
	a.mu.Unlock()
	if l == nil {
		return
	}
	l.actor.stop()
	l.csi.close()
	_ = l.server.Close()
	<-l.served
}

// Restart starts the agent again after Kill. It finds the containers that it
// had checkpointed and launched completely; the cleanup of all others is lost.
func (a *Agent) Restart() error {
	if err := a.begin(); err != nil {
		return err
	}
	a.mu.Lock()
	known := slices.Clone(a.containers)
	l := a.life
	a.mu.Unlock()
	for _, c := range known {
		a.recover(l, c)
	}
	a.background.Go(l.csi.recover)
	return nil
}

// recover takes a container of an earlier life on, or forgets it.
func (a *Agent) recover(l *life, c *container) {
	if c.launched() && !a.config.NoCheckpoint {
		if c.parent == nil {
			a.background.Go(func() { c.watch(l) })
		}
		return // a parent watches its nested containers
	}
	// An unknown orphan: it is killed, and "Missing container info during
	// cleanup, won't call command".
	c.destroyProcesses()
	c.run.update(StateFailed, "Abnormal executor termination: unknown container", "REASON_EXECUTOR_TERMINATED", "SOURCE_AGENT")
	a.forget(c)
	c.run.finish()
}

// Close ends the agent and all its containers, without any cleanup.
func (a *Agent) Close() error {
	a.Kill()
	a.mu.Lock()
	known := slices.Clone(a.containers)
	a.mu.Unlock()
	for _, c := range known {
		c.destroyProcesses()
	}
	a.background.Wait()
	return a.log.Close()
}

// Calls returns all calls of commands that have ended, in their order.
func (a *Agent) Calls() []Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// DestroyErrors returns how many cleanups have failed: Mesos' metric
// containerizer/mesos/container_destroy_errors.
func (a *Agent) DestroyErrors() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.destroyErr
}

func (a *Agent) contextPath(container string) string {
	return path.Join(contextDir, a.config.ModuleName, container)
}

// current returns the life of now, nil for a dead agent.
func (a *Agent) current() *life {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.life
}

func (l *life) isKilled() bool {
	select {
	case <-l.killed:
		return true
	default:
		return false
	}
}

// command runs one of the module's commands in the actor's line and waits for
// it. It returns errKilled when the agent dies first.
func (l *life) command(a *Agent, kind, program string, c *container, pid int) ([]byte, error) {
	type result struct {
		out []byte
		err error
	}
	done := make(chan result, 1)
	l.actor.send(func() {
		if program == "" {
			done <- result{}
			return
		}
		call := Call{Command: kind, Container: c.key(), Start: time.Now()}
		if c.task != nil {
			call.Task = c.task.ID
		}
		out, err := a.runHook(l, program, &input{ContainerConfig: c.config, ContainerID: c.id.container, Pid: pid})
		call.Took, call.Err = time.Since(call.Start), err
		a.mu.Lock()
		a.calls = append(a.calls, call)
		a.mu.Unlock()
		if a.config.Observe != nil {
			a.config.Observe(call)
		}
		done <- result{out, err}
	})
	select {
	case r := <-done:
		return r.out, r.err
	case <-l.killed:
		return nil, errKilled
	}
}

func (a *Agent) remember(c *container) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.containers = append(a.containers, c)
}

func (a *Agent) forget(c *container) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.containers = slices.DeleteFunc(a.containers, func(other *container) bool { return other == c })
	if c.parent == nil {
		a.ended = append(a.ended, c)
	}
}

func (a *Agent) newRun(t *Task, executor string) *Run {
	r := newRun(a, t, executor)
	a.mu.Lock()
	a.runs = append(a.runs, r)
	a.mu.Unlock()
	return r
}
