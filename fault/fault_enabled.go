//go:build faults

// Package fault lets a test stop a process at an exact instruction.
package fault

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// plan is parsed once from the environment; tests set it per process.
var plan = parse(os.Getenv("FLOCKER_FAULT"))

type planned struct {
	name   string
	action string
	nth    int64
	passed atomic.Int64

	delay       time.Duration // of the action delay
	probability float64
}

const (
	anyPoint    = "*"
	actionError = "error"
	actionDelay = "delay"
	actionStop  = "stop"
)

func parse(s string) *planned {
	p := &planned{nth: 1, action: "kill"}
	s, action, ok := strings.Cut(s, ":")
	if ok {
		p.action = action
	}
	if action, how, ok := strings.Cut(p.action, "="); ok && action == actionDelay {
		p.action = action
		p.parseDelay(how)
	}
	name, nth, ok := strings.Cut(s, "#")
	if ok {
		n, err := strconv.ParseInt(nth, 10, 64)
		if err != nil {
			panic("FLOCKER_FAULT: " + err.Error())
		}
		p.nth = n
	}
	p.name = name
	return p
}

func (p *planned) parseDelay(s string) {
	duration, probability, ok := strings.Cut(s, ",")
	if !ok {
		probability = "1"
	}
	var err error
	if p.delay, err = time.ParseDuration(duration); err == nil {
		p.probability, err = strconv.ParseFloat(probability, 64)
	}
	if err != nil {
		panic("FLOCKER_FAULT: " + err.Error())
	}
}

// pass counts a pass through a point, 0 if it is not the planned one.
func (p *planned) pass(name string) int64 {
	if p.name != name && p.name != anyPoint {
		return 0
	}
	return p.passed.Add(1)
}

// Point kills, stops or delays the process where FLOCKER_FAULT says so.
func Point(name string) {
	if plan.action == actionError {
		return
	}
	n := plan.pass(name)
	if plan.action == actionDelay {
		if n >= plan.nth && rand.Float64() < plan.probability {
			<-time.After(plan.delay)
		}
		return
	}
	if n != plan.nth {
		return
	}
	fmt.Fprintf(os.Stderr, "fault: %s at %s\n", plan.action, name)
	if plan.action == actionStop {
		// To this very thread: another one would take the signal while this
		// one goes on.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_ = syscall.Tgkill(os.Getpid(), syscall.Gettid(), syscall.SIGSTOP)
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way; not one instruction more
}

// Err returns an error where FLOCKER_FAULT says so.
func Err(name string) error {
	if plan.action != actionError || plan.pass(name) != plan.nth {
		return nil
	}
	return fmt.Errorf("fault injected at %s", name)
}
