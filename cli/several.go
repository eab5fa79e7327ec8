package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/flocker-mesos/flocker/api"
)

// volumesNamed returns the volumes that texts name, each once. It returns the errors of
// all texts that name none, and then no volume: nothing is done for a mistyped list.
func (s *session) volumesNamed(texts []string) ([]*api.DatasetDetail, error) {
	return named(texts, s.volume, datasetID)
}

// volumesFound is volumesNamed for what only reads: it returns those that it finds, too.
func (s *session) volumesFound(texts []string) ([]*api.DatasetDetail, error) {
	return found(texts, s.volume, datasetID)
}

func datasetID(d *api.DatasetDetail) api.DatasetID { return d.Dataset.ID }

func nodeID(n *api.Node) api.NodeID { return n.ID }

func named[T any, ID comparable](texts []string, find func(string) (T, error), id func(T) ID) ([]T, error) {
	all, err := found(texts, find, id)
	if err != nil {
		return nil, err
	}
	return all, nil
}

func found[T any, ID comparable](texts []string, find func(string) (T, error), id func(T) ID) ([]T, error) {
	all := []T{}
	var failed []error
	for _, text := range texts {
		x, err := find(text)
		switch {
		case err != nil:
			failed = append(failed, err)
		case !slices.ContainsFunc(all, func(y T) bool { return id(x) == id(y) }):
			all = append(all, x)
		}
	}
	return all, errors.Join(failed...)
}

// each does something with every volume, goes on after failures, and returns the volumes
// for which it succeeded. The error names the others.
func (s *session) each(all []*api.DatasetDetail, do func(*api.DatasetDetail) error) ([]*api.DatasetDetail, error) {
	return each(all, volumeName, do)
}

func each[T any](all []T, name func(T) string, do func(T) error) ([]T, error) {
	done := []T{}
	var failed []error
	for _, x := range all {
		switch err := do(x); {
		case err == nil:
			done = append(done, x)
		case len(all) > 1:
			failed = append(failed, fmt.Errorf("%s: %w", name(x), err))
		default:
			failed = append(failed, err)
		}
	}
	return done, errors.Join(failed...)
}

// outcomes ends a command that has asked for something for volumes: it waits until each
// has reached the goal, if that is wanted, and prints to a program what has become of
// them: one volume, or with several a list.
func (s *session) outcomes(all []*api.DatasetDetail, several bool, w *waiting, g goal, label func(*api.DatasetDetail) string) error {
	deadline, end := s.deadline(w)
	defer end()
	_, failed := s.each(all, func(d *api.DatasetDetail) error {
		if !w.wait.on {
			return nil
		}
		return s.await(deadline, d.Dataset.ID, label(d), w.timeout, g)
	})
	if !s.Machine() || failed != nil && !several {
		return failed
	}
	left := []*api.DatasetDetail{}
	for _, d := range all {
		now, err := s.Volume(s.ctx, ref(d.Dataset.ID))
		switch {
		case err == nil:
			left = append(left, now)
		case api.CodeOf(err) != api.CodeNotFound || !g.gone:
			failed = errors.Join(failed, err)
		}
	}
	return errors.Join(failed, s.showVolumes(left, several))
}

// showVolumes shows volumes below each other; to a program a list if several were asked for.
func (s *session) showVolumes(all []*api.DatasetDetail, several bool) error {
	if !several {
		for _, d := range all {
			return s.showVolume(d)
		}
		return nil
	}
	return s.ListOf(all, texts(all, volumeName), func() {
		for i, d := range all {
			if i > 0 {
				s.Space()
			}
			describeVolume(s.Printer, d, s.now())
		}
	})
}
