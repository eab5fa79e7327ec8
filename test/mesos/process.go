package mesos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/mesos/launch"
)

// process is the launch process of a container. It belongs to the host, not
// to the agent: it outlives the agent.
type process struct {
	cmd       *lab.Command
	mark      string // in the environment of all processes of the container
	control   *os.File
	controlMu sync.Mutex

	registered chan struct{} // closed when the executor has registered
	ended      chan struct{} // closed when the task has ended; event is valid then
	exited     chan struct{} // closed when the process is gone
	event      launch.Event
}

// fork starts the launch process, which waits until it is told to go on.
func (a *Agent) fork(key, directory string) (*process, error) {
	controlR, controlW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	eventsR, eventsW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, controlR.Close(), controlW.Close())
	}
	files := []*os.File{controlR, eventsW}
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for _, name := range []string{"stdout", "stderr"} {
		f, err := os.OpenFile(a.host.Path(filepath.Join(directory, name)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, errors.Join(err, controlW.Close(), eventsR.Close())
		}
		files = append(files, f)
	}
	cmd := a.host.Command(context.Background(), a.config.Launcher)
	cmd.Env = append(append(cmd.Env, a.environ()...), markOf(key))
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = files[2], files[3], files[:2]
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("fork container: %w", err), controlW.Close(), eventsR.Close())
	}
	p := &process{
		cmd: cmd, mark: markOf(key), control: controlW,
		registered: make(chan struct{}), ended: make(chan struct{}), exited: make(chan struct{}),
	}
	group := a.cgroup(key)
	if err := group.enter(p.innerPid()); err != nil {
		return nil, errors.Join(fmt.Errorf("make control group: %w", err), cmd.Process.Kill(), controlW.Close(), eventsR.Close())
	}
	events := make(chan struct{})
	a.background.Go(func() {
		defer close(events)
		defer eventsR.Close()
		p.listen(eventsR)
	})
	a.background.Go(func() {
		_ = cmd.Wait()
		<-events
		group.empty()
		p.controlMu.Lock()
		_ = controlW.Close()
		p.controlMu.Unlock()
		close(p.exited)
	})
	return p, nil
}

func (p *process) listen(events io.Reader) {
	decoder := json.NewDecoder(events)
	for {
		var e launch.Event
		if decoder.Decode(&e) != nil {
			return
		}
		if e.Registered {
			close(p.registered)
		}
		if e.Ended {
			p.event = e
			close(p.ended)
		}
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// innerPid returns the pid as the host sees it.
func (p *process) innerPid() int { return innerPidOf(p.pid()) }

func innerPidOf(pid int) int {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(rest)
			inner, _ := strconv.Atoi(fields[len(fields)-1])
			return inner
		}
	}
	return 0
}

// tell writes a line to the process.
func (p *process) tell(line []byte) {
	p.controlMu.Lock()
	defer p.controlMu.Unlock()
	_, _ = p.control.Write(append(line, '\n'))
}

// destroy kills every process of the container and waits until none is left,
// as Mesos does with the container's cgroup.
func (p *process) destroy() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = lab.Until(ctx, "the container's processes are gone", func() error {
		left := marked(p.mark)
		signal(left, syscall.SIGKILL)
		if len(left) > 0 {
			return fmt.Errorf("%d are left", len(left))
		}
		return nil
	})
	<-p.exited
}

// markOf returns a variable by which the processes of a container are found,
// wherever they went. (The number of a namespace would not do: the kernel
// gives it to another one as soon as the last process is gone.)
func markOf(key string) string { return "MESOS_PLAYED_CONTAINER=" + key }

// marked returns the processes that have a variable in their environment.
func marked(variable string) []int {
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || !slices.Contains(strings.Split(string(data), "\x00"), variable) {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(file, "/")[2]); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
