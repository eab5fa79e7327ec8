// Package launch plays `mesos-containerizer launch` and the executor behind
// it: the process in a mount namespace of its own that makes a container's
// mounts, runs its pre-exec commands and then its task. What it does and in
// which order was observed on Mesos 1.12.
package launch

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// File descriptors that the player hands to the process.
const (
	ControlFD = 3 // the Spec as a line of JSON, then one line a command
	EventsFD  = 4 // one Event a line
)

// Kill is the command that ends the task as a framework's kill does.
const Kill = "kill"

// Spec is what to launch.
type Spec struct {
	Directory string    // the sandbox, on the host
	Rootfs    string    // of the image, "" without one
	Mounts    []Mount   // in order
	PreExec   []Command // before the task, on the host's root
	Task      Command   // of a task
	Executor  bool      // has no task, ends with Kill: the executor of a task group
	Env       []string  // of the task
	// Credential is the task's user, nil for root. All before the task is
	// root's.
	Credential *syscall.Credential
	Grace      time.Duration // from SIGTERM to SIGKILL
	Linger     time.Duration // from the task's end to the executor's
}

// Mount has the arguments of mount(2).
type Mount struct {
	Source, Target, Type, Options string
	Flags                         uint32
}

// Command is Mesos' CommandInfo, as far as it is run.
type Command struct {
	Shell     bool
	Value     string
	Arguments []string // with argv[0], unless Shell
}

// String shows the command as a person would type it.
func (c Command) String() string {
	if c.Shell || len(c.Arguments) == 0 {
		return c.Value
	}
	return strings.Join(append([]string{c.Value}, c.Arguments[1:]...), " ")
}

// Event tells how far the container is.
type Event struct {
	Registered bool `json:",omitempty"` // all is prepared, the executor speaks with the agent
	Ended      bool `json:",omitempty"` // the task has ended
	Status     int  `json:",omitempty"` // its exit status, with Ended
	Signal     int  `json:",omitempty"` // the signal that ended it, with Ended
}

// Main runs the process and returns its exit status. What goes wrong is
// written to standard error, which is the task's.
func Main() int {
	control := bufio.NewReader(os.NewFile(ControlFD, "control"))
	syscall.CloseOnExec(ControlFD)
	syscall.CloseOnExec(EventsFD)
	events := json.NewEncoder(os.NewFile(EventsFD, "events"))

	line, err := control.ReadBytes('\n')
	if err != nil {
		return 1 // the agent died before it had isolated the container
	}
	var spec Spec
	if err := json.Unmarshal(line, &spec); err != nil {
		return fail("read launch specification: %v", err)
	}
	if err := spec.prepare(); err != nil {
		return fail("%v", err)
	}
	_ = events.Encode(Event{Registered: true})
	if spec.Executor {
		awaitKill(control)
		return 0
	}
	ended, err := spec.runTask(control)
	if err != nil {
		return fail("%v", err)
	}
	_ = events.Encode(ended)
	// The command executor stays for a second, so that its last message
	// arrives; all the while the container's mounts exist.
	<-time.After(spec.Linger)
	return 0
}

func fail(format string, args ...any) int {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	return 1
}

// awaitKill returns when the agent says so. Without an agent the executor
// stays.
func awaitKill(control *bufio.Reader) {
	for {
		line, err := control.ReadString('\n')
		if strings.TrimSpace(line) == Kill {
			return
		}
		if err != nil {
			select {}
		}
	}
}

// prepare makes the mounts and runs the pre-exec commands.
func (s *Spec) prepare() error {
	// Mounts of the host come in, mounts of the container stay in.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts of the container slaves: %w", err)
	}
	if s.Rootfs != "" {
		if err := s.provision(); err != nil {
			return fmt.Errorf("provision image: %w", err)
		}
	}
	for _, m := range s.Mounts {
		if err := m.make(); err != nil {
			return fmt.Errorf("Failed to mount '%s' at '%s': %w", m.Source, m.Target, err) //nolint:staticcheck // as Mesos says it
		}
	}
	for _, c := range s.PreExec {
		if err := c.cmd(os.Environ()).Run(); err != nil {
			return fmt.Errorf("The pre-exec command '%s' failed: %w", c, err) //nolint:staticcheck // as Mesos says it
		}
	}
	return nil
}

