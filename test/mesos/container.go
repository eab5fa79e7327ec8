package mesos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/test/mesos/launch"
)

// container is one container of the agent, nested or not.
type container struct {
	agent  *Agent
	id     identity
	config *containerConfig
	task   *Task          // nil for the executor of a group
	run    *Run           // of the task, or a stand-in for an executor's
	parent *container     // of a nested container
	group  *GroupRun      // of a group's executor
	csi    []launch.Mount // of its CSI volumes

	mu      sync.Mutex
	process *process
	running bool // launched completely: isolated, and told to go on
}

// errDoomed ends a launch that its framework has given up.
var errDoomed = errors.New("the container is being destroyed")

// key returns the id as Mesos prints it: "parent.child".
func (c *container) key() string {
	key := c.id.container.Value
	for p := c.id.container.Parent; p != nil; p = p.Parent {
		key = p.Value + "." + key
	}
	return key
}

func (c *container) launched() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}

func (c *container) proc() *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.process
}

// place gives the container an id and makes its sandbox.
func (a *Agent) place(executor string, parent *container, withImage bool, owner string) (identity, error) {
	id := identity{agent: a.ID, framework: a.Framework, container: containerID{Value: uuid.NewString()}}
	if parent == nil {
		id.directory = path.Join(a.config.WorkDir, "slaves", a.ID, "frameworks", a.Framework,
			"executors", executor, "runs", id.container.Value)
	} else {
		of := parent.id.container
		id.container.Parent = &of
		id.directory = path.Join(parent.id.directory, "containers", id.container.Value)
	}
	if withImage {
		id.rootfs = path.Join(a.config.WorkDir, "provisioner/containers", id.container.Value,
			"backends/overlay/rootfses", uuid.NewString())
		if err := os.MkdirAll(a.host.Path(id.rootfs), 0o755); err != nil {
			return id, err
		}
	}
	if err := os.MkdirAll(a.host.Path(id.directory), 0o755); err != nil {
		return id, err
	}
	for _, name := range []string{"stdout", "stderr"} {
		if err := os.WriteFile(a.host.Path(path.Join(id.directory, name)), nil, 0o644); err != nil {
			return id, err
		}
	}
	credential, err := credentialOf(owner)
	if err != nil || credential == nil {
		return id, err
	}
	for _, name := range []string{"", "stdout", "stderr"} {
		if err := os.Lchown(a.host.Path(path.Join(id.directory, name)), int(credential.Uid), int(credential.Gid)); err != nil {
			return id, err
		}
	}
	return id, nil
}

// prepare runs the prepare command and reads its answer.
func (c *container) prepare(l *life) (*launchInfo, error) {
	if c.task != nil && len(c.task.CSI) > 0 {
		var err error
		if c.csi, err = l.csi.prepare(c); err != nil {
			return nil, err
		}
	}
	config, err := encode(c.config)
	if err != nil {
		return nil, err
	}
	// The module remembers the configuration before it calls anything.
	if err := os.WriteFile(c.contextFile(), config, 0o600); err != nil {
		return nil, err
	}
	out, err := l.command(c.agent, "prepare", c.agent.config.Commands.Prepare, c, 0)
	if err != nil {
		return nil, err
	}
	return parseLaunchInfo(out)
}

// start runs the phases of a launch up to the moment at which the launch
// process goes on by itself: prepare, fork, isolate, fetch. Between them a
// doomed container stops.
func (c *container) start(l *life, doomed <-chan struct{}) error {
	info, err := c.prepare(l)
	if err != nil {
		return err
	}
	if isClosed(doomed) {
		return errDoomed
	}
	p, err := c.agent.fork(c.key(), c.id.directory)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.process = p
	c.mu.Unlock()
	if _, err := l.command(c.agent, "isolate", c.agent.config.Commands.Isolate, c, p.innerPid()); err != nil {
		return err
	}
	if isClosed(doomed) {
		return errDoomed
	}
	if err := c.fetch(); err != nil {
		return err
	}
	if isClosed(doomed) {
		return errDoomed
	}
	spec, err := json.Marshal(c.spec(info))
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.running = true
	c.mu.Unlock()
	p.tell(spec)
	return nil
}

