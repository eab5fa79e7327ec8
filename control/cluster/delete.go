package cluster

import (
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Delete has a dataset's volume destroyed as soon as nothing uses it any more.
// Deleting again changes nothing, except that it finds somebody to do it where
// nobody has taken it on.
type Delete struct {
	At     time.Time
	Expect Expect
	By     Actor
	ID     api.DatasetID
}

// Apply decides the command.
func (c Delete) Apply(s *State) (Outcome, error) {
	if err := c.Expect.Check(s); err != nil {
		return Outcome{}, err
	}
	d, err := s.find(c.ID)
	if err != nil {
		return Outcome{}, err
	}
	if err := s.checkManage(d, c.By, "delete"); err != nil {
		return Outcome{}, err
	}
	if d.Destroyed || d.Deleted && !s.free(d) {
		return Outcome{Dataset: d}, nil
	}
	return s.deleted(d, c.At), nil
}

// deleted returns the outcome of a dataset's deletion.
func (s *State) deleted(d *api.Dataset, at time.Time) Outcome {
	d = s.draft(d)
	d.Deleted = true
	d.Waiting = nil // who claims it again hears that it is deleted
	st := s.DatasetState(d.ID)
	if d.Blocked != "" {
		// The volume that the storage has under its id is an orphan's.
		d.Blocked = ""
		destroyed(d, at)
	} else {
		s.assignDestruction(d, st, at)
	}
	changes := []Change{putDataset(d)}
	if d.Destroyed && st != nil {
		changes = append(changes, Change{Key: StateKey(d.ID)})
	}
	return Outcome{Changes: changes, Dataset: d}
}

// Prune forgets datasets whose volumes were destroyed before a time. Until then
// they are listed as deleted and their ids stay reserved.
type Prune struct {
	DestroyedBefore time.Time
	Limit           int // of datasets, so that one commit can take it
}

// Apply decides the command. It never refuses.
func (c Prune) Apply(s *State) (Outcome, error) {
	var changes []Change
	for d := range s.Datasets() {
		if len(changes) >= c.Limit {
			break
		}
		if d.Destroyed && !s.frozen(d.ID) && d.DestroyedAt.Before(c.DestroyedBefore) {
			changes = append(changes, Change{Key: DatasetKey(d.ID)})
		}
	}
	return Outcome{Changes: changes}, nil
}
