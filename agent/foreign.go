package agent

import (
	"fmt"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
)

// checkOwner returns a *backend.ForeignVolumeError for a volume that belongs to
// another dataset: a node certificate can register a volume that its node has never
// seen, and the storage system alone knows whose it is.
func (s *stepper) checkOwner(id api.DatasetID, v backend.Volume) error {
	if v.ID == "" || v.DatasetID == string(id) {
		return nil
	}
	return &backend.ForeignVolumeError{VolumeID: v.ID, Backend: s.backendName(), Wanted: string(id), Owner: v.DatasetID}
}

// foreignRecord says why a record's volume cannot be seen from here, "" where it can.
func (s *stepper) foreignRecord(record *api.Dataset) string {
	if record != nil && record.Volume != nil && record.Volume.Backend != "" && record.Volume.Backend != s.backendName() {
		return fmt.Sprintf("volume %s is of the backend %s, and this node drives %s: keep the app on nodes that drive it",
			record.Volume.ID, record.Volume.Backend, s.backendName())
	}
	return s.zones.foreignRecord(record)
}

// whereForeign keeps a foreign volume that is not attached here from being
// detached from anywhere.
func (s *stepper) whereForeign(v backend.Volume, seen sight) sight {
	if v.AttachedTo != s.instance {
		seen.phase = api.PhaseVanished
	}
	return seen
}
