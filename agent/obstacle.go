package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// maxWatches bounds how many volumes have their holders watched, since each watch takes
// a thread of the machine; others are tried again after a second at the most, as all are.
const maxWatches = 64

// obstructedError is a step that failed since something on this machine holds the
// volume.
type obstructedError struct {
	err     error
	finding host.Finding
}

func (e *obstructedError) Error() string { return fmt.Sprintf("%v: %s", e.err, e.finding.Text()) }
func (e *obstructedError) Unwrap() error { return e.err }

func isObstructed(err error) bool {
	_, ok := errors.AsType[*obstructedError](err)
	return ok
}

// blame adds to the failure of a step what holds the volume, if something on this
// machine may. Other errors, and nil, stay as they are.
func (e *engine) blame(ctx context.Context, id api.DatasetID, seen sight, err error) error {
	if !inUse(err) {
		return err
	}
	subject := host.Subject{Device: seen.mounted, Path: seen.device.Path, Target: e.stepper.path(id)}
	if busy, ok := errors.AsType[*backend.InUseError](err); ok && busy.Device != "" {
		subject.Path = busy.Device
	}
	if subject.Device == 0 && subject.Path != "" {
		if subject.Device, _ = host.DeviceNumber(subject.Path); subject.Device == 0 {
			return err
		}
	}
	if subject.Device == 0 {
		return err // another machine uses it
	}
	mounted, lookErr := e.stepper.mountedAt(subject.Target)
	subject.Mounted = lookErr == nil && mounted == subject.Device
	return &obstructedError{err, e.stepper.holders.Find(ctx, subject)}
}

// holderPause is how long after an event the step is tried again: the kernel tells of
// the end of a process slightly before it has let go of everything, and mounts may
// change by the hundred.
const holderPause = 20 * time.Millisecond

// watchHolders has the step tried again when something that holds the volume may have
// gone. The caller has the mutex, and is a worker.
func (e *engine) watchHolders(ctx context.Context, d *dataset, finding host.Finding) {
	if e.closed || !e.watches.TryAcquire(1) {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	d.unwatch = cancel
	e.workers.Go(func() {
		defer e.watches.Release(1)
		defer cancel()
		if finding.Watch(ctx) != nil {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if ctx.Err() == nil && !d.working {
			d.backoff.Reset()
			e.retryAfter(d, holderPause)
		}
	})
}
