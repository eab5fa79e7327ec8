package agent

import (
	"fmt"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
)

// suspect has the worker of a volume that is attached here look at it, since the
// storage may have lost it, or have it again.
func (e *engine) suspect(volumeID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range e.datasets {
		if d.seen.volume.ID != volumeID || down(d.seen.phase) == actNone {
			continue
		}
		d.suspect = true
		d.backoff.Reset()
		e.wake(d)
	}
}

// bereaved returns the sight of a volume that is mounted here and that the storage system
// does not have any more. Its users keep what the kernel still has.
func (s *stepper) bereaved(id api.DatasetID, record *api.Dataset, last sight, mounted uint64) sight {
	seen := sight{phase: api.PhaseMounted, mounted: mounted, device: last.device, bound: last.bound, volume: backend.Volume{
		ID: record.Volume.ID, DatasetID: string(id), Size: record.Volume.Size, Zone: record.Volume.Zone, AttachedTo: s.instance,
	}}
	seen.lost = fmt.Sprintf("%s does not have volume %s any more, which is mounted here. Save what can be read at %s: "+
		"it is unmounted when its containers have ended", s.backendName(), record.Volume.ID, s.path(id))
	return seen
}
