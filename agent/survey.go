package agent

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// Survey rediscovers what this node has mounted and attached, from one look at
// the mount table and one listing of the backend, whatever their number. What
// it does not find is looked at when it is wanted. It returns the number of
// datasets that are mounted as they should be. Run calls it first.
func (a *Agent) Survey(ctx context.Context) (int, error) {
	mounts, stacked, err := a.mounts()
	if err != nil {
		return 0, err
	}
	a.holdAsides(mounts)
	volumes, err := a.deps.Backend.List(ctx)
	if err != nil {
		// Nothing is lost by not knowing: every dataset is looked at before
		// its next step, and until then its mount stays.
		a.deps.Log.Warn("cannot list volumes, going on with the mount table alone", "cause", err)
	} else {
		a.inventory.survey(volumes)
	}
	attached := map[api.DatasetID]backend.Volume{}
	for _, v := range volumes {
		if v.AttachedTo == a.stepper.instance {
			attached[api.DatasetID(v.DatasetID)] = v
		}
	}
	device := a.devices(ctx)
	e := a.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stacked = stacked
	mounted := 0
	for id, v := range attached {
		d := e.track(id)
		d.seen = surveyOne(id, v, device, mounts)
		if d.seen.phase == api.PhaseMounted {
			mounted++
		}
	}
	a.stepper.views.found(mounts)
	a.removeStaleViews(mounts)
	for name := range mounts {
		if isMemberView(name) {
			continue
		}
		id := api.DatasetID(strings.TrimSuffix(name, viewSuffix))
		if _, ok := attached[id]; !ok {
			e.track(id) // mounted, though the backend does not say so: looked at before anything is done
		}
	}
	if n := len(e.datasets); n > 0 {
		a.deps.Log.Info("rediscovered", "mounts", len(mounts), "attached", len(attached), "mounted", mounted, "datasets", n)
	}
	return mounted, nil
}

// mounts returns what is mounted below the mount root: the device number by the name
// of the mount point, and the names of the mount points that have several mounts or a
// part of a volume.
func (a *Agent) mounts() (mounts map[string]uint64, stacked map[string]bool, err error) {
	table, err := host.MountTable()
	if err != nil {
		return nil, nil, err
	}
	mounts, stacked = map[string]uint64{}, map[string]bool{}
	for _, m := range table {
		dir, name := filepath.Split(m.Target)
		if filepath.Clean(dir) != a.root.Path("") {
			continue
		}
		if _, twice := mounts[name]; twice || m.Root != "/" {
			stacked[name] = true
		}
		if isView := strings.HasSuffix(name, viewSuffix); !isView || m.ReadOnly {
			mounts[name] = m.Device
		}
		// An agent of before has mounted it without.
		if want := host.Restricted &^ lifted(name); m.Flags&want != want {
			if err := host.Restrict(m.Target, want); err != nil {
				return nil, nil, err
			}
		}
	}
	return mounts, stacked, nil
}

// Look finds out anew how far a dataset is on this node, as its worker does
// when it is in doubt, and changes nothing.
func (a *Agent) Look(ctx context.Context, id api.DatasetID) (api.Phase, error) {
	e := a.engine
	e.mu.Lock()
	d := e.track(id)
	record, last := d.record, d.seen
	e.mu.Unlock()
	seen, err := a.stepper.look(ctx, id, record, last)
	return seen.phase, err
}

// devices returns how to find the device of an attached volume: all at once
// where the backend can.
func (a *Agent) devices(ctx context.Context) func(volumeID string) (backend.Device, error) {
	if surveyor, ok := a.deps.Backend.(backend.Surveyor); ok {
		if all, err := surveyor.Attached(ctx); err == nil {
			return func(volumeID string) (backend.Device, error) {
				if d, ok := all[volumeID]; ok {
					return d, nil
				}
				return backend.Device{}, backend.ErrNotAttached
			}
		}
	}
	return func(volumeID string) (backend.Device, error) { return a.deps.Backend.Device(ctx, volumeID) }
}

// surveyOne tells the phase of an attached volume if it is mounted as it
// should be. Anything else is left to a closer look.
func surveyOne(id api.DatasetID, v backend.Volume, find func(string) (backend.Device, error), mounts map[string]uint64) sight {
	unsure := sight{phase: api.PhaseUnknown, volume: v}
	mounted, ok := mounts[string(id)]
	if !ok {
		return unsure
	}
	device, err := find(v.ID)
	if err != nil {
		return unsure
	}
	number, err := host.DeviceNumber(device.Path)
	if err != nil || number != mounted {
		return unsure
	}
	return sight{
		phase: api.PhaseMounted, volume: v, device: device, mounted: mounted,
		bound: mounts[readOnlyName(id)] == mounted,
	}
}
