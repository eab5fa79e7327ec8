package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const hostPath = ProgramsDir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// hostEnv is the environment that processes of a host start with. A program
// with the race detector would sleep for a second when it ends.
var hostEnv = []string{"PATH=" + hostPath, "HOME=/root", "LANG=C.UTF-8", "GORACE=atexit_sleep_ms=0"}

// Command is an exec.Cmd that runs on a host. Its environment is the host's;
// append to Env what it needs beside it.
type Command struct {
	*exec.Cmd
	host *Host
}

// Command prepares a process of the host. A name without a slash is looked
// for in the host's PATH. The process gets killed when ctx ends.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Command {
	cmd := exec.CommandContext(ctx, "/", args...)
	cmd.Args[0] = name
	cmd.Path, cmd.Err = h.lookPath(name), nil
	cmd.Env = append([]string(nil), hostEnv...)
	cmd.Dir = "/"
	// A grandchild that keeps the output open must not keep Wait from returning.
	cmd.WaitDelay = time.Second
	return &Command{Cmd: cmd, host: h}
}

func (h *Host) lookPath(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	found := name
	_ = h.Do(func() error {
		for _, dir := range filepath.SplitList(hostPath) {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
				found = path
				return nil
			}
		}
		return nil
	})
	return found
}

// Start starts the process on the host.
func (c *Command) Start() error { return c.host.Do(c.Cmd.Start) }

// Run starts the process and waits for it.
func (c *Command) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the process and returns what it printed. An error of the
// process carries what it printed to stderr.
func (c *Command) Output() (string, error) {
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), err
}

// Process is a daemon of a host.
type Process struct {
	Name string
	Log  string // path of the file with all its output, kept over restarts

	cmd    *Command
	offset int64 // of this run's output in Log
	done   chan struct{}
	err    error // of Wait, valid once done is closed
}

// Daemon says how a daemon is started.
type Daemon struct {
	Name string // of the daemon and its log file
	Args []string
	Env  []string // beside the host's
}

// Start starts a daemon. It is killed with the host.
func (h *Host) Start(d Daemon) (*Process, error) {
	path := filepath.Join(h.Dir, "log", d.Name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", d.Name, err)
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", d.Name, err)
	}
	cmd := h.Command(context.Background(), d.Args[0], d.Args[1:]...)
	cmd.Env = append(cmd.Env, d.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	p := &Process{Name: d.Name, Log: path, cmd: cmd, offset: info.Size(), done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", d.Name, h.Name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	h.mu.Lock()
	h.daemons = append(h.daemons, p)
	h.mu.Unlock()
	return p, nil
}

// Pid returns the process's id, as this process sees it.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.done }

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits for the end of the process and returns how it ended.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of %s: %w", p.Name, context.Cause(ctx))
	}
}

// Kill kills the process with SIGKILL and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop asks the process to end with SIGTERM and waits for it; a process that
// has not ended when ctx ends is killed.
func (p *Process) Stop(ctx context.Context) error {
	_ = p.Signal(syscall.SIGTERM)
	if err := p.Wait(ctx); err != nil {
		p.Kill()
		return err
	}
	return nil
}

// Signal sends a signal to the process. SIGSTOP freezes it, SIGCONT lets it
// go on.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %s to %s: %w", s, p.Name, err)
	}
	return nil
}

// Frozen reports whether the process is stopped as by SIGSTOP.
func (p *Process) Frozen() bool { return state(p.Pid()) == "T" }

// state returns the letter for what a process does, as ps shows it, "" where
// there is none.
func state(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The state follows the command's name, which may hold anything but ends
	// with the last parenthesis.
	_, rest, ok := strings.Cut(string(data[strings.LastIndexByte(string(data), ')'):]), " ")
	if !ok || rest == "" {
		return ""
	}
	return rest[:1]
}

// Output returns what this run of the daemon has printed until now.
func (p *Process) Output() string {
	data, err := os.ReadFile(p.Log)
	if err != nil || int64(len(data)) < p.offset {
		return ""
	}
	return string(data[p.offset:])
}
