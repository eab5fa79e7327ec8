package main

import (
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/flocker-mesos/flocker/test/lab"
)

// restartPause is how long a supervisor waits before it starts again what has
// ended by itself.
const restartPause = 100 * time.Millisecond

// unit is a program that is kept running, as systemd does it.
type unit struct {
	name   string
	launch func(env ...string) (*lab.Process, error)
	logf   func(format string, args ...any)

	mu      sync.Mutex
	process *lab.Process
	up      bool          // it should run
	changed chan struct{} // closed when process or up has changed
	deaths  int           // that nobody planned as such: at fault points, or by itself

	quit chan struct{}
	wg   sync.WaitGroup
}

func newUnit(name string, launch func(env ...string) (*lab.Process, error), logf func(string, ...any)) *unit {
	u := &unit{name: name, launch: launch, logf: logf, changed: make(chan struct{}), quit: make(chan struct{})}
	u.wg.Go(u.supervise)
	return u
}

// start starts the program with an environment beside the usual.
func (u *unit) start(env ...string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.up = true
	return u.run(env...)
}

// run starts the program unless it runs. The caller has the mutex.
func (u *unit) run(env ...string) error {
	if u.process != nil && u.process.Running() {
		return nil
	}
	p, err := u.launch(append([]string{"FLOCKER_CLOCK_FILE=" + clockFile}, env...)...)
	if err != nil {
		return fmt.Errorf("start %s: %w", u.name, err)
	}
	u.process = p
	u.announce()
	return nil
}

func (u *unit) announce() {
	close(u.changed)
	u.changed = make(chan struct{})
}

// kill kills the program, which stays down.
func (u *unit) kill() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.up = false
	if u.process != nil {
		u.process.Kill()
	}
	u.announce()
}

// end asks the program to end, and kills it if that takes long.
func (u *unit) end() {
	u.mu.Lock()
	u.up = false
	p := u.process
	u.announce()
	u.mu.Unlock()
	if p == nil || p.Signal(syscall.SIGTERM) != nil {
		return
	}
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	select {
	case <-p.Exited():
	case <-timer.C:
		p.Kill()
	}
}

// signal sends a signal to the program, if it runs.
func (u *unit) signal(s syscall.Signal) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.process != nil && u.process.Running() {
		_ = u.process.Signal(s) // it may end just now
	}
}

// supervise starts the program again when it ends though it should run.
func (u *unit) supervise() {
	for {
		u.mu.Lock()
		p, up, changed := u.process, u.up, u.changed
		u.mu.Unlock()
		var ended <-chan struct{}
		if p != nil && up {
			ended = p.Exited()
		}
		select {
		case <-u.quit:
			return
		case <-changed:
			continue
		case <-ended:
		}
		select {
		case <-u.quit:
			return
		case <-time.After(restartPause):
		}
		u.mu.Lock()
		if u.up && u.process == p {
			u.deaths++
			if err := u.run(); err != nil {
				u.logf("%v", err)
			}
		}
		u.mu.Unlock()
	}
}

// stop leaves the program to itself.
func (u *unit) stop() {
	close(u.quit)
	u.wg.Wait()
}
