package agent

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// mountDevice mounts a volume's device. The kernel refuses an XFS whose UUID is
// mounted already, as that of a copied or restored volume may be: it is mounted if
// every volume with that UUID is another volume of this node.
func (s *stepper) mountDevice(ctx context.Context, id api.DatasetID, record *api.Dataset, seen sight, target string) error {
	fs := seen.fs
	if record != nil {
		fs = cmp.Or(record.FS, fs)
	}
	err := host.Mount(seen.device.Path, target, fs, host.Restricted)
	if err == nil || fs != api.FSXFS {
		return err
	}
	same, lookErr := host.SameUUID(seen.device.Path)
	if lookErr != nil || len(same) == 0 {
		return err
	}
	var volumes []string
	seenDevices := map[uint64]bool{}
	for _, m := range same {
		if seenDevices[m.Device] {
			continue // a view
		}
		seenDevices[m.Device] = true
		volume, why := s.isCopy(ctx, seen, m)
		if why != nil {
			return fmt.Errorf("%w; its UUID is that of %s, mounted at %s: %w", err, m.Source, m.Target, why)
		}
		volumes = append(volumes, volume)
	}
	s.log.Warn("the XFS has the UUID of another volume that is mounted here: mounting it with nouuid; "+
		"give it a UUID of its own with xfs_admin -U generate while it is not mounted",
		"dataset", id, "name", nameOf(record), "volume", seen.volume.ID, "same_uuid", strings.Join(volumes, ", "))
	return host.MountCopy(seen.device.Path, target, host.Restricted)
}

// isCopy returns the id of the volume at a mount if it and the one that was seen are
// two volumes, by the storage system's word and by their devices; else it returns why
// that is not certain.
func (s *stepper) isCopy(ctx context.Context, seen sight, m host.MountEntry) (string, error) {
	dir, name := filepath.Split(m.Target)
	if filepath.Clean(dir) != s.root.Path("") {
		return "", fmt.Errorf("no volume of Flocker is mounted there, so it may be the same file system: unmount %s, "+
			"or give one of the two another UUID (xfs_admin -U generate)", m.Target)
	}
	owner := strings.TrimSuffix(name, viewSuffix)
	volumes, err := s.backend.List(ctx)
	if err != nil {
		return "", fmt.Errorf("list volumes: %w", err)
	}
	i := slices.IndexFunc(volumes, func(v backend.Volume) bool { return v.DatasetID == owner && v.AttachedTo == s.instance })
	if i < 0 {
		return "", fmt.Errorf("%s has no volume of dataset %s attached here: unmount %s", s.backendName(), owner, m.Target)
	}
	device, err := s.backend.Device(ctx, volumes[i].ID)
	if err != nil {
		return "", fmt.Errorf("find device of volume %s: %w", volumes[i].ID, err)
	}
	number, err := host.DeviceNumber(device.Path)
	if err != nil {
		return "", err
	}
	return volumes[i].ID, distinct(seen, volumes[i], device, number, m.Device)
}

// distinct returns why a volume, which is mounted from the device with a number, may
// be the one that was seen.
func distinct(seen sight, other backend.Volume, device backend.Device, number, mounted uint64) error {
	switch {
	case number != mounted:
		return fmt.Errorf("volume %s has device %d:%d, not the one that is mounted there", other.ID, unix.Major(number), unix.Minor(number))
	case other.ID == seen.volume.ID || other.DatasetID == seen.volume.DatasetID:
		return fmt.Errorf("both are volume %s", other.ID)
	case device.Path == seen.device.Path || sameFile(device.Image, seen.device.Image):
		return fmt.Errorf("volumes %s and %s have one device", other.ID, seen.volume.ID)
	default:
		return nil
	}
}

// sameFile reports whether two images are one file, or may be: both are named, and one
// of them cannot be looked at.
func sameFile(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	fa, errA := os.Stat(a)
	fb, errB := os.Stat(b)
	return errA != nil || errB != nil || os.SameFile(fa, fb)
}
