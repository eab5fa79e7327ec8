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
	// Starts are the last starts of replicas, newest last; in memory, the newest
	// alone. By them a copy that went on by itself is told from the log.
	Starts []LogStart `json:"starts,omitempty"`
}

// LogStart is that a replica has started on a log.
type LogStart struct {
	ID       string `json:"id"`       // the replica's, new with each start
	Revision uint64 `json:"revision"` // that its first commit made
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
	case found.Incarnation == seen.Incarnation && seen.parted(found):
		return fmt.Sprintf("it is an older copy of log %s that went on without what was seen up to revision %d", found.ID, seen.Revision)
	}
	return ""
}

// parted reports whether found left the log before what was seen: it lacks the
// replica's start that was seen last, or has another one before the revision.
func (seen LogIdentity) parted(found LogIdentity) bool {
	if len(seen.Starts) == 0 || len(found.Starts) == 0 {
		return false
	}
	last := seen.Starts[len(seen.Starts)-1]
	for i, s := range found.Starts {
		if s.ID == last.ID {
			return i+1 < len(found.Starts) && found.Starts[i+1].Revision <= seen.Revision
		}
	}
	return found.Starts[0].Revision <= last.Revision // else it is too long ago to tell
}

// Until returns the last revision before another replica started than the one
// with an id, which was the last to do so.
func (seen LogIdentity) Until(start string) uint64 {
	for i := len(seen.Starts) - 1; i > 0; i-- {
		if seen.Starts[i-1].ID == start {
			return seen.Starts[i].Revision - 1
		}
	}
	return seen.Revision
}

// LastStart returns the id of the replica that started last, "" for none.
func (seen LogIdentity) LastStart() string {
	if len(seen.Starts) == 0 {
		return ""
	}
	return seen.Starts[len(seen.Starts)-1].ID
}

// Newer returns what is to be remembered after found was accepted, and whether
// that differs from what is.
func (seen LogIdentity) Newer(found LogIdentity) (LogIdentity, bool) {
	next := LogIdentity{ID: found.ID, Incarnation: found.Incarnation, Revision: found.Revision, Starts: found.Starts[max(0, len(found.Starts)-1):]}
	changed := next.ID != seen.ID || next.Incarnation != seen.Incarnation || next.Revision > seen.Revision || next.LastStart() != seen.LastStart()
	return next, changed
}
