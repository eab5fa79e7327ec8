package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// maxEvicted bounds how many processes are asked at once to let a volume go.
const maxEvicted = 256

// inUse reports whether a step failed because somebody uses the volume.
func inUse(err error) bool { return errors.Is(err, host.ErrBusy) || errors.Is(err, backend.ErrInUse) }

// evict has the processes end that keep a volume which another node preempts:
// asked at first, killed when they had time enough. It returns busy, the failure
// of the step, with what was done about it; the step is tried again.
//
// A process of this very program is never among them.
func (e *engine) evict(ctx context.Context, d *dataset, seen sight, busy error) error {
	e.mu.Lock()
	if d.asked.IsZero() {
		d.asked = time.Now()
	}
	waited := time.Since(d.asked)
	e.mu.Unlock()
	device := seen.mounted
	if device == 0 {
		number, err := host.DeviceNumber(seen.device.Path)
		if err != nil {
			return busy
		}
		device = number
	}
	signal, what := unix.SIGTERM, "asked to end"
	if waited > e.grace {
		signal, what = unix.SIGKILL, "killed"
	}
	signalled := 0
	users, err := e.stepper.users(ctx, device)
	if err != nil {
		e.log.Warn("some processes that use a preempted volume may be missed", "dataset", d.id, "name", nameOf(d.record), "cause", err)
	}
	for _, u := range users {
		if u.ID == unix.Getpid() {
			continue
		}
		signalled++
		e.log.Warn("another node preempts the volume: a process is "+what, "dataset", d.id, "name", nameOf(d.record), "process", u.ID, "command", u.Name)
		if err := unix.Kill(u.ID, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			e.log.Warn("could not signal a process", "process", u.ID, "cause", err)
		}
	}
	return fmt.Errorf("%w; another node preempts the volume, and %d processes were %s", busy, signalled, what)
}

// users returns the processes that keep a device in use: by open files, or by having
// it mounted in a container. An error says that there may be more of them.
func (s *stepper) users(ctx context.Context, device uint64) ([]host.Process, error) {
	all, err := s.holders.Users(ctx, device, maxEvicted)
	for _, p := range host.Mounters(device, s.root.Path(""), maxEvicted) {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all, err
}
