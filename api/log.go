package api

import (
	"fmt"
	"slices"
)

// LogIdentity says which log of records a control service works on, and how far
// that log is. Replicas and agents remember it and refuse to trade it for another.
type LogIdentity struct {
	ID string `json:"id"` // UUID, made with the log and kept by a restore; "" in memory of no log
	// Incarnation is the revision at which the log was begun or restored. It
	// rises with every restore.
	Incarnation uint64 `json:"incarnation,omitempty"`
	Revision    uint64 `json:"revision,omitempty"`
	// Replaces are the ids of logs that an operator replaced by this one.
	Replaces []string `json:"replaces,omitempty"`
}

// AnyLog is given in place of an id where the first log that is met is accepted.
const AnyLog = "any"

// OtherLogRefused begins the message of a stream that was refused because of its log.
const OtherLogRefused = "other log"

// Refuses returns why found cannot be the log that was seen before, "" if it
// can. Whatever is found is right where none was seen.
func (seen LogIdentity) Refuses(found LogIdentity) string {
	switch {
	case seen.ID == "", found.ID != seen.ID && slices.Contains(found.Replaces, seen.ID):
		return ""
	case found.ID == "":
		return fmt.Sprintf("it is empty, and log %s was last seen at revision %d", seen.ID, seen.Revision)
	case found.ID != seen.ID:
		return fmt.Sprintf("it is log %s at revision %d, and log %s was last seen at revision %d", found.ID, found.Revision, seen.ID, seen.Revision)
	case found.Incarnation < seen.Incarnation:
		return fmt.Sprintf("it is an older state of log %s: a restore of it at revision %d was seen, and this one was begun or restored at revision %d",
			found.ID, seen.Incarnation, found.Incarnation)
	case found.Incarnation == seen.Incarnation && found.Revision < seen.Revision:
		return fmt.Sprintf("it is an older copy of log %s: it is at revision %d, and revision %d was seen", found.ID, found.Revision, seen.Revision)
	}
	return ""
}

// Newer returns what is to be remembered after found was accepted, and whether
// that differs from what is.
func (seen LogIdentity) Newer(found LogIdentity) (LogIdentity, bool) {
	next := LogIdentity{ID: found.ID, Incarnation: found.Incarnation, Revision: found.Revision}
	changed := next.ID != seen.ID || next.Incarnation != seen.Incarnation || next.Revision > seen.Revision
	return next, changed
}
