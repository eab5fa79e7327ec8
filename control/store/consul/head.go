package consul

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

const (
	format = 1

	// history is how many commits are kept. A replica that is further behind
	// reads everything.
	history = 256

	// Head is written and read with every commit, so it repeats no more of
	// what is below commits/ than spares those who follow closely a read: the
	// newest commit if it is not huge, and as many before it as go into little.
	maxNewestBytes = 4 << 10
	maxRecentBytes = 1 << 10
)

// head is where the log stands. The zero value is the log before its first
// commit, for which nothing is stored.
type head struct {
	Format   int         `json:"format"`
	Log      string      `json:"log"` // differs for every log that was ever begun
	Revision uint64      `json:"revision"`
	Records  uint64      `json:"records"`    // how many there are
	Sum      digest      `json:"sum,string"` // of all of them
	Recent   []committed `json:"recent"`     // the last commits, newest last; possibly none
	// Base is the revision that the log was restored at, 0 where it never was:
	// of what was before nothing is known.
	Base uint64 `json:"base,omitempty"`
}

// committed is a commit of the past.
type committed struct {
	Revision uint64   `json:"revision"`
	ID       string   `json:"id"`
	Keys     []string `json:"keys"`
}

// errNewer says that what is stored was written by a version of this program
// that came later.
var errNewer = errors.New("it was taken over by a newer version of the control service")

// next returns the head after a commit.
func (h head) next(c contents, d committed) head {
	n := head{Format: format, Log: h.Log, Revision: d.Revision, Records: c.records, Sum: c.sum, Base: h.Base}
	if h.Revision == 0 {
		n.Log = rand.Text()
	}
	size := d.size()
	if size > maxNewestBytes {
		return n
	}
	n.Recent = []committed{d}
	for _, older := range slices.Backward(h.Recent) {
		if size += older.size(); size > maxRecentBytes {
			break
		}
		n.Recent = append(n.Recent, older)
	}
	slices.Reverse(n.Recent)
	return n
}

func (d committed) size() int {
	size := 48 + len(d.ID)
	for _, key := range d.Keys {
		size += 3 + len(key)
	}
	return size
}

// recent returns the commit with a revision if head has it.
func (h head) recent(revision uint64) (committed, bool) {
	first := h.Revision - uint64(len(h.Recent)) + 1
	if revision < first || revision > h.Revision {
		return committed{}, false
	}
	return h.Recent[revision-first], true
}

func encode(what any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it would make six bytes of one
	if err := e.Encode(what); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decodeHead reads a head that is stored.
func decodeHead(value []byte) (head, error) {
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(value, &version); err != nil {
		return head{}, fmt.Errorf("decode head: %w", err)
	}
	if version.Format > format {
		return head{}, fmt.Errorf("%w (format %d, known is %d)", errNewer, version.Format, format)
	}
	var h head
	if err := json.Unmarshal(value, &h); err != nil {
		return head{}, fmt.Errorf("decode head: %w", err)
	}
	if err := h.check(); err != nil {
		return head{}, fmt.Errorf("decode head: %w", err)
	}
	return h, nil
}

func (h head) check() error {
	switch {
	case h.Format != format:
		return fmt.Errorf("format %d is unknown", h.Format)
	case h.Revision == 0:
		return errors.New("it has no revision")
	case h.Base > h.Revision:
		return fmt.Errorf("it was restored at revision %d and is at %d", h.Base, h.Revision)
	case uint64(len(h.Recent)) > min(h.Revision-h.Base, history):
		return fmt.Errorf("it has %d commits at revision %d", len(h.Recent), h.Revision)
	}
	if err := checkText("name of the log", h.Log, maxIDBytes); err != nil {
		return err
	}
	for i, d := range h.Recent {
		if want := h.Revision - uint64(len(h.Recent)-1-i); d.Revision != want {
			return fmt.Errorf("it has the commit of revision %d where that of %d should be", d.Revision, want)
		}
		if err := d.check(); err != nil {
			return err
		}
	}
	return nil
}

// decodeCommitted reads a commit that is stored.
func decodeCommitted(value []byte) (committed, error) {
	var d committed
	if err := json.Unmarshal(value, &d); err != nil {
		return committed{}, fmt.Errorf("decode commit: %w", err)
	}
	if d.Revision == 0 {
		return committed{}, errors.New("decode commit: it has no revision")
	}
	if err := d.check(); err != nil {
		return committed{}, fmt.Errorf("decode commit: %w", err)
	}
	return d, nil
}

func (d committed) check() error {
	if err := checkText("id of a batch", d.ID, maxIDBytes); err != nil {
		return err
	}
	for _, key := range d.Keys {
		if err := checkText("key", key, maxKeyBytes); err != nil {
			return err
		}
	}
	return nil
}
