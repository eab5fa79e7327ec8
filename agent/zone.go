package agent

import (
	"context"
	"fmt"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
)

// zones is in which zone this machine is, and whether its backend binds volumes to it.
type zones struct {
	here  string // "" where it is not known
	binds bool
}

// findZones asks the backend, and compares with what an operator has set: of a machine
// that is in another zone than its operator believes, neither word is to be trusted.
func findZones(ctx context.Context, set string, b backend.Backend) (zones, error) {
	zoner, ok := b.(backend.Zoner)
	if !ok {
		return zones{here: set}, nil
	}
	told, err := zoner.Zone(ctx)
	name := b.Properties().Name
	switch {
	case err != nil:
		return zones{}, fmt.Errorf("ask %s which zone this machine is in: %w", name, err)
	case told == "":
		return zones{here: set}, nil
	case set != "" && set != told:
		return zones{}, api.FieldErrorf(api.FieldZone, "is set to %q, and by the backend %s this machine is in zone %q: leave it out, or set it to that", set, name, told)
	}
	return zones{here: told, binds: true}, nil
}

// foreign says why a volume can never be attached here, "" where it can, as far as
// zones go.
func (z zones) foreign(volumeID, zone string) string {
	if zone == "" || z.here == "" || zone == z.here {
		return ""
	}
	return fmt.Sprintf("volume %s is in zone %s and this node in zone %s, where it can never be attached: keep the app in the volume's zone, by the constraint %s",
		volumeID, zone, z.here, api.ZoneConstraint(zone))
}

// isForeign reports whether a volume, as it is registered or seen, can never be attached
// here.
func (z zones) isForeign(record *api.Dataset, v backend.Volume) bool {
	return z.foreignRecord(record) != "" || z.foreign(v.ID, v.Zone) != ""
}

// unplaced reports whether it is not known of a volume in which zone the storage system
// has it: it was registered before there were zones, or the zone has another name now.
func unplaced(v backend.Volume, registered *api.Volume) bool {
	return v.Zone != "" && v.Zone != registered.Zone
}

// foreignRecord is foreign for the volume of a record.
func (z zones) foreignRecord(record *api.Dataset) string {
	if record == nil || record.Volume == nil {
		return ""
	}
	return z.foreign(record.Volume.ID, record.Volume.Zone)
}