// make makes the mount, with its target if that is missing: a directory for a
// directory, an empty file for a file.
func (m Mount) make() error {
	if err := m.makeTarget(); err != nil {
		return err
	}
	flags := uintptr(m.Flags)
	if err := unix.Mount(m.Source, m.Target, m.Type, flags, m.Options); err != nil {
		return err
	}
	if flags&unix.MS_BIND == 0 || flags&unix.MS_RDONLY == 0 {
		return nil
	}
	// The kernel ignores the read-only flag of a bind mount; Mesos remounts.
	return unix.Mount("", m.Target, "", flags&^unix.MS_REC|unix.MS_REMOUNT, "")
}

func (m Mount) makeTarget() error {
	if _, err := os.Stat(m.Target); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	source, err := os.Stat(m.Source)
	if err == nil && !source.IsDir() {
		if err := os.MkdirAll(filepath.Dir(m.Target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(m.Target, nil, 0o644)
	}
	return os.MkdirAll(m.Target, 0o755)
}

// provision fills the image's root directory: the image is the programs and
// libraries of this machine, the sandbox is bound (not recursively) where
// Mesos binds it.
func (s *Spec) provision() error {
	for _, dir := range []string{"usr", "proc", "dev", "tmp", "etc", "var/lib", "mnt/mesos/sandbox"} {
		if err := os.MkdirAll(filepath.Join(s.Rootfs, dir), 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"} {
		target, err := os.Readlink("/" + name)
		if err != nil {
			continue
		}
		if err := os.Symlink(target, filepath.Join(s.Rootfs, name)); err != nil {
			return err
		}
	}
	const rbind = unix.MS_BIND | unix.MS_REC
	for _, m := range []Mount{
		{Source: "/usr", Target: "usr", Flags: rbind | unix.MS_RDONLY},
		{Source: "/proc", Target: "proc", Flags: rbind},
		{Source: "/dev", Target: "dev", Flags: rbind},
		{Source: s.Directory, Target: "mnt/mesos/sandbox", Flags: unix.MS_BIND},
	} {
		m.Target = filepath.Join(s.Rootfs, m.Target)
		if err := m.make(); err != nil {
			return fmt.Errorf("mount %s: %w", m.Target, err)
		}
	}
	return nil
}

func (c Command) cmd(env []string) *exec.Cmd {
	cmd := &exec.Cmd{Path: c.Value, Args: c.Arguments, Env: env, Stdout: os.Stdout, Stderr: os.Stderr}
	if c.Shell {
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", c.Value}
	}
	return cmd
}

// runTask runs the task until its end. A kill on the control stream ends it.
func (s *Spec) runTask(control *bufio.Reader) (Event, error) {
	cmd := s.Task.cmd(s.Env)
	cmd.Dir = s.Directory
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.Credential}
	if s.Rootfs != "" {
		cmd.Dir = "/mnt/mesos/sandbox"
		cmd.SysProcAttr.Chroot = s.Rootfs
	}
	if err := cmd.Start(); err != nil {
		return Event{}, fmt.Errorf("start task: %w", err)
	}
	var once sync.Once
	go func() {
		awaitKill(control)
		once.Do(func() {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
			<-time.After(s.Grace)
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		})
	}()
	_ = cmd.Wait()
	// Whatever of the task is left ends with it.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	state, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if state.Signaled() {
		return Event{Ended: true, Signal: int(state.Signal())}, nil
	}
	return Event{Ended: true, Status: state.ExitStatus()}, nil
}
