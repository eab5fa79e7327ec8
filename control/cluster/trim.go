package cluster

import (
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Trim asks the holder of a mounted dataset to give the free blocks of its volume back
// to the storage.
type Trim struct {
	At time.Time
	By Actor
	ID api.DatasetID
}

// Apply decides the command.
func (c Trim) Apply(s *State) (Outcome, error) {
	d, err := s.find(c.ID)
	if err != nil {
		return Outcome{}, err
	}
	if err := s.checkManage(d, c.By, "trim"); err != nil {
		return Outcome{}, err
	}
	if err := s.checkTrim(d); err != nil {
		return Outcome{}, err
	}
	d = s.draft(d)
	d.Trim = &api.Trim{Number: s.revision + 1, Asked: c.At.Round(0)}
	return Outcome{Changes: []Change{putDataset(d)}, Dataset: d}, nil
}

// checkTrim reports why a volume cannot be trimmed now.
func (s *State) checkTrim(d *api.Dataset) error {
	if d.Deleted {
		return api.Errorf(api.CodeDeleted, "The dataset has been deleted.")
	}
	st := s.DatasetState(d.ID)
	if d.Holder == nil || st == nil || st.Node != d.Holder.Node || st.Phase != api.PhaseMounted {
		return api.Errorf(api.CodeConflict, "volume %s is not mounted: only a mounted volume can be trimmed, since its file system knows which blocks are free", nameOf(d))
	}
	n := s.Node(d.Holder.Node)
	switch {
	case n == nil || !n.Connected:
		return api.Errorf(api.CodeUnavailable, "volume %s is mounted on a node whose agent is not connected: try again when it is", nameOf(d))
	case !slices.Contains(n.Capabilities, api.CapabilityTrim):
		return api.Errorf(api.CodeConflict, "the agent of %s is of an earlier version, which does not trim: update it", n.Name())
	}
	return nil
}
