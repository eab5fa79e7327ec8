// Package backup is the file that a log is written to, and read from to be
// restored: lines of JSON that people can read,
//
//	{"format":"flocker-backup","version":1,"cluster":...,"revision":...,"records":2,...}
//	{"key":"datasets/...","value":{"schema":2,"record":{...}}}
//	{"key":"meta","value":...}
//	{"end":"flocker-backup","records":2,"sha256":"..."}
//
// with the records in the order of their keys, and at the end the checksum of all
// lines before. A file that is not exactly so is refused as a whole.
package backup

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/flocker-mesos/flocker/control/store"
)

const (
	format  = "flocker-backup"
	version = 1

	// maxLine bounds a line. A record is at most about 128 KiB.
	maxLine = 8 << 20
)

// Backup is all of a log as of one revision.
type Backup struct {
	Header
	Records []store.Record
}

// Header says what is in a backup.
type Header struct {
	Format   string    `json:"format"`
	Version  int       `json:"version"`
	Cluster  string    `json:"cluster"`  // UUID of the cluster
	Revision uint64    `json:"revision"` // of the log
	Count    int       `json:"records"`
	Taken    time.Time `json:"taken"`
	Log      string    `json:"log"`     // where it was, for people
	Program  string    `json:"program"` // version of the program that took it
}

// line is a record. Values are JSON whatever their kind.
type line struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// trailer is the last line.
type trailer struct {
	End   string `json:"end"`
	Count int    `json:"records"`
	Sum   string `json:"sha256"` // of all before it
}

// UnsoundError says why a file is no backup, or no whole one.
type UnsoundError struct {
	Line int // the first is 1; 0 where no line is to blame
	What string
}

func (e *UnsoundError) Error() string {
	if e.Line == 0 {
		return "this is no whole backup: " + e.What
	}
	return fmt.Sprintf("this is no whole backup: line %d %s", e.Line, e.What)
}
