package cluster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// Resolve returns the dataset that a text means to an actor: by its id, in any spelling,
// or by its name. A dataset that is being deleted has its name until another one takes it.
// A text that is the id of one dataset and the name of another is refused; with the
// prefix "id:" or "name:" it has one meaning. Datasets that the actor may not use do not
// make a text ambiguous.
func (s *State) Resolve(text string, by Actor) (*api.Dataset, error) {
	var found, usable []*api.Dataset
	add := func(d *api.Dataset) {
		if d == nil || slices.Contains(found, d) {
			return
		}
		found = append(found, d)
		if s.MayUse(d, by) {
			usable = append(usable, d)
		}
	}
	add(s.datasetByID(text))
	add(s.DatasetByName(text))
	if id, ok := strings.CutPrefix(text, api.RefID); ok {
		add(s.datasetByID(id))
	}
	if name, ok := strings.CutPrefix(text, api.RefName); ok {
		add(s.DatasetByName(name))
	}
	if len(found) == 0 {
		for _, d := range s.dying(strings.TrimPrefix(text, api.RefName)) {
			add(d)
		}
	}
	switch {
	case len(usable) > 1:
		return nil, ambiguous(text, usable)
	case len(usable) == 1:
		return usable[0], nil
	case len(found) > 0:
		return nil, s.CheckUse(found[0], by)
	}
	return nil, api.Errorf(api.CodeNotFound, "there is no dataset with the name or id %q", text)
}

// datasetByID returns the dataset with an id, in any spelling.
func (s *State) datasetByID(text string) *api.Dataset {
	if d := s.Dataset(api.DatasetID(text)); d != nil {
		return d
	}
	if id, ok := api.ParseID(text); ok {
		return s.Dataset(api.DatasetID(id))
	}
	return nil
}

// dying returns the datasets that have a name and are being deleted.
func (s *State) dying(name string) []*api.Dataset {
	var found []*api.Dataset
	for d := range s.Datasets() {
		if d.Deleted && !d.Destroyed && name != "" && d.Name() == name {
			found = append(found, d)
		}
	}
	return found
}

// ambiguous names the datasets that a text can mean, and how to say which is meant.
func ambiguous(text string, found []*api.Dataset) error {
	ways := make([]string, len(found))
	for i, d := range found {
		ways[i] = fmt.Sprintf("%s%s for dataset %s", api.RefID, d.ID, nameOf(d))
		if d.Deleted {
			ways[i] += ", which was deleted"
		}
	}
	return api.Errorf(api.CodeConflict, "%q can mean %d datasets: say %s", text, len(found), strings.Join(ways, ", or "))
}

// CheckGivenName reports why a user may not give a dataset a name: it is no name, or it
// reads as an id. Names that tasks bring (ClusterHQ's FLOCKER_ID often is a UUID) and those
// of existing datasets stay valid.
func CheckGivenName(field, name string) error {
	if err := CheckName(field, name); err != nil {
		return err
	}
	if _, ok := api.ParseID(name); ok {
		return api.FieldErrorf(field, "%q reads as an id: choose a name that is not a UUID", name)
	}
	return nil
}

// checkNotID refuses a name that is the id of another dataset.
func (s *State) checkNotID(name string, own api.DatasetID, by Actor) error {
	id, ok := api.ParseID(name)
	if !ok || api.DatasetID(id) == own {
		return nil
	}
	d := s.find1(api.DatasetID(id))
	switch {
	case d == nil:
		return nil
	case !s.MayUse(d, by):
		return &api.Error{Code: api.CodeConflict, Field: fieldMetadata, Message: fmt.Sprintf("the name %q is taken: choose another name", name)}
	case d.Name() != "" && !d.Deleted:
		return &api.Error{Code: api.CodeConflict, Field: fieldMetadata, Message: fmt.Sprintf(
			"the name %q is the id of dataset %s: ask for that one by its name, or choose another name", name, d.Name())}
	}
	return &api.Error{Code: api.CodeConflict, Field: fieldMetadata, Message: fmt.Sprintf(
		"the name %q is the id of another dataset: choose another name", name)}
}

// checkIDFree refuses an id for a new dataset that is the name of another one.
func (s *State) checkIDFree(id api.DatasetID) error {
	for _, name := range api.Spellings(string(id)) {
		if d := s.DatasetByName(name); d != nil && d.ID != id {
			return api.Errorf(api.CodeConflict, "the dataset_id %s is the name of a dataset: choose another id", id)
		}
	}
	return nil
}
