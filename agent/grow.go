package agent

import (
	"context"
	"fmt"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/fault"
	"github.com/flocker-mesos/flocker/host"
)

// How a volume becomes larger under those who use it. What has to be done is
// told from what is there: the volume, its device, its file system and the
// control service's record each have a size, and each step brings one of them
// up to the one before, in this order. So it goes on from wherever an agent was
// killed; and where the record has the volume's size, so has all in between.

// wanted returns the size that a dataset's volume should have, in bytes.
func (s *stepper) wanted(record *api.Dataset) int64 {
	unit := s.backend.Properties().AllocationUnit
	return (record.Size + unit - 1) / unit * unit
}

// checkSize refuses a size that the storage system cannot hold, before it is asked.
func (s *stepper) checkSize(record *api.Dataset) error {
	p := s.backend.Properties()
	if size := s.wanted(record); p.MaxSize > 0 && size > p.MaxSize {
		return api.FieldErrorf("size", "%s is more than the backend %s of this machine can hold, %s: ask for less",
			api.FormatSize(size), p.Name, api.FormatSize(p.MaxSize))
	}
	return nil
}

// grows reports whether a volume is smaller than it should be and can be grown.
func (s *stepper) grows(record *api.Dataset, seen sight) bool {
	return s.grower != nil && record != nil && !record.Deleted && seen.volume.ID != "" && seen.volume.Size < s.wanted(record)
}

// behind reports whether a volume has grown and its device does not show it:
// the agent was killed in between.
func (s *stepper) behind(seen sight) bool {
	return s.grower != nil && seen.device.Path != "" && seen.device.Size < seen.volume.Size
}

// grow makes the volume as large as it should be while it is mounted. One that
// is not mounted yet only has its device brought up to it.
func (s *stepper) grow(ctx context.Context, id api.DatasetID, record *api.Dataset, seen sight) (sight, error) {
	size := seen.volume.Size
	if s.grows(record, seen) && seen.phase == api.PhaseMounted {
		// What could not be brought to its end is not begun: then it can still
		// be taken back.
		if err := host.MayGrow(s.path(id)); err != nil {
			return seen, err
		}
		if err := s.checkSize(record); err != nil {
			return seen, err
		}
		size = s.wanted(record)
	}
	v, err := s.grower.Grow(ctx, seen.volume.ID, size)
	if err != nil {
		return seen, err
	}
	fault.Point("agent.volume-grown")
	seen.volume = v
	device, err := s.backend.Device(ctx, v.ID)
	if err != nil {
		return seen, fmt.Errorf("find device of volume %s: %w", v.ID, err)
	}
	seen.device = device
	if s.behind(seen) {
		return seen, fmt.Errorf("device %s has %d bytes, and volume %s has grown to %d: %w", device.Path, device.Size, v.ID, v.Size, backend.ErrNotReady)
	}
	seen.filled = false
	return seen, nil
}

// growFS makes the file system as large as the volume. It may be that already: then
// it costs a look at it.
func (s *stepper) growFS(id api.DatasetID, seen sight) (sight, error) {
	if err := host.GrowFS(seen.device.Path, s.path(id)); err != nil {
		return seen, err
	}
	fault.Point("agent.file-system-grown")
	seen.filled = true
	return seen, nil
}
