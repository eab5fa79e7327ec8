package cluster

import (
	"cmp"
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
	By          Actor
	Owner       api.Owner // "" for that of By
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
	if err := s.checkIDFree(c.ID); err != nil {
		return Outcome{}, err
	}
	if err := s.mayCreate(); err != nil {
		return Outcome{}, err
	}
	if err := s.checkDraining(c.Primary); err != nil {
		return Outcome{}, err
	}
	owner, err := c.owner()
	if err != nil {
		return Outcome{}, err
	}
	d := &api.Dataset{
		ID:          c.ID,
		Owner:       owner,
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
	if err := s.checkName(d, c.By); err != nil {
		return Outcome{}, err
	}
	if err := s.checkQuota(nil, d); err != nil {
		return Outcome{}, err
	}
	if err := s.checkOrphans(d); err != nil {
		return Outcome{}, err
	}
	grant(d, c.Primary, c.At)
	return Outcome{Changes: []Change{putDataset(d)}, Dataset: d}, nil
}

// owner returns to which owner the dataset will belong.
func (c Create) owner() (api.Owner, error) {
	own := cmp.Or(c.By.Owner, api.Anyone)
	if c.Owner == "" || c.Owner == own {
		return own, nil
	}
	if err := api.CheckOwner(fieldOwner, c.Owner); err != nil {
		return "", err
	}
	return c.Owner, operatorsOnly(c.By, "create a volume for another owner")
}

// checkName reports why a live dataset cannot have the name that an actor gives it in d.
func (s *State) checkName(d *api.Dataset, by Actor) error {
	name := d.Name()
	if name == "" {
		return nil
	}
	if given := d.Metadata[api.MetadataName]; given != "" {
		if err := CheckGivenName(fieldMetadata, given); err != nil {
			return err
		}
	}
	if err := s.checkPlace(name, d.ID, by); err != nil {
		return err
	}
	taken := s.DatasetByName(name)
	switch {
	case taken == nil || taken.ID == d.ID:
	case !s.MayUse(taken, by):
		return &api.Error{Code: api.CodeConflict, Field: fieldMetadata, Message: "the name \"" + name + "\" is taken: choose another name"}
	default:
		return &api.Error{Code: api.CodeConflict, Field: fieldMetadata,
			Message: "the name \"" + name + "\" is taken by dataset " + string(taken.ID) +
				": use that one, choose another name, or delete it first"}
	}
	return nil
}
