package cluster

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// ChangeDataset changes what is wanted of a dataset, wherever it is and whoever
// uses it: its size, which only rises, and its metadata, its name among them.
// What it finds as it wants it, it does not change.
type ChangeDataset struct {
	At     time.Time
	Expect Expect
	By     Actor
	ID     api.DatasetID
	Size   int64 // bytes, 0 to leave it
	// Metadata has new values for keys, nil for one that goes away.
	Metadata map[string]*string
}

// Apply decides the command.
func (c ChangeDataset) Apply(s *State) (Outcome, error) {
	if err := c.Expect.Check(s); err != nil {
		return Outcome{}, err
	}
	old, err := s.live(c.ID)
	if err != nil {
		return Outcome{}, err
	}
	if err := s.checkManage(old, c.By, "change"); err != nil {
		return Outcome{}, err
	}
	d := s.draft(old)
	if err := c.size(s, d); err != nil {
		return Outcome{}, err
	}
	if err := c.metadata(s, old, d); err != nil {
		return Outcome{}, err
	}
	d.Blocked = s.blockedBy(d) // its old name may have been an orphan's
	if d.Size == old.Size && d.MaximumSize == old.MaximumSize && maps.Equal(d.Metadata, old.Metadata) {
		return Outcome{Dataset: old}, nil
	}
	return Outcome{Changes: []Change{putDataset(d)}, Dataset: d}, nil
}

// size puts the size into a draft. A size that the volume has already, since the
// storage system rounds up, is only recorded. And a growth that has not happened,
// since the storage system has no room or was asked for too much, can be taken back. So
// can the size of a dataset whose volume has never been made.
func (c ChangeDataset) size(s *State, d *api.Dataset) error {
	if c.Size == 0 {
		return nil
	}
	if err := CheckSize(fieldSize, c.Size); err != nil {
		return err
	}
	least := d.Size
	if d.Volume != nil && d.Volume.Size > 0 && d.Volume.Size < least {
		least = d.Volume.Size // it has not grown yet
	}
	if !mayHaveVolume(d, s.DatasetState(d.ID)) && c.Size < d.Size {
		least = 0
		if err := s.checkNewSize(c.Size, d.FS, nil); err != nil {
			return err
		}
	}
	switch {
	case c.Size < least:
		return api.FieldErrorf(fieldSize, "%s is less than the %s that the dataset has: volumes are never made smaller. "+
			"Create another dataset, copy what is in this one, and delete this one", sizeText(c.Size), sizeText(least))
	case c.Size > d.Size && (d.Volume == nil || c.Size > d.Volume.Size):
		if err := s.checkGrown(d, c.Size); err != nil {
			return err
		}
		if err := s.mayGrow(d); err != nil {
			return err
		}
	}
	was := *d
	d.Size, d.MaximumSize = c.Size, c.Size
	return s.checkQuota(&was, d)
}

const (
	fieldSize     = "size"
	fieldMetadata = "metadata"
)

// sizeText names a size exactly: "1GiB", or "1.001GiB (1074790400 bytes)" where
// that is not the whole of it.
func sizeText(bytes int64) string {
	text := api.FormatSize(bytes)
	if exact, err := api.ParseSize(text); err == nil && exact == bytes {
		return text
	}
	return fmt.Sprintf("%s (%d bytes)", text, bytes)
}

// mayGrow reports why a dataset's volume cannot become larger: its holder's
// storage system can't do that, or, where nobody holds it, nobody's can. A
// dataset that has no volume yet gets one of the size that is wanted then.
func (s *State) mayGrow(d *api.Dataset) error {
	if !s.free(d) {
		if n := s.Node(d.Holder.Node); !n.NeverCame() && !canGrow(n) {
			return cannotGrow(d, n)
		}
		return nil
	}
	if !mayHaveVolume(d, s.DatasetState(d.ID)) {
		return nil
	}
	var unable *api.Node
	for n := range s.Nodes() {
		switch {
		case n.NeverCame() || d.Volume != nil && n.Backend != d.Volume.Backend:
		case canGrow(n):
			return nil
		default:
			unable = n
		}
	}
	if unable == nil {
		return nil // nobody says that it cannot be done
	}
	return cannotGrow(d, unable)
}

func canGrow(n *api.Node) bool { return slices.Contains(n.Capabilities, api.CapabilityGrow) }

func cannotGrow(d *api.Dataset, n *api.Node) error {
	return &api.Error{Code: api.CodeConflict, Field: fieldSize, Message: fmt.Sprintf(
		"the volume of dataset %s cannot be made larger than it is: the backend %s of node %s, as its agent (version %s) says, cannot do that. "+
			"Create a larger dataset and copy what is in this one, or update the agent if a later one can",
		nameOf(d), n.Backend, n.Name(), n.Version)}
}

// nameOf names a dataset for people.
func nameOf(d *api.Dataset) string {
	if name := d.Name(); name != "" {
		return name
	}
	return string(d.ID)
}

// metadata puts the metadata into a draft.
func (c ChangeDataset) metadata(s *State, old, d *api.Dataset) error {
	for key, value := range c.Metadata {
		switch {
		case value == nil:
			delete(d.Metadata, key)
		case d.Metadata == nil:
			d.Metadata = map[string]string{key: *value}
		default:
			d.Metadata[key] = *value
		}
	}
	if len(d.Metadata) == 0 {
		d.Metadata = nil
	}
	if maps.Equal(d.Metadata, old.Metadata) {
		return nil
	}
	if mistakes := CheckMetadata(d.Metadata); len(mistakes) > 0 {
		return mistakes[0]
	}
	if d.Profile() != old.Profile() && old.Volume != nil {
		return &api.Error{Code: api.CodeConflict, Field: fieldMetadata, Message: fmt.Sprintf(
			"%s cannot be changed from %q to %q: the profile is chosen when the volume is made, and dataset %s has its volume already",
			api.MetadataProfile, old.Profile(), d.Profile(), nameOf(old))}
	}
	if name := d.Name(); name != "" && name != old.Name() {
		if err := s.namesKnown("renames none"); err != nil {
			return err
		}
		d.App = "" // the name is given now
		if err := s.checkName(d, c.By); err != nil {
			return err
		}
		return s.checkRename(d)
	}
	return nil
}
