package cluster

import (
	"maps"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Create makes a dataset and puts it on a node, as Flocker's REST API does: it
// is mounted there even while nothing uses it.
type Create struct {
	At          time.Time
	Expect      Expect
	ID          api.DatasetID // new
	Primary     api.NodeID
	MaximumSize int64 // bytes, 0 where none was asked for
	DefaultSize int64 // bytes
	Metadata    map[string]string
	User        string // uid[:gid] of the volume's root directory, "" for the first user's
	Permissions string // such as 0750, "" for the default
}

// Apply decides the command.
func (c Create) Apply(s *State) (Outcome, error) {
	if err := c.Expect.Check(s); err != nil {
		return Outcome{}, err
	}
	if c.MaximumSize != 0 {
		if err := CheckSize("maximum_size", c.MaximumSize); err != nil {
			return Outcome{}, err
		}
	}
	if mistakes := CheckMetadata(c.Metadata); len(mistakes) > 0 {
		return Outcome{}, mistakes[0]
	}
	if err := checkOwner(c.User, c.Permissions, false); err != nil {
		return Outcome{}, err
	}
	if s.Dataset(c.ID) != nil {
		return Outcome{}, api.Errorf(api.CodeConflict, "The provided dataset_id is already in use.")
	}
	if err := s.mayCreate(); err != nil {
		return Outcome{}, err
	}
	if err := s.checkDraining(c.Primary); err != nil {
		return Outcome{}, err
	}
	d := &api.Dataset{
		ID:          c.ID,
		Primary:     c.Primary,
		Pinned:      true,
		Metadata:    maps.Clone(c.Metadata),
		MaximumSize: c.MaximumSize,
		Size:        c.MaximumSize,
		FS:          api.FSExt4,
		Created:     c.At,
		Revision:    s.revision + 1,
	}
	d.User, d.Permissions = normalOwner(c.User, c.Permissions)
	if d.Size == 0 {
		d.Size = c.DefaultSize
	}
	if err := s.checkLargest("maximum_size", d.Size, s.Node(c.Primary)); err != nil {
		return Outcome{}, err
	}
	if err := s.checkName(d); err != nil {
		return Outcome{}, err
	}
	grant(d, c.Primary, c.At)
	return Outcome{Changes: []Change{putDataset(d)}, Dataset: d}, nil
}

// checkName reports why a live dataset cannot have the name that it has in d.
func (s *State) checkName(d *api.Dataset) error {
	name := d.Name()
	if name == "" {
		return nil
	}
	if taken := s.DatasetByName(name); taken != nil && taken.ID != d.ID {
		return &api.Error{Code: api.CodeConflict, Field: fieldMetadata,
			Message: "the name \"" + name + "\" is taken by dataset " + string(taken.ID) +
				": use that one, choose another name, or delete it first"}
	}
	return nil
}
