package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/flocker-mesos/flocker/api"
)

// volumesNamed returns the volumes that texts name, each once, and the errors of all texts
// that name none. A command that changes something does nothing then.
func (s *session) volumesNamed(texts []string) ([]*api.DatasetDetail, error) {
	return named(texts, s.volume, datasetID)
}

func datasetID(d *api.DatasetDetail) api.DatasetID { return d.Dataset.ID }

func nodeID(n *api.Node) api.NodeID { return n.ID }

func named[T any, ID comparable](texts []string, find func(string) (T, error), id func(T) ID) ([]T, error) {
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

// each does something with every volume, goes on after failures, and returns the results.
// The error names the volumes for which it failed.
func (s *session) each(all []*api.DatasetDetail, do func(*api.DatasetDetail) (*api.DatasetDetail, error)) ([]*api.DatasetDetail, error) {
	return each(all, volumeName, do)
}

func each[T, R any](all []T, name func(T) string, do func(T) (R, error)) ([]R, error) {
	results := []R{}
	var failed []error
	for _, x := range all {
		switch result, err := do(x); {
		case err == nil:
			results = append(results, result)
		case len(all) > 1:
			failed = append(failed, fmt.Errorf("%s: %w", name(x), err))
		default:
			failed = append(failed, err)
		}
	}
	return results, errors.Join(failed...)
}

// printResults ends a command: it prints to a program the results, one or with several a
// list, and returns what failed.
func printResults[T any](s *session, results []T, several bool, name func(T) string, failed error) error {
	switch {
	case !s.Machine() || !several && len(results) == 0:
		return failed
	case several:
		return errors.Join(s.ListOf(results, texts(results, name), func() {}), failed)
	}
	return errors.Join(s.Show(results[0], name(results[0]), func() {}), failed)
}

// outcomes ends a command that has asked for something for volumes: it waits until each
// has reached the goal, if that is wanted, and prints to a program what has become of
// them.
func (s *session) outcomes(all []*api.DatasetDetail, several bool, w *waiting, g goal, label func(*api.DatasetDetail) string) error {
	var failed error
	if w.wait.on {
		ctx, cancel := context.WithTimeout(s.ctx, w.timeout) // for all of them
		defer cancel()
		_, failed = s.each(all, func(d *api.DatasetDetail) (*api.DatasetDetail, error) {
			return d, s.await(ctx, d.Dataset.ID, label(d), w.timeout, g)
		})
	}
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
	return printResults(s, left, several, volumeName, failed)
}

// showVolumes shows volumes below each other; to a program a list if several were asked for.
func (s *session) showVolumes(all []*api.DatasetDetail, several bool) error {
	switch {
	case !several && len(all) == 0:
		return nil
	case !several:
		return s.showVolume(all[0])
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
