//go:build faults

// Package fault lets a test stop a process at an exact instruction.
package fault

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// plan is parsed once from the environment; tests set it per process.
var plan = parse(os.Getenv("FLOCKER_FAULT"))

type planned struct {
	name   string
	action string
	nth    int64
	passed atomic.Int64
}

func parse(s string) *planned {
	p := &planned{nth: 1, action: "kill"}
	s, action, ok := strings.Cut(s, ":")
	if ok {
		p.action = action
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

func (p *planned) hit(name string) bool {
	return p.name == name && p.passed.Add(1) == p.nth
}

// Point kills or stops the process where FLOCKER_FAULT says so.
func Point(name string) {
	if plan.action == "error" || !plan.hit(name) {
		return
	}
	fmt.Fprintf(os.Stderr, "fault: %s at %s\n", plan.action, name)
	if plan.action == "stop" {
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
	if plan.action != "error" || !plan.hit(name) {
		return nil
	}
	return fmt.Errorf("fault injected at %s", name)
}
