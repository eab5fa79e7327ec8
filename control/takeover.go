package control

import "github.com/flocker-mesos/flocker/control/clusterhq"

// FromTakeover returns what a log has that is begun with the datasets of
// ClusterHQ's Flocker.
func FromTakeover(t *clusterhq.Takeover) (Restorable, error) {
	return restorable(t.Revision, t.Changes)
}
