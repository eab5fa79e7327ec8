package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/fault"
)

// fence is one round of seeing to it that the lost holder of a dataset can no
// longer write to its volume. First the holder's tenure is ended, with evidence
// that it cannot write, or with what the policy allows instead; nothing is done
// to the volume before that is committed. Then the volume is detached, the
// storage is sealed against the old epoch, and only then the token is free.
func (e *engine) fence(ctx context.Context, id api.DatasetID, record *api.Dataset) error {
	f := record.Fence
	report := func(r api.FenceReport) error {
		return e.reports.send(ctx, id, effects{epoch: f.Epoch, fence: &r})
	}
	if !f.Begun {
		err := e.stepper.mayFence(ctx, record)
		if waits, ok := errors.AsType[*heldBackError](err); ok {
			if waits.finding != f.Finding {
				return errors.Join(err, report(api.FenceReport{Finding: waits.finding}))
			}
			return err
		}
		if err != nil {
			return err
		}
		if err := report(api.FenceReport{Begin: true}); err != nil {
			return err
		}
		fault.Point("agent.fence-begun")
		e.log.Warn("fencing a lost node", "dataset", id, "name", record.Name(), "instance", f.Instance, "policy", f.Policy, "vouched", f.Vouched, "forced", f.Forced)
		return nil
	}
	if err := e.stepper.cutOff(ctx, record); err != nil {
		return err
	}
	fault.Point("agent.fenced")
	if err := report(api.FenceReport{Done: true}); err != nil {
		return err
	}
	e.log.Warn("fenced a lost node", "dataset", id, "name", record.Name(), "instance", f.Instance)
	return nil
}

// heldBackError is what stands in the way of a fence, for people to read.
type heldBackError struct{ finding string }

func (e *heldBackError) Error() string { return e.finding }

// mayFence reports why the tenure of a lost holder cannot be ended yet, as a
// *heldBackError where that is no failure.
func (s *stepper) mayFence(ctx context.Context, record *api.Dataset) error {
	f := record.Fence
	if f.Vouched && f.Forced {
		return nil
	}
	verdict, evidence, err := s.canWrite(ctx, record)
	if err != nil {
		return err
	}
	switch {
	case verdict == backend.CannotWrite, f.Policy == api.FenceForce:
		return nil
	case f.Vouched && verdict == backend.MayWrite:
		return nil
	case f.Policy == api.FenceStop:
		if s.stopper == nil {
			return &heldBackError{fmt.Sprintf("%s, and neither %s nor stop-command in agent.yml of this node can stop it", evidence, s.backendName())}
		}
		return nil
	case f.Vouched:
		return &heldBackError{evidence + "; so the machine is not off, although an operator said so: " +
			"if the volume is to be taken from it all the same, flocker nodes lost --force"}
	default:
		return &heldBackError{evidence}
	}
}

// canWrite reports whether the lost holder can still write.
func (s *stepper) canWrite(ctx context.Context, record *api.Dataset) (verdict backend.Verdict, evidence string, err error) {
	v, found, err := s.volumeOf(ctx, record)
	if err != nil {
		return backend.MayWrite, "", err
	}
	if foreign := s.foreignRecord(record); !found && foreign != "" {
		return backend.MayWrite, "", fmt.Errorf("look whether %s can write: %s", record.Fence.Instance, foreign)
	}
	if !found {
		return backend.CannotWrite, "there is no volume", nil
	}
	witness, ok := s.backend.(backend.Witness)
	if !ok {
		if v.AttachedTo != record.Fence.Instance {
			return backend.CannotWrite, fmt.Sprintf("volume %s is not attached to it", v.ID), nil
		}
		return backend.MayWrite, fmt.Sprintf("volume %s is attached to it, and %s cannot tell whether that machine is off",
			v.ID, s.backendName()), nil
	}
	verdict, evidence, err = witness.CanWrite(ctx, v.ID, record.Fence.Instance)
	if err != nil {
		return backend.MayWrite, "", fmt.Errorf("look whether %s can write: %w", record.Fence.Instance, err)
	}
	return verdict, fmt.Sprintf("volume %s: %s", v.ID, evidence), nil
}

// volumeOf finds a dataset's volume, registered or not.
func (s *stepper) volumeOf(ctx context.Context, record *api.Dataset) (backend.Volume, bool, error) {
	var ids []string
	if record.Volume != nil {
		ids = []string{record.Volume.ID}
	}
	volumes, err := s.backend.List(ctx, ids...)
	if err != nil {
		return backend.Volume{}, false, fmt.Errorf("look for the volume: %w", err)
	}
	if len(ids) == 0 {
		volumes = slices.DeleteFunc(volumes, func(v backend.Volume) bool { return v.DatasetID != string(record.ID) })
	}
	if len(volumes) == 0 {
		return backend.Volume{}, false, nil
	}
	return volumes[0], true, s.checkOwner(record.ID, volumes[0])
}

// cutOff leaves the volume of a holder whose tenure has ended attached nowhere,
// and the storage sealed against it.
func (s *stepper) cutOff(ctx context.Context, record *api.Dataset) error {
	f := record.Fence
	if f.Policy == api.FenceStop && !f.Forced {
		if err := s.stopIfNeeded(ctx, record); err != nil {
			return err
		}
	}
	v, found, err := s.volumeOf(ctx, record)
	if foreign := s.foreignRecord(record); err == nil && !found && foreign != "" {
		return fmt.Errorf("take it from %s: %s", f.Instance, foreign)
	}
	if err != nil || !found {
		return err
	}
	if v.AttachedTo == f.Instance {
		if err := s.backend.Detach(ctx, v.ID, f.Instance, backend.DetachForced); err != nil {
			return fmt.Errorf("detach from the lost machine: %w", err)
		}
		fault.Point("agent.fence-detached")
	}
	guard, ok := s.backend.(backend.Guard)
	if !ok {
		return nil
	}
	if err := guard.Seal(ctx, v.ID, f.Epoch+1); err != nil && !errors.Is(err, backend.ErrStale) {
		return err
	}
	return nil
}

// stopIfNeeded stops the lost machine if it may still be writing.
func (s *stepper) stopIfNeeded(ctx context.Context, record *api.Dataset) error {
	verdict, _, err := s.canWrite(ctx, record)
	if err != nil || verdict == backend.CannotWrite || verdict == backend.MayWrite && record.Fence.Vouched {
		return err
	}
	if s.stopper == nil {
		return fmt.Errorf("nothing here can stop %s", record.Fence.Instance)
	}
	s.log.Warn("stopping a lost machine", "instance", record.Fence.Instance, "dataset", record.ID, "name", record.Name())
	if err := s.stopper.StopInstance(ctx, record.Fence.Instance); err != nil {
		return fmt.Errorf("stop machine %s: %w", record.Fence.Instance, err)
	}
	return nil
}
