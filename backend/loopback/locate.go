package loopback

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// List returns volumes. What an image's size is now counts, so a file that was
// cut short shows.
func (b *Backend) List(ctx context.Context, volumeIDs ...string) ([]backend.Volume, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := b.checkRoot(); err != nil {
		return nil, err
	}
	volumes, err := b.list(volumeIDs)
	if err != nil {
		return nil, translate(err)
	}
	// Unmounted while it was read, the root would seem to be empty.
	if err := b.checkRoot(); err != nil {
		return nil, err
	}
	return volumes, nil
}

func (b *Backend) list(volumeIDs []string) ([]backend.Volume, error) {
	if err := b.scanOnce(); err != nil {
		return nil, err
	}
	if len(volumeIDs) == 0 {
		return b.all()
	}
	var volumes []backend.Volume
	for _, id := range volumeIDs {
		if !isName(id) {
			continue
		}
		found, ok, err := b.root.locate(id)
		if err != nil {
			return nil, err
		}
		if v, ok := b.asAttached(id, found, ok); ok {
			volumes = append(volumes, v)
		}
	}
	return volumes, nil
}

// located is a volume whose image was found, with the identity of that.
type located struct {
	backend.Volume

	image host.FileID
}

// locate finds one volume, without reading a directory that has volumes in it.
func (r *root) locate(volumeID string) (located, bool, error) {
	if v, found, err := r.statImage(r.free(volumeID), volumeID, ""); found || err != nil {
		return v, found, err
	}
	if v, found, err := r.locateAttached(volumeID); found || err != nil {
		return v, found, err
	}
	// It was detached meanwhile, from an instance not yet looked at?
	return r.statImage(r.free(volumeID), volumeID, "")
}

// locateAttached finds a volume that is attached to any instance.
func (r *root) locateAttached(volumeID string) (located, bool, error) {
	if v, found, err := r.statImage(r.here(volumeID), volumeID, r.instance); found || err != nil {
		return v, found, err
	}
	instances, err := r.instances()
	if err != nil {
		return located{}, false, err
	}
	for _, instance := range instances {
		if v, found, err := r.statImage(r.at(instance, volumeID), volumeID, instance); found || err != nil {
			return v, found, err
		}
	}
	return located{}, false, nil
}

// all returns all volumes. What is moved while the directories are read, is
// found all the same, once.
func (r *root) all() ([]located, error) {
	found := map[string]located{}
	var order []string
	read := func(dir, instance string) error {
		names, err := readNames(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !isName(name) {
				continue
			}
			v, ok, err := r.statImage(dir+"/"+name, name, instance)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if _, seen := found[name]; !seen {
				order = append(order, name)
			}
			found[name] = v // what was seen later is true
		}
		return nil
	}
	instances, err := r.instances()
	if err != nil {
		return nil, err
	}
	if err := read(r.unattached(), ""); err != nil {
		return nil, err
	}
	for _, instance := range instances {
		err := read(r.at(instance, ""), instance)
		if err != nil && !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ENOENT) {
			return nil, err
		}
	}
	// Once more, for those that were detached from an instance not yet read.
	if err := read(r.unattached(), ""); err != nil {
		return nil, err
	}
	volumes := make([]located, len(order))
	for i, name := range order {
		volumes[i] = found[name]
	}
	return volumes, nil
}

// instances returns all that ever attached a volume.
func (r *root) instances() ([]string, error) { return readNames(r.attached()) }

func readNames(path string) ([]string, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// statImage returns the volume whose image is at path, if one is.
func (r *root) statImage(path, volumeID, instance string) (located, bool, error) {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return located{}, false, nil
	}
	if err != nil {
		return located{}, false, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return located{}, false, nil
	}
	v := backend.Volume{ID: volumeID, DatasetID: volumeID, Name: r.readName(volumeID), Size: st.Size, AttachedTo: instance, Zone: r.zone}
	return located{v, idOf(&st)}, true, nil
}
