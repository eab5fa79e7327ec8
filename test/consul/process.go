package consul

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// starter starts servers on a thread of its own, because the kernel's signal
// on the parent's death is about the thread that started the child, and Go
// ends threads as it sees fit.
type starter struct {
	binary string
	jobs   chan func()
	ended  chan struct{}
}

func newStarter(binary string) *starter {
	s := &starter{binary: binary, jobs: make(chan func()), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread() // every child has ended
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

// close ends the thread. All processes must have ended.
func (s *starter) close() {
	close(s.jobs)
	<-s.ended
}

// process is a server that was started.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait, valid once done is closed
}

// start starts a server whose output is added to a file.
func (s *starter) start(logPath string, args []string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	p := &process{done: make(chan struct{}), cmd: &exec.Cmd{
		Path: s.binary, Args: append([]string{s.binary}, args...), Stdout: log, Stderr: log,
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}}
	started := make(chan error)
	s.jobs <- func() { started <- p.cmd.Start() }
	if err := <-started; err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stopped reports whether all threads have stopped after a SIGSTOP.
func (p *process) stopped() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has ended
		}
		// PID (NAME) STATE ..., and a name may have anything in it.
		_, state, ok := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
		if err != nil || !ok || state[0] != 'T' {
			return false
		}
	}
	return true
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// tail returns the end of a file.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4096):])
}