// fetch does what mesos-fetcher does: it puts the task's files into the
// sandbox, as the task's user, on the host.
func (c *container) fetch() error {
	if c.task == nil || c.task.Fetch == "" {
		return nil
	}
	cmd := c.agent.host.Command(context.Background(), "sh", "-c", `cd "$1" && exec sh -c "$2"`, "sh", c.id.directory, c.task.Fetch)
	credential, err := credentialOf(c.task.User)
	if err != nil {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("Failed to fetch all URIs for container '%s': %w: %s", c.key(), err, stderr.String()) //nolint:staticcheck // as Mesos says it
	}
	return nil
}

// credentialOf returns the ids of a user, nil for "".
func credentialOf(name string) (*syscall.Credential, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// spec says what the launch process does with the launch info.
func (c *container) spec(info *launchInfo) launch.Spec {
	spec := launch.Spec{
		Directory: c.id.directory,
		Rootfs:    c.id.rootfs,
		Mounts:    append(slices.Clone(c.csi), info.Mounts...),
		PreExec:   info.PreExec,
		Executor:  c.task == nil,
		Grace:     c.agent.config.KillGrace,
	}
	if c.task != nil && c.task.User != "" {
		spec.Credential, _ = credentialOf(c.task.User) // it was found when the sandbox was made
	}
	sandbox := c.id.directory
	if c.id.rootfs != "" {
		sandbox = sandboxInImage
	}
	env := []Variable{
		Var("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
		Var("MESOS_SANDBOX", sandbox), Var("MESOS_DIRECTORY", c.id.directory), Var("MESOS_CONTAINER_ID", c.key()),
	}
	env = append(env, info.Env...)
	if c.parent == nil {
		env = append(env, info.TaskEnv...)
		spec.Linger = c.agent.config.Linger
	}
	if c.task != nil {
		spec.Task = launch.Command{Shell: true, Value: c.task.Command}
		env = append(env, c.task.Env...) // the task's own wins
	}
	spec.Env = merge(env)
	spec.Env = append(spec.Env, markOf(c.key()))
	return spec
}

// merge returns the variables as an environment in which the last one of a
// name wins.
func merge(variables []Variable) []string {
	at := map[string]int{}
	var env []string
	for _, v := range variables {
		if i, ok := at[v.Name]; ok {
			env[i] = v.Name + "=" + v.Value
			continue
		}
		at[v.Name] = len(env)
		env = append(env, v.Name+"="+v.Value)
	}
	return env
}

// cleanup runs the cleanup command and ends the use of CSI volumes, after which
// the container is forgotten, however that ended.
func (c *container) cleanup(l *life) error {
	c.destroyProcesses()
	var err error
	if _, missing := os.Stat(c.contextFile()); missing == nil {
		_, err = l.command(c.agent, "cleanup", c.agent.config.Commands.Cleanup, c, 0)
	}
	if !errors.Is(err, errKilled) {
		err = errors.Join(err, l.csi.cleanup(c.key()))
	}
	if l.isKilled() {
		return errKilled
	}
	_ = os.Remove(c.contextFile())
	c.agent.forget(c)
	if err != nil {
		c.agent.mu.Lock()
		c.agent.destroyErr++
		c.agent.mu.Unlock()
		return err
	}
	if c.id.rootfs != "" {
		_ = os.RemoveAll(c.agent.host.Path(c.id.rootfs))
	}
	return nil
}

func (c *container) destroyProcesses() {
	if p := c.proc(); p != nil {
		p.destroy()
		c.agent.cgroup(c.key()).remove()
	}
}

func (c *container) contextFile() string { return c.agent.host.Path(c.agent.contextPath(c.key())) }

// verdict turns a task's end into its terminal state.
func verdict(e launch.Event, killed bool) (state, message string) {
	switch {
	case e.Signal != 0:
		message = "Command terminated with signal " + signalName(syscall.Signal(e.Signal))
	default:
		message = fmt.Sprintf("Command exited with status %d", e.Status)
	}
	switch {
	case killed:
		return StateKilled, message
	case e.Signal == 0 && e.Status == 0:
		return StateFinished, message
	default:
		return StateFailed, message
	}
}

func signalName(s syscall.Signal) string {
	switch s {
	case syscall.SIGKILL:
		return "Killed"
	case syscall.SIGTERM:
		return "Terminated"
	default:
		return s.String()
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// after returns a channel that is closed once d has passed, and what frees it.
func after(d time.Duration) (<-chan time.Time, func() bool) {
	t := time.NewTimer(d)
	return t.C, t.Stop
}
