package consul

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/flocker-mesos/flocker/control/store"
)

// digest stands for a record, and the sum of digests for a set of records.
type digest uint64

func digestOf(r store.Record) digest {
	h := sha256.New()
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(r.Key)))
	h.Write(length[:])
	h.Write([]byte(r.Key))
	h.Write(r.Value)
	return digest(binary.BigEndian.Uint64(h.Sum(nil)))
}

// contents sum up the records of a log.
type contents struct {
	records uint64
	sum     digest
}

// index knows of every record that it is there and what it is like, without
// its value.
type index struct {
	contents

	digests map[string]digest
}

func newIndex(records []store.Record) index {
	x := index{digests: make(map[string]digest, len(records))}
	for _, r := range records {
		x.digests[r.Key] = digestOf(r)
		x.records++
		x.sum += x.digests[r.Key]
	}
	return x
}

// after returns the contents after changes, of which no two are of one key.
func (x index) after(changes []change) contents {
	c := x.contents
	for _, change := range changes {
		if old, ok := x.digests[change.Key]; ok {
			c.records--
			c.sum -= old
		}
		if len(change.Value) > 0 {
			c.records++
			c.sum += change.digest
		}
	}
	return c
}

// apply makes changes, of which no two are of one key.
func (x *index) apply(changes []change) {
	x.contents = x.after(changes)
	for _, change := range changes {
		if len(change.Value) > 0 {
			x.digests[change.Key] = change.digest
		} else {
			delete(x.digests, change.Key)
		}
	}
}

// change is a record that is put, or taken away where it has no value.
type change struct {
	store.Record

	digest digest
}

// newChanges returns records as changes, of each key the last.
func newChanges(records []store.Record) []change {
	out := make([]change, 0, len(records))
	at := make(map[string]int, len(records))
	for _, r := range records {
		c := change{Record: r}
		if len(r.Value) > 0 {
			c.digest = digestOf(r)
		}
		if i, ok := at[r.Key]; ok {
			out[i] = c
			continue
		}
		at[r.Key] = len(out)
		out = append(out, c)
	}
	return out
}
