package store

import (
	"context"
	"errors"
)

// Restorer fills a log that is not in use with the records of a backup. It is
// opened apart from the Log, since what needs to be restored may be a log that
// cannot be opened.
//
// After a crash at any instruction of Restore the log is what it was, if that
// was not empty, or has the whole of the snapshot, or is refused as damaged by
// all who open or load it: never is a part of the snapshot taken for a log. Then
// Restore can be called again.
type Restorer interface {
	// Name is as in Properties.
	Name() string

	// Remains returns what is there now. An error says that this cannot be
	// found out, never that it is damaged.
	Remains(ctx context.Context) (Remains, error)

	// Restore makes the snapshot's records, of which no two have the same
	// key, all of the log, at the snapshot's revision, which is not 0. Follow
	// knows of nothing that was before it.
	//
	// It is done only where what Remains returned last, to this Restorer, is
	// still there, else it fails with ErrRaced; and where that is not Empty,
	// it is done only if replace is set, else it fails with ErrNotEmpty. After
	// any other error it may have been done in part.
	Restore(ctx context.Context, snap Snapshot, replace bool) error

	// Close gives up the Restorer. Closing twice is no error.
	Close() error
}

// Remains are what a Restore would put the snapshot in the place of.
type Remains struct {
	// Empty says that nothing is lost: there is no log, one without a commit,
	// or what a Restore has left that was cut short.
	Empty bool
	// What is there, and What becomes of it, as ends of sentences for a person.
	What    string
	Becomes string
}

// ErrNotEmpty says that a log has records, or had some.
var ErrNotEmpty = errors.New("the log is not empty")
