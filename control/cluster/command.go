package cluster

import (
	"slices"

	"github.com/flocker-mesos/flocker/api"
)

// Command is something that somebody wants of the cluster.
type Command interface {
	// Apply decides the command against s. It reads s and changes nothing:
	// the outcome has the changes, to be Put into a later state and committed.
	// An error is an *api.Error that tells a person why not; then nothing is
	// to be changed.
	Apply(s *State) (Outcome, error)
}

// Outcome is what a command decided.
type Outcome struct {
	// Changes have each key once. A command that finds everything as it wants
	// it has none.
	Changes []Change
	Dataset *api.Dataset // the one the command is about, as the command leaves it
	Node    *api.Node    // likewise
	Lease   *api.Lease   // likewise; one that ends, as it was
	App     *api.App     // likewise; one that is forgotten, as it was
	Job     *api.Job     // likewise
	Set     *api.VolumeSet
	Orphan  *api.Orphan // likewise; as it was
	New     bool        // the lease is one that there was not before
	More    bool        // not all goes into one commit: the command has to be repeated
	Refused map[api.DatasetID]*api.Error
}

// Expect is the condition of a command by Flocker's X-If-Configuration-Matches:
// the configuration has one of these tags. None means no condition.
type Expect []string

// Check reports why s has none of the tags, as a CodePrecondition.
func (e Expect) Check(s *State) error {
	if len(e) == 0 {
		return nil
	}
	current := s.tag.String()
	if slices.Contains(e, current) {
		return nil
	}
	return api.Errorf(api.CodePrecondition, "Tag doesn't match. Required: %s, current: %s", e[0], current)
}

// draft returns a copy of d to change, marked with the revision that it will
// be committed as.
func (s *State) draft(d *api.Dataset) *api.Dataset {
	c := d.Clone()
	c.Revision = s.revision + 1
	return c
}

// live returns the dataset that a command names, or why there is none.
func (s *State) live(id api.DatasetID) (*api.Dataset, error) {
	d, err := s.find(id)
	if err != nil {
		return nil, err
	}
	if d.Deleted {
		return nil, api.Errorf(api.CodeDeleted, "The dataset has been deleted.")
	}
	return d, nil
}

// find returns the dataset that a command names, deleted or not.
func (s *State) find(id api.DatasetID) (*api.Dataset, error) {
	if err := s.intact(id); err != nil {
		return nil, err
	}
	if d := s.Dataset(id); d != nil {
		return d, nil
	}
	if err := s.readable(DatasetKey(id)); err != nil {
		return nil, err
	}
	return nil, api.Errorf(api.CodeNotFound, "Dataset not found.")
}

// readable refuses a command about a record that a newer version has written.
func (s *State) readable(key Key) error {
	if schema, ok := s.newer.Get(key); ok {
		return api.Errorf(api.CodeUnavailable, "%v: update this control service", &NewerError{Key: key, Schema: schema})
	}
	return nil
}

// mayCreate reports why no dataset can be created.
func (s *State) mayCreate() error { return s.namesKnown("creates no datasets") }

// namesKnown reports why no name can be given away, and what this control service
// does not do for it: while there are datasets that this version cannot read, it
// cannot know which names are taken.
func (s *State) namesKnown(consequence string) error {
	for key, schema := range s.Newer() {
		if kind, _ := key.split(); kind == kindDataset {
			newer := &NewerError{Key: key, Schema: schema}
			return api.Errorf(api.CodeUnavailable,
				"%v, so this control service cannot tell which names are free and %s: update it", newer, consequence)
		}
	}
	if d := s.unknownDataset(); d != nil {
		return api.Errorf(api.CodeUnavailable, "the record %s in the log %s and its value is not known, so this control service cannot tell which names "+
			"are free and %s: an operator has to mend it: flocker control repair", d.Key, d.What, consequence)
	}
	return nil
}
