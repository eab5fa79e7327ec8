package agent

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/fault"
	"github.com/flocker-mesos/flocker/host"
)

// unmount takes down the read-only view and the mount. The mount points stay:
// a container that waits for the volume has them bound already, and would
// never see what is mounted on new ones.
func (s *stepper) unmount(id api.DatasetID, seen sight) (sight, error) {
	if err := s.checkCover(s.path(id), seen.mounted); err != nil {
		return seen, err
	}
	if err := s.bindViews(id, seen, nil); err != nil {
		return seen, err
	}
	if seen.mounted != 0 && host.Thaw(s.path(id), seen.mounted) {
		s.log.Warn("thawed the file system, which was frozen (fsfreeze), to unmount it", "dataset", id, "path", s.path(id))
	}
	for _, target := range []string{s.viewPath(id), s.path(id)} {
		if err := host.Unmount(target); err != nil {
			return seen, err
		}
		fault.Point("agent.unmounted")
	}
	if seen.phase == api.PhaseCut {
		return sight{phase: api.PhaseUnknown}, nil // where it is now has to be looked up
	}
	// Whether the file system was whole is on the device: looked up before it is
	// mounted again.
	seen.phase, seen.mounted, seen.bound, seen.filled, seen.clean = api.PhaseAttached, 0, false, false, false
	return seen, nil
}

// checkCover refuses to unmount what an operator has mounted over a volume.
func (s *stepper) checkCover(target string, device uint64) error {
	on, err := s.mountedAt(target)
	if err != nil || on == 0 || device == 0 || on == device {
		return err
	}
	return fmt.Errorf("unmount %s: something else is mounted over it (device %d:%d), which is not the agent's to take away: umount %s",
		target, unix.Major(on), unix.Minor(on), target)
}

// renew takes down a file system that has failed and that nothing uses.
func (s *stepper) renew(ctx context.Context, id api.DatasetID, seen sight) (sight, error) {
	users, err := s.users(ctx, seen.mounted)
	if len(users) > 0 {
		return seen, fmt.Errorf("its file system has failed, and it is %w", host.ErrBusy)
	}
	if err != nil {
		return seen, fmt.Errorf("its file system has failed, and it may be in use: %w", err)
	}
	if after, err := s.unmount(id, seen); err != nil {
		return after, err
	}
	return sight{phase: api.PhaseUnknown, volume: seen.volume}, nil
}

// restore mounts a volume again that is not mounted any more. Where containers have
// copies of the mount, the file system is in use: it joins them, and checks nothing.
func (s *stepper) restore(ctx context.Context, id api.DatasetID, record *api.Dataset, seen sight) (sight, error) {
	anew := sight{phase: api.PhaseUnknown, volume: seen.volume}
	if on, err := s.mountedAt(s.path(id)); err != nil || on != 0 {
		return anew, err
	}
	if err := host.CheckIdle(seen.device.Path); !errors.Is(err, host.ErrBusy) {
		return anew, err
	}
	target, err := s.root.MakeMountPoint(string(id))
	if err != nil {
		return seen, err
	}
	if err := s.mountDevice(ctx, id, record, seen, target); err != nil {
		return seen, err
	}
	return anew, nil
}

// rejoin mounts a volume again whose device is in use though it is not mounted: it was
// unmounted behind the back of an earlier agent, whose consumers have copies of the
// mount. For all others it returns the outcome of the turn as it is.
func (e *engine) rejoin(ctx context.Context, d *dataset, t task, seen sight, err error) (sight, error) {
	if t.act != actLook || t.goal != goalMounted || !inUse(err) {
		return seen, err
	}
	e.mu.Lock()
	used := e.need(d) == needUsed
	e.mu.Unlock()
	if !used || seen.phase != api.PhaseAttached || t.record == nil || t.record.Volume == nil {
		return seen, err
	}
	t.act, t.seen = actRestore, seen
	return e.burden(ctx, d, t)
}
