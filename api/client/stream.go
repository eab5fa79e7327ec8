package client

import (
	"errors"
	"slices"

	"github.com/flocker-mesos/flocker/api"
)

// errNull is a list of a stream's event with nothing where a record should be.
var errNull = errors.New("the control service sends null in place of a record")

// checkEvent refuses an event that its users could not look at.
func checkEvent(ev *api.StreamEvent) error {
	if slices.Contains(ev.Datasets, nil) || slices.Contains(ev.Leases, nil) || slices.Contains(ev.Hints, nil) {
		return errNull
	}
	return nil
}
