// Package store is the border to what keeps the cluster's records: a log that
// commits changes in one total order and tells every replica what changed. An
// implementation passes the suite in storetest.
package store

import (
	"context"
	"errors"
	"fmt"
)

// Log keeps records and commits changes to them in one total order.
//
// Every commit raises the revision by one; revision 0 is the empty log before
// the first. A Log is safe for concurrent use. It keeps no slice that it was
// given, and what it returns is the caller's.
type Log interface {
	// Properties are constant for the life of the Log.
	Properties() Properties

	// Load returns all records as of one revision. A log that has lost
	// records, is damaged, or is empty though it was not, is a
	// *DamagedError: never an empty state. A few records that another program
	// has changed are no such error where it can be told which they are: see
	// Snapshot.Damage.
	Load(ctx context.Context) (Snapshot, error)

	// Commit makes a batch's changes durable, all or none, if the log's
	// revision still is batch.After, and returns the new revision. When it
	// returns, the changes survive the death of this process, of this
	// machine, and of a minority of the machines that keep the log.
	//
	// A batch without changes commits nothing: it succeeds, with the revision
	// as it is, where that still is batch.After.
	//
	// Committing a batch again whose ID is among the last Properties.History
	// commits changes nothing and returns the revision that it had then.
	//
	// Errors: ErrRaced where the revision is another; ErrTooLarge;
	// ErrUncertain where the batch may have been committed or not, or may
	// still be, which committing it again finds out. After any other error it
	// is certain that it was not and will not be committed. A ctx that ends
	// gives its error where nothing was sent yet, ErrUncertain afterwards.
	Commit(ctx context.Context, batch Batch) (revision uint64, err error)

	// Follow waits until the revision is higher than after and returns what
	// has changed since: each changed record once, with its newest value, all
	// as of the Update's revision. It returns commits of this process like
	// any other's. Errors: ErrGap where the log no longer knows what changed
	// since after, so Load is needed; ErrRewound where after has never been,
	// which means that the log was restored from a backup; ctx's.
	Follow(ctx context.Context, after uint64) (Update, error)

	// Close gives up the log. Calls that wait end with ErrClosed, as do all
	// later ones. Closing twice is no error.
	Close() error
}

// Properties describe a log.
type Properties struct {
	Name       string // for texts, such as the path of its file
	MaxChanges int    // in a batch
	MaxBytes   int    // of all keys and values of a batch
	History    uint64 // how many commits back Follow and Commit remember; at least 64
	// Exclusive means that nobody else can commit while this Log is open, so
	// there is nothing to follow but one's own commits.
	Exclusive bool
}

// Record is a key and its value. Keys are printable ASCII of at most 256 bytes.
type Record struct {
	Key   string
	Value []byte // in a change, empty takes the record away
}

// Batch is what is committed at once.
type Batch struct {
	ID      string // unique, at most 64 bytes of printable ASCII
	After   uint64 // the revision that the changes were decided on
	Changes []Record
}

// Snapshot is all records as of a revision.
type Snapshot struct {
	Revision uint64
	Records  []Record
	// Damage are the records that are not what was committed. Records has what
	// was committed under their keys, where that is known, and else nothing.
	Damage []Damage
}

// Damage is a record that another program has changed, removed or added.
type Damage struct {
	Key   string
	What  string // a sentence's end
	Stray bool   // nothing was ever committed under the key
	Sum   uint64 // of what was committed, as the log reckons it
	// Foreign says that Key is no key of a record, but a path of the log's.
	Foreign bool
}

// MaxDamage is how many damaged records a log may have that is still served.
const MaxDamage = 50

// Inspector is a Log that other programs can write to.
type Inspector interface {
	// Inspect compares all records with what was committed and returns those
	// that are not as they should be. It costs as much as Load.
	Inspect(ctx context.Context) ([]Damage, error)
}

// Recaller is a Log that other programs can remove records from.
type Recaller interface {
	// Recall gives the log records that it may have lost, such as those of a
	// backup. Where records are missing, Load then finds out which, if they were as
	// they are here.
	Recall(records []Record)
}

// Update is what has changed up to a revision.
type Update struct {
	Revision uint64
	Changes  []Record
}

// What went wrong, for callers to tell apart with errors.Is.
var (
	ErrRaced     = errors.New("another replica committed first")
	ErrTooLarge  = errors.New("too much for one commit")
	ErrUncertain = errors.New("it is unknown whether the commit took place")
	ErrBroken    = errors.New("the log has to be opened anew")
	ErrGap       = errors.New("the log no longer knows what changed since then")
	ErrRewound   = errors.New("the log has gone back in time")
	ErrClosed    = errors.New("the log is closed")
	ErrInUse     = errors.New("the log is in use by another process")
)

// DamagedError says that a log is not what was last committed to it. It must
// not be acted on: a person decides whether to restore a backup.
type DamagedError struct {
	Name string // as in Properties
	What string // a sentence's end
	Err  error  // may be nil
}

func (e *DamagedError) Error() string {
	text := fmt.Sprintf("%s %s", e.Name, e.What)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text + ". Nothing was changed. Restore a backup of it: flocker control restore --replace FILE. Without a backup, move all of it away, " +
		"begin an empty log (flocker control accept-log empty, flocker agent accept-log), and take the volumes in (flocker volumes adopt)"
}

func (e *DamagedError) Unwrap() error { return e.Err }

// Check reports as ErrTooLarge what makes a batch too large for a log with p.
func (p Properties) Check(batch Batch) error {
	if len(batch.Changes) > p.MaxChanges {
		return fmt.Errorf("%w: %d changes, at most %d go into one", ErrTooLarge, len(batch.Changes), p.MaxChanges)
	}
	bytes := 0
	for _, c := range batch.Changes {
		bytes += len(c.Key) + len(c.Value)
	}
	if bytes > p.MaxBytes {
		return fmt.Errorf("%w: %d bytes, at most %d go into one", ErrTooLarge, bytes, p.MaxBytes)
	}
	return nil
}
