package mesos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/flocker-mesos/flocker/test/lab"
)

// Commands are the paths of the module's commands, "" for none. Mesos runs
// the very string, so there are no arguments in it.
type Commands struct{ Prepare, Isolate, Cleanup string }

// Call is one call of a command, for the record.
type Call struct {
	Command   string // prepare, isolate or cleanup
	Container string // "parent.child"
	Task      string // "" for an executor
	Start     time.Time
	Took      time.Duration
	Err       error
}

// errKilled is what a command interrupted by the death of the agent returns.
var errKilled = errors.New("the Mesos agent was killed")

// runHook runs a command as the module does: input, output and error as files
// below /tmp, three arguments, the input on standard input, the agent's
// environment and log. It returns what the command wrote to its output file.
// When the agent is killed meanwhile the command goes on, the files stay, and
// nobody waits.
func (a *Agent) runHook(l *life, path string, in *input) ([]byte, error) {
	data, err := encode(in)
	if err != nil {
		return nil, err
	}
	files := make([]string, 3)
	for i := range files {
		f, err := os.CreateTemp(a.host.Path("/tmp"), "criteo-mesos-*")
		if err != nil {
			return nil, err
		}
		files[i] = filepath.Join("/tmp", filepath.Base(f.Name()))
		if i == 0 {
			_, err = f.Write(data)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
	cmd := a.host.Command(context.Background(), path, files...)
	cmd.Env = append(cmd.Env, a.environ()...)
	stdin, err := os.Open(a.host.Path(files[0]))
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, a.log, a.log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("Command \"%s\" could not be started: %w", path, err) //nolint:staticcheck // as Mesos says it
	}
	ended := make(chan struct{})
	var failure error // valid once ended is closed
	a.background.Go(func() {
		failure = cmd.Wait()
		close(ended)
	})
	defer func() {
		for _, f := range files {
			if !l.isKilled() {
				_ = os.Remove(a.host.Path(f))
			}
		}
	}()
	timeout := time.NewTimer(a.config.Timeout)
	defer timeout.Stop()
	select {
	case <-ended:
	case <-l.killed:
		return nil, errKilled
	case <-timeout.C:
		terminate(cmd, ended)
		return nil, errors.New("Command execution error") //nolint:staticcheck // as Mesos says it
	}
	if failure != nil {
		cause, _ := os.ReadFile(a.host.Path(files[2]))
		return nil, fmt.Errorf("Command \"%s\" exited with return code %d. Cause: %s", //nolint:staticcheck // as Mesos says it
			path, cmd.ProcessState.ExitCode(), cause)
	}
	return os.ReadFile(a.host.Path(files[1]))
}

// terminate ends a command that took too long: SIGTERM to it and all its
// descendants, SIGKILL a second later.
func terminate(cmd *lab.Command, ended <-chan struct{}) {
	tree := append(descendants(cmd.Process.Pid), cmd.Process.Pid)
	signal(tree, syscall.SIGTERM)
	grace := time.NewTimer(time.Second)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
		signal(append(tree, descendants(cmd.Process.Pid)...), syscall.SIGKILL)
		<-ended
	}
}

func signal(pids []int, s syscall.Signal) {
	slices.Sort(pids)
	for _, pid := range slices.Compact(pids) {
		_ = syscall.Kill(pid, s)
	}
}

// descendants returns the pids of a process's children, their children, ...
func descendants(pid int) []int {
	var all []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range tasks {
		data, _ := os.ReadFile(file)
		for word := range strings.FieldsSeq(string(data)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(append(all, child), descendants(child)...)
			}
		}
	}
	return all
}
