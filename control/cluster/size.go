package cluster

import (
	"github.com/flocker-mesos/flocker/api"
)

// maxGrown bounds the size that an agent can report of a volume, in bytes: 1 EiB.
const maxGrown = 1 << 60

// checkNewSize reports why no volume of a size, in bytes, can be made with a file system.
func (s *State) checkNewSize(size int64, fs string, n *api.Node) error {
	if fs == api.FSXFS && size < api.MinXFSSize {
		return api.FieldErrorf(fieldSize, "%s is too small for XFS, which needs at least %s: ask for more, or for ext4", sizeText(size), sizeText(api.MinXFSSize))
	}
	return s.checkLargest(fieldSize, size, n)
}

// checkLargest reports why no volume can become so large: the cluster's setting is
// against it, or the storage system of a node that would make or grow it, nil where
// that is not known yet.
func (s *State) checkLargest(field string, size int64, n *api.Node) error {
	var settings api.Settings
	if s.meta != nil {
		settings = s.meta.Settings
	}
	if largest := settings.Largest(); size > largest {
		return api.FieldErrorf(field, "%s is more than the largest size of a volume in this cluster, %s: ask for less, or have max-size of the control service raised",
			sizeText(size), sizeText(largest))
	}
	if n != nil && n.MaxSize > 0 && size > n.MaxSize {
		return api.FieldErrorf(field, "%s is more than the backend %s of node %s can hold, %s: ask for less",
			sizeText(size), n.Backend, n.Name(), sizeText(n.MaxSize))
	}
	return nil
}

// checkGrown reports why a dataset's volume cannot become so large: where it is, or
// for a volume that is nowhere, on every node that could have it.
func (s *State) checkGrown(d *api.Dataset, size int64) error {
	if d.Holder != nil {
		return s.checkLargest(fieldSize, size, s.Node(d.Holder.Node))
	}
	err := s.checkLargest(fieldSize, size, nil)
	if err != nil || d.Volume == nil {
		return err
	}
	for n := range s.Nodes() {
		if n.Backend != d.Volume.Backend {
			continue
		}
		if err = s.checkLargest(fieldSize, size, n); err == nil {
			return nil
		}
	}
	return err
}
